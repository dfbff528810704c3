"""Intensity normalisation: the one room where grey levels lose their units.

Every slice is shifted to median 0 and scaled by the distance of two of its percentiles.
So 8-bit, 16-bit and float copies of an image give the same network input, staining may
change from slice to slice, and a slice predicted alone equals itself in a stack.

The percentiles are those of at least 2^18 pixels on a regular grid. Of slices of more than 2^24 pixels,
which nobody wants to read as a whole for that, they are those of 64 windows at fixed places, the same
for every part of the slice. What to do where one of these pixels cannot be read is for the caller to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from emseg_napari.models.resampling import Readable
from emseg_napari.settings import Settings

_SAMPLED_PIXELS = 1 << 18
_WHOLE_PIXELS = 1 << 24
_WINDOWS = 8  # along y and along x
_WINDOW_PX = 128


@dataclass(frozen=True)
class Levels:
    """What the grey levels of a slice mean.

    Attributes
    ----------
    middle : float
        The grey level that becomes 0.
    scale : float
        What the distance from it is multiplied with.
    """

    middle: float
    scale: float

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Normalise a slice or a part of it, (y, x) of any dtype, to float32."""
        levels = image.astype(np.float32)
        levels -= np.float32(self.middle)
        levels *= np.float32(self.scale)
        return levels


class Normalisation(Settings):
    """The recipe that is recorded with a network.

    Attributes
    ----------
    low_percent, high_percent : float
        The percentiles whose distance becomes 1; outside of them lie dirt and folds.
    """

    low_percent: float = 5.0
    high_percent: float = 95.0

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
        """Find what the grey levels of a slice mean.

        Parameters
        ----------
        slice_ : array or other Readable
            (y, x), any integer or float dtype, of any size. Pixels that are no finite numbers do not count.

        Raises
        ------
        UserError
            If pixels that it goes by cannot be read: without them the levels would be others.
        """
        seen = _seen(slice_)
        # A strided sample: percentiles of a 16-megapixel slice would take half a second.
        step = max(1, int((seen.size / _SAMPLED_PIXELS) ** 0.5)) if seen.ndim == 2 else 1
        sample = _finite(seen[(slice(None, None, step),) * seen.ndim]).astype(np.float32)
        if not sample.size:
            return Levels(0.0, 0.0)
        low, middle, high = np.percentile(sample, (self.low_percent, 50.0, self.high_percent))
        if high <= low:
            low, high = float(_finite(seen).min()), float(_finite(seen).max())
        return Levels(float(middle), float(1.0 / (high - low)) if high > low else 0.0)


def _seen(slice_: Readable) -> np.ndarray:
    """Return a slice (y, x), or of a large one the pixels in some windows, one-dimensional."""
    height, width = slice_.shape
    if height * width <= _WHOLE_PIXELS:
        return slice_[0:height, 0:width]
    rows, columns = (_spread(n) for n in slice_.shape)
    return np.concatenate([slice_[window].ravel() for window in product(rows, columns)])


def _spread(length: int) -> list[slice]:
    """Return where windows lie along an axis."""
    size = min(_WINDOW_PX, length)
    return [slice(int(n), int(n) + size) for n in np.linspace(0, length - size, _WINDOWS)]


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values
