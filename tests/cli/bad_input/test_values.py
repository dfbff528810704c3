"""Values of images and labels that people pass to a command. Every mistake is one sentence."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from emseg_napari.io import stack_or_volume
from helpers.command_desk import QUICK, SHAPE, Desk, emseg

pytestmark = pytest.mark.keras


def test_labels_outside_the_convention(desk: Desk) -> None:
    path = desk.write("odd.tif", np.where(desk.labels_array == 255, 77, 3).astype(np.uint8))
    desk.refuses(lambda: desk.train(labels=path), "odd.tif", "(3, 77)", "allowed are")
    desk.refuses(lambda: desk.export(labels=path), "odd.tif", "(3, 77)", "allowed are")


def test_labels_that_another_convention_than_the_given_has(desk: Desk) -> None:
    desk.refuses(
        lambda: desk.train("--convention", "napari"), "labels.tif", "255", "choose another convention"
    )


def test_labels_of_0_and_1_need_the_convention(desk: Desk) -> None:
    path = desk.write("mask.tif", (desk.labels_array > 0).astype(np.uint8))
    advice = ("mask.tif", "--convention binary", "--convention napari")
    desk.refuses(lambda: desk.train(labels=path), *advice)
    desk.refuses(lambda: desk.export(labels=path), *advice)
    assert desk.export("--convention", "binary", labels=path).exit_code == 0
    exported = tifffile.imread(desk.folder / "exported" / "labels.tif")
    np.testing.assert_array_equal(exported, desk.labels_array)


def two_cells(unlabelled: int = 0) -> np.ndarray:
    """An instance map of two cells, with a strip that belongs to none."""
    cells = np.ones(SHAPE, np.int32)
    cells[:, :, 24], cells[:, :, 25:], cells[:, :8] = 0, 2, unlabelled
    return cells


@pytest.mark.parametrize("limit", [1000, 2**30])
def test_two_cells_and_inverted_masks_are_asked_about(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    cells, mask = desk.write("cells.tif", two_cells()), desk.write("mask.tif", 255 - desk.labels_array)
    desk.refuses(
        lambda: desk.train(labels=cells), "cells.tif", "--convention napari or --convention instances"
    )
    desk.refuses(lambda: desk.export(labels=mask), "mask.tif", "--convention isbi or --convention inverted")
    assert desk.export("--convention", "inverted", labels=mask).exit_code == 0
    np.testing.assert_array_equal(tifffile.imread(desk.folder / "exported" / "labels.tif"), desk.labels_array)


def test_labels_that_look_exchanged_are_said_to_be(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    mask = desk.write("mask.tif", 255 - desk.labels_array)
    said = "may be inverted ("
    words = ("--convention", "isbi")
    desk.train("--network", "ridge", *words, labels=mask)
    assert said in capfd.readouterr().err
    assert said in desk.export(*words, labels=mask).stderr
    probability = desk.write("probability.tif", (desk.labels_array == 0).astype(np.float32))
    assert said in emseg("evaluate", probability, mask, *words).stderr
    assert said in emseg("evaluate", mask, desk.labels).stderr
    assert said in emseg("segment", mask, "--output", desk.folder / "segmented.tif").stderr
    assert said not in emseg("evaluate", probability, desk.labels).stderr


@pytest.mark.parametrize("limit", [1000, 2**30])
@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.float32])
def test_what_is_no_cell_of_an_instance_map_is_unlabelled(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: int, dtype: type
) -> None:
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    cells = desk.write("cells.tif", two_cells(-1).astype(np.int64).astype(dtype))
    exported = desk.export("--convention", "instances", "--allow-unlabelled", labels=cells)
    assert exported.exit_code == 0, exported.output
    written = tifffile.imread(desk.folder / "exported" / "labels.tif")
    assert (written[:, :8] == 128).all()
    np.testing.assert_array_equal(written[:, 8:], np.where(two_cells()[:, 8:] == 0, 0, 255))


@pytest.mark.parametrize("limit", [1000, 2**30])
def test_a_container_of_image_and_labels_is_both(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    path = desk.folder / "c.hdf"
    with h5py.File(path, "w") as file:
        file["volumes/raw"], file["volumes/labels/neuron_ids"] = desk.image_array, two_cells()
    exported = desk.export("--convention", "instances", image=path, labels=path)
    assert exported.exit_code == 0, exported.output
    written = tifffile.imread(desk.folder / "exported" / "labels.tif")
    np.testing.assert_array_equal(written[:, 8:], np.where(two_cells()[:, 8:] == 0, 0, 255))
    raw = path / "volumes/raw"
    for image, labels in ((path, raw), (desk.image, desk.image)):
        words = ("--convention", "instances")
        desk.refuses(lambda: desk.train(*words, image=image, labels=labels), "is the image itself")  # noqa: B023


@pytest.fixture
def instance_map(desk: Desk) -> Path:
    """Four cells a slice, each with a number of its own, that touch each other."""
    cells = np.zeros(SHAPE, np.uint16)
    cells[:, :20, :25], cells[:, :20, 25:], cells[:, 20:, :25], cells[:, 20:, 25:] = 11, 12, 13, 14
    return desk.write("cells.tif", cells)


def test_an_instance_map_gets_a_hint(desk: Desk, instance_map: Path) -> None:
    desk.refuses(
        lambda: desk.train(labels=instance_map), "cells.tif", "instance map", "--convention instances"
    )


@pytest.mark.usefixtures("small")
def test_an_instance_map_is_accepted_when_it_is_called_so(desk: Desk, instance_map: Path) -> None:
    result = desk.train(*QUICK, "--convention", "instances", labels=instance_map)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(("value", "word"), [(0, "interior"), (255, "boundary")])
def test_labels_of_one_class(desk: Desk, value: int, word: str) -> None:
    path = desk.write("one.tif", np.full(SHAPE, value, np.uint8))
    desk.refuses(lambda: desk.train("--convention", "isbi", labels=path), "one.tif", f"no {word}", "label")


def test_no_labels_at_all(desk: Desk) -> None:
    path = desk.write("blank.tif", np.full(SHAPE, 128, np.uint8))
    desk.refuses(lambda: desk.train(labels=path), "blank.tif", "no labels", "label some")
    desk.refuses(lambda: desk.export(labels=path), "blank.tif", "no labels", "label some")


def test_export_of_unlabelled_pixels(desk: Desk) -> None:
    desk.labels_array[3, 0] = 128
    path = desk.write("holes.tif", desk.labels_array)
    desk.refuses(lambda: desk.export(labels=path), "holes.tif", "slice 3", "--allow-unlabelled")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_images_without_contrast_or_with_values_that_are_no_numbers(
    desk: Desk, run: Path, value: float
) -> None:
    image = np.zeros(SHAPE, np.float32) if value == 0 else desk.image_array.astype(np.float32)
    image[4, 5, 6] = value
    path = desk.write("strange.tif", image)
    advice = "choose another image" if value == 0 else "the first in slice 4"
    desk.refuses(lambda: desk.train(image=path), "strange.tif", advice)
    desk.refuses(lambda: desk.predict(image=path), "strange.tif", advice)
    desk.refuses(lambda: desk.predict("--slices", "3:6", image=path), "strange.tif", advice)


def test_slices_that_are_not_used_may_hold_anything(desk: Desk, run: Path) -> None:
    image = desk.image_array.astype(np.float32)
    image[4] = np.nan
    path = desk.write("torn.tif", image)
    assert desk.predict("--slices", "0:2", image=path).exit_code == 0
