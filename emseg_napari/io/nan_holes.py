"""Volumes that give NaN where a chunk cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from emseg_napari.io.axes import Size, VolumeWindow, size_of
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.volume import PixelSource, Volume


@dataclass(frozen=True)
class HoledPixels:
    """Pixels that are NaN where they cannot be read.

    Attributes
    ----------
    pixels : PixelSource
    """

    pixels: PixelSource

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        return self.pixels.shape

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def chunks(self) -> Size | None:
        """Of the pixels behind."""
        return self.pixels.chunks

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window, float32, NaN where their chunk is missing or damaged."""
        try:
            return self.pixels.read(window).astype(np.float32)
        except BrokenChunk:
            found = np.full(size_of(window), np.nan, np.float32)
        for part in self._halves(window):
            z, y, x = (slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, window, strict=True))
            found[z, y, x] = self.read(part)
        return found

    def _halves(self, window: VolumeWindow) -> Iterator[VolumeWindow]:
        """Give two parts of a window that share no chunk; none if it lies in a single one."""
        chunks = self.chunks or self.shape
        places = [(w.start // c, -(-w.stop // c)) for w, c in zip(window, chunks, strict=True)]
        axis = int(np.argmax([last - first for first, last in places]))
        first, last = places[axis]
        if last - first < 2:
            return
        middle = (first + last) // 2 * chunks[axis]
        for part in (slice(window[axis].start, middle), slice(middle, window[axis].stop)):
            z, y, x = (part if n == axis else one for n, one in enumerate(window))
            yield z, y, x


def holed(volume: Volume) -> Volume:
    """Return a volume, float32, that is NaN where chunks are missing or damaged."""
    return replace(volume, pixels=HoledPixels(volume.pixels), is_labels=False)
