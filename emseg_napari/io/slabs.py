"""Cache of slabs: a chunk that is many slices deep is decoded once, not once for every slice.

A slab is a window of all slices that lie in the same chunks. It is kept in memory, and where it is too large
for that in a temporary file. Where there is no room for that, either, it is read in thinner slabs, for each
of which its chunks are decoded again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from emseg_napari.io.axes import Size, SliceWindow, VolumeWindow
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.scratch_array import ScratchArray, scratch_copy
from emseg_napari.io.volume import Volume

S = TypeVar("S")

# That a slab may take in memory, of which two are kept, and in a temporary file.
SLAB_BYTES, SCRATCH_BYTES = 192 << 20, 8 << 30
_MOST_KEPT = 256


class _Place(NamedTuple):
    """Which voxels a slab holds."""

    first: int
    end: int
    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of(cls, slices: range, window: SliceWindow) -> _Place:
        rows, columns = window
        return cls(slices.start, slices.stop, rows.start, rows.stop, columns.start, columns.stop)

    def holds(self, z: int, window: SliceWindow) -> bool:
        rows, columns = window
        is_between = self.top <= rows.start and rows.stop <= self.bottom and self.first <= z < self.end
        return is_between and self.left <= columns.start and columns.stop <= self.right


class Slabs:
    """Reads windows of slices, and keeps those of the other slices that lie in the same chunks.

    Threads may share it; pickled, it keeps nothing. What cannot be read is not tried again.

    Parameters
    ----------
    volume : Volume
    windows : int
        How many windows of a slice are read before those of the next one: the slabs of all are kept.
    """

    def __init__(self, volume: Volume, windows: int = 1) -> None:
        self._volume, self._windows = volume, windows
        self._kept: OrderedDict[_Place, np.ndarray | ScratchArray | BrokenChunk] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Slabs], tuple[Volume, int]]:
        return Slabs, (self._volume, self._windows)

    def read(self, z: int, window: SliceWindow) -> np.ndarray:
        """Return a window of a slice.

        Raises
        ------
        BrokenChunk
            If a chunk of it is missing or damaged.
        """
        slices = layer_of(self._volume, z)
        if len(slices) == 1:
            return self._volume[z, window[0], window[1]]
        rows, columns = (
            slice(*part.indices(length)[:2])
            for part, length in zip(window, self._volume.shape[1:], strict=True)
        )
        with self._lock:  # a thread waits for a slab that another thread is reading
            return self._read(slices, z, (rows, columns))

    def _read(self, slices: range, z: int, window: SliceWindow) -> np.ndarray:
        place = self._place_over(z, window) or self._add(slices, z, window)
        self._kept.move_to_end(place)
        slab, (rows, columns) = self._kept[place], window
        if isinstance(slab, BrokenChunk):
            raise slab.with_traceback(None)  # else it would grow by every time
        part = (
            slice(rows.start - place.top, rows.stop - place.top),
            slice(columns.start - place.left, columns.stop - place.left),
        )
        if isinstance(slab, ScratchArray):
            return slab.read(z - place.first, part)
        return slab[z - place.first, *part].copy()  # a view would keep the slab alive

    def _place_over(self, z: int, window: SliceWindow) -> _Place | None:
        """Return the place of a slab that holds a window of a slice.

        Of one that cannot be read, a part may be: only the same window is known not to be.
        """
        for place, slab in self._kept.items():
            if place.holds(z, window) and (
                not isinstance(slab, BrokenChunk) or place[2:] == _Place.of(range(z), window)[2:]
            ):
                return place
        return None

    def _add(self, slices: range, z: int, window: SliceWindow) -> _Place:
        """Read a slab, or find out that it cannot be read, and return its place."""
        try:
            place, slab = self._slab(slices, z, window)
        except BrokenChunk as error:
            place = _Place.of(slices, window)
            self._kept[place] = error
        else:
            self._kept[place] = slab
        return place

    def _slab(self, slices: range, z: int, window: SliceWindow) -> tuple[_Place, np.ndarray | ScratchArray]:
        in_a_slice = max(1, _bytes(self._volume, window))
        needed = len(slices) * in_a_slice
        if self._windows * needed > SLAB_BYTES:
            self._make_room(0)
            whole = (slice(slices.start, slices.stop), *window)
            slab = scratch_copy(self._volume, whole, SLAB_BYTES) if needed <= SCRATCH_BYTES else None
            if slab is not None:
                return _Place.of(slices, window), slab
            slices = _thinner(slices, z, max(1, SLAB_BYTES // in_a_slice))
        self._make_room(len(slices) * in_a_slice)
        return _Place.of(slices, window), self._volume[slices.start : slices.stop, window[0], window[1]]

    def _make_room(self, wanted: int) -> None:
        """Forget slabs until another one fits beside the rest, the one that was read longest ago first."""
        while self._kept and not self._has_room(wanted):
            self._kept.popitem(last=False)

    def _has_room(self, wanted: int) -> bool:
        in_memory = sum(one.nbytes for one in self._kept.values() if isinstance(one, np.ndarray))
        in_files = sum(isinstance(one, ScratchArray) for one in self._kept.values())
        return (
            in_memory + wanted <= 2 * SLAB_BYTES
            and in_files < 2 * self._windows
            and len(self._kept) < _MOST_KEPT
        )


def layer_of(volume: Volume, z: int) -> range:
    """Return the slices that lie in the same chunks as slice `z`."""
    depth = volume.chunks[0] if volume.chunks else 1
    first = z // depth * depth
    return range(first, min(first + depth, len(volume)))


def _thinner(slices: range, z: int, depth: int) -> range:
    """Return those of some slices that are read with slice `z` where no more than `depth` fit."""
    first = slices.start + (z - slices.start) // depth * depth
    return range(first, min(first + depth, slices.stop))


def _bytes(volume: Volume, window: SliceWindow) -> int:
    height, width = (part.stop - part.start for part in window)
    return max(0, height) * max(0, width) * volume.dtype.itemsize


@dataclass(frozen=True)
class Plane:
    """A slice of a volume, read window by window.

    Attributes
    ----------
    slabs : Slabs
    shape : (int, int)
        (y, x).
    z : int
    """

    slabs: Slabs
    shape: tuple[int, int]
    z: int

    def __getitem__(self, window: SliceWindow) -> np.ndarray:
        return self.slabs.read(self.z, window)


class SlabPixels:
    """Pixels of a volume whose slices are read slab by slab; for a volume's slices one after the other.

    Parameters
    ----------
    volume : Volume
    """

    def __init__(self, volume: Volume) -> None:
        self._volume, self._slabs = volume, Slabs(volume)

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        return self._volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the volume."""
        return self._volume.dtype

    @property
    def chunks(self) -> Size | None:
        """Of the volume."""
        return self._volume.chunks

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        z, *part = window
        return np.stack([self._slabs.read(n, (part[0], part[1])) for n in range(z.start, z.stop)])


def in_slabs(stack: S) -> S:
    """Return a stack for loops over its slices: of a volume with deep chunks each is decoded once.

    Parameters
    ----------
    stack : Volume or array
        (z, y, x). Anything but a volume whose chunks are several slices deep is returned as it is.
    """
    if not isinstance(stack, Volume) or (stack.chunks or (1,))[0] == 1:
        return stack
    if isinstance(stack.pixels, SlabPixels | KeptPixels):
        return stack
    return cast(S, replace(stack, pixels=SlabPixels(stack)))


class KeptPixels:
    """Pixels of a volume some of whose slices are kept in memory, read once.

    Parameters
    ----------
    volume : Volume
    slices : iterable of int
        Those that are kept.
    """

    def __init__(self, volume: Volume, slices: Iterable[int]) -> None:
        self._rest = in_slabs(volume)
        self._kept = {z: self._rest[z] for z in sorted(slices)}
        self.shape, self.dtype, self.chunks = volume.shape, volume.dtype, volume.chunks

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        z, y, x = window
        slices = range(z.start, z.stop)
        return np.stack([self._kept[n][y, x] if n in self._kept else self._rest[n, y, x] for n in slices])


def kept(volume: Volume, slices: Iterable[int]) -> Volume:
    """Return a volume that keeps some of its slices in memory, for who asks for them again and again."""
    return replace(volume, pixels=KeptPixels(volume, slices))
