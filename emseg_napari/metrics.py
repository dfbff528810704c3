"""How good a segmentation is, by the measures of the ISBI 2012 challenge.

`v_rand` repeats the challenge's official scorer (Arganda-Carreras et al. 2015,
doi:10.3389/fnana.2015.00142) down to its order of flooding, because published figures
were made with it. Everything else here works on partial labels too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from emseg_napari.labels import BOUNDARY, UNLABELLED

_WAITING = -1
_CANDIDATES = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True)
class BestOfThresholds:
    """A measure at every threshold of the interior probability.

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


def v_rand(truth_interior: np.ndarray, interior_probability: np.ndarray) -> BestOfThresholds:
    """Return the foreground-restricted Rand score after border thinning.

    Per slice V_rand = 2 sum p_ij^2 / (sum s_i^2 + sum t_j^2) over the pixels of the true
    cells, where p_ij, s_i and t_j are the shares of overlaps, found regions and true
    cells (Arganda-Carreras et al. 2015, doi:10.3389/fnana.2015.00142); then the mean over
    slices, then the best threshold. Compare on full slices only: small crops flatter.

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
    if truth_interior.shape != interior_probability.shape:
        raise ValueError(f"shapes differ: {truth_interior.shape} and {interior_probability.shape}")
    slices = zip(_slices(truth_interior), _slices(interior_probability), strict=True)
    per_slice = [_slice_values(truth, probability) for truth, probability in slices]
    values = np.mean(per_slice, axis=0)
    best = int(values.argmax())
    thresholds = _thresholds()
    return BestOfThresholds(float(values[best]), thresholds[best], thresholds, tuple(values.tolist()))


def _thresholds() -> tuple[float, ...]:
    # Accumulated as the scorer does: the last one falls just short of 1, so p = 1 passes it.
    thresholds = [0.0]
    while len(thresholds) < 11:
        thresholds.append(thresholds[-1] + 0.1)
    return tuple(thresholds)


def _slices(stack: np.ndarray) -> Iterator[np.ndarray]:
    return iter(stack if stack.ndim == 3 else stack[np.newaxis])


def _slice_values(truth: np.ndarray, probability: np.ndarray) -> list[float]:
    cells = ndimage.label(truth)[0]
    exact = probability.astype(np.float64)  # 51/255 in float32 lies above 0.2 only when compared as double
    values: list[float] = []
    previous = None
    for threshold in _thresholds():
        interior = exact > threshold
        if previous is None or not np.array_equal(interior, previous):
            value = _rand_score(cells, thinned_regions(interior))
        values.append(value)
        previous = interior
    return values


def _rand_score(cells: np.ndarray, regions: np.ndarray) -> float:
    """Return V_rand of one slice; a dam pixel in a true cell is a region of size one."""
    inside = cells > 0
    if not inside.any():
        return 0.0
    cell, region = cells[inside], regions[inside]
    dams = np.count_nonzero(region == 0)
    flooded = region > 0
    width = int(region.max()) + 1
    overlap = np.unique(cell[flooded].astype(np.int64) * width + region[flooded], return_counts=True)[1]
    together = _sum_of_squares(overlap) + dams
    found = _sum_of_squares(np.bincount(region[flooded])) + dams
    return 2 * together / (found + _sum_of_squares(np.bincount(cell)))


def _sum_of_squares(sizes: np.ndarray) -> float:
    return float((sizes.astype(np.float64) ** 2).sum())


def thinned_regions(interior: np.ndarray) -> np.ndarray:
    """Return the cells, grown over the membrane until one-pixel dams remain.

    The scorer's own breadth-first flood: a pixel that sees exactly one region among its
    four neighbours joins it, any other becomes a dam; membrane pixels that touch a cell
    come first, column by column.

    Parameters
    ----------
    interior : numpy.ndarray
        bool (y, x).

    Returns
    -------
    numpy.ndarray
        int32 (y, x): 0 on dams, else the region's number from 1; a slice without
        interior is one region.
    """
    regions, count = ndimage.label(interior)
    if count == 0:
        return np.ones(interior.shape, np.int32)
    waiting = np.where(interior, regions, _WAITING)
    # Transposed, so that column order is plain order; the rim of zeros acts as a dam.
    padded = np.pad(waiting.T, 1)
    flooded = np.array(_flood(padded.ravel().tolist(), padded.shape[1]), np.int32)
    return np.ascontiguousarray(flooded.reshape(padded.shape)[1:-1, 1:-1].T)


def _flood(pixels: list[int], width: int) -> list[int]:
    """Flood a padded picture, flattened row by row, in place."""
    neighbours = (-width, -1, 1, width)
    queue = [
        at
        for at, value in enumerate(pixels)
        if value == _WAITING and any(pixels[at + step] > 0 for step in neighbours)
    ]
    for at in queue:  # grows while it is walked
        if pixels[at] != _WAITING:
            continue
        seen = {pixels[at + step] for step in neighbours} - {0, _WAITING}
        pixels[at] = seen.pop() if len(seen) == 1 else 0
        # A dam passes the flood on too: what only dams surround becomes dam itself.
        queue.extend(at + step for step in neighbours if pixels[at + step] == _WAITING)
    return pixels


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
