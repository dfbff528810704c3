"""Where an autosave writes: the session's own folder, or the one of work without a name."""

import errno
import time
from contextlib import closing, nullcontext
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest

from emseg_napari.annotation.session import writer as sessionwriter
from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.backlog import Backlog
from emseg_napari.annotation.session.images import pages
from emseg_napari.annotation.session.recovery import (
    new_recovery,
    open_elsewhere,
    recoverable,
    recovery_folder,
)
from emseg_napari.annotation.session.store import Session, load_session, save_session
from emseg_napari.core.jobs import UserError
from helpers.sessions import a_session, paint, slices_on_disk
from helpers.timing import PATIENCE_S, wait_until


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

    def painted_meanwhile(folder, session):
        save_session(folder, session)
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


@pytest.mark.parametrize("fails", [False, True])
def test_work_that_is_closed_while_it_is_given_a_name_lies_in_one_place(
    autosave, unsaved, tmp_path, monkeypatch, fails
):
    import emseg_napari.annotation.session.autosave as module

    def closed_meanwhile(folder, session):
        paint(autosave, unsaved, 5)
        autosave.close(timeout=0)
        if fails:
            raise UserError("The disk is full.")
        save_session(folder, session)

    paint(autosave, unsaved, 1)
    assert autosave.flush(PATIENCE_S)
    old = autosave.folder
    monkeypatch.setattr(module, "save_session", closed_meanwhile)
    with pytest.raises(UserError) if fails else nullcontext():
        autosave.save_as(tmp_path / "named.emseg", unsaved)
    assert autosave.close(PATIENCE_S)
    places = [folder for folder in (old, tmp_path / "named.emseg") if folder.exists()]
    assert places == [old if fails else tmp_path / "named.emseg"]
    assert np.array_equal(load_session(places[0]).labels, unsaved.labels)
    assert autosave.left


def test_work_that_is_closed_while_it_is_given_a_name_is_on_disk_when_that_is_done(
    autosave, unsaved, tmp_path, monkeypatch
):
    import emseg_napari.annotation.session.autosave as module

    saved, go_on = Event(), Event()

    def slowly(folder, session):
        save_session(folder, session)
        saved.set()
        go_on.wait(PATIENCE_S)

    paint(autosave, unsaved, 1)
    monkeypatch.setattr(module, "save_session", slowly)
    naming = Thread(target=autosave.save_as, args=(tmp_path / "named.emseg", unsaved))
    naming.start()
    assert saved.wait(PATIENCE_S)
    assert not autosave.close(timeout=0)
    go_on.set()
    assert autosave.close(PATIENCE_S)
    naming.join(PATIENCE_S)
    assert autosave.left
    assert not open_elsewhere(tmp_path / "named.emseg")


@pytest.mark.parametrize("again", [False, True])
def test_work_that_begins_while_a_name_is_given_to_what_was_before_goes_on_where_it_began(
    autosave, unsaved, tmp_path, monkeypatch, again
):
    import emseg_napari.annotation.session.autosave as module

    named, later = tmp_path / "named.emseg", a_session(tmp_path / "cells.tif")
    place = named if again else new_recovery()

    def begun_meanwhile(folder, session):
        autosave.start_session(place, later)
        paint(autosave, later, 2)
        autosave.flush(0.1)
        save_session(folder, session)

    paint(autosave, unsaved, 1)
    first = unsaved.labels.copy()
    if again:
        autosave.save_as(named, unsaved)
        unsaved = replace(unsaved, image_path=None)  # a copy of the image is written
    monkeypatch.setattr(module, "save_session", begun_meanwhile)
    autosave.save_as(named, unsaved)
    assert autosave.folder == place
    paint(autosave, later, 3)
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(place).labels, later.labels)
    if not again:
        assert np.array_equal(load_session(named).labels, first)
        wait_until(lambda: not open_elsewhere(named))


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
    again = replace(unsaved, image_path=None) if copy_image else unsaved
    autosave.save_as(folder, again)
    assert np.array_equal(load_session(folder).labels, unsaved.labels)
    paint(autosave, unsaved, 2)
    assert autosave.flush(PATIENCE_S)
    read = load_session(folder)
    assert np.array_equal(read.labels, unsaved.labels)
    assert (read.image_path is None) == copy_image


def test_saving_again_under_the_same_name_saves_what_is_confirmed(autosave, unsaved, tmp_path):
    folder = tmp_path / "named.emseg"
    autosave.save_as(folder, unsaved)
    autosave.save_as(folder, replace(unsaved, confirmed={2}))
    assert load_session(folder).confirmed == {2}


@pytest.mark.parametrize("fails", [False, True])
def test_work_is_busy_only_while_a_job_of_it_is_done(tmp_path, fails):
    backlog = Backlog(tmp_path / "named.emseg", a_session(tmp_path / "cells.tif"))
    assert not backlog.busy
    job = backlog.next_job()
    assert job is not None
    assert backlog.busy
    if fails:
        backlog.job_failed(*job, OSError())
    else:
        backlog.run_job(*job)
        backlog.job_done(job[0])
    assert not backlog.busy
    backlog.writer.close()


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
            autosave.save_as(second, session)
            autosave.save_as(first, session)
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
