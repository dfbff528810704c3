"""How well found regions agree with true cells: the Rand and information scores of one slice.

Only the pixels of true cells count. A pixel there that no region has (a dam between regions, number
0) is a region of its own, of size one (Arganda-Carreras et al. 2015, doi:10.3389/fnana.2015.00142, and
its scorer, whose quirks are described in `emseg_napari.evaluation.metrics`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# The scorer numbers regions in 16 bits, and all that come later share the last number.
LAST_REGION = 65_535


@dataclass(frozen=True)
class SplitMergeScore:
    """A score with its split and its merge part, 0 to 1.

    Attributes
    ----------
    score : float
        Harmonic mean of the parts.
    split : float
        Falls where true cells were cut.
    merge : float
        Falls where true cells were joined.
    """

    score: float
    split: float
    merge: float


@dataclass(frozen=True)
class Agreement:
    """Found regions against true cells.

    Attributes
    ----------
    rand : SplitMergeScore
        From shares of pixels p_ij (overlaps), s_i (found regions) and t_j (true cells): split
        sum p^2 / sum t^2, merge sum p^2 / sum s^2.
    information : SplitMergeScore
        From the mutual information I and the entropies H of found regions S and true cells T:
        split I / H(S), merge I / H(T). The score is 0 where an entropy is 0, as the scorer has it,
        although its own part is 1 there: one single region cuts nothing.
    """

    rand: SplitMergeScore
    information: SplitMergeScore


_NO_CELL = Agreement(SplitMergeScore(0.0, 0.0, 0.0), SplitMergeScore(0.0, 0.0, 0.0))


class TrueCells:
    """The true cells of one slice: 4-connected parts of the interior.

    Parameters
    ----------
    interior : numpy.ndarray
        bool (y, x): True inside the true cells.
    """

    def __init__(self, interior: np.ndarray) -> None:
        numbers = ndimage.label(interior)[0].ravel()
        self._inside = np.flatnonzero(numbers)
        self._cell = numbers[self._inside].astype(np.int64)
        self._sizes = _counted(self._cell)

    def agreement(self, regions: np.ndarray) -> Agreement:
        """Compare with found regions.

        Parameters
        ----------
        regions : numpy.ndarray
            int32 (y, x): 0 on dams, else the region's number, up to which all numbers may occur.

        Returns
        -------
        Agreement
            All 0 where there is no true cell.
        """
        pixels = len(self._inside)
        if pixels == 0:
            return _NO_CELL
        region = np.minimum(regions.ravel()[self._inside], LAST_REGION)
        flooded = region > 0
        cell, region = self._cell[flooded], region[flooded]
        overlaps, found = _counted(cell * (LAST_REGION + 1) + region), _counted(region)
        dams = pixels - len(region)
        return Agreement(
            _rand(overlaps, found, self._sizes, dams),
            _information(overlaps, found, self._sizes, dams),
        )


def _counted(numbers: np.ndarray) -> np.ndarray:
    """Return how often each number occurs, ascending, so that equal partitions sum up equally."""
    return np.sort(np.unique(numbers, return_counts=True)[1])


def _rand(overlaps: np.ndarray, found: np.ndarray, true: np.ndarray, dams: int) -> SplitMergeScore:
    together = _squares(overlaps) + dams
    in_found, in_true = _squares(found) + dams, _squares(true)
    return SplitMergeScore(2 * together / (in_found + in_true), together / in_true, together / in_found)


def _squares(sizes: np.ndarray) -> int:
    return int((sizes**2).sum())


def _information(overlaps: np.ndarray, found: np.ndarray, true: np.ndarray, dams: int) -> SplitMergeScore:
    pixels = int(true.sum())
    singles = dams * math.log(pixels) / pixels
    of_found, of_true = _entropy(found, pixels) + singles, _entropy(true, pixels)
    if of_found == 0 or of_true == 0:
        return SplitMergeScore(0.0, float(of_found == 0), float(of_true == 0))
    of_both = _entropy(overlaps, pixels) + singles
    # What each says beyond the other: exactly nothing where one only divides the other.
    split, merge = 1 - (of_both - of_true) / of_found, 1 - (of_both - of_found) / of_true
    mutual = of_found + of_true - of_both
    return SplitMergeScore(max(0.0, 2 * mutual / (of_found + of_true)), max(0.0, split), max(0.0, merge))


def _entropy(sizes: np.ndarray, pixels: int) -> float:
    """Return the entropy in nats; exactly 0 of a single region."""
    shares = sizes / pixels
    return float(-(shares * np.log(shares)).sum())
