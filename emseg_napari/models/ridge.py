"""Ridge filter for boundaries: dark ridges, hysteresis, clean-up; no network.

The strength of a pixel is its smoothed darkness plus the strength of a dark ridge through it, 2.5 times wider
(Sato et al. 1998, doi:10.1016/S1361-8415(98)80009-1). The darkness closes gaps, the ridge excludes the broad
dark areas of organelles. benchmarks/README.md has the measurement that led to it.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field
from scipy import ndimage
from scipy.special import expit
from skimage.filters import sato

from emseg_napari.settings import Settings

RIDGE_WIDTH = 2.5
# Half octaves: from membranes of two pixels to some of twenty.
SIGMAS_PX = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
_BELOW_HALF = np.nextafter(np.float32(0.5), np.float32(0))
_DIAGONALS_TOO = np.ones((3, 3), bool)


class RidgeFit(Settings):
    """Numbers of a fitted ridge filter.

    Attributes
    ----------
    dark : bool
        Whether boundaries are darker than the interior.
    sigma_px : float
        Smoothing of the darkness in pixels; that of the ridge is `RIDGE_WIDTH` times as much.
    low, high : float
        Strength from which a pixel is boundary, if it is connected with one of at least `high`.
    smallest_px : int
        Boundary pieces and interior islands of fewer pixels are removed.
    spread : float
        Strength above `low` at which the probability is 0.73.
    """

    dark: bool
    sigma_px: float = Field(gt=0, le=SIGMAS_PX[-1])
    low: float
    high: float
    smallest_px: int = Field(ge=1)
    spread: float = Field(gt=0)


def reach_px(sigma_px: float) -> int:
    """Return the distance within which pixels change a `strength`, in pixels.

    The ridge's Gaussian has longer tails, but beyond five sigmas they change less than a rounding error.
    """
    return int(5 * RIDGE_WIDTH * sigma_px + 0.5)


def strength(image: np.ndarray, sigma_px: float, dark: bool = True) -> np.ndarray:
    """Return the boundary strength of every pixel.

    Parameters
    ----------
    image : numpy.ndarray
        float32 (y, x), normalised.

    Returns
    -------
    numpy.ndarray
        float32 (y, x), in units of the image.
    """
    bright = image if dark else -image
    ridge = sato(bright, [RIDGE_WIDTH * sigma_px], black_ridges=True, mode="reflect")
    return (ridge - ndimage.gaussian_filter(bright, sigma_px)).astype(np.float32)


def boundary(strength: np.ndarray, low: float, high: float, smallest_px: int) -> np.ndarray:
    """Return where the boundary is, after hysteresis and clean-up.

    Parameters
    ----------
    strength : numpy.ndarray
        float32 (y, x).
    low, high, smallest_px
        As in `RidgeFit`.

    Returns
    -------
    numpy.ndarray
        bool (y, x).
    """
    pieces, count = ndimage.label(strength >= low, _DIAGONALS_TOO)
    sure = np.bincount(pieces[strength >= high], minlength=count + 1) > 0
    found = _large(pieces, count, smallest_px, sure)
    islands, count = ndimage.label(~found)
    return ~_large(islands, count, smallest_px)


def _large(
    pieces: np.ndarray, count: int, smallest_px: int, condition: np.ndarray | bool = True
) -> np.ndarray:
    """Return which pixels belong to numbered pieces that are large enough and fulfil a condition."""
    kept = (np.bincount(pieces.ravel(), minlength=count + 1) >= smallest_px) & condition
    kept[0] = False
    return kept[pieces]


def probability(strength: np.ndarray, fit: RidgeFit) -> np.ndarray:
    """Map strengths to a boundary probability that is at least 0.5 where `boundary` is True.

    Where the clean-up changed a pixel, the probability is mirrored at 0.5.

    Parameters
    ----------
    strength : numpy.ndarray
        float32 (y, x).

    Returns
    -------
    numpy.ndarray
        float32 (y, x), 0 to 1.
    """
    low = np.float32(fit.low)
    found = boundary(strength, fit.low, fit.high, fit.smallest_px)
    plain = expit((strength - low) / np.float32(fit.spread))
    mirrored = np.where(found == (strength >= low), plain, 1 - plain)
    return np.where(found, np.maximum(mirrored, 0.5), np.minimum(mirrored, _BELOW_HALF)).astype(np.float32)
