"""Overlaps between the cells of two slices, in pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Overlaps(NamedTuple):
    """Which cells of two slices overlap, and how much.

    Attributes
    ----------
    earlier, later : numpy.ndarray
        int64 (n,): the cell in either slice, from 1.
    overlap : numpy.ndarray
        float64 (n,): the pixels that they share divided by those of either, 0 to 1.
    """

    earlier: np.ndarray
    later: np.ndarray
    overlap: np.ndarray


def overlaps(earlier: np.ndarray, later: np.ndarray, least: float) -> Overlaps:
    """Compare the cells of two slices.

    Parameters
    ----------
    earlier, later : numpy.ndarray
        int (y, x) of the same shape, not negative; 0 outside the cells.
    least : float
        Smaller overlaps than this are left out.
    """
    shared = Shared()
    shared.add(earlier, later)
    return shared.overlaps(least)


class Shared:
    """Counts the pixels that the cells of two slices share, part by part of the slices."""

    def __init__(self) -> None:
        self._keys, self._shared = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._sizes = (np.zeros(1, np.int64), np.zeros(1, np.int64))

    def add(self, earlier: np.ndarray, later: np.ndarray) -> None:
        """Count one part of both slices; parameters as of `overlaps`."""
        both = (earlier > 0) & (later > 0)
        keys, counts = np.unique(earlier[both].astype(np.int64) << 32 | later[both], return_counts=True)
        self._keys, which = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        counts = np.concatenate([self._shared, counts])
        self._shared = np.bincount(which, counts, len(self._keys)).astype(np.int64)
        one, other = self._sizes
        self._sizes = _sum(one, np.bincount(earlier.ravel())), _sum(other, np.bincount(later.ravel()))

    def overlaps(self, least: float) -> Overlaps:
        """Return the pairs that overlap by at least `least`, ordered by their numbers."""
        one, other = self._keys >> 32, self._keys & 0xFFFFFFFF
        overlap = self._shared / (self._sizes[0][one] + self._sizes[1][other] - self._shared)
        enough = overlap >= least
        return Overlaps(one[enough], other[enough], overlap[enough])


def _sum(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    longer, shorter = sorted((one, other), key=len, reverse=True)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total
