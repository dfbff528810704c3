"""Files that people open. Every mistake is a sentence, and nothing is lost."""

import h5py
import numpy as np
import pytest
import tifffile

from emseg_napari.core.labels import to_isbi
from helpers.mistakes import (
    IMAGE,
    INSTANCES,
    LABELS,
    altered,
    assert_complaint,
    assert_kept,
    noise,
    state,
    two_cells,
    write,
)
from helpers.window import answer_with, settle


def unreadable(folder):
    """Files that are no stack, with what the sentence about each must say."""
    good = write(folder / "good.tif", IMAGE).read_bytes()
    (folder / "cut.tif").write_bytes(good[: len(good) // 2])
    (folder / "empty.tif").touch()
    (folder / "text.tif").write_text("no image at all")
    (folder / "notes.txt").write_text("no image at all")
    write(folder / "axes.tif", np.zeros((2, 3, 5, 20, 20), np.uint8))
    tifffile.imwrite(folder / "rgb.tif", noise(20, 20, 3))
    (folder / "none").mkdir()
    return {
        "missing.tif": "does not exist; check the name",
        "cut.tif": "copy it again",
        "empty.tif": "is empty",
        "text.tif": "is damaged or not an image",
        "notes.txt": "has a format that cannot be read",
        "rgb.tif": "save it as greyscale",
        "axes.tif": "axes",
        "none": "choose a folder of numbered slices",
    }


def test_files_that_cannot_be_read_change_nothing_and_a_good_one_opens_afterwards(loaded, load, tmp_path):
    viewer = loaded.workspace.viewer
    before = state(viewer)
    for name, part in unreadable(tmp_path).items():
        for button in ("Open...", "Open labels..."):
            load(button, tmp_path / name)
            assert_complaint(loaded.load, name, part)
    load("Open a folder...", tmp_path / "none.emseg")
    assert_complaint(loaded.load, "none.emseg is not a saved session")
    assert_kept(viewer, before)
    load("Open...", tmp_path / "good.tif")
    assert loaded.load.status.text().startswith("Opened good.tif")
    np.testing.assert_array_equal(loaded.workspace.image.data, IMAGE)


def test_images_without_information_are_refused_as_files(dock, load, tmp_path):
    nan, infinite = altered(IMAGE, np.nan), altered(IMAGE, -np.inf)
    for name, image, part in (
        ("flat.tif", np.full((3, 20, 20), 7, np.uint8), "the same value (7) in every pixel"),
        ("nan.tif", nan, "the first in slice 3; replace"),
        ("infinite.tif", infinite, "not finite numbers"),
    ):
        load("Open...", write(tmp_path / name, image))
        assert_complaint(dock.load, name, part)
    assert not len(dock.workspace.viewer.layers)


def test_label_files_outside_the_convention_are_named_and_converted_when_that_can_be(
    dock, load, tmp_path, monkeypatch
):
    asked = answer_with(monkeypatch, "instances")
    load("Open labels...", write(tmp_path / "seven.tif", altered(LABELS, 7)))
    assert_complaint(dock.load, "seven.tif", "(7)", "allowed are 0 = unlabelled")
    load("Open labels...", write(tmp_path / "shares.tif", LABELS.astype(np.float32) / 2))
    assert_complaint(dock.load, "shares.tif", "float32", "such as 0.5", "use whole numbers")
    assert not asked
    assert not len(dock.workspace.viewer.layers)
    load("Open labels...", write(tmp_path / "isbi.tif", to_isbi(LABELS)))
    np.testing.assert_array_equal(dock.workspace.labels.data, LABELS)
    load("Open labels...", write(tmp_path / "cells.tif", INSTANCES))
    assert "cells.tif holds values outside the label convention" in asked[0]
    assert dock.workspace.labels.name == "cells"
    assert set(np.unique(dock.workspace.labels.data)) == {1, 2}


def test_labels_are_never_the_image_of_their_container_nor_the_image_itself(
    dock, load, tmp_path, monkeypatch
):
    cells = two_cells()
    with h5py.File(tmp_path / "c.hdf", "w") as file:
        file["volumes/raw"], file["volumes/labels/neuron_ids"] = IMAGE, cells.astype(np.uint64)
    dock.load.open_image(tmp_path / "c.hdf")
    settle(dock.load)
    answer_with(monkeypatch, "instances")
    load("Open labels...", tmp_path / "c.hdf")
    np.testing.assert_array_equal(dock.workspace.labels.data == 1, cells == 0)
    before = state(dock.workspace.viewer)
    dock.load.open_labels(tmp_path / "c.hdf/volumes/raw", "instances")
    assert_complaint(dock.load, "raw is what the image c.hdf/volumes/raw was opened from")
    assert_kept(dock.workspace.viewer, before)


@pytest.mark.parametrize("shape", [(20, 20, 3), (2, 2, 20, 20)])
def test_beside_an_image_that_is_no_stack_labels_open_but_none_are_made(dock, load, tmp_path, shape):
    dock.workspace.viewer.add_image(noise(*shape), name="other", rgb=shape[-1] == 3)
    dock.load.new_labels_button.click()
    assert_complaint(dock.load, "other", "colour" if shape[-1] == 3 else "4 axes")
    assert dock.workspace.labels is None
    load("Open labels...", write(tmp_path / "truth.tif", LABELS))
    assert dock.load.status.text().startswith("Opened truth.tif")
    assert "shape differs" in dock.load.status.text()
    np.testing.assert_array_equal(dock.workspace.labels.data, LABELS)
