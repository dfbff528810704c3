"""Labels on disk as one small PNG file for each slice, so that a stroke rewrites one file only.

A folder of them holds ``0007.png`` for slice 7; a slice without a file has no labels. Pixel values are
those of the labels layer, 0 to 4 (see `core.labels`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import PROPOSED_INTERIOR
from emseg_napari.io.axes import shape_text
from emseg_napari.io.formats.png import encoded_png, read_png

# Level 3 without PNG's filters: 15 ms and 150 kB for 2048 x 2048 pixels; the defaults take 55 ms.
_PNG = {"level": 3, "filter": 8}
_NAME = re.compile(r"([0-9]+)\.png")


def write_slice(folder: str | Path, z: int, plane: np.ndarray) -> None:
    """Write the labels of one slice, whole or not at all; the file of an empty slice is removed.

    Parameters
    ----------
    folder : str or Path
        Of the slices; it must exist.
    z : int
        The slice.
    plane : numpy.ndarray
        uint8 (y, x), 0 to 4.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    path = Path(folder) / f"{z:04d}.png"
    if plane.any():
        with files.atomic_write(path) as temporary:
            temporary.write_bytes(encoded_png(plane, **_PNG))
    else:
        files.remove(path)


def slice_files(folder: str | Path) -> dict[int, Path]:
    """Return the files of the slices that have labels; empty if the folder is not there."""
    folder = Path(folder)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    names = ((_NAME.fullmatch(path.name), path) for path in found)
    return {int(match[1]): path for match, path in names if match}


def changed_slices(folder: str | Path, labels: np.ndarray, used: Iterable[int]) -> list[int]:
    """Return the slices whose files do not hold their labels.

    Parameters
    ----------
    folder : str or Path
        Of the slices; all files are read.
    labels : numpy.ndarray
        uint8 (z, y, x), 0 to 4.
    used : iterable of int
        Slices that may hold labels.
    """
    written = slice_files(folder)
    looked_at = {*used, *(z for z in written if z < len(labels))}
    return [z for z in sorted(looked_at) if not _holds(written.get(z), np.asarray(labels[z]))]


def _holds(path: Path | None, plane: np.ndarray) -> bool:
    """Whether a file holds labels; one that cannot be read stands for none: nothing is to replace it."""
    try:
        return not plane.any() if path is None else np.array_equal(read_png(path, labels=True), plane)
    except UserError:
        return not plane.any()


def set_aside(folder: str | Path, z: int) -> None:
    """Rename the file of a slice that could not be read, so that nothing overwrites it.

    Raises
    ------
    UserError
        If it cannot be renamed.
    """
    path = Path(folder) / f"{z:04d}.png"
    if not path.exists():
        return
    names = (f"{path.stem}-unreadable{f'-{i}' if i > 1 else ''}.png" for i in itertools.count(1))
    target = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    try:
        path.rename(target)
    except OSError as error:
        raise UserError(
            f"{path}, which could not be read, cannot be kept as {target.name} ({error}), so nothing is "
            "written over it; move it away."
        ) from None


def unreadable_files(folder: str | Path) -> list[Path]:
    """Return the files that `set_aside` renamed."""
    return sorted(Path(folder).glob("*-unreadable*.png"))


@dataclass(frozen=True)
class SlicesRead:
    """The labels of a stack as they were found.

    Attributes
    ----------
    labels : numpy.ndarray
        uint8 (z, y, x), 0 to 4; slices without a file, or whose file cannot be read, are 0.
    warnings : list of str
        One sentence for each file that cannot be read or does not belong to the stack.
    unreadable : set of int
        The slices whose files cannot be read.
    """

    labels: np.ndarray
    warnings: list[str] = field(default_factory=list)
    unreadable: set[int] = field(default_factory=set)


def read_slices(folder: str | Path, labels: np.ndarray) -> SlicesRead:
    """Read the labels of a stack.

    Parameters
    ----------
    folder : str or Path
        Of the slices.
    labels : numpy.ndarray
        uint8 (z, y, x), of 0; they are written into it.
    """
    found, shape = SlicesRead(labels), labels.shape
    for z, path in slice_files(folder).items():
        try:
            if z >= shape[0]:
                raise UserError(f"{path.name} lies outside the stack, which has {shape[0]} slices.")
            plane = _read(path, shape[1:])
        except UserError as error:
            found.warnings.append(f"Slice {z} is without its labels: {error}")
            found.unreadable.update({z} & set(range(shape[0])))
            continue
        strange = plane > PROPOSED_INTERIOR
        if strange.any():
            found.warnings.append(
                f"Slice {z} had {strange.sum()} pixels with values that are not labels; they are 0 now."
            )
        labels[z] = np.where(strange, 0, plane)
    return found


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    plane = read_png(path, labels=True)
    if plane.shape != shape or plane.dtype != np.uint8:
        raise UserError(
            f"{path.name} ({shape_text(plane.shape)}, {plane.dtype}) does not fit the stack; "
            "restore it from a copy."
        )
    return plane
