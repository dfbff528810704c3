"""Probability that the labels are wrong at a boundary: logistic regression on a few measures of it.

The weights were fitted on proposals for slices of ISBI 2012, of 0:20, that the network had not seen:
3,028 gaps and 23,825 membranes by six networks whose V_rand on them was 0.83 to 0.97. Probabilities
count in log-odds, relative to the slice's membranes, since networks differ in how sure they are. The spread
was that of eight orientations; with two, places are ranked as well (measured: benchmarks/README.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emseg_napari.annotation.suggest.boundaries import Boundaries

_SURE = 0.02  # probabilities nearer to 0 or 1 count as this near


@dataclass(frozen=True)
class Weights:
    """What a unit of each measure adds to the log-odds that a decision is wrong.

    Attributes
    ----------
    strength, typical : float
        Log-odds of the mean boundary probability along the boundary, and along the slice's membranes.
    alike, usually_alike : float
        `Boundaries.alike`, and what it counts as where it is unknown.
    doubled_area : float
        Doublings of the smaller side's pixels.
    spread : float
        Mean spread of the probability over the orientations.
    constant : float
    """

    strength: float
    typical: float
    alike: float
    usually_alike: float
    doubled_area: float
    spread: float
    constant: float


GAP = Weights(1.61, -0.72, -2.75, 0.73, 0.18, 10.3, -0.60)
GAP_WITHOUT_SPREAD = Weights(1.68, -0.34, -2.66, 0.73, 0.23, 0.0, -1.01)
MEMBRANE = Weights(-1.90, 1.22, 1.45, 0.19, -0.26, 0.0, -0.50)


def typical_strength(membranes: Boundaries) -> float:
    """Return the mean boundary probability of a slice's membranes; 0.5 if it has none."""
    strength = membranes.steps.strength
    return float(strength.mean()) if len(strength) else 0.5


def probability_wrong(boundaries: Boundaries, typical: float, weights: Weights) -> np.ndarray:
    """Return the probability of each gap to part two cells, of each membrane to cut one cell.

    Parameters
    ----------
    boundaries : Boundaries
    typical : float
        Of the slice, see `typical_strength`.
    weights : Weights

    Returns
    -------
    numpy.ndarray
        float (boundaries,), 0 to 1.
    """
    every = np.ones(len(boundaries.group), bool)
    odds = (
        weights.constant
        + weights.strength * _log_odds(means(boundaries, boundaries.steps.strength, every))
        + weights.typical * _log_odds(np.array(typical))
        + weights.alike * np.nan_to_num(boundaries.alike, nan=weights.usually_alike)
        + weights.doubled_area * np.log2(boundaries.areas.min(axis=1) + 1)
        + weights.spread * means(boundaries, boundaries.steps.spread, every)
    )
    return 1 / (1 + np.exp(-odds))


def means(boundaries: Boundaries, values: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return the mean of a value along each boundary, over the steps `among` (bool); 0 if there are none."""
    count = len(boundaries.areas)
    counted = np.bincount(boundaries.group, among, count)
    return np.bincount(boundaries.group, values * among, count) / np.maximum(counted, 1)


def _log_odds(probability: np.ndarray) -> np.ndarray:
    within = np.clip(probability, _SURE, 1 - _SURE)
    return np.log(within / (1 - within))
