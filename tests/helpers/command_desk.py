"""A folder with a small stack where commands are tried, and the sentence that a mistake ends with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from typer.testing import CliRunner, Result

from emseg_napari.cli import app
from emseg_napari.core.labels import to_isbi
from emseg_napari.io.own_record import own_record, record_text
from emseg_napari.io.samples import phantom

SHAPE = (6, 40, 50)  # smaller than a patch
# From nothing, since the small network of some tests cannot start from the starter.
QUICK = ("--patch-px", 64, "--batch-size", 1, "--epochs", 1, "--steps-per-epoch", 1, "--from", "nothing")


def emseg(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def assert_sentence(result: Result, *parts: object) -> None:
    """One sentence on stderr that has these parts, and the exit code of a mistake."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("emseg: ")
    assert result.stderr.endswith(".\n")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for part in parts:
        assert str(part) in result.stderr


def state(folder: Path) -> dict[Path, bytes | None]:
    """Everything below a folder, with its contents."""
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


class Desk:
    """A folder with a stack, its labels and a run, where commands are tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        image, labels = phantom()
        crop = np.s_[: SHAPE[0], 40 : 40 + SHAPE[1], 60 : 60 + SHAPE[2]]
        self.image_array, self.labels_array = image[crop], to_isbi(labels[crop])
        self.image = self.write("image.tif", self.image_array)
        self.labels = self.write("labels.tif", self.labels_array)

    def write(self, name: str, array: np.ndarray) -> Path:
        tifffile.imwrite(self.folder / name, array, photometric="minisblack")
        return self.folder / name

    def train(self, *options: object, image: Path | None = None, labels: Path | None = None) -> Result:
        output = () if "--output" in options else ("--output", self.folder / "new-run")
        return emseg("train", image or self.image, labels or self.labels, *output, *options)

    def predict(self, *options: object, image: Path | None = None, run: Path | None = None) -> Result:
        output = () if "--output" in options else ("--output", self.folder / "out.tif")
        return emseg("predict", run or self.folder / "run", image or self.image, *output, *options)

    def export(self, *options: object, image: Path | None = None, labels: Path | None = None) -> Result:
        output = () if "--output" in options else ("--output", self.folder / "exported")
        return emseg("export", labels or self.labels, "--image", image or self.image, *output, *options)

    def refuses(self, command: Callable[[], Result], *parts: object) -> None:
        """Check that a command ends with a sentence and leaves the folder as it was."""
        before = state(self.folder)
        assert_sentence(command(), *parts)
        assert state(self.folder) == before


def rewrite(path: Path, values: np.ndarray | None = None, **changes: Any) -> None:
    """Change values and record of a TIFF file; None removes an entry."""
    with tifffile.TiffFile(path) as file:
        values = file.asarray() if values is None else values
        record = own_record(file.pages[0].description, path.name) | changes
    text = record_text({name: value for name, value in record.items() if value is not None})
    tifffile.imwrite(path, values, description=text, metadata=None, photometric="minisblack")
