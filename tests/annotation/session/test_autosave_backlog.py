"""Which piece of a session is written next, and what outlives a failed write."""

import os
import time

import numpy as np

from emseg_napari.annotation.session.backlog import Backlog
from emseg_napari.annotation.session.recovery import Marker, recovery_folder
from emseg_napari.annotation.session.store import load_session
from helpers.sessions import SHAPE, a_session, paint
from helpers.timing import PATIENCE_S


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
