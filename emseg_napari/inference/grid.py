"""Coordinates of the resampled network image in the slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emseg_napari.inference.tiles import within
from emseg_napari.io.axes import SliceWindow
from emseg_napari.models.normalisation import Levels
from emseg_napari.models.resampling import (
    AxisSampling,
    Readable,
    SliceSampling,
    inside,
    needed,
    read_mirrored,
    resampled,
    sampling_of,
)


class Grid:
    """Where the network's pixels lie in a slice.

    Parameters
    ----------
    shape : tuple of int
        (y, x) of the slice.
    scale : (float, float)
        Factor (y, x) by which it is resampled.

    Attributes
    ----------
    shape : (int, int)
        (y, x) of the network's image.
    """

    def __init__(self, shape: tuple[int, ...], scale: tuple[float, float]) -> None:
        self._slice_shape = shape
        self._sampling = sampling_of(shape, scale)
        rows, columns = (AxisSampling(one.count, one.length) for one in self._sampling)
        self._back: SliceSampling = rows, columns
        self.shape = rows.length, columns.length

    def pixels(self, window: SliceWindow) -> SliceWindow:
        """Return the window of the slice that a window of the network's image is made of."""
        return inside(needed(self._sampling, inside(window, self.shape)), self._slice_shape)

    def read(self, slice_: Readable, levels: Levels, window: SliceWindow) -> np.ndarray:
        """Return a window as the network sees it, float32; beyond the faces it is mirrored."""
        return read_mirrored(_NetworkImage(slice_, levels, self._sampling, self.shape), window)

    def needed(self, window: SliceWindow) -> SliceWindow:
        """Return the window of the network's image that a window of the slice needs."""
        return inside(needed(self._back, window), self.shape)

    def enlarged(self, values: np.ndarray, window: SliceWindow) -> np.ndarray:
        """Bring values, 0 to 1, of the `needed` window back to a window of the slice."""
        if self._back == self._sampling:
            return values
        part = Known(values, self.needed(window), self.shape)
        return np.clip(resampled(read_mirrored(part, needed(self._back, window)), self._back, window), 0, 1)


@dataclass(frozen=True)
class _NetworkImage:
    """A slice, normalised and resampled."""

    slice_: Readable
    levels: Levels
    sampling: SliceSampling
    shape: tuple[int, int]

    def __getitem__(self, window: SliceWindow) -> np.ndarray:
        pixels = read_mirrored(self.slice_, needed(self.sampling, window))
        return resampled(self.levels.apply(pixels), self.sampling, window)


@dataclass(frozen=True)
class Known:
    """A slice (y, x) of which one window is known.

    Attributes
    ----------
    values : numpy.ndarray
        The window's pixels.
    window : SliceWindow
        Where they lie.
    shape : (int, int)
        Of the slice.
    """

    values: np.ndarray
    window: SliceWindow
    shape: tuple[int, int]

    def __getitem__(self, window: SliceWindow) -> np.ndarray:
        return self.values[within(window, self.window)]
