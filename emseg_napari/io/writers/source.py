"""What is written for another program, and in the form in which such programs take it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emseg_napari.core.jobs import JobContext, Message, UserError
from emseg_napari.io.axes import Point, Size, VolumeWindow, Voxel
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.units import in_one_unit
from emseg_napari.io.volume import Volume

_NEARLY = 1e-3  # of a voxel: what arithmetic leaves of a whole number


@dataclass(frozen=True)
class Source:
    """A stack that is written.

    Attributes
    ----------
    volume : Volume
    is_labels : bool
        Values are names, such as numbers of cells, and not grey values.
    record : mapping
        JSON values that say from what it was made.
    """

    volume: Volume
    is_labels: bool
    record: Mapping[str, Any] = field(default_factory=dict)

    def reader(self, begin: Size, dtype: np.dtype[Any]) -> Callable[[VolumeWindow], np.ndarray]:
        """Return what reads windows in another type, counted from an origin `begin` before the first voxel.

        Slices that lie in the same chunks are decoded together. It raises `UserError` where whole numbers do
        not fit.
        """
        volume = in_slabs(self.volume)

        def read(window: VolumeWindow) -> np.ndarray:
            z, y, x = (slice(p.start - b, p.stop - b) for p, b in zip(window, begin, strict=True))
            return as_type(volume[z, y, x], dtype, self.volume.name)

        return read


def as_type(values: np.ndarray, dtype: np.dtype[Any], name: str) -> np.ndarray:
    """Return values in another type, `name` being what the user calls them.

    Raises
    ------
    UserError
        If whole numbers do not fit into it.
    """
    if values.dtype == dtype or not values.size or values.dtype.kind not in "ui":
        return values.astype(dtype, copy=False)
    lowest, highest = int(values.min()), int(values.max())
    least, most = limits(dtype)
    if lowest < least or highest > most:
        wrong = lowest if lowest < least else highest
        raise UserError(
            f"{name} holds the number {wrong}, but here numbers from {least} to {most} can be written; "
            "number the cells anew, or choose another format."
        )
    return values.astype(dtype, copy=False)


def limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return between which whole numbers a type holds every one."""
    if dtype.kind in "ui":
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    exact = 2 ** (np.finfo(dtype).nmant + 1)
    return -exact, exact


def nanometres(voxel: Voxel, lengths: Point | None = None) -> Point:
    """Return the size of a voxel, or other lengths in its unit, in nanometres."""
    converted = in_one_unit([*(lengths or voxel.size), 1.0], [voxel.unit] * 3 + ["nanometer"])
    if converted is None:
        raise UserError(f"{voxel.unit} is not a unit of length; state the size of a voxel in nanometers.")
    z, y, x, _ = converted[0]
    return z, y, x


def voxel_in_nm(source: Source, context: JobContext) -> Voxel:
    """Return the size of a voxel in nanometres; where it is not known 1 nm, which is said."""
    voxel = source.volume.voxel
    if voxel is None:
        context.report(
            Message(
                f"{source.volume.name} states no size of a voxel, and this format needs one: 1 x 1 x 1 nm is "
                "written."
            )
        )
        return Voxel((1.0, 1.0, 1.0), "nanometer")
    return Voxel(nanometres(voxel), "nanometer")


def whole_offset(source: Source, context: JobContext) -> Size:
    """Return how many voxels the first one lies from the origin; a part of a voxel is left out and said."""
    volume = source.volume
    size = volume.voxel.size if volume.voxel else (1.0, 1.0, 1.0)
    exact = [at / one for at, one in zip(volume.origin, size, strict=True)]
    z, y, x = (round(at) for at in exact)
    if any(not math.isclose(at, near, abs_tol=_NEARLY) for at, near in zip(exact, (z, y, x), strict=True)):
        context.report(
            Message(
                f"{volume.name} begins at a part of a voxel, and this format knows whole ones: it is moved "
                "by less than one."
            )
        )
    return z, y, x
