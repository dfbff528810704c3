"""Resampling of slices, window by window.

A window of the result needs only a window of the image, so that large slices need not be read as a whole.

Along each axis pixel i of `count` lies at (i + 1/2) length / count - 1/2 of `length` pixels, its value is
interpolated linearly, an image that shrinks is smoothed before, and beyond its edges it is mirrored. Over a
whole slice that is what scikit-image's `resize` of order 1 does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage

from emseg_napari.io.axes import SliceWindow

_TRUNCATE = 4.0


class Readable(Protocol):
    """Slice (y, x) that is read window by window: an array, or a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x)."""

    def __getitem__(self, window: SliceWindow) -> np.ndarray:
        """Return the pixels of a window, which lies inside."""


@dataclass(frozen=True)
class AxisSampling:
    """Resampling of one axis.

    Attributes
    ----------
    length, count : int
        Pixels of the image, and of the result.
    """

    length: int
    count: int

    @property
    def sigma_px(self) -> float:
        """Sigma of the Gaussian that keeps fine detail from aliasing, in pixels of the image; 0 = none."""
        return max(0.0, (self.length / self.count - 1) / 2)

    def needed(self, part: slice) -> slice:
        """Return which pixels of the image a part of the result needs; they may lie beyond its edges."""
        if self.length == self.count:
            return part
        first, last = np.floor(self._places(part))[[0, -1]].astype(int)
        return slice(int(first) - self._radius_px, int(last) + 2 + self._radius_px)

    def resampled(self, values: np.ndarray, axis: int, part: slice) -> np.ndarray:
        """Return a part of the result, float32, of the pixels that it needs."""
        if self.length == self.count:
            return values
        if self.sigma_px:
            values = ndimage.gaussian_filter1d(values, self.sigma_px, axis, mode="mirror", truncate=_TRUNCATE)
        places = self._places(part) - self.needed(part).start
        before = np.floor(places).astype(int)
        weight = np.expand_dims((places - before).astype(np.float32), 1 - axis)
        return np.take(values, before, axis) * (1 - weight) + np.take(values, before + 1, axis) * weight

    def _places(self, part: slice) -> np.ndarray:
        return (np.arange(part.start, part.stop) + 0.5) * (self.length / self.count) - 0.5

    @property
    def _radius_px(self) -> int:
        return int(_TRUNCATE * self.sigma_px + 0.5)


SliceSampling = tuple[AxisSampling, AxisSampling]


def sampling_of(shape: tuple[int, ...], scale: tuple[float, float]) -> SliceSampling:
    """Return how slices of a shape (y, x) are resampled by a factor (y, x)."""
    rows, columns = (AxisSampling(n, max(1, round(n * s))) for n, s in zip(shape, scale, strict=True))
    return rows, columns


def resample(slice_: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Resample a float32 (y, x) slice by `scale`, smoothed against aliasing where it shrinks."""
    both = sampling_of(slice_.shape, scale)
    whole = slice(0, both[0].count), slice(0, both[1].count)
    return resampled(read_mirrored(slice_, needed(both, whole)), both, whole)


def needed(sampling: SliceSampling, window: SliceWindow) -> SliceWindow:
    """Return which pixels of an image a window (y, x) of the result needs, some perhaps beyond its edges."""
    return sampling[0].needed(window[0]), sampling[1].needed(window[1])


def resampled(values: np.ndarray, sampling: SliceSampling, window: SliceWindow) -> np.ndarray:
    """Return a window (y, x) of the result, float32, of the pixels that it needs."""
    for axis, (axis_sampling, part) in enumerate(zip(sampling, window, strict=True)):
        values = axis_sampling.resampled(values, axis, part)
    return values


def read_mirrored(image: Readable, window: SliceWindow) -> np.ndarray:
    """Read a window (y, x) that may extend beyond the edges of an image, which is mirrored there."""
    read = inside(window, image.shape)
    values = image[read]
    if read == window:
        return values
    rows, columns = (
        _mirrored(part, n) - known.start for part, n, known in zip(window, image.shape, read, strict=True)
    )
    return values[np.ix_(rows, columns)]


def inside(window: SliceWindow, shape: tuple[int, ...]) -> SliceWindow:
    """Return the window of an image that `read_mirrored` reads."""
    rows, columns = (_mirrored(part, n) for part, n in zip(window, shape, strict=True))
    return slice(int(rows.min()), int(rows.max()) + 1), slice(int(columns.min()), int(columns.max()) + 1)


def _mirrored(part: slice, length: int) -> np.ndarray:
    """Return the indices of pixels that may lie beyond the edges, which are not repeated."""
    period = max(1, 2 * (length - 1))
    indices = np.arange(part.start, part.stop) % period
    return np.minimum(indices, period - indices) if length > 1 else indices
