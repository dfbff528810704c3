"""Coarser copies of a volume in formats that place every scale on the voxels of the finest one.

There, voxel n of a scale stands for the voxels n * f to n * f + f - 1 of the finest one, counted from the
origin and not from the first voxel that is written: at both ends a voxel may stand for fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from emseg_napari.core.jobs import JobContext
from emseg_napari.core.meter import Meter
from emseg_napari.io.axes import Size, VolumeWindow, size_of
from emseg_napari.io.pyramid import reduced


@dataclass(frozen=True)
class Extent:
    """The voxels of a scale.

    Attributes
    ----------
    factor : (int, int, int)
        How many voxels of the finest scale make one along z, y, x.
    begin, end : (int, int, int)
        Its first voxel, and the one after its last, counted from the origin.
    """

    factor: Size
    begin: Size
    end: Size

    @classmethod
    def of(cls, begin: Size, shape: Size, factor: Size) -> Extent:
        """Return the scale that covers a volume whose first voxel is `begin`."""
        first = tuple(b // f for b, f in zip(begin, factor, strict=True))
        last = tuple(-(-(b + s) // f) for b, s, f in zip(begin, shape, factor, strict=True))
        return cls(factor, first, last)  # type: ignore[arg-type]

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        z, y, x = (e - b for b, e in zip(self.begin, self.end, strict=True))
        return z, y, x

    def windows(self, block: Size, start: Size) -> Iterator[VolumeWindow]:
        """Yield windows that cover it, of blocks that begin at `start` or whole blocks from there, z fastest.

        So chunks of the input that are many slices deep are read once.
        """
        along = [
            [slice(max(at, b), min(at + n, e)) for at in range(s + (b - s) // n * n, e, n)]
            for b, e, n, s in zip(self.begin, self.end, block, start, strict=True)
        ]
        for y, x, z in product(along[1], along[2], along[0]):
            yield z, y, x


@dataclass(frozen=True)
class Scale:
    """A scale that is written, and read for the next one.

    Attributes
    ----------
    extent : Extent
    block : (int, int, int)
        What is written at once, in voxels.
    start : (int, int, int)
        Where blocks begin.
    read, write : callable
        Of the voxels (z, y, x) of a window, which is counted from the origin.
    """

    extent: Extent
    block: Size
    start: Size
    read: Callable[[VolumeWindow], np.ndarray]
    write: Callable[[VolumeWindow, np.ndarray], None]

    def windows(self) -> Iterator[VolumeWindow]:
        """Yield what is written at once, one after the other."""
        return self.extent.windows(self.block, self.start)


def write_scales(
    read: Callable[[VolumeWindow], np.ndarray],
    scales: Sequence[Scale],
    labels: bool,
    context: JobContext,
    name: str = "scale",
) -> None:
    """Write all scales, each from the one before.

    Parameters
    ----------
    read : callable
        Returns the voxels of a window of the volume, counted from the origin.
    scales : sequence of Scale
        The finest first.
    labels : bool
        As of `pyramid.reduced`.
    context : JobContext
    name : str
        What progress calls them.

    Raises
    ------
    Cancelled
    """
    meter = Meter(context, sum(prod(scale.extent.shape) for scale in scales))
    for n, scale in enumerate(scales):
        for window in scale.windows():
            values = read(window) if n == 0 else _coarser(scales[n - 1], scale, window, labels)
            scale.write(window, values)
            meter.done(values.size, f"{name} {n + 1} of {len(scales)} written")


def _coarser(finer: Scale, scale: Scale, window: VolumeWindow, labels: bool) -> np.ndarray:
    """Return the voxels of a window, of which parts are made one after the other to save memory."""
    z, y, x = window
    whole = Extent(scale.extent.factor, (z.start, y.start, x.start), (z.stop, y.stop, x.stop))
    step = tuple(b // a for a, b in zip(finer.extent.factor, scale.extent.factor, strict=True))
    of_a_block = tuple(max(1, n // s) for n, s in zip(scale.block, step, strict=True))
    values = np.zeros((0, 0, 0))
    for part in whole.windows(of_a_block, scale.start):  # type: ignore[arg-type]
        found = _part(finer, step, part, labels)  # type: ignore[arg-type]
        if not values.size:
            values = np.empty(whole.shape, found.dtype)
        at_z, at_y, at_x = (
            slice(one.start - b, one.stop - b) for one, b in zip(part, whole.begin, strict=True)
        )
        values[at_z, at_y, at_x] = found
    return values


def _part(finer: Scale, step: Size, window: VolumeWindow, labels: bool) -> np.ndarray:
    """Return the voxels of a window from those of the finer scale that they stand for."""
    whole = [slice(part.start * s, part.stop * s) for part, s in zip(window, step, strict=True)]
    z, y, x = (
        slice(max(part.start, b), min(part.stop, e))
        for part, b, e in zip(whole, finer.extent.begin, finer.extent.end, strict=True)
    )
    missing = [
        (there.start - part.start, part.stop - there.stop)
        for part, there in zip(whole, (z, y, x), strict=True)
    ]
    values = finer.read((z, y, x))
    if np.any(missing):
        values = np.pad(values, missing, mode="edge")
    assert values.shape == size_of((whole[0], whole[1], whole[2]))
    return reduced(values, step, labels)
