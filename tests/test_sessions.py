import errno
import shutil

import numpy as np
import pytest

from emseg_napari import files, stacks
from emseg_napari.corrections import Corrections
from emseg_napari.jobs import UserError
from emseg_napari.sessions import Session, load_session, save_session

SHAPE = (3, 5, 6)


def a_session(image_path=None, run=None):
    labels, corrections = np.zeros(SHAPE, np.uint8), Corrections(SHAPE)
    indices, values = corrections.fill(labels, 1, np.full(SHAPE[1:], 2, np.uint8))
    labels[indices] = values
    labels[0, 0] = 1
    corrections.touch(1, (np.array([0]), np.array([1])))
    corrections.confirm(0)
    image = np.arange(90, dtype=np.uint16).reshape(SHAPE)
    if image_path is not None:
        image_path.parent.mkdir(parents=True, exist_ok=True)
        stacks.write_stack(image_path, image)
    return Session(image_path, None if image_path else image, labels, corrections, run)


def check_same(read, saved):
    assert np.array_equal(read.image, np.arange(90).reshape(SHAPE))
    assert read.image.dtype == np.uint16
    assert read.labels.dtype == np.uint8
    assert np.array_equal(read.labels, saved.labels)
    assert read.corrections.confirmed == {0}
    assert np.array_equal(
        read.corrections.is_proposal(read.labels), saved.corrections.is_proposal(saved.labels)
    )
    assert read.corrections.summary(read.labels, 1).touched == 1


def test_a_session_comes_back_with_an_image_that_had_no_file(tmp_path):
    saved = a_session()
    save_session(tmp_path / "cells.emseg", saved)
    read = load_session(tmp_path / "cells.emseg")
    check_same(read, saved)
    assert read.image_path is None
    assert read.run is None


@pytest.mark.parametrize("where", ["cells.tif", "data/cells.tif", "cells.emseg/cells.tif", "..odd/cells.tif"])
def test_a_session_survives_being_moved_with_its_image_and_run(tmp_path, where):
    old, new = tmp_path / "old", tmp_path / "new"
    saved = a_session(old / where, run=old / "runs" / "first")
    save_session(old / "cells.emseg", saved)
    shutil.move(old, new)
    read = load_session(new / "cells.emseg")
    check_same(read, saved)
    assert read.image_path == new / where
    assert read.run == new / "runs" / "first"


def test_an_image_elsewhere_is_found_again_when_only_the_session_moves(tmp_path):
    saved = a_session(tmp_path / "server" / "cells.tif")
    save_session(tmp_path / "old" / "cells.emseg", saved)
    shutil.move(tmp_path / "old", tmp_path / "new")
    read = load_session(tmp_path / "new" / "cells.emseg")
    check_same(read, saved)
    assert read.image_path == tmp_path / "server" / "cells.tif"


def test_relative_paths_mean_the_same_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = a_session((tmp_path / "cells.tif").relative_to(tmp_path))
    save_session("cells.emseg", saved)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    check_same(load_session("../cells.emseg"), saved)
    check_same(load_session(tmp_path / "cells.emseg"), saved)


def test_saving_again_replaces_the_session(tmp_path):
    save_session(tmp_path / "cells.emseg", a_session())
    changed = a_session()
    changed.labels[2] = 1
    save_session(tmp_path / "cells.emseg", changed)
    assert np.array_equal(load_session(tmp_path / "cells.emseg").labels, changed.labels)
    assert sorted(p.name for p in (tmp_path / "cells.emseg").iterdir()) == [
        "corrections.npz",
        "image.tif",
        "labels.tif",
        "session.json",
    ]


def test_a_session_without_any_image_is_refused(tmp_path):
    session = a_session()
    session.image = None
    with pytest.raises(ValueError, match="needs an image"):
        save_session(tmp_path / "cells.emseg", session)


@pytest.fixture
def saved(tmp_path):
    save_session(tmp_path / "cells.emseg", a_session())
    return tmp_path / "cells.emseg"


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("session.json", r"cells\.emseg is no saved session"),
        ("labels.tif", r"labels\.tif does not exist"),
        ("corrections.npz", r"corrections\.npz is missing"),
        ("image.tif", r"The image .*image\.tif of cells\.emseg is missing"),
    ],
)
def test_a_missing_part_is_named(saved, part, sentence):
    (saved / part).unlink()
    with pytest.raises(UserError, match=sentence):
        load_session(saved)


@pytest.mark.parametrize("part", ["session.json", "labels.tif", "corrections.npz", "image.tif"])
@pytest.mark.parametrize("kept", [0, 0.5, 0.9])
def test_a_damaged_part_is_named(saved, part, kept):
    content = (saved / part).read_bytes()
    (saved / part).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match=rf"{part} is (damaged|empty|cut off)"):
        load_session(saved)


@pytest.mark.parametrize(
    "content", [[], {}, {"format": "1"}, {"format": 1}, {"format": 1, "image": 3, "run": None}]
)
def test_a_session_file_without_its_entries_is_damaged(saved, content):
    files.write_json(saved / "session.json", content)
    with pytest.raises(UserError, match=r"session\.json is damaged"):
        load_session(saved)


def test_a_session_of_the_future_asks_for_an_update(saved):
    files.write_json(saved / "session.json", {"format": 2, "image": None, "run": None})
    with pytest.raises(UserError, match=r"cells\.emseg was saved by a newer emseg-napari; update"):
        load_session(saved)


def test_parts_that_do_not_fit_each_other_are_refused(saved):
    stacks.write_stack(saved / "labels.tif", np.zeros((3, 5, 7), np.uint8))
    with pytest.raises(
        UserError, match=r"cells\.emseg/labels\.tif \(3 x 5 x 7\) and image\.tif \(3 x 5 x 6\)"
    ):
        load_session(saved)
    stacks.write_stack(saved / "image.tif", np.zeros((3, 5, 7), np.uint8))
    with pytest.raises(UserError, match=r"corrections\.npz does not fit the labels"):
        load_session(saved)


def test_pickled_objects_are_never_loaded(saved):
    np.savez(saved / "corrections.npz", proposal=np.array([{}], object))
    with pytest.raises(UserError, match=r"corrections\.npz is damaged"):
        load_session(saved)


def test_a_folder_that_is_no_session_is_named(tmp_path):
    with pytest.raises(UserError, match="is no saved session"):
        load_session(tmp_path)
    with pytest.raises(UserError, match="is no saved session"):
        load_session(tmp_path / "gone")


def test_a_save_that_fails_midway_leaves_the_older_session_whole(tmp_path, monkeypatch):
    older, newer = a_session(), a_session()
    newer.labels = np.full_like(older.labels, 1)
    save_session(tmp_path / "work.emseg", older)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match="disk is full"):
        save_session(tmp_path / "work.emseg", newer)
    assert np.array_equal(load_session(tmp_path / "work.emseg").labels, older.labels)
