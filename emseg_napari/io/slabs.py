"""Cache of slabs: a chunk that is many slices deep is decoded once, not once for every slice.

Where slices are so large that not all of a chunk's fit into a slab, it is decoded once for each slab.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, TypeVar, cast

import numpy as np

from emseg_napari.io.axes import Size, SliceWindow, VolumeWindow
from emseg_napari.io.volume import Volume

S = TypeVar("S")

# Two of these, one of a block and one for the grey levels of slices, are kept.
SLAB_BYTES = 192 << 20


class Slabs:
    """Reads windows of slices, and keeps those of the next slices where they lie in the same chunks.

    Threads may share it; pickled, it keeps nothing.

    Parameters
    ----------
    volume : Volume
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._kept: OrderedDict[tuple[int, str], np.ndarray] = OrderedDict()
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Slabs], tuple[Volume]]:
        return Slabs, (self._volume,)

    def read(self, z: int, window: SliceWindow) -> np.ndarray:
        """Return a window of a slice.

        Raises
        ------
        BrokenChunk
            If a chunk of it is missing or damaged.
        """
        slab = slab_of(self._volume, z, window)
        if len(slab) == 1:
            return self._volume[z, window[0], window[1]]
        with self._lock:  # a thread waits for a slab that another thread is reading
            return self._slab(slab, window)[z - slab.start].copy()  # a view would keep the slab alive

    def _slab(self, slab: range, window: SliceWindow) -> np.ndarray:
        key = slab.start, str(window)
        if key not in self._kept:
            self._make_room(len(slab) * _bytes(self._volume, window))
            self._kept[key] = self._volume[slab.start : slab.stop, window[0], window[1]]
        self._kept.move_to_end(key)
        return self._kept[key]

    def _make_room(self, wanted: int) -> None:
        while self._kept and sum(one.nbytes for one in self._kept.values()) + wanted > 2 * SLAB_BYTES:
            self._kept.popitem(last=False)


def slab_of(volume: Volume, z: int, window: SliceWindow) -> range:
    """Return the slices that are read together with slice `z`: in the same chunks, as many as may be kept."""
    chunk = volume.chunks[0] if volume.chunks else 1
    depth = max(1, min(chunk, SLAB_BYTES // max(1, _bytes(volume, window))))
    first = z // chunk * chunk
    start = first + (z - first) // depth * depth
    return range(start, min(start + depth, first + chunk, len(volume)))


def _bytes(volume: Volume, window: SliceWindow) -> int:
    height, width = (
        len(range(*part.indices(length))) for part, length in zip(window, volume.shape[1:], strict=True)
    )
    return height * width * volume.dtype.itemsize


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
