"""Files that people pass to a command. Every mistake is one sentence."""

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from helpers.command_desk import Desk

pytestmark = pytest.mark.keras


def cut_off(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "cut.tif"
    path.write_bytes(desk.image.read_bytes()[:-3000])
    return path, "copy it again"


def empty(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "empty.tif"
    path.touch()
    return path, "empty"


def no_image(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "notes.tif"
    path.write_text("slice 3 is torn\n" * 20)
    return path, "not an image"


def other_format(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "notes.docx"
    path.write_text("slice 3 is torn")
    return path, "has a format that cannot be read"


def coloured(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    path.write_bytes(imagecodecs.png_encode(pixels))
    return path, "save it as greyscale"


def missing(desk: Desk) -> tuple[Path, str]:
    return desk.folder / "gone.tif", "check the name"


def empty_folder(desk: Desk) -> tuple[Path, str]:
    path = desk.folder / "slices"
    path.mkdir()
    return path, "choose a folder of numbered slices"


SPOILT = (cut_off, empty, no_image, other_format, coloured, missing, empty_folder)


@pytest.mark.parametrize("spoil", SPOILT)
def test_an_image_that_cannot_be_read(
    desk: Desk, run: Path, spoil: Callable[[Desk], tuple[Path, str]]
) -> None:
    path, advice = spoil(desk)
    desk.refuses(lambda: desk.train(image=path), path.name, advice)
    desk.refuses(lambda: desk.predict(image=path), path.name, advice)
    desk.refuses(lambda: desk.export(image=path), path.name, advice)


@pytest.mark.parametrize("spoil", SPOILT)
def test_labels_that_cannot_be_read(desk: Desk, spoil: Callable[[Desk], tuple[Path, str]]) -> None:
    path, advice = spoil(desk)
    desk.refuses(lambda: desk.train(labels=path), path.name, advice)
    desk.refuses(lambda: desk.export(labels=path), path.name, advice)


@pytest.mark.parametrize("part", [np.s_[:5], np.s_[:, :39], np.s_[:, :, 1:]])
def test_image_and_labels_of_different_shapes(desk: Desk, part: tuple[slice, ...]) -> None:
    path = desk.write("part.tif", desk.labels_array[part])
    advice = ("part.tif", "image.tif", "6 x 40 x 50", "choose labels")
    desk.refuses(lambda: desk.train(labels=path), *advice)
    desk.refuses(lambda: desk.export(labels=path), *advice)
