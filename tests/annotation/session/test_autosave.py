"""Autosave in one process: what is on disk, when, and what is said if it cannot be."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emseg_napari.annotation.session import writer as sessionwriter
from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.backlog import Backlog
from emseg_napari.annotation.session.images import pages
from emseg_napari.annotation.session.recovery import (
    Marker,
    discard,
    new_recovery,
    open_elsewhere,
    recoverable,
    recovery_folder,
)
from emseg_napari.annotation.session.store import MissingImage, Session, load_session, save_session
from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.locks import OutputLock
from emseg_napari.io import stacks
from helpers.faults import another_process, needs_fork
from helpers.odd_arrays import odd_arrays
from helpers.timing import PATIENCE_S, wait_until, within

SHAPE = (6, 40, 50)


def a_session(image_path=None):
    image = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    if image_path is not None and not image_path.exists():
        stacks.write_stack(image_path, image)
    return Session(image_path, image, np.zeros(SHAPE, np.uint8), name="membranes")


def paint(autosave, session, z, value=1):
    session.labels[z, z] = value
    autosave.record_edit(z, session.labels[z])


@pytest.fixture
def errors():
    return []


@pytest.fixture
def autosave(errors):
    saver = Autosave(errors.append)
    yield saver
    assert saver.close(PATIENCE_S)


@pytest.fixture
def unsaved(autosave, tmp_path):
    """Work without a name on an image that has a file."""
    session = a_session(tmp_path / "cells.tif")
    autosave.start_session(new_recovery(), session)
    return session


def slices_on_disk(folder):
    return sorted(int(path.stem) for path in folder.glob("labels*/[0-9]*.png"))


# -- what is written --------------------------------------------------------------------


def test_a_stroke_is_on_disk_without_being_asked_for(autosave, unsaved):
    paint(autosave, unsaved, 2)
    wait_until(lambda: slices_on_disk(autosave.folder) == [2], within(2))
    assert np.array_equal(load_session(autosave.folder).labels, unsaved.labels)


def test_nothing_is_made_before_there_are_labels(autosave, unsaved):
    autosave.record_edit(1, unsaved.labels[1])
    autosave.record_state(confirmed={1})
    assert autosave.flush(PATIENCE_S)
    assert not autosave.folder.exists()


def test_labels_that_were_there_at_the_beginning_are_saved(autosave, tmp_path):
    session = a_session(tmp_path / "cells.tif")
    session.labels[[0, 5], 3] = 2
    autosave.start_session(new_recovery(), session)
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(autosave.folder).labels, session.labels)


def test_only_slices_that_changed_are_written(autosave, unsaved, monkeypatch):
    for z in range(6):
        paint(autosave, unsaved, z)
    assert autosave.flush(PATIENCE_S)
    before = {path: path.stat().st_ino for path in autosave.folder.rglob("*") if path.is_file()}
    paint(autosave, unsaved, 3, value=4)
    assert autosave.flush(PATIENCE_S)
    after = {path: path.stat().st_ino for path in autosave.folder.rglob("*") if path.is_file()}
    assert [path.name for path in after if before[path] != after[path]] == ["0003.png"]


def test_an_emptied_slice_is_empty_on_disk(autosave, unsaved):
    for z in (1, 2):
        paint(autosave, unsaved, z)
    assert autosave.flush(PATIENCE_S)
    unsaved.labels[1] = 0
    autosave.record_edit(1, unsaved.labels[1])
    assert autosave.flush(PATIENCE_S)
    assert slices_on_disk(autosave.folder) == [2]


def test_a_note_keeps_the_slice_as_it_was(autosave, unsaved):
    paint(autosave, unsaved, 1)
    noted = unsaved.labels[1].copy()
    unsaved.labels[1] = 3  # not noted, so not to be seen
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(autosave.folder).labels[1], noted)


def test_a_slice_under_the_brush_is_written_a_few_times_a_second(autosave, unsaved, monkeypatch):
    written = []

    def note(folder, z, plane):
        if z == 1:
            written.append(time.monotonic())

    monkeypatch.setattr(sessionwriter, "write_slice", note)

    def written_under_the_brush():
        paint(autosave, unsaved, 1)
        return len(written) >= 4

    wait_until(written_under_the_brush, within(2))
    assert np.diff(written).min() > 0.2


def test_slices_can_be_noted_without_a_copy(autosave, unsaved):
    unsaved.labels[:, 7] = 4
    for z in range(6):
        autosave.record_edit(z)
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(autosave.folder).labels, unsaved.labels)


def test_more_strokes_than_may_wait_as_copies_are_all_written(autosave, tmp_path):
    session = Session(None, np.zeros((80, 4, 4), np.uint8), np.zeros((80, 4, 4), np.uint8))
    autosave.start_session(new_recovery(), session)
    for z in range(80):
        session.labels[z] = 1 + z % 4
        autosave.record_edit(z, session.labels[z])
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(autosave.folder).labels, session.labels)


def test_the_state_is_saved_and_comes_back(autosave, unsaved, tmp_path):
    paint(autosave, unsaved, 1)
    settings = {"live": {"on": True}}
    autosave.record_state(confirmed={1, 4}, run=tmp_path / "run", settings=settings)
    settings["live"]["on"] = False  # the window goes on with its own
    autosave.record_state(name="mine")
    assert autosave.flush(PATIENCE_S)
    read = load_session(autosave.folder)
    assert (read.confirmed, read.run, read.name) == ({1, 4}, tmp_path / "run", "mine")
    assert read.settings == {"live": {"on": True}}


def test_an_image_with_a_file_is_referred_to(autosave, unsaved, tmp_path):
    paint(autosave, unsaved, 1)
    assert autosave.flush(PATIENCE_S)
    assert load_session(autosave.folder).image_path == tmp_path / "cells.tif"
    assert not (autosave.folder / "image.tif").exists()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_an_image_without_a_file_is_copied_in(autosave, dtype):
    session = a_session()
    session.image = session.image.astype(dtype)
    autosave.start_session(new_recovery(), session)
    paint(autosave, session, 1)
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(autosave.folder).image, session.image)


def test_strokes_do_not_wait_for_the_image(autosave, monkeypatch):
    go_on, pages = threading.Event(), sessionwriter.pages

    def slowly(*arguments):
        copying = pages(*arguments)
        yield next(copying)
        while not go_on.wait(0.02):
            yield
        yield from copying

    monkeypatch.setattr(sessionwriter, "pages", slowly)
    image = np.zeros((200, 4, 4), np.uint8)
    session = Session(None, image, np.zeros(image.shape, np.uint8))
    autosave.start_session(new_recovery(), session)
    for z in (1, 2, 3):
        paint(autosave, session, z)
        wait_until(lambda z=z: z in slices_on_disk(autosave.folder), within(1))
        with pytest.raises(MissingImage):
            load_session(autosave.folder)
    go_on.set()
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(autosave.folder).labels, session.labels)


STEPS = st.one_of(
    st.tuples(st.just("stroke"), st.integers(0, 2), st.integers(0, 4)),
    st.tuples(st.just("fill"), st.integers(0, 2), st.integers(0, 4)),
    st.tuples(st.just("confirm"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("name"), st.integers(0, 2), st.integers(0, 1)),
    st.tuples(st.just("wait"), st.just(0), st.just(0)),
)


@settings(max_examples=20)
@given(steps=st.lists(STEPS, max_size=12))
def test_disk_and_window_agree_in_the_end_whatever_was_done(steps):
    with TemporaryDirectory() as folder, closing(Autosave()) as autosave:
        here = Path(folder)
        session = Session(None, np.ones((3, 8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8))
        session.labels[0, 0] = 1
        autosave.start_session(here / "0.emseg", session)
        for number, (action, z, value) in enumerate(steps):
            if action == "stroke":
                session.labels[z, number % 8] = value
                autosave.record_edit(z, session.labels[z])
            elif action == "fill":
                session.labels[z] = value
                autosave.record_edit(z)
            elif action == "confirm":
                session.confirmed = session.confirmed ^ {z}
                autosave.record_state(confirmed=session.confirmed)
            elif action == "name":
                autosave.save_as(here / f"{z}.emseg", session, copy_image=bool(value))
            else:
                assert autosave.flush(PATIENCE_S)
        assert autosave.flush(PATIENCE_S)
        if autosave.folder.exists():
            read = load_session(autosave.folder)
            assert np.array_equal(read.labels, session.labels)
            assert read.confirmed == session.confirmed
        else:
            assert not session.labels.any()


# -- where it is written ----------------------------------------------------------------


def test_a_loaded_session_is_kept_in_its_folder(autosave, tmp_path):
    folder = tmp_path / "cells.emseg"
    first = a_session(tmp_path / "cells.tif")
    first.labels[0] = 2
    save_session(folder, first)
    session = load_session(folder)
    autosave.start_session(folder, session)
    paint(autosave, session, 4)
    autosave.record_state(confirmed={4})
    assert autosave.flush(PATIENCE_S)
    read = load_session(folder)
    assert np.array_equal(read.labels, session.labels)
    assert read.labels[0].all()
    assert read.confirmed == {4}
    assert not list(recovery_folder().glob("*.emseg"))


def test_the_new_place_of_an_image_is_kept(autosave, tmp_path):
    save_session(tmp_path / "cells.emseg", a_session(tmp_path / "cells.tif"))
    (tmp_path / "cells.tif").rename(tmp_path / "moved.tif")
    autosave.start_session(
        tmp_path / "cells.emseg", load_session(tmp_path / "cells.emseg", image=tmp_path / "moved.tif")
    )
    assert autosave.flush(PATIENCE_S)
    assert load_session(tmp_path / "cells.emseg").image_path == tmp_path / "moved.tif"


def test_work_with_a_name_leaves_the_recovery_folder(autosave, unsaved, tmp_path):
    paint(autosave, unsaved, 1)
    assert autosave.flush(PATIENCE_S)
    old = autosave.folder
    autosave.save_as(tmp_path / "named.emseg", unsaved)
    paint(autosave, unsaved, 2)
    assert autosave.flush(PATIENCE_S)
    wait_until(lambda: not old.exists())
    assert autosave.folder == tmp_path / "named.emseg"
    assert np.array_equal(load_session(tmp_path / "named.emseg").labels, unsaved.labels)


def test_strokes_while_a_name_is_given_are_kept(autosave, unsaved, tmp_path, monkeypatch):
    import emseg_napari.annotation.session.autosave as module

    def painted_meanwhile(folder, session, copy_image):
        save_session(folder, session, copy_image)
        paint(autosave, unsaved, 5)
        autosave.record_state(confirmed={5})
        assert autosave.flush(PATIENCE_S)  # where it was until now

    paint(autosave, unsaved, 1)
    monkeypatch.setattr(module, "save_session", painted_meanwhile)
    autosave.save_as(tmp_path / "named.emseg", unsaved)
    assert autosave.flush(PATIENCE_S)
    read = load_session(tmp_path / "named.emseg")
    assert np.array_equal(read.labels, unsaved.labels)
    assert read.confirmed == {5}


def test_a_name_that_cannot_be_given_leaves_the_work_where_it_was(autosave, unsaved, tmp_path):
    (tmp_path / "file").touch()
    old = autosave.folder
    with pytest.raises(UserError, match="is a file"):
        autosave.save_as(tmp_path / "file", unsaved)
    paint(autosave, unsaved, 1)
    assert autosave.flush(PATIENCE_S)
    assert autosave.folder == old
    assert np.array_equal(load_session(old).labels, unsaved.labels)


@pytest.mark.parametrize("copy_image", [False, True])
def test_saving_again_under_the_same_name_keeps_everything(autosave, unsaved, tmp_path, copy_image):
    folder = tmp_path / "named.emseg"
    autosave.save_as(folder, unsaved)
    paint(autosave, unsaved, 1)
    autosave.save_as(folder, unsaved, copy_image)
    assert np.array_equal(load_session(folder).labels, unsaved.labels)
    paint(autosave, unsaved, 2)
    assert autosave.flush(PATIENCE_S)
    read = load_session(folder)
    assert np.array_equal(read.labels, unsaved.labels)
    assert (read.image_path is None) == copy_image


def test_saving_makes_a_session_of_work_without_labels_too(autosave, unsaved, tmp_path):
    autosave.start_session(tmp_path / "named.emseg", unsaved)
    assert autosave.flush(PATIENCE_S)
    autosave.save_as(tmp_path / "named.emseg", unsaved)
    assert not load_session(tmp_path / "named.emseg").labels.any()


def test_another_session_leaves_the_work_before_it_as_it_was(autosave, unsaved, tmp_path):
    first = autosave.folder
    paint(autosave, unsaved, 1)
    other = a_session(tmp_path / "cells.tif")
    autosave.start_session(new_recovery(), other)
    paint(autosave, other, 4)
    assert autosave.flush(PATIENCE_S)
    wait_until(lambda: not open_elsewhere(first))
    assert (slices_on_disk(first), slices_on_disk(autosave.folder)) == ([1], [4])
    assert [one.folder for one in recoverable()] == [first]


def test_what_begins_anew_in_a_folder_is_not_written_over_by_what_waits_there(autosave, unsaved, tmp_path):
    for _ in range(4):  # the last of them waits: a file is not written too often
        paint(autosave, unsaved, 3)
        time.sleep(0.05)
    other = a_session(tmp_path / "cells.tif")
    other.labels[:] = 2
    other.confirmed = {3}
    autosave.start_session(autosave.folder, other)
    for z in range(len(other.labels)):
        autosave.record_edit(z, other.labels[z])
    time.sleep(0.6)  # what waited has had its turn
    assert autosave.flush(PATIENCE_S)
    read = load_session(autosave.folder)
    assert np.array_equal(read.labels, other.labels)
    assert read.confirmed == {3}


def test_what_could_not_be_written_is_written_by_the_work_that_has_the_folder_now(
    autosave, unsaved, tmp_path, monkeypatch
):
    paint(autosave, unsaved, 1)
    assert autosave.flush(PATIENCE_S)
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(sessionwriter, "write_slice", lambda *_: (_ for _ in ()).throw(full))
    paint(autosave, unsaved, 2)
    wait_until(lambda: autosave.trouble)
    autosave.start_session(autosave.folder, unsaved)  # as a dock that was closed and opened again does
    monkeypatch.undo()
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(autosave.folder).labels, unsaved.labels)


def test_a_name_that_is_taken_again_keeps_the_image(tmp_path, monkeypatch):
    def slowly(*arguments):
        for _ in pages(*arguments):
            time.sleep(0.05)
            yield

    monkeypatch.setattr(sessionwriter, "pages", slowly)
    session = Session(None, np.ones((3, 8, 8), np.uint8), np.zeros((3, 8, 8), np.uint8))
    session.labels[0, 0] = 1
    for wait_s in (0, 0.02, 0.06):
        first, second = (tmp_path / f"{name}-{wait_s}.emseg" for name in "ab")
        with closing(Autosave()) as autosave:
            autosave.start_session(first, session)
            time.sleep(wait_s)
            autosave.save_as(second, session, copy_image=True)
            autosave.save_as(first, session, copy_image=True)
            assert autosave.flush(PATIENCE_S)
            time.sleep(0.3)
            assert (load_session(first).image == 1).all()


def test_what_a_killed_writer_left_is_cleared_away(autosave, tmp_path):
    folder = tmp_path / "cells.emseg"
    save_session(folder, a_session(tmp_path / "cells.tif"))
    left = folder / "labels" / ".emseg-0123456789ab.png"
    left.write_bytes(b"half")
    autosave.start_session(folder, load_session(folder))
    assert autosave.flush(PATIENCE_S)
    assert not left.exists()


# -- when it cannot be written ----------------------------------------------------------


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


# -- what is offered at the next start --------------------------------------------------


def test_work_that_was_never_saved_is_offered_after_it_was_closed(tmp_path):
    autosave, session = Autosave(), a_session(tmp_path / "cells.tif")
    autosave.start_session(new_recovery(), session)
    folder = autosave.folder
    for z in (1, 3):
        paint(autosave, session, z)
    assert autosave.flush(PATIENCE_S)
    assert recoverable() == []  # this window has it
    assert autosave.close(PATIENCE_S)
    (found,) = recoverable()
    assert (found.folder, found.image, found.slices, found.named) == (folder, "cells.tif", 2, False)
    assert abs(found.when.timestamp() - time.time()) < 60
    assert np.array_equal(load_session(found.folder).labels, session.labels)
    discard(found.folder)
    assert recoverable() == []
    assert not folder.exists()


def test_a_named_session_that_was_closed_is_not_offered(tmp_path):
    autosave, session = Autosave(), a_session(tmp_path / "cells.tif")
    autosave.start_session(new_recovery(), session)
    paint(autosave, session, 1)
    autosave.save_as(tmp_path / "named.emseg", session)
    paint(autosave, session, 2)
    assert autosave.close(PATIENCE_S)
    assert recoverable() == []
    assert slices_on_disk(tmp_path / "named.emseg") == [1, 2]
    assert list(recovery_folder().iterdir()) == []


def test_work_whose_labels_were_all_erased_is_not_kept(tmp_path):
    autosave, session = Autosave(), a_session(tmp_path / "cells.tif")
    autosave.start_session(new_recovery(), session)
    paint(autosave, session, 1)
    assert autosave.flush(PATIENCE_S)
    paint(autosave, session, 1, value=0)
    assert autosave.close(PATIENCE_S)
    assert list(recovery_folder().iterdir()) == []


def test_a_session_that_was_brought_back_goes_on_where_it_lies(autosave, tmp_path):
    first, session = Autosave(), a_session()
    first.start_session(new_recovery(), session)
    paint(first, session, 1)
    assert first.close(PATIENCE_S)
    (found,) = recoverable()
    assert found.image == "membranes"
    back = load_session(found.folder)
    autosave.start_session(found.folder, back)
    paint(autosave, back, 2)
    assert autosave.flush(PATIENCE_S)
    assert recoverable() == []
    assert slices_on_disk(found.folder) == [1, 2]
    autosave.save_as(tmp_path / "named.emseg", back)
    wait_until(lambda: not found.folder.exists())


def test_an_open_session_is_not_discarded(autosave, unsaved):
    paint(autosave, unsaved, 1)
    assert autosave.flush(PATIENCE_S)
    assert open_elsewhere(autosave.folder)
    discard(autosave.folder)
    assert slices_on_disk(autosave.folder) == [1]


def test_discarding_a_named_session_only_ends_the_offer(tmp_path):
    folder = tmp_path / "named.emseg"
    session = a_session(tmp_path / "cells.tif")
    session.labels[2] = 1
    save_session(folder, session)
    marker = Marker(folder)
    assert recoverable() == []
    marker._file.close()  # as the end of the process does
    (found,) = recoverable()
    assert (found.folder, found.slices, found.named) == (folder, 1, True)
    discard(folder)
    assert recoverable() == []
    assert np.array_equal(load_session(folder).labels, session.labels)


def test_a_session_whose_own_file_is_damaged_is_still_offered(tmp_path):
    autosave, session = Autosave(), a_session(tmp_path / "cells.tif")
    autosave.start_session(new_recovery(), session)
    paint(autosave, session, 1)
    assert autosave.close(PATIENCE_S)
    (found,) = recoverable()
    (found.folder / "session.json").write_text("{")
    assert [one.slices for one in recoverable()] == [1]


# -- other images, other sessions, two windows ------------------------------------------


def an_image(path, value):
    stacks.write_stack(path, np.full(SHAPE, value, np.uint8) + np.arange(SHAPE[2], dtype=np.uint8))
    return path


@odd_arrays
def test_labels_are_autosaved_however_they_lie_in_memory(autosave, tmp_path, odd):
    session = a_session(tmp_path / "cells.tif")
    session.labels[1, 2:4], session.labels[4, :, 3] = 1, 2
    values = session.labels.copy()
    session.labels = odd(session.labels)
    autosave.start_session(new_recovery(), session)
    autosave.record_edit(1, session.labels[1])
    autosave.save_as(tmp_path / "named.emseg", session)
    autosave.record_edit(4)
    assert autosave.flush(PATIENCE_S)
    assert autosave.trouble == ""
    assert np.array_equal(load_session(tmp_path / "named.emseg").labels, values)


@pytest.mark.parametrize("copy", [False, True])
def test_saved_again_with_another_image_the_session_has_the_one_that_is_open(autosave, tmp_path, copy):
    first, second = an_image(tmp_path / "a.tif", 1), an_image(tmp_path / "b.tif", 100)
    folder, session = tmp_path / "named.emseg", a_session()
    session.image_path, session.image = first, None
    autosave.save_as(folder, session)
    other = replace(session, image_path=second)
    autosave.save_as(folder, other, copy_image=copy)
    assert load_session(folder).image.min() == 100
    paint(autosave, other, 2)
    autosave.record_state(confirmed={2})
    assert autosave.flush(PATIENCE_S)
    read = load_session(folder)
    assert read.image.min() == 100
    assert read.image_path == (None if copy else second)
    assert np.array_equal(read.labels, session.labels)


def test_saved_again_with_other_pixels_in_memory_the_session_has_the_new_ones(autosave, tmp_path):
    folder, session = tmp_path / "named.emseg", a_session()
    autosave.save_as(folder, session)
    other = replace(session, image=session.image[::-1].copy())
    autosave.save_as(folder, other)
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(folder).image, other.image)


def test_saved_again_with_the_same_image_a_copy_of_it_stays(autosave, tmp_path):
    folder, session = tmp_path / "named.emseg", a_session(tmp_path / "cells.tif")
    autosave.save_as(folder, session, copy_image=True)
    autosave.save_as(folder, session)
    assert autosave.flush(PATIENCE_S)
    assert load_session(folder).image_path is None


def test_saved_over_another_session_nothing_of_that_is_mixed_in(autosave, tmp_path):
    other, session = a_session(tmp_path / "other.tif"), a_session(tmp_path / "cells.tif")
    other.labels[:] = 2
    save_session(tmp_path / "other.emseg", other)
    autosave.start_session(new_recovery(), session)
    paint(autosave, session, 1)
    autosave.save_as(tmp_path / "other.emseg", session)
    paint(autosave, session, 3)
    assert autosave.flush(PATIENCE_S)
    read = load_session(tmp_path / "other.emseg")
    assert np.array_equal(read.labels, session.labels)
    assert read.image_path == tmp_path / "cells.tif"


def test_a_slice_that_nobody_could_read_survives_a_save_with_another_image(autosave, tmp_path):
    folder, session = tmp_path / "named.emseg", a_session(tmp_path / "cells.tif")
    session.labels[:] = 1
    save_session(folder, session)
    (folder / "labels" / "0001.png").write_bytes(b"what is left")
    read = load_session(folder)
    autosave.start_session(folder, read)
    assert autosave.flush(PATIENCE_S)
    window = replace(read, image_path=an_image(tmp_path / "b.tif", 9), unreadable=set(), folder=None)
    autosave.save_as(folder, window)
    assert autosave.flush(PATIENCE_S)
    assert [p.read_bytes() for p in folder.rglob("0001-unreadable.png")] == [b"what is left"]


@needs_fork
def test_a_session_that_another_process_writes_is_neither_written_nor_saved_over(autosave, tmp_path):
    folder, session = tmp_path / "named.emseg", a_session(tmp_path / "cells.tif")
    session.labels[:] = 1
    save_session(folder, session)
    mine = load_session(folder)
    with another_process(lambda: OutputLock(folder)) as process:
        assert open_elsewhere(folder)
        autosave.start_session(folder, mine)
        mine.labels[1] = 2
        autosave.record_edit(1, mine.labels[1])
        wait_until(lambda: f"(process {process}); close it there, or save" in autosave.trouble)
        other = Autosave()
        with pytest.raises(UserError, match="is being written by another emseg"):
            other.save_as(folder, mine)
        assert other.close(PATIENCE_S)
        assert np.array_equal(load_session(folder).labels, session.labels)
    # Even when that has gone: it may have changed what was read here.
    assert not autosave.flush(1.5)
    assert np.array_equal(load_session(folder).labels, session.labels)
    autosave.save_as(tmp_path / "mine.emseg", mine)
    assert autosave.flush(PATIENCE_S)
    assert autosave.trouble == ""
    assert np.array_equal(load_session(tmp_path / "mine.emseg").labels, mine.labels)


def test_of_two_layers_in_one_window_one_writes_a_session(autosave, tmp_path):
    folder, session = tmp_path / "named.emseg", a_session(tmp_path / "cells.tif")
    autosave.save_as(folder, session)
    second = Autosave()
    with pytest.raises(UserError, match="is being written by another emseg"):
        second.save_as(folder, a_session(tmp_path / "cells.tif"))
    assert second.close(PATIENCE_S)
    assert autosave.close(PATIENCE_S)
    assert not open_elsewhere(folder)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_session_is_saved_under_each_of_its_names(autosave, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    session = a_session(tmp_path / "cells.tif")
    for value, place in enumerate(("link", "real"), start=1):
        autosave.save_as(tmp_path / place / "named.emseg", session)
        paint(autosave, session, value, value)
        assert autosave.flush(PATIENCE_S)
        for name in ("link", "real"):
            found = load_session(tmp_path / name / "named.emseg", tmp_path / "cells.tif")
            assert np.array_equal(found.labels, session.labels)


def test_an_image_that_is_another_one_when_a_session_begins_anew_is_the_one_that_comes_back(
    autosave, tmp_path
):
    folder, session = tmp_path / "named.emseg", a_session(tmp_path / "cells.tif")
    for added in range(3):  # from a file, then twice in memory
        path = None if added else session.image_path
        autosave.start_session(folder, replace(session, image_path=path, image=session.image + added))
        paint(autosave, session, added)
        assert autosave.flush(PATIENCE_S)
        assert np.array_equal(load_session(folder).image, session.image + added)


@pytest.mark.parametrize("value", [0, 2])
def test_saving_again_keeps_what_was_changed_without_a_stroke(autosave, unsaved, tmp_path, value):
    paint(autosave, unsaved, 4)
    autosave.save_as(tmp_path / "named.emseg", unsaved)
    unsaved.labels[4] = value
    unsaved.labels[5, 1] = value
    autosave.save_as(tmp_path / "named.emseg", unsaved)
    assert np.array_equal(load_session(tmp_path / "named.emseg").labels, unsaved.labels)


def test_strokes_are_kept_while_two_names_are_given_at_once(autosave, unsaved, tmp_path, monkeypatch):
    import emseg_napari.annotation.session.autosave as module

    written, go_on = threading.Event(), threading.Event()

    def slowly(folder, session, copy_image):
        save_session(folder, session, copy_image)
        if folder.name == "second.emseg":
            written.set()
        go_on.wait(PATIENCE_S)

    monkeypatch.setattr(module, "save_session", slowly)
    names = [tmp_path / "first.emseg", tmp_path / "second.emseg"]
    threads = [threading.Thread(target=autosave.save_as, args=(name, unsaved)) for name in names]
    threads[0].start()
    wait_until(lambda: names[0].exists())
    threads[1].start()
    written.wait(0.3)
    paint(autosave, unsaved, 3)
    go_on.set()
    for thread in threads:
        thread.join()
    assert autosave.flush(PATIENCE_S)
    assert autosave.folder == names[1]
    assert np.array_equal(load_session(names[1]).labels, unsaved.labels)


# -- one thing at a time ----------------------------------------------------------------


def test_a_newer_copy_of_a_slice_outlives_a_write_of_the_older_one_that_fails(tmp_path):
    session = a_session(tmp_path / "cells.tif")
    backlog = Backlog(tmp_path / "named.emseg", session)
    backlog.urgent = True
    backlog.run_job(*backlog.next_job())
    backlog.job_done(-1)
    older, newer = np.full(SHAPE[1:], 1, np.uint8), np.full(SHAPE[1:], 2, np.uint8)
    backlog.enqueue(2, older)
    job = backlog.next_job()
    backlog.enqueue(2, newer)
    backlog.job_failed(*job, OSError("no"))
    backlog.track_changes(False, False)  # at once
    while (job := backlog.next_job()) is not None:
        backlog.run_job(*job)
        backlog.job_done(job[0])
    backlog.writer.close()
    assert np.array_equal(load_session(tmp_path / "named.emseg").labels[2], newer)


def test_leftovers_of_living_windows_outlive_a_new_marker_and_old_ones_do_not(tmp_path):
    here = recovery_folder()
    here.mkdir(parents=True, exist_ok=True)
    living, left = here / ".emseg-1", here / ".emseg-2"
    for folder in (living, left):
        folder.mkdir()
    os.utime(left, (time.time() - 90_000,) * 2)
    Marker(tmp_path / "any.emseg").close()
    assert living.is_dir()
    assert not left.exists()


def test_what_is_next_is_asked_for_under_the_lock_and_written_without_it(autosave, unsaved, monkeypatch):
    owned = []

    def watched(name):
        real = getattr(Backlog, name)

        def call(self, *given):
            owned.append((name, autosave._changed._is_owned()))
            return real(self, *given)

        monkeypatch.setattr(Backlog, name, call)

    for name in ("next_job", "run_job", "job_done", "enqueue", "enqueue_state"):
        watched(name)
    paint(autosave, unsaved, 1)
    autosave.record_state(confirmed={1})
    assert autosave.flush(PATIENCE_S)
    assert {name for name, _ in owned} == {"next_job", "run_job", "job_done", "enqueue", "enqueue_state"}
    assert all(is_owned == (name != "run_job") for name, is_owned in owned)


# -- any order of things ----------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("paint"), st.integers(0, SHAPE[0] - 1), st.integers(0, 4)),
    st.tuples(st.just("confirm"), st.integers(0, SHAPE[0] - 1)),
    st.tuples(st.just("rename"), st.sampled_from(["one", "two"])),
    st.tuples(st.just("save"), st.sampled_from(["a", "b"]), st.booleans()),
    st.tuples(st.just("image"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["reopen", "kill", "other window"])),
)


class Window:
    """What a person does with sessions, and what was reported as saved."""

    def __init__(self, folder):
        self.folder, self.saver, self.kills = folder, Autosave(), 0
        self.session = a_session(folder / "1.tif")
        self.saver.start_session(folder / "begun.emseg", self.session)

    def do(self, kind, *given):
        getattr(self, f"do_{kind.replace(' ', '_')}")(*given)

    def do_paint(self, z, value):
        self.session.labels[z, z] = value
        self.saver.record_edit(z, self.session.labels[z])

    def do_confirm(self, z):
        self.session.confirmed ^= {z}
        self.saver.record_state(confirmed=set(self.session.confirmed))

    def do_rename(self, name):
        self.session.name = name
        self.saver.record_state(name=name)

    def do_save(self, name, copy):
        self.saver.save_as(self.folder / f"{name}.emseg", self.session, copy)
        self.check(load_session(self.folder / f"{name}.emseg"))

    def do_image(self, number):
        """Another image is open; it counts from the next save on."""
        path = self.folder / f"{number}.tif"
        if not path.exists():
            stacks.write_stack(path, np.full(SHAPE, number, np.uint16))
        self.session = replace(self.session, image_path=path, image=stacks.read_image(path))
        self.do_save("a", False)

    def do_other_window(self):
        """A second writer of this session is refused, and changes nothing."""
        if self.flushed() and (self.saver.folder / "session.json").exists():
            second = Autosave()
            with pytest.raises(UserError, match="another emseg"):
                second.save_as(self.saver.folder, a_session(self.folder / "1.tif"))
            assert second.close(PATIENCE_S)
            self.check(load_session(self.saver.folder))

    def do_reopen(self):
        folder = self.saver.folder
        assert self.saver.close(PATIENCE_S)
        self.read_again(folder)

    def do_kill(self):
        """What lies on the disk goes on elsewhere, as another process finds it."""
        if self.flushed() and (self.saver.folder / "session.json").exists():
            self.kills += 1
            left = self.folder / f"killed-{self.kills}.emseg"
            shutil.copytree(self.saver.folder, left)
            assert self.saver.close(PATIENCE_S)
            self.read_again(left)

    def flushed(self):
        assert self.saver.flush(PATIENCE_S)
        return self.saver.trouble == ""

    def read_again(self, folder):
        self.saver = Autosave()
        if (folder / "session.json").exists():
            read = load_session(folder)
            self.check(read)
            self.session = read
        self.saver.start_session(folder, self.session)

    def check(self, read):
        assert np.array_equal(read.labels, self.session.labels)
        assert np.array_equal(read.image, self.session.image)
        assert (read.confirmed, read.name) == (self.session.confirmed, self.session.name)
        assert read.warnings == []

    def end(self):
        folder = self.saver.folder
        assert self.saver.close(PATIENCE_S)
        if (folder / "session.json").exists():
            self.check(load_session(folder))


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=10))
def test_whatever_is_done_what_was_reported_as_saved_is_there_again(steps):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMSEG_DATA_DIR", folder)
        window = Window(Path(folder).resolve())
        try:
            for step in steps:
                window.do(*step)
        finally:
            window.end()
