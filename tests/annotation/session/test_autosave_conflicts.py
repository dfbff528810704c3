"""Other images, other sessions, two windows: nothing is mixed up."""

import os
import threading
from dataclasses import replace

import numpy as np
import pytest

from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.contents import read_contents
from emseg_napari.annotation.session.recovery import new_recovery, open_elsewhere
from emseg_napari.annotation.session.store import load_session, save_session
from emseg_napari.core.jobs import UserError
from emseg_napari.core.locks import OutputLock
from emseg_napari.io import stacks
from emseg_napari.io.open import open_volume
from helpers.faults import another_process, needs_fork
from helpers.odd_arrays import odd_arrays
from helpers.sessions import SHAPE, a_session, paint
from helpers.timing import PATIENCE_S, wait_until


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
    if copy:
        other = replace(session, image_path=None, image=stacks.read_image(second))
    autosave.save_as(folder, other)
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
    session.image_path = None
    autosave.save_as(folder, session)
    copy = folder / read_contents(folder).copied
    before = copy.stat().st_ino
    autosave.save_as(folder, session)
    assert autosave.flush(PATIENCE_S)
    assert load_session(folder).image_path is None
    assert copy.stat().st_ino == before  # not copied again


def test_saved_again_with_a_copy_that_is_too_large_for_memory_it_stays(autosave, tmp_path):
    folder, session = tmp_path / "named.emseg", a_session(tmp_path / "cells.tif")
    session.image_path = None
    save_session(folder, session)
    copy = folder / read_contents(folder).copied
    before = copy.stat().st_ino
    autosave.start_session(folder, replace(load_session(folder), image=open_volume(copy)))
    assert autosave.flush(PATIENCE_S)
    autosave.save_as(folder, replace(session, image=open_volume(copy)))
    assert autosave.flush(PATIENCE_S)
    assert copy.stat().st_ino == before


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("is_closed", [False, True])
def test_begun_anew_with_the_same_image_a_copy_of_it_is_not_written_again(
    autosave, tmp_path, is_large, is_closed
):
    folder, session = tmp_path / "named.emseg", a_session(tmp_path / "cells.tif")
    session.image_path = None
    save_session(folder, session)
    copy = folder / read_contents(folder).copied
    before = copy.stat().st_ino
    read = load_session(folder)
    image = open_volume(copy) if is_large else read.image
    autosave.start_session(folder, replace(read, image=image))
    assert autosave.flush(PATIENCE_S)
    if is_closed:
        assert autosave.close(PATIENCE_S)
    autosave.start_session(folder, replace(session, image=image))
    paint(autosave, session, 2)
    assert autosave.flush(PATIENCE_S)
    assert np.array_equal(load_session(folder).labels, session.labels)
    if is_large or not is_closed:  # else the image may be another one
        assert copy.stat().st_ino == before


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

    def slowly(folder, session):
        save_session(folder, session)
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
