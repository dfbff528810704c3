"""`emseg reproduce` of a network's training, which is repeated step by step."""

from pathlib import Path

import pytest
import tifffile

from emseg_napari.core.labels import to_isbi
from emseg_napari.io.samples import phantom
from helpers.command_desk import emseg, state

pytestmark = pytest.mark.keras


def test_a_training_by_the_clock_is_repeated_with_the_same_bytes(tmp_path: Path) -> None:
    image, labels = phantom()
    tifffile.imwrite(tmp_path / "image.tif", image[:5, :100, :120], photometric="minisblack")
    tifffile.imwrite(tmp_path / "labels.tif", to_isbi(labels[:5, :100, :120]), photometric="minisblack")
    data = (tmp_path / "image.tif", tmp_path / "labels.tif")
    options = ("--patch-px", 64, "--batch-size", 1, "--minutes", 0.05, "--from", "nothing")
    done = emseg("train", *data, "--output", tmp_path / "run", *options)
    assert done.exit_code == 0, done.output
    before = state(tmp_path)
    again = emseg("reproduce", tmp_path / "run")
    assert again.exit_code == 0, again.output
    assert "the bytes agree (network and thresholds)" in again.stdout
    assert state(tmp_path) == before
