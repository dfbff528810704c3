"""Axes z, y, x: windows, sizes and voxels, and the check of a grey stack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emseg_napari.io.address import Location

Size = tuple[int, int, int]
VolumeWindow = tuple[slice, slice, slice]
SliceWindow = tuple[slice, slice]  # (y, x) of one slice
Point = tuple[float, float, float]  # along z, y, x
NOWHERE: Point = (0.0, 0.0, 0.0)  # where an image lies that no file places


@dataclass(frozen=True)
class Voxel:
    """How large a voxel is.

    Attributes
    ----------
    size : (float, float, float)
        Along z, y, x.
    unit : str
        Of the size, as OME-Zarr spells it, such as "nanometer".
    """

    size: tuple[float, float, float]
    unit: str


def last_three(sizes: Sequence[int]) -> Size:
    """Return what belongs to z, y, x of an array with any number of axes."""
    z, y, x = [1, 1, 1, *map(int, sizes)][-3:]
    return z, y, x


def size_of(window: VolumeWindow) -> Size:
    """Return how many voxels a window has along z, y, x."""
    z, y, x = (part.stop - part.start for part in window)
    return z, y, x


def on_axes(window: VolumeWindow, ndim: int) -> tuple[int | slice, ...]:
    """Return the window of an array with any number of axes, those before z being of length 1."""
    return (0,) * (ndim - 3) + window[max(0, 3 - ndim) :]


def part_of(array: Any, window: VolumeWindow) -> np.ndarray:
    """Return the voxels of a window of such an array, read from memory or file."""
    return np.asarray(array[on_axes(window, array.ndim)]).reshape(size_of(window))


def shape_text(sizes: Iterable[float]) -> str:
    """Spell the sizes of an array or a voxel for the user, such as "16 x 384 x 384"."""
    return " x ".join(
        str(size) if isinstance(size, int | np.integer) else f"{size + 0.0:g}" for size in sizes
    )


def slices_text(slices: Iterable[int]) -> str:
    """Name ascending slices in a sentence: "slice 3", or "slices 3, 5-7"."""
    ordered = list(slices)
    return f"slice{'' if len(ordered) == 1 else 's'} {slice_spans(ordered)}"


def slice_spans(slices: Iterable[int]) -> str:
    """Write the numbers of ascending slices for a reader: 3, 5, 6, 7 are "3, 5-7", the last one included."""
    pairs = _runs(slices)
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs)


def slice_ranges(slices: Iterable[int]) -> str:
    """Write the numbers of ascending slices as the user types them, the end excluded: "3, 5:8"."""
    pairs = _runs(slices)
    return ", ".join(str(first) if first == last else f"{first}:{last + 1}" for first, last in pairs)


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of numbers that follow each other."""
    ordered = list(numbers)
    known = frozenset(ordered)
    firsts = (z for z in ordered if z - 1 not in known)
    lasts = (z for z in ordered if z + 1 not in known)
    return zip(firsts, lasts, strict=True)


def name_of(path: Location, dataset: str = "") -> str:
    """Return what a file, or a dataset in it, is called in sentences."""
    return f"{path.name}/{dataset}" if dataset else path.name
