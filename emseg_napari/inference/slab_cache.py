"""Cache of slabs: a chunk that is many slices deep is decoded once, not once for every slice."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np

from emseg_napari.io.axes import SliceWindow
from emseg_napari.io.volume import Volume

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
    height, width = (part.stop - part.start for part in window)
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
