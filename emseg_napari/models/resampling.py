"""Resampling of slices, window by window.

A window of the result needs only a window of the image, so that large slices need not be read as a whole.

Along each axis pixel i of `count` lies at (i + 1/2) length / count - 1/2 of `length` pixels, its value is
interpolated linearly, an image that shrinks is smoothed before, and beyond its edges it is mirrored. Over a
whole slice that is what scikit-image's `resize` of order 1 does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED
from emseg_napari.core.machine import free_memory
from emseg_napari.io.axes import SliceWindow, shape_text

_TRUNCATE = 4.0
_GIB = 2**30


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
            from scipy import ndimage  # whose seconds the help of the commands does without

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


def check_scale(scale: float, shape: tuple[int, ...], patch_px: int, kept_bytes: float) -> None:
    """Refuse a scale with which a network cannot work.

    Parameters
    ----------
    scale : float
        Factor by which slices are resampled along y and x.
    shape : tuple of int
        (y, x) of a slice.
    patch_px : int
        Side of the patches that the network learns from: in smaller slices it sees too little.
    kept_bytes : float
        What is kept in memory at once, if the scale were 1.

    Raises
    ------
    UserError
        If a slice would be smaller than a patch, or what is kept larger than the free memory.
    """
    size, smallest = shape_text(shape), min(shape)
    if scale < 1 and round(smallest * scale) < patch_px:
        least = min(1.0, math.ceil(100 * patch_px / smallest) / 100)
        resized = shape_text(tuple(round(n * scale) for n in shape))
        raise UserError(
            f"Scale {scale:g} makes slices of {size} pixels {resized}, smaller than a patch of {patch_px}; "
            f"choose a scale of {least:g} or more."
        )
    needed_bytes, free = kept_bytes * scale**2, free_memory()
    if scale > 1 and needed_bytes > free:
        raise UserError(
            f"At scale {scale:g} slices of {size} pixels take about {needed_bytes / _GIB:.1f} GiB of memory, "
            f"and {free / _GIB:.1f} GiB are free; choose a smaller scale."
        )


def resample_labels(labels: np.ndarray, scale: tuple[float, float], keep_thin: bool = True) -> np.ndarray:
    """Resample labels to the nearest pixel, but keep what is thinner than a pixel of the result.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (y, x): 0 unlabelled, 1 boundary, 2 interior.
    scale : (float, float)
        Factor (y, x), as for `resample`.
    keep_thin : bool
        False: the nearest pixel alone, which loses what is thin.

    Returns
    -------
    numpy.ndarray
        uint8. A thin boundary stays whole, a thin stroke of interior stays where nothing else is labelled.
    """
    if scale == (1.0, 1.0):
        return labels
    counts = [one.count for one in sampling_of(labels.shape, scale)]
    rows, columns = (
        np.minimum((np.arange(count) + 0.5) / s, n - 1).astype(int)
        for count, n, s in zip(counts, labels.shape, scale, strict=True)
    )
    nearest = labels[np.ix_(rows, columns)]
    side = [math.ceil(1 / s) for s in scale]
    if max(side) == 1 or not keep_thin:
        return nearest
    from scipy import ndimage

    first_rows, first_columns = (
        np.arange(count) * n // count for count, n in zip(counts, labels.shape, strict=True)
    )
    for kind in (INTERIOR, BOUNDARY):
        is_kind = labels == kind
        thin = is_kind & ~ndimage.binary_opening(is_kind, np.ones(side, bool))
        kept = np.logical_or.reduceat(np.logical_or.reduceat(thin, first_rows, 0), first_columns, 1)
        nearest[kept if kind == BOUNDARY else kept & (nearest == UNLABELLED)] = kind
    return nearest


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
