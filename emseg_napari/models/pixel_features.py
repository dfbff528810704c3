"""Multiscale features of every pixel, as in the pixel classifiers of ilastik and Labkit.

Per scale: the smoothed image, its difference from the next finer scale, gradient magnitude, Laplacian
of Gaussian, and the eigenvalues of Hessian and structure tensor (Berg et al. 2019,
doi:10.1038/s41592-019-0582-9; Arzt et al. 2022, doi:10.3389/fcomp.2022.777728).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from emseg_napari.settings import Settings

RECIPE_KEY = "emseg features"
FEATURES_PER_SCALE = 8
_TRUNCATE = 3.0


class FeatureRecipe(Settings):
    """Recipe of a pixel classifier's features and of its smoothing, stored in its file.

    Attributes
    ----------
    sigmas_px : tuple of float
        Scales in pixels, ascending; ilastik's, from single pixels to the width of a small neurite.
    smoothing_px : float
        Sigma of the Gaussian that smooths the probability, in pixels.
    """

    sigmas_px: tuple[float, ...] = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
    smoothing_px: float = 2.0

    @property
    def reach_px(self) -> int:
        """Distance within which pixels change a smoothed probability, in pixels."""
        # The structure tensor smooths twice; the Hessian takes two slopes.
        feature = max(2 * int(_TRUNCATE * sigma_px + 0.5) + 2 for sigma_px in self.sigmas_px)
        return feature + int(4 * self.smoothing_px + 0.5)


def pixel_features(image: np.ndarray, sigmas_px: tuple[float, ...]) -> np.ndarray:
    """Compute the features of every pixel.

    A feature depends on pixels within twice three sigmas and two pixels.

    Parameters
    ----------
    image : numpy.ndarray
        float32 (y, x), normalised.
    sigmas_px : tuple of float
        Scales in pixels, ascending.

    Returns
    -------
    numpy.ndarray
        float32 (y, x, features), `FEATURES_PER_SCALE` for every scale.
    """
    result = np.empty((*image.shape, FEATURES_PER_SCALE * len(sigmas_px)), np.float32)
    for k, feature in enumerate(_features(image.astype(np.float32, copy=False), sigmas_px)):
        result[..., k] = feature
    return result


def _features(image: np.ndarray, sigmas_px: tuple[float, ...]) -> Iterator[np.ndarray]:
    finer = image
    for sigma_px in sigmas_px:
        smooth = _blurred(image, sigma_px)
        dy, dx = _slope(smooth, 0), _slope(smooth, 1)
        dyy, dyx, dxx = _slope(dy, 0), _slope(dy, 1), _slope(dx, 1)
        yield from (smooth, smooth - finer, np.hypot(dy, dx), dyy + dxx)
        yield from _eigenvalues(dyy, dyx, dxx)
        yield from _eigenvalues(*(_blurred(product, sigma_px) for product in (dy * dy, dy * dx, dx * dx)))
        finer = smooth


def _blurred(image: np.ndarray, sigma_px: float) -> np.ndarray:
    return ndimage.gaussian_filter(image, sigma_px, truncate=_TRUNCATE)


def _slope(image: np.ndarray, axis: int) -> np.ndarray:
    return ndimage.correlate1d(image, [-0.5, 0, 0.5], axis, mode="nearest")


def _eigenvalues(yy: np.ndarray, yx: np.ndarray, xx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the larger and the smaller eigenvalue of symmetric 2 x 2 matrices."""
    middle, half = (yy + xx) / 2, np.hypot((yy - xx) / 2, yx)
    return middle + half, middle - half
