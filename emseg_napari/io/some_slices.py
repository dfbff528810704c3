"""A volume of some slices that follow each other in another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emseg_napari.io.axes import Size, VolumeWindow
from emseg_napari.io.placing import shifted
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.volume import PixelSource, Volume


@dataclass(frozen=True)
class SomeSlices:
    """Pixels of the slices `first` to `end` - 1 of others.

    Attributes
    ----------
    pixels : PixelSource
    first, end : int
    """

    pixels: PixelSource
    first: int
    end: int

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        return self.end - self.first, *self.pixels.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels behind."""
        return self.pixels.dtype

    @property
    def chunks(self) -> Size | None:
        """Of the pixels behind; where this begins inside of one, a slice of it: those keep it meanwhile."""
        chunks = self.pixels.chunks
        return chunks if chunks is None or self.first % chunks[0] == 0 else (1, *chunks[1:])

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        z, y, x = window
        return self.pixels.read((slice(z.start + self.first, z.stop + self.first), y, x))


def some_slices(volume: Volume, first: int, end: int) -> Volume:
    """Return the volume of the slices `first` to `end` - 1, which lies where they lie."""
    if (first, end) == (0, len(volume)):
        return volume
    depth = (volume.chunks or (1,))[0]
    pixels = (volume if first % depth == 0 else in_slabs(volume)).pixels
    place = shifted(volume.origin, first, volume.voxel)
    return replace(volume, pixels=SomeSlices(pixels, first, end), origin=place)
