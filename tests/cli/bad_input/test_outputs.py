"""Places that cannot be written to. Every mistake is one sentence."""

import errno
import os
from pathlib import Path

import pytest
import tifffile
import zarr

from emseg_napari.training import learner
from helpers.command_desk import SHAPE, Desk, assert_sentence

pytestmark = pytest.mark.keras


def test_places_below_a_file(desk: Desk, run: Path) -> None:
    below = desk.image / "below"
    desk.refuses(lambda: desk.train("--output", below), below, "choose another")
    desk.refuses(lambda: desk.predict("--output", below / "out.tif"), below, "make it first")
    desk.refuses(lambda: desk.export("--output", below), desk.image, "choose another")


def test_names_that_are_no_tiff(desk: Desk, run: Path) -> None:
    desk.refuses(lambda: desk.predict("--output", desk.folder / "out.jpg"), "out.jpg", "end in .tif")


def test_predictions_need_a_folder_that_is_there(desk: Desk, run: Path) -> None:
    output = desk.folder / "gone" / "out.tif"
    desk.refuses(lambda: desk.predict("--output", output), output, "make it first")


def test_no_file_is_written_into_a_volume(desk: Desk, run: Path) -> None:
    volume = desk.folder / "brain.zarr"
    zarr.create_group(volume)
    desk.refuses(lambda: desk.predict("--output", volume / "out.tif"), volume, "into the volume")


def test_the_input_is_never_overwritten(desk: Desk, run: Path) -> None:
    desk.refuses(lambda: desk.predict("--output", desk.image), desk.image, "choose another")
    desk.refuses(lambda: desk.export("--output", desk.labels), desk.labels, "choose another")
    desk.refuses(lambda: desk.export("--output", desk.folder), desk.folder, "choose another")


def test_labels_of_a_person_are_never_overwritten_by_a_prediction(desk: Desk, run: Path) -> None:
    desk.refuses(lambda: desk.predict("--output", desk.labels), desk.labels, "choose another name")


def test_an_earlier_prediction_may_be_replaced(desk: Desk, run: Path) -> None:
    assert desk.predict().exit_code == 0
    assert desk.predict("--slices", "0:1").exit_code == 0
    assert tifffile.imread(desk.folder / "out.tif").shape == SHAPE[1:]


PROBLEMS = [(errno.EACCES, "not writable"), (errno.ENOSPC, "the disk is full")]


@pytest.mark.parametrize(("number", "reason"), PROBLEMS)
@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_disk_that_is_full_or_protected(
    desk: Desk, run: Path, monkeypatch: pytest.MonkeyPatch, command: str, number: int, reason: str
) -> None:
    def fail(path: object, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(tifffile, "imwrite", fail)
    output = desk.folder / ("out.tif" if command == "predict" else "exported")
    desk.refuses(lambda: getattr(desk, command)(), output, reason, "choose another")


@pytest.mark.parametrize(("number", "reason"), PROBLEMS)
def test_a_training_whose_disk_is_full_or_protected(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def fail(path: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "touch", fail)
    desk.refuses(desk.train, "new-run", reason, "choose another")


def test_a_disk_that_fills_up_in_mid_training(
    desk: Desk, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = (begun / "last.keras").read_bytes()

    def fail(model: object, path: Path) -> None:
        Path(path).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(learner.keras.Model, "save", fail)
    assert_sentence(
        desk.train("--output", begun, "--resume"), begun / "last.keras", "the disk is full", "free some space"
    )
    assert (begun / "last.keras").read_bytes() == checkpoint
    assert not [p for p in begun.iterdir() if p.name.startswith(".")]


def test_an_error_of_the_system_that_nobody_foresaw(
    desk: Desk, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/dev/sda")

    monkeypatch.setattr("emseg_napari.inference.predict", fail)
    desk.refuses(desk.predict, "/dev/sda", os.strerror(errno.EIO), "check")
