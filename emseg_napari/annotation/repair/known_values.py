"""Grey values and probabilities for searches of paths, which pixels without a value would send astray."""

from __future__ import annotations

import numpy as np

_FARTHEST = 1e15  # from 0; beyond it are what programs write where nothing is, and squares that overflow


def known_greys(image: np.ndarray) -> np.ndarray:
    """Return grey values, (y, x) of any type, as float32, the mean of the others where one is not known."""
    with np.errstate(over="ignore"):
        values = image.astype(np.float32)
    known = np.abs(values) < _FARTHEST  # NaN is not
    if not known.all():
        values[~known] = values[known].mean() if known.any() else 0
    return values


def known_probability(probability: np.ndarray) -> np.ndarray:
    """Return a boundary probability, (y, x), from 0 to 1, and 0.5 where it is not known."""
    return np.clip(np.where(np.isnan(probability), 0.5, probability), 0, 1)
