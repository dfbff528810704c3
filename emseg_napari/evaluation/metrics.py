"""How good a segmentation is, by the measures of the ISBI 2012 challenge.

V_rand, V_info and pixel error repeat the challenge's official scorer (Arganda-Carreras et al. 2015,
doi:10.3389/fnana.2015.00142), its quirks included, because published figures were made with it:

- Interior is what lies strictly above a threshold, the float32 value against the double. The
  thresholds are sums of 0.1, so the last falls just short of 1 and a probability of 1 passes it.
- Found regions are thinned first, and a slice without any is one region (`emseg_napari.evaluation.thinning`).
- Of the regions of a slice all from the 65535th on are one.
- V_info is 0 where the true cells or the found regions are one single region, even if both are the
  same one. A slice without a true cell scores 0 in V_rand and V_info.
- V_rand and V_info are means over slices, but the pixel error is counted over all slices at once.

Compare on full slices only: small crops score too high. Partial labels can be scored too, but flatter as
well, since nothing is known of what lies outside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat

import numpy as np

from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED
from emseg_napari.evaluation.partitions import Agreement, TrueCells
from emseg_napari.evaluation.pixels import PixelCounts, count_pixels
from emseg_napari.evaluation.thinning import thinned_regions

ROUNDING = 1e-6  # by which the probabilities of other programs may pass 0 and 1
THRESHOLDS = tuple(accumulate(repeat(0.1, 10), initial=0.0))
_CANDIDATES = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True)
class BestOfThresholds:
    """A measure at every official threshold of the interior probability.

    Attributes
    ----------
    best : float
        The largest value.
    threshold : float
        Where it was reached first; interior is what lies strictly above it.
    thresholds, values : tuple of float
        All eleven thresholds and the value at each.
    """

    best: float
    threshold: float
    thresholds: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> BestOfThresholds:
        """Choose the best of the values at the official thresholds."""
        best = int(np.argmax(values))
        return cls(values[best], THRESHOLDS[best], THRESHOLDS, tuple(values))


@dataclass(frozen=True)
class SliceComparison:
    """One slice at one threshold, cells and pixels."""

    agreement: Agreement
    pixels: PixelCounts


def comparisons(
    truth: np.ndarray, interior_probability: np.ndarray, thresholds: Sequence[float]
) -> Iterator[SliceComparison]:
    """Compare one slice at every threshold; each takes some time, so they come one by one.

    Parameters
    ----------
    truth : numpy.ndarray
        uint8 (y, x): 0 unlabelled (in no true cell), 1 boundary, 2 interior.
    interior_probability : numpy.ndarray
        float32 (y, x), 0 to 1.
    thresholds : sequence of float
        Interior is what lies strictly above.
    """
    cells, exact = TrueCells(truth == INTERIOR), as_double(interior_probability)
    known: dict[int, SliceComparison] = {}
    for threshold in thresholds:
        interior = exact > threshold
        size = int(np.count_nonzero(interior))  # a higher threshold only takes away: equal size is equal
        if size not in known:
            agreement = cells.agreement(thinned_regions(interior))
            known[size] = SliceComparison(agreement, count_pixels(truth, interior))
        yield known[size]


def as_double(probability: np.ndarray) -> np.ndarray:
    """Return a probability as it is to be compared with thresholds.

    numpy compares float32 with a number of Python's in float32, where 51/255 is no more than 0.2;
    the scorer holds float32 and compares in double precision, where it is.
    """
    return probability.astype(np.float32, copy=False).astype(np.float64)


def v_rand(truth_interior: np.ndarray, interior_probability: np.ndarray) -> BestOfThresholds:
    """Return the foreground-restricted Rand score after border thinning.

    Per slice V_rand = 2 sum p_ij^2 / (sum s_i^2 + sum t_j^2) over the pixels of the true
    cells, where p_ij, s_i and t_j are the shares of overlaps, found regions and true
    cells (Arganda-Carreras et al. 2015, doi:10.3389/fnana.2015.00142); then the mean over
    slices, then the best threshold.

    Parameters
    ----------
    truth_interior : numpy.ndarray
        bool (z, y, x) or (y, x): True inside the true cells.
    interior_probability : numpy.ndarray
        float32 of the same shape, 0 to 1; one minus the boundary probability.

    Returns
    -------
    BestOfThresholds
        Values from 0 to 1; 1 is a perfect segmentation.
    """
    return _best_mean(truth_interior, interior_probability, lambda found: found.rand.score)


def v_info(truth_interior: np.ndarray, interior_probability: np.ndarray) -> BestOfThresholds:
    """Return the foreground-restricted information score after border thinning.

    Per slice V_info = 2 I / (H(S) + H(T)) over the pixels of the true cells, with the mutual
    information I and the entropies H of found regions S and true cells T; means, source,
    parameters and result as of `v_rand`.
    """
    return _best_mean(truth_interior, interior_probability, lambda found: found.information.score)


def _best_mean(
    truth_interior: np.ndarray, probability: np.ndarray, score: Callable[[Agreement], float]
) -> BestOfThresholds:
    pairs = zip(*_stacks(truth_interior, probability), strict=True)
    per_slice = [[score(one.agreement) for one in comparisons(t, p, THRESHOLDS)] for t, p in pairs]
    return BestOfThresholds.of(np.mean(per_slice, axis=0).tolist())


def pixel_error(truth_interior: np.ndarray, interior_probability: np.ndarray) -> float:
    """Return the official pixel error: one minus the interior's best F-score over the thresholds.

    Parameters are those of `v_rand`.
    """
    truth, probability = _stacks(truth_interior, interior_probability)
    exact = as_double(probability)
    return 1 - max(count_pixels(truth, exact > t).interior_f1 for t in THRESHOLDS)


def _stacks(truth_interior: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probability (z, y, x)."""
    if truth_interior.shape != probability.shape:
        raise ValueError(f"shapes differ: {truth_interior.shape} and {probability.shape}")
    truth = np.where(truth_interior, INTERIOR, BOUNDARY).astype(np.uint8)
    return (truth, probability) if truth.ndim == 3 else (truth[np.newaxis], probability[np.newaxis])


def pixel_accuracy(truth_labels: np.ndarray, predicted_labels: np.ndarray) -> float:
    """Return the share of labelled pixels that were predicted right.

    Parameters
    ----------
    truth_labels, predicted_labels : numpy.ndarray
        uint8 of one shape: 0 unlabelled, 1 boundary, 2 interior; pixels that the truth
        leaves unlabelled count for nothing.

    Returns
    -------
    float
        0 to 1; NaN if nothing is labelled.
    """
    labelled = truth_labels != UNLABELLED
    if not labelled.any():
        return float("nan")
    return float((truth_labels[labelled] == predicted_labels[labelled]).mean())


def best_threshold(labels: np.ndarray, probability: np.ndarray, boundary_weight: float = 1.0) -> float:
    """Return the threshold with the best weighted accuracy over labelled pixels.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8: 0 unlabelled (counts for nothing), 1 boundary, 2 interior.
    probability : numpy.ndarray
        Boundary probability of the same shape, 0 to 1.
    boundary_weight : float
        What a boundary pixel counts where an interior pixel counts 1.

    Returns
    -------
    float
        0.05, 0.10, ... or 0.95: boundary is what reaches it. Of equally good ones the
        middle; 0.5 if no pixel is labelled boundary.
    """
    labelled = labels != UNLABELLED
    boundary, probability = labels[labelled] == BOUNDARY, probability[labelled]
    if not boundary.any():
        return 0.5
    weight = np.where(boundary, boundary_weight, 1.0)
    scores = np.array([weight[boundary == (probability >= t)].sum() for t in _CANDIDATES])
    best = np.flatnonzero(scores == scores.max())
    return _CANDIDATES[int(best[len(best) // 2])]
