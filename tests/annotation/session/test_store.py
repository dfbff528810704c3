import errno
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from emseg_napari.annotation.session import scratch, slicefiles
from emseg_napari.annotation.session import store as sessions
from emseg_napari.annotation.session.store import (
    MissingImage,
    Placement,
    Round,
    Session,
    load_session,
    save_session,
)
from emseg_napari.annotation.session.writer import SessionWriter
from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.io import stacks
from emseg_napari.io.address import location_of
from helpers.faults import kills, needs_fork
from helpers.odd_arrays import odd_arrays

SHAPE = (3, 5, 6)
needs_links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
ROUND = Round("2026-01-31T12:00:00", "first", 2, 1, (0, 2), 0.98, 0.97, 0.95)


def a_session(image_path=None, run=None):
    labels = np.zeros(SHAPE, np.uint8)
    labels[1] = 4
    labels[1, 0, 1], labels[0, 0] = 2, 1
    image = np.arange(90, dtype=np.uint16).reshape(SHAPE)
    if image_path is not None:
        image_path.parent.mkdir(parents=True, exist_ok=True)
        stacks.write_stack(image_path, image)
    image = None if image_path else image
    settings = {"live": {"on": True}}
    return Session(
        image_path, image, labels, {0}, run=run, rounds=[ROUND], settings=settings, name="membranes"
    )


def check_resumable(read, saved):
    assert np.array_equal(read.image, np.arange(90).reshape(SHAPE))
    assert read.image.dtype == np.uint16
    assert read.labels.dtype == np.uint8
    assert np.array_equal(read.labels, saved.labels)
    assert (read.confirmed, read.rounds, read.settings) == ({0}, [ROUND], {"live": {"on": True}})
    assert (read.name, read.warnings) == ("membranes", [])


def contents(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_session_comes_back_with_an_image_that_had_no_file(tmp_path):
    saved = a_session()
    save_session(tmp_path / "cells.emseg", saved)
    read = load_session(tmp_path / "cells.emseg")
    check_resumable(read, saved)
    assert read.image_path is None
    assert read.run is None


@pytest.mark.parametrize("where", ["cells.tif", "data/cells.tif", "cells.emseg/cells.tif", "..odd/cells.tif"])
def test_a_session_survives_being_moved_with_its_image_and_run(tmp_path, where):
    old, new = tmp_path / "old", tmp_path / "new"
    saved = a_session(old / where, run=old / "runs" / "first")
    save_session(old / "cells.emseg", saved)
    shutil.move(old, new)
    read = load_session(new / "cells.emseg")
    check_resumable(read, saved)
    assert read.image_path == new / where
    assert read.run == new / "runs" / "first"


def test_an_image_elsewhere_is_found_again_when_only_the_session_moves(tmp_path):
    saved = a_session(tmp_path / "server" / "cells.tif")
    save_session(tmp_path / "old" / "cells.emseg", saved)
    shutil.move(tmp_path / "old", tmp_path / "new")
    read = load_session(tmp_path / "new" / "cells.emseg")
    check_resumable(read, saved)
    assert read.image_path == tmp_path / "server" / "cells.tif"


def test_relative_paths_mean_the_same_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = a_session((tmp_path / "cells.tif").relative_to(tmp_path))
    save_session("cells.emseg", saved)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    check_resumable(load_session("../cells.emseg"), saved)
    check_resumable(load_session(tmp_path / "cells.emseg"), saved)


def test_saving_again_replaces_the_session(tmp_path):
    save_session(tmp_path / "cells.emseg", a_session())
    changed = a_session()
    changed.labels[2] = 1
    save_session(tmp_path / "cells.emseg", changed)
    assert np.array_equal(load_session(tmp_path / "cells.emseg").labels, changed.labels)
    # the new files had to stand before the old ones went
    names = ["image-2.tif", *(f"labels-2/000{z}.png" for z in range(3)), "session.json"]
    assert contents(tmp_path / "cells.emseg") == names
    save_session(tmp_path / "cells.emseg", a_session())
    names = ["image.tif", "labels/0000.png", "labels/0001.png", "session.json"]
    assert contents(tmp_path / "cells.emseg") == names


def test_a_session_without_any_image_is_refused(tmp_path):
    session = a_session()
    session.image = None
    with pytest.raises(ValueError, match="needs an image"):
        save_session(tmp_path / "cells.emseg", session)


def test_an_image_without_a_path_is_copied(tmp_path):
    saved = a_session()
    save_session(tmp_path / "cells.emseg", saved)
    read = load_session(tmp_path / "cells.emseg")
    check_resumable(read, saved)
    assert read.image_path is None


def test_an_image_that_was_referred_to_inside_the_session_survives_another_save(tmp_path):
    folder = tmp_path / "cells.emseg"
    saved = a_session(folder / "image.tif")
    for _ in range(2):
        save_session(folder, saved)
    check_resumable(load_session(folder), saved)


@pytest.fixture
def saved(tmp_path):
    save_session(tmp_path / "cells.emseg", a_session())
    return tmp_path / "cells.emseg"


def cut_off(path, kept):
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])


@pytest.mark.parametrize("part", ["session.json", "image.tif"])
def test_a_missing_part_is_named(saved, part):
    (saved / part).unlink()
    sentence = {
        "session.json": r"cells\.emseg is not a saved session",
        "image.tif": r"The image .*image\.tif of cells\.emseg is missing; put it back there or choose",
    }
    with pytest.raises(UserError, match=sentence[part]):
        load_session(saved)


def test_a_missing_image_is_taken_from_its_new_place(tmp_path):
    saved = a_session(tmp_path / "cells.tif")
    save_session(tmp_path / "cells.emseg", saved)
    (tmp_path / "elsewhere").mkdir()
    new = (tmp_path / "cells.tif").rename(tmp_path / "elsewhere" / "cells.tif")
    with pytest.raises(MissingImage) as caught:
        load_session(tmp_path / "cells.emseg")
    assert caught.value.path == tmp_path / "cells.tif"
    read = load_session(tmp_path / "cells.emseg", image=new)
    check_resumable(read, saved)
    assert read.image_path == new


@pytest.mark.parametrize(
    ("fault", "words"),
    [(None, "there is no OME-Zarr"), (403, r"may not be read \(403\)"), (500, "the error 500")],
)
def test_an_image_at_an_address_that_is_gone_or_offline_is_taken_from_its_new_place(
    store, tmp_path, fault, words
):
    saved = a_session(tmp_path / "cells.tif")
    saved.image_path = location_of(f"{store.web}/cells.zarr?sig=secret")
    save_session(tmp_path / "cells.emseg", saved)
    store.fault = lambda method, key: fault
    with pytest.raises(MissingImage, match=words) as caught:
        load_session(tmp_path / "cells.emseg")
    assert caught.value.path == saved.image_path
    assert "secret" not in str(caught.value)
    assert "choose its new place" in str(caught.value)
    check_resumable(load_session(tmp_path / "cells.emseg", image=tmp_path / "cells.tif"), saved)


def test_another_image_in_its_place_is_refused(tmp_path):
    save_session(tmp_path / "cells.emseg", a_session(tmp_path / "cells.tif"))
    stacks.write_stack(tmp_path / "cells.tif", np.zeros((3, 5, 7), np.uint8))
    with pytest.raises(UserError, match=r"labels of cells\.emseg \(3 x 5 x 6\) and cells\.tif \(3 x 5 x 7\)"):
        load_session(tmp_path / "cells.emseg")


@pytest.mark.parametrize("part", ["session.json", "image.tif"])
@pytest.mark.parametrize("kept", [0, 0.5, 0.9])
def test_a_damaged_part_is_named(saved, part, kept):
    cut_off(saved / part, kept)
    with pytest.raises(UserError, match=rf"{part} is (damaged|empty|cut off)"):
        load_session(saved)


@pytest.mark.parametrize("kept", [0, 0.5, 0.9])
def test_a_damaged_slice_costs_no_other(saved, kept):
    cut_off(saved / "labels" / "0001.png", kept)
    read, whole = load_session(saved), a_session().labels
    assert np.array_equal(read.labels[0], whole[0])
    assert not read.labels[1].any()
    assert len(read.warnings) == 1
    assert "Slice 1 is without its labels: 0001.png is" in read.warnings[0]


@pytest.mark.parametrize(
    ("plane", "sentence"),
    [
        (np.ones((5, 7), np.uint8), r"0001\.png \(5 x 7, uint8\) does not fit the stack"),
        (np.ones((5, 6), np.uint16), r"0001\.png \(5 x 6, uint16\) does not fit the stack"),
    ],
)
def test_a_slice_that_holds_something_else_is_empty_and_named(saved, plane, sentence):
    slicefiles.write_slice(saved / "labels", 1, plane)
    read = load_session(saved)
    assert not read.labels[1].any()
    assert re.search(sentence, read.warnings[0])


def test_pixels_of_another_number_cost_only_themselves(saved):
    plane = np.ones((5, 6), np.uint8)
    plane[0, 0] = 5
    slicefiles.write_slice(saved / "labels", 1, plane)
    read = load_session(saved)
    assert read.labels[1].sum() == 29
    assert "Slice 1 had 1 pixels" in read.warnings[0]


def test_a_slice_outside_of_the_stack_is_named(saved):
    slicefiles.write_slice(saved / "labels", 3, np.ones((5, 6), np.uint8))
    assert re.search(r"0003\.png lies outside the stack, which has 3", load_session(saved).warnings[0])


def test_what_a_killed_writer_left_is_no_slice(saved):
    (saved / "labels" / ".emseg-0123456789ab.png").write_bytes(b"half")
    check_resumable(load_session(saved), a_session())


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"format": "1"},
        {"format": 2},
        {"format": 2, "image": 3, "run": None},
        {"format": 2, "image": None, "run": None},
        {"format": 2, "image": None, "run": None, "shape": [3, 0, 6]},
        {"format": 2, "image": None, "run": None, "shape": [3, 5, 6], "labels": "../labels"},
        {"format": 2, "image": None, "run": None, "shape": [3, 5, 6], "confirmed": [-1]},
        {"format": 2, "image": None, "run": None, "shape": [3, 5, 6], "dtype": "int64"},
    ],
)
def test_a_session_file_without_its_entries_is_damaged(saved, content):
    files.write_json(saved / "session.json", content)
    with pytest.raises(UserError, match=r"session\.json is damaged"):
        load_session(saved)


def test_a_session_of_the_future_asks_for_an_update(saved):
    files.write_json(saved / "session.json", {"format": 3, "image": None, "run": None})
    with pytest.raises(UserError, match=r"cells\.emseg was saved by a newer emseg-napari; update"):
        load_session(saved)


def test_a_session_of_an_older_format_is_refused(saved):
    files.write_json(saved / "session.json", {"format": 1, "image": None, "run": None})
    with pytest.raises(
        UserError, match=r"cells\.emseg has the session format 1, which is not read; begin a new"
    ):
        load_session(saved)


def test_a_folder_that_is_no_session_is_named(tmp_path):
    with pytest.raises(UserError, match="is not a saved session"):
        load_session(tmp_path)
    with pytest.raises(UserError, match="is not a saved session"):
        load_session(tmp_path / "gone")


@pytest.mark.parametrize("failing", ["write_slice", "write_contents"])
def test_a_save_that_fails_midway_leaves_the_older_session_whole(saved, monkeypatch, failing):
    newer = a_session()
    newer.labels, newer.confirmed = np.full_like(newer.labels, 1), {1, 2}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sessions, failing, full)
    with pytest.raises(UserError, match="disk is full"):
        save_session(saved, newer)
    check_resumable(load_session(saved), a_session())
    assert contents(saved) == ["image.tif", "labels/0000.png", "labels/0001.png", "session.json"]


@pytest.mark.parametrize("done", range(3))
def test_a_save_that_is_killed_while_files_take_their_places_leaves_one_of_the_sessions(
    saved, monkeypatch, done
):
    newer, rename, placed = a_session(), os.replace, []
    newer.labels = np.full_like(newer.labels, 1)

    def killed(source, target):
        if Path(target).parent == saved:
            placed.append(target)
        if len(placed) > done:
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            save_session(saved, newer)
    check_resumable(load_session(saved), a_session() if done == 0 else newer)


def test_where_layers_lie_comes_back(tmp_path):
    saved = a_session()
    saved.image_place = Placement((50.0, 4.0, 4.0), (100.0, 0.0, -8.0), "nanometer")
    saved.labels_place = Placement((50.0, 4.0, 4.0), (100.0, 0.0, -4.0), "nanometer")
    save_session(tmp_path / "cells.emseg", saved)
    read = load_session(tmp_path / "cells.emseg")
    assert (read.image_place, read.labels_place) == (saved.image_place, saved.labels_place)


def test_a_session_of_before_places_were_kept_opens(saved):
    stated = files.read_json(saved / "session.json")
    del stated["image_place"], stated["labels_place"]
    files.write_json(saved / "session.json", stated)
    read = load_session(saved)
    assert read.image_place is None
    assert read.labels.any()


def test_a_size_of_nothing_is_damage(saved):
    stated = files.read_json(saved / "session.json")
    stated["image_place"] = {"scale": [0, 1, 1]}
    files.write_json(saved / "session.json", stated)
    with pytest.raises(UserError, match="image_place"):
        load_session(saved)


def test_a_session_saved_over_itself_keeps_files_that_nobody_could_read(saved):
    read = spoiled(saved)
    read.image_path, read.image = None, np.zeros(SHAPE, np.uint16)
    save_session(saved, read)
    assert [p.read_bytes() for p in saved.rglob("0001-unreadable.png")] == [b"what is left of a slice"]
    assert load_session(saved).warnings == []


def test_labels_of_a_stack_larger_than_memory_come_back_as_holes(tmp_path):
    labels = scratch.new_labels((1000, 4096, 4096))
    labels[3, 5], labels[999, 4095, 4095] = 1, 4
    save_session(tmp_path / "big.emseg", Session(tmp_path / "gone.tif", None, labels))
    assert sorted(p.name for p in (tmp_path / "big.emseg" / "labels").iterdir()) == ["0003.png", "0999.png"]
    found = slicefiles.read_slices(tmp_path / "big.emseg" / "labels", scratch.new_labels(labels.shape))
    assert list(scratch.slices_in_use(found.labels)) == [3, 999]
    assert np.array_equal(found.labels[999], labels[999])


def spoiled(folder):
    (folder / "labels" / "0001.png").write_bytes(b"what is left of a slice")
    read = load_session(folder)
    assert read.unreadable == {1}
    return read


@pytest.mark.parametrize("value", [0, 2])
def test_a_slice_file_that_cannot_be_read_is_kept_aside_by_the_next_stroke(saved, value):
    """Whether the stroke leaves labels in that slice or none."""
    read = spoiled(saved)
    writer = SessionWriter(saved)
    writer.resume(read)
    for _ in range(2):
        writer.write_slice(1, np.full(SHAPE[1:], value, np.uint8))
    writer.close()
    assert (saved / "labels" / "0001-unreadable.png").read_bytes() == b"what is left of a slice"
    again = load_session(saved)
    assert again.warnings == []
    assert (again.labels[1] == value).all()


def test_an_older_file_that_was_kept_aside_stays(saved):
    for text in (b"what is left of a slice", b"again"):
        read = spoiled(saved)
        (saved / "labels" / "0001.png").write_bytes(text)
        writer = SessionWriter(saved)
        writer.resume(read)
        writer.write_slice(1, np.ones(SHAPE[1:], np.uint8))
        writer.close()
    kept = {p.name: p.read_bytes() for p in (saved / "labels").glob("*unreadable*")}
    assert kept == {"0001-unreadable.png": b"what is left of a slice", "0001-unreadable-2.png": b"again"}


# -- arrays in memory, links, other sessions ----------------------------------------------


@odd_arrays
def test_labels_and_image_are_saved_however_they_lie_in_memory(tmp_path, odd):
    plain = a_session()
    given = Session(None, odd(plain.image), odd(plain.labels))
    for name in ("new.emseg", "new.emseg"):  # and over itself
        save_session(tmp_path / name, given)
        read = load_session(tmp_path / name)
        assert np.array_equal(read.image, plain.image)
        assert np.array_equal(read.labels, plain.labels)


@needs_links
@pytest.mark.parametrize("inner", ["labels", "labels/0000.png", "image.tif"])
def test_a_link_in_a_session_that_leads_out_of_it_is_refused_and_nothing_outside_changes(saved, inner):
    outside = saved.parent / "outside"
    (saved / inner).rename(outside)
    (saved / inner).symlink_to(outside)
    before = {path: path.read_bytes() for path in saved.parent.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"cells\.emseg.* leads by a link to .*outside"):
        load_session(saved)
    writer = SessionWriter(saved)
    with pytest.raises(UserError, match="leads by a link"):
        writer.resume(a_session())
    writer.close()
    with pytest.raises(UserError, match="leads by a link"):
        save_session(saved, a_session())
    assert {path: path.read_bytes() for path in saved.parent.rglob("*") if path.is_file()} == before


@needs_links
def test_a_session_that_is_a_link_itself_is_followed(saved, tmp_path):
    (tmp_path / "link.emseg").symlink_to(saved)
    newer = a_session()
    newer.labels = np.full_like(newer.labels, 1)
    save_session(tmp_path / "link.emseg", newer)
    check_resumable(load_session(saved), newer)
    assert (tmp_path / "link.emseg").is_symlink()


def test_a_session_saved_over_another_one_takes_nothing_of_it(saved, tmp_path):
    """Not even the slices that could not be read where it came from, under the same numbers."""
    save_session(tmp_path / "other.emseg", a_session())
    read = spoiled(saved)
    read.image_path, read.image = None, np.zeros(SHAPE, np.uint16)
    save_session(tmp_path / "other.emseg", read)
    check = load_session(tmp_path / "other.emseg")
    assert np.array_equal(check.labels, read.labels)
    assert not check.labels[1].any()
    assert list((tmp_path / "other.emseg").rglob("*unreadable*")) == []


def test_what_somebody_put_beside_the_slices_stays(saved):
    (saved / "labels" / "note.txt").write_text("mine")
    (saved / "note.txt").write_text("mine")
    save_session(saved, a_session())
    assert [p.read_text() for p in sorted(saved.rglob("note.txt"))] == ["mine", "mine"]
    check_resumable(load_session(saved), a_session())


@needs_fork
def test_a_save_that_is_killed_between_any_two_calls_leaves_the_old_or_the_new_session(saved):
    older, newer, seen = a_session(), a_session(), []
    newer.labels, newer.confirmed = np.full_like(newer.labels, 1), {2}
    newer.image = newer.image[::-1].copy()
    for _ in kills(lambda: save_session(saved, newer)):
        read = load_session(saved)
        seen.append(read.confirmed == newer.confirmed)
        there = newer if seen[-1] else older
        assert np.array_equal(read.labels, there.labels)
        assert np.array_equal(read.image, there.image)
        if seen[-1]:
            save_session(saved, older)
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


@pytest.mark.parametrize("value", [0, 2])
def test_one_file_alone_is_set_aside_of_a_slice_that_is_written_often(saved, value):
    read = spoiled(saved)
    writer = SessionWriter(saved)
    writer.resume(read)
    for _ in range(3):
        writer.write_slice(1, np.full(SHAPE[1:], value, np.uint8))
        writer.write_slice(1, np.ones(SHAPE[1:], np.uint8))
    writer.close()
    assert [p.name for p in (saved / "labels").glob("*unreadable*")] == ["0001-unreadable.png"]


# -- labels over a file -----------------------------------------------------------------


@pytest.fixture
def scratch_labels(monkeypatch):
    monkeypatch.setattr(scratch, "LARGE_BYTES", 0)
    monkeypatch.setattr(scratch, "ROOM_BYTES", 0)
    labels = scratch.new_labels((5, 256, 256))
    labels[3, 5] = 1
    return labels


def test_holes_are_asked_for_after_all_is_on_the_disk(scratch_labels, monkeypatch):
    flushed, real = [], scratch.ScratchLabels.flush
    monkeypatch.setattr(scratch.ScratchLabels, "flush", lambda self: (flushed.append(1), real(self)))
    assert list(scratch.slices_in_use(scratch_labels)) == [3]
    assert flushed


def test_a_hole_is_not_trusted_on_macos(scratch_labels, monkeypatch):
    monkeypatch.setattr(scratch.sys, "platform", "darwin")
    assert list(scratch.slices_in_use(scratch_labels)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_where_the_system_cannot_tell_holes_every_slice_may_hold_labels(scratch_labels, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(scratch.os, "lseek", refuse)
    assert list(scratch.slices_in_use(scratch_labels)) == [0, 1, 2, 3, 4]
