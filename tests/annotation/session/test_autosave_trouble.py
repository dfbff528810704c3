"""What an autosave does and says when something cannot be written."""

import errno
import subprocess
import sys

import numpy as np

from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.recovery import new_recovery
from emseg_napari.annotation.session.store import Session, load_session, save_session
from emseg_napari.core import files
from helpers.sessions import a_session, paint, slices_on_disk
from helpers.timing import PATIENCE_S, wait_until


def test_a_full_disk_is_said_once_and_nothing_is_lost(autosave, unsaved, errors, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "flush", full)
        paint(autosave, unsaved, 1)
        wait_until(lambda: errors)
        assert not autosave.flush(2.5)
        assert len(errors) == 1
        assert "disk is full" in errors[0]
        assert autosave.trouble == errors[0]
    assert autosave.flush(PATIENCE_S)
    wait_until(lambda: errors[1:] == [""])
    assert np.array_equal(load_session(autosave.folder).labels, unsaved.labels)


def test_a_folder_that_is_gone_is_said_and_written_to_when_it_is_back(autosave, unsaved, errors, tmp_path):
    paint(autosave, unsaved, 1)
    folder = tmp_path / "named.emseg"
    autosave.save_as(folder, unsaved)
    assert autosave.flush(PATIENCE_S)
    folder.rename(tmp_path / "away.emseg")
    paint(autosave, unsaved, 2)
    wait_until(lambda: errors)
    assert "named.emseg is no longer in" in errors[0]
    (tmp_path / "away.emseg").rename(folder)
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(folder).labels, unsaved.labels)


def test_a_window_that_is_gone_ends_no_thread(tmp_path, monkeypatch):
    def gone(sentence):
        raise RuntimeError("deleted")

    autosave, session = Autosave(gone), a_session(tmp_path / "cells.tif")
    save_session(tmp_path / "cells.emseg", Session(None, np.zeros((1, 2, 2)), np.zeros((1, 2, 2), np.uint8)))
    autosave.start_session(tmp_path / "cells.emseg", session)
    wait_until(lambda: "labels of another image" in autosave.trouble)
    autosave.start_session(new_recovery(), session)
    paint(autosave, session, 1)
    wait_until(lambda: slices_on_disk(autosave.folder) == [1])
    assert not autosave.close(0.1)
    files.remove(tmp_path / "cells.emseg")  # now it can be kept there, and the thread ends
    assert autosave.close(PATIENCE_S)


def test_notes_without_a_session_are_of_no_account():
    autosave = Autosave()
    autosave.record_edit(0, np.zeros((2, 2), np.uint8))
    autosave.record_state(confirmed={1})
    assert autosave.folder is None
    assert autosave.flush(1)
    assert autosave.close(1)


def test_a_session_may_begin_after_the_last_was_closed(autosave, unsaved):
    assert autosave.close(PATIENCE_S)
    autosave.start_session(new_recovery(), unsaved)
    paint(autosave, unsaved, 3)
    assert autosave.flush(PATIENCE_S)
    assert slices_on_disk(autosave.folder) == [3]


def test_a_process_that_ends_without_closing_writes_first(tmp_path):
    script = (
        "import numpy as np\n"
        "from emseg_napari.annotation.session.autosave import Autosave\n"
        "from emseg_napari.annotation.session.store import Session\n"
        "autosave = Autosave()\n"
        "session = Session(None, np.ones((1, 2, 2)), np.zeros((1, 2, 2), np.uint8))\n"
        "autosave.start_session('ended.emseg', session)\n"
        "autosave.record_edit(0, np.ones((2, 2)))\n"
        "raise SystemExit(3)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path).returncode == 3
    assert load_session(tmp_path / "ended.emseg").labels.all()
