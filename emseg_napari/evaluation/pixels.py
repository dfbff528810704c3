"""How many pixels of each class were found, over labelled pixels only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

import numpy as np

from emseg_napari.core.labels import BOUNDARY, INTERIOR


@dataclass(frozen=True)
class PixelCounts:
    """How many labelled pixels were found right and wrong.

    Attributes
    ----------
    boundary, interior : int
        Found right.
    missed : int
        True boundary, found as interior.
    invented : int
        True interior, found as boundary.
    """

    boundary: int
    interior: int
    missed: int
    invented: int

    @property
    def accuracy(self) -> float:
        """Share of labelled pixels that are right; NaN if none is labelled."""
        right = self.boundary + self.interior
        wrong = self.missed + self.invented
        return right / (right + wrong) if right + wrong else float("nan")

    @property
    def boundary_f1(self) -> float:
        """F-score of the boundary; 1 where there is none and none was found."""
        return self._share(2 * self.boundary)

    @property
    def boundary_iou(self) -> float:
        """Intersection over union of the boundary; 1 where there is none and none was found."""
        return self._share(self.boundary)

    @property
    def interior_f1(self) -> float:
        """F-score of the interior; 1 where there is none and none was found, as the scorer has it."""
        return self._share(2 * self.interior)

    def _share(self, right: int) -> float:
        wrong = self.missed + self.invented
        return right / (right + wrong) if right + wrong else 1.0


def count_pixels(truth: np.ndarray, interior: np.ndarray) -> PixelCounts:
    """Compare labels with what was found as interior.

    Parameters
    ----------
    truth : numpy.ndarray
        uint8: 0 unlabelled (counts for nothing), 1 boundary, 2 interior.
    interior : numpy.ndarray
        bool of the same shape.
    """
    pairs = np.bincount((2 * truth + interior).ravel(), minlength=6).tolist()
    boundary, missed, invented, right = pairs[2 * BOUNDARY : 2 * INTERIOR + 2]
    return PixelCounts(boundary, right, missed, invented)


def total(counts: Iterable[PixelCounts]) -> PixelCounts:
    """Add the counts of several slices."""
    return PixelCounts(*map(sum, zip(*map(astuple, counts), strict=True)))
