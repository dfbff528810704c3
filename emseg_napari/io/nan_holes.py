"""Volumes that give NaN where a chunk cannot be read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from emseg_napari.io.axes import Size, VolumeWindow, size_of
from emseg_napari.io.chunk_errors import BrokenChunk, chunks_over
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
        # Chunk by chunk, so that many broken ones cost no more than each of them a look.
        for _, chunk in chunks_over(window, self.shape, self.chunks or self.shape):
            part = _common(window, chunk)
            z, y, x = (slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, window, strict=True))
            with suppress(BrokenChunk):
                found[z, y, x] = self.pixels.read(part)
        return found


def _common(window: VolumeWindow, chunk: VolumeWindow) -> VolumeWindow:
    z, y, x = (slice(max(w.start, c.start), min(w.stop, c.stop)) for w, c in zip(window, chunk, strict=True))
    return z, y, x


def holed(volume: Volume) -> Volume:
    """Return a volume, float32, that is NaN where chunks are missing or damaged."""
    return replace(volume, pixels=HoledPixels(volume.pixels), is_labels=False)
