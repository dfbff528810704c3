"""Fit of the ridge filter to labelled slices.

Its few numbers are found one after the other, by trying: the score of cells has no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emseg_napari.core.jobs import JobContext, Progress
from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED
from emseg_napari.evaluation.metrics import comparisons
from emseg_napari.models.ridge import SIGMAS_PX, RidgeFit, boundary, strength
from emseg_napari.training.splits import is_dense
from emseg_napari.training.validation import smoothed

SMALLEST_PX = (1, 25, 50, 100, 200, 400)
_FIRST_SMALLEST_PX = 100
# Weight of the accuracy beside V_rand.
_ACCURACY_COUNTS = 0.1
_LOW_QUANTILES = np.arange(0.5, 0.81, 0.05)
_HIGH_QUANTILES = (0.0, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Example:
    """A normalised part of a slice, float32 (y, x), and its labels, uint8 (0, 1, 2)."""

    image: np.ndarray
    labels: np.ndarray


def fit_ridge(
    examples: Sequence[Example],
    boundary_weight: float = 2.0,
    context: JobContext | None = None,
) -> tuple[RidgeFit, int]:
    """Find the settings whose boundaries come closest to the labels.

    Where nearly all pixels have labels that is the best V_rand, else the best accuracy.

    Parameters
    ----------
    examples : sequence of Example
        Both classes must occur.
    boundary_weight : float
        What a boundary pixel counts in the accuracy where an interior pixel counts 1.
    context : JobContext, optional
        Gets a `Progress` after every smoothing that was tried.

    Returns
    -------
    RidgeFit
        The best settings.
    int
        How many were tried.

    Raises
    ------
    Cancelled
        If the context says so.
    """
    return _Fit(examples, boundary_weight, context or JobContext()).run()


class _Fit:
    """One search for the best settings."""

    def __init__(self, examples: Sequence[Example], boundary_weight: float, context: JobContext) -> None:
        self._examples, self._weight, self._context = examples, boundary_weight, context
        self._tried = 0
        self._dense = all(is_dense(e.labels[np.newaxis]) for e in examples)

    def run(self) -> tuple[RidgeFit, int]:
        dark = self._boundary_is_dark()
        tried = []
        for done, sigma_px in enumerate(SIGMAS_PX, start=1):
            tried.append((*self._best_low(self._strengths(sigma_px, dark)), sigma_px))
            self._context.report(Progress(done / (len(SIGMAS_PX) + 1)))
        _, low, sigma_px = max(tried)
        found = self._strengths(sigma_px, dark)
        smallest_px = max(SMALLEST_PX, key=lambda size: self._quality(found, low, low, size))
        highs = np.quantile(np.concatenate([s[s >= low] for s in found]), _HIGH_QUANTILES)
        high = max(highs.tolist(), key=lambda high: self._quality(found, low, high, smallest_px))
        numbers = {"sigma_px": sigma_px, "low": low, "high": high, "smallest_px": smallest_px}
        return RidgeFit(dark=dark, spread=_spread(found), **numbers), self._tried

    def _boundary_is_dark(self) -> bool:
        mean = {
            kind: np.concatenate([e.image[e.labels == kind] for e in self._examples]).mean()
            for kind in (BOUNDARY, INTERIOR)
        }
        return bool(mean[BOUNDARY] <= mean[INTERIOR])

    def _strengths(self, sigma_px: float, dark: bool) -> list[np.ndarray]:
        found = []
        for example in self._examples:
            self._context.check_stop()
            found.append(strength(example.image, sigma_px, dark))
        return found

    def _best_low(self, strengths: list[np.ndarray]) -> tuple[float, float]:
        """Return quality and value of the best lower threshold."""
        known = [s[e.labels != UNLABELLED] for s, e in zip(strengths, self._examples, strict=True)]
        lows = np.quantile(np.concatenate(known), _LOW_QUANTILES)
        scores = smoothed(np.array([self._quality(strengths, t, t, _FIRST_SMALLEST_PX) for t in lows]))
        return float(scores.max()), float(lows[int(scores.argmax())])

    def _quality(self, strengths: list[np.ndarray], low: float, high: float, smallest_px: int) -> float:
        """Return the score of the boundaries; a little accuracy decides between equal cells."""
        self._tried += 1
        v_rand, right = [], np.zeros(2)
        for example, found in zip(self._examples, strengths, strict=True):
            self._context.check_stop()
            found = boundary(found, low, high, smallest_px)
            right += self._right_and_all(example.labels, found)
            if self._dense:
                v_rand.append(_v_rand(example.labels, found))
        accuracy = float(right[0] / right[1])
        return float(np.mean(v_rand)) + _ACCURACY_COUNTS * accuracy if self._dense else accuracy

    def _right_and_all(self, labels: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Return the weights of pixels that are right, and of all that have labels."""
        weight = np.where(labels == BOUNDARY, self._weight, 1.0) * (labels != UNLABELLED)
        return np.array([weight[found == (labels == BOUNDARY)].sum(), weight.sum()])


def _v_rand(labels: np.ndarray, found: np.ndarray) -> float:
    return next(comparisons(labels, (~found).astype(np.float32), [0.5])).agreement.rand.score


def _spread(strengths: list[np.ndarray]) -> float:
    """Return half the standard deviation, or next to nothing for images of one grey."""
    return max(1e-6, float(np.std(np.concatenate([s.ravel() for s in strengths]))) / 2)
