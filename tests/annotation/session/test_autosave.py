"""Autosave in one process: what is on disk, and when."""

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
from emseg_napari.annotation.session.recovery import new_recovery
from emseg_napari.annotation.session.store import MissingImage, Session, load_session
from helpers.sessions import a_session, paint, slices_on_disk
from helpers.timing import PATIENCE_S, wait_until, within


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
                other = session.image.copy() if value else session.image
                autosave.save_as(here / f"{z}.emseg", replace(session, image=other))
            else:
                assert autosave.flush(PATIENCE_S)
        assert autosave.flush(PATIENCE_S)
        if autosave.folder.exists():
            read = load_session(autosave.folder)
            assert np.array_equal(read.labels, session.labels)
            assert read.confirmed == session.confirmed
        else:
            assert not session.labels.any()
