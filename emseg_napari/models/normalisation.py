"""Per-slice intensity normalisation.

Networks that are trained here see every slice shifted to median 0 and scaled by the distance of two of its
percentiles; imported ones what their makers chose (`Normalisation.method`). So 8-bit, 16-bit and float copies
of an image give the same network input, staining may change from slice to slice, and a slice predicted alone
equals itself in a stack.

The percentiles are those of at least 2^18 pixels on a regular grid. Of slices of more than 2^24 pixels,
which would take long to read as a whole, they are those of 64 windows at fixed positions, the same
for every part of the slice. The caller decides what to do where one of these pixels cannot be read.

Constant borders, which alignment leaves, are no grey levels of the picture: the percentiles are those of
what lies inside, taken as if it were the slice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from emseg_napari.io.axes import SliceWindow
from emseg_napari.models.borders import border_of, box_around
from emseg_napari.models.resampling import Readable
from emseg_napari.settings import Settings

_SAMPLED_PIXELS = 1 << 18
_WHOLE_PIXELS = 1 << 24
_WINDOWS = 8  # along y and along x
_WINDOW_PX = 128


@dataclass(frozen=True)
class Levels:
    """Linear map of the grey levels of a slice to network input.

    Attributes
    ----------
    middle : float
        The grey level that becomes 0.
    scale : float
        Factor of the distance from it.
    box : (int, int, int, int), optional
        Where rows or columns at the slice's edges are nothing but border: the box inside of them, (first y,
        end y, first x, end x). Of a slice that is read in windows it is not known, and None.
    limits : (float, float), optional
        What is below or above becomes one of them.
    """

    middle: float
    scale: float
    box: tuple[int, int, int, int] | None = None
    limits: tuple[float, float] | None = None

    @property
    def inside(self) -> SliceWindow | None:
        """The box as a window of the slice."""
        return None if self.box is None else (slice(*self.box[:2]), slice(*self.box[2:]))

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Normalise a slice or a part of it, (y, x) of any dtype, to float32."""
        levels = image.astype(np.float32)
        levels -= np.float32(self.middle)
        levels *= np.float32(self.scale)
        return levels if self.limits is None else np.clip(levels, *self.limits, out=levels)


class Normalisation(Settings):
    """Recipe of the normalisation, recorded with a network.

    Attributes
    ----------
    method : str
        What becomes 0, and what distance becomes 1. "median": the median, and that of two percentiles;
        "range": the lower percentile, and the same; "standard": mean and standard deviation; "fixed":
        `middle` and `span`, in all slices.
    low_percent, high_percent : float
        The percentiles of "median" and "range"; outside of them lie dirt and folds.
    middle, span : float
        Grey levels, of "fixed".
    limits : (float, float), optional
        What is below or above after that becomes one of them.
    borders : str
        Whether constant borders are "left out", or "counted" as grey levels, as by runs of before
        December 2026.
    """

    method: Literal["median", "range", "standard", "fixed"] = "median"
    low_percent: float = 5.0
    high_percent: float = 95.0
    middle: float = 0.0
    span: float = 1.0
    limits: tuple[float, float] | None = None
    borders: Literal["left out", "counted"] = "left out"

    @property
    def mark(self) -> str:
        """Text by which it is recognised; where borders count, that of versions that knew no other way."""
        if self.method != "median":
            return self.model_dump_json()
        counted = {"borders"} if self.borders == "counted" else set()
        return self.model_dump_json(exclude={"method", "middle", "span", "limits", *counted})

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Normalise slices.

        Parameters
        ----------
        image : numpy.ndarray
            (y, x) or (z, y, x), any integer or float dtype, finite.

        Returns
        -------
        numpy.ndarray
            float32 of the same shape; a constant slice becomes 0.
        """
        if image.ndim == 3:
            return np.stack([self.apply(slice_) for slice_ in image])
        return self.levels(image).apply(image)

    def levels(self, slice_: Readable) -> Levels:
        """Return the map of the grey levels of a slice.

        Parameters
        ----------
        slice_ : array or other Readable
            (y, x), any integer or float dtype, of any size. Pixels that are not finite do not count.

        Raises
        ------
        UserError
            If pixels of the sample cannot be read: without them the levels would be others.
        """
        if self.method == "fixed":
            return Levels(self.middle, 1 / self.span, limits=self.limits)
        pixels, is_whole = _sample_of(slice_)
        border = border_of(pixels) if self.borders == "left out" else None
        if border is None:
            step = _step(pixels.size) if is_whole else 1
            return self._levels(pixels[::step, ::step], pixels)
        box = box_around(~border)
        inside = slice(*box[:2]), slice(*box[2:])
        part, counts = pixels[inside], ~border[inside]
        step = _step(part.size) if is_whole else 1
        levels = self._levels(part[::step, ::step][counts[::step, ::step]], part[counts])
        return replace(levels, box=box) if is_whole and part.size < pixels.size else levels

    def _levels(self, sample: np.ndarray, pixels: np.ndarray) -> Levels:
        """Return the map of the levels of a sample of some pixels."""
        sample = _finite(sample).astype(np.float32)
        if not sample.size:
            return Levels(0.0, 0.0)
        if self.method == "standard":
            middle, span = sample.mean(dtype=np.float64), sample.std(dtype=np.float64)
            return Levels(float(middle), float(1 / span) if span else 0.0, limits=self.limits)
        low, middle, high = np.percentile(sample, (self.low_percent, 50.0, self.high_percent))
        if high <= low:
            low, high = float(_finite(pixels).min()), float(_finite(pixels).max())
        zero = low if self.method == "range" else middle
        return Levels(float(zero), float(1.0 / (high - low)) if high > low else 0.0, limits=self.limits)


def _sample_of(slice_: Readable) -> tuple[np.ndarray, bool]:
    """Return a slice (y, x) and True, or of a large one some windows of it, side by side (y, x), and False.

    Those at the edges of the slice lie at the edges of what is returned, where a border is looked for.
    """
    height, width = slice_.shape
    if sample_windows((height, width)) == 1:
        return slice_[0:height, 0:width], True
    rows, columns = (_window_positions(n) for n in slice_.shape)
    return np.block([[slice_[row, column] for column in columns] for row in rows]), False


def sample_windows(shape: tuple[int, int]) -> int:
    """Return how many windows of a slice (y, x) are read for its levels: 1 if it is read as a whole."""
    return 1 if shape[0] * shape[1] <= _WHOLE_PIXELS else _WINDOWS**2


def _step(size: int) -> int:
    # A strided sample: percentiles of a 16-megapixel slice would take half a second.
    return max(1, int((size / _SAMPLED_PIXELS) ** 0.5))


def _window_positions(length: int) -> list[slice]:
    """Return the windows along an axis, evenly spaced."""
    size = min(_WINDOW_PX, length)
    return [slice(int(n), int(n) + size) for n in np.linspace(0, length - size, _WINDOWS)]


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values
