"""Intensity normalisation: the one room where grey levels lose their units.

Every slice is shifted to median 0 and scaled by the distance of two of its percentiles.
So 8-bit, 16-bit and float copies of an image give the same network input, staining may
change from slice to slice, and a slice predicted alone equals itself in a stack.
"""

from __future__ import annotations

import numpy as np

from emseg_napari.settings import Settings

_SAMPLED_PIXELS = 1 << 18


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
        # A strided sample: percentiles of a 16-megapixel slice would take half a second.
        step = max(1, int((image.size / _SAMPLED_PIXELS) ** 0.5))
        percents = (self.low_percent, 50.0, self.high_percent)
        low, middle, high = np.percentile(image[::step, ::step].astype(np.float32), percents)
        if high <= low:
            low, high = float(image.min()), float(image.max())
        scale = 1.0 / (high - low) if high > low else 0.0
        return (image.astype(np.float32) - np.float32(middle)) * np.float32(scale)
