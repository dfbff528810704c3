"""Images and labels from files: small ones as arrays in memory, large ones as volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import Convention
from emseg_napari.io.axes import NOWHERE, Point
from emseg_napari.io.open import is_container, open_volume
from emseg_napari.io.placing import recorded_origin
from emseg_napari.io.sparse_stack import SparseStack, normalised
from emseg_napari.io.stacks import read_description, read_image, read_labels, recorded_convention
from emseg_napari.io.units import voxel_of
from emseg_napari.io.volume import Volume, Voxel

# Up to that size an image is read as a whole, which makes every later look at it quick.
LARGE_BYTES = 2**30


def open_image(path: str | Path, *, fills: bool = False) -> np.ndarray | Volume:
    """Open an image.

    Parameters
    ----------
    path : str or Path
        As for `stacks.read_image`.
    fills : bool
        Whether chunks without a file are the fill value; else reading one raises `BrokenChunk`, at
        once if the image is small.

    Returns
    -------
    numpy.ndarray or Volume
        (z, y, x).

    Raises
    ------
    UserError
        If it cannot be read.
    """
    volume = _large(Path(path), fills)
    return read_image(path, fills=fills) if volume is None else volume


def open_labels(path: str | Path, convention: Convention | None = None) -> SparseStack:
    """Read the slices that have labels; chunks without a file have none.

    Parameters
    ----------
    path : str or Path
        As for `stacks.read_labels`.
    convention : Convention, optional
        What the values mean; see there.

    Raises
    ------
    UserError
        As `stacks.read_labels`.
    """
    volume = _large(Path(path), fills=True)
    if volume is None:
        return SparseStack.of(read_labels(path, convention))
    return normalised(volume, volume.name, convention or recorded_convention(Path(path)))


def voxel_of_file(path: str | Path) -> Voxel | None:
    """Return the size of a voxel as a file states it; None if it does not, or is not a volume."""
    return place_of_file(path)[0]


def place_of_file(path: str | Path) -> tuple[Voxel | None, Point]:
    """Return the size of a voxel as `voxel_of_file` does, and the origin, as of a `Volume`."""
    record = read_description(path) if Path(path).is_file() else {}
    try:
        volume = open_volume(path, fills=True)
        voxel, origin = volume.voxel, volume.origin
    except UserError:  # such as grey values saved as three equal colours, which `stacks` reads
        voxel, origin = None, NOWHERE
    stated = record.get("voxel")
    if isinstance(stated, dict):  # of an export
        voxel = voxel_of(stated.get("size", ()), stated.get("unit"))
    return voxel, recorded_origin(record, voxel) if record else origin


def _large(path: Path, fills: bool) -> Volume | None:
    """Return the volume that is too large to be read as a whole, if it is."""
    try:
        volume = open_volume(path, fills=fills)
    except UserError:
        if is_container(path) or _bytes_on_disk(path) > LARGE_BYTES // 2:
            raise
        return None  # `stacks` reads it, or says why it cannot
    return volume if volume.nbytes > LARGE_BYTES else None


def _bytes_on_disk(path: Path) -> int:
    found = path.iterdir() if path.is_dir() else [path] if path.exists() else []
    return sum(one.stat().st_size for one in found if one.is_file())
