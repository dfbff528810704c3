"""Work that is offered at the next start."""

import time

import numpy as np

from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.recovery import (
    Marker,
    discard,
    new_recovery,
    open_elsewhere,
    recoverable,
    recovery_folder,
)
from emseg_napari.annotation.session.store import load_session, save_session
from helpers.sessions import a_session, paint, slices_on_disk
from helpers.timing import PATIENCE_S, wait_until


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
