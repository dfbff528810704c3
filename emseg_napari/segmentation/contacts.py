"""Which cells are neighbours: they touch, or only a line that belongs to no cell lies between them."""

from __future__ import annotations

import numpy as np

GAP_PX = 2  # of no cell between neighbours, as 'outlines' leaves them where two touch


def contacts_in(plane: np.ndarray) -> np.ndarray:
    """Return the pairs of neighbours in a slice.

    Parameters
    ----------
    plane : numpy.ndarray
        int (y, x), 0 or negative where there is no cell.

    Returns
    -------
    numpy.ndarray
        int64 (n, 2), the lower number first, each pair once, ascending: those with pixels in one row or
        column that touch, or have at most `GAP_PX` pixels of no cell between them.
    """
    found = [_along_rows(plane), _along_rows(plane.T)]
    return unique_pairs(np.concatenate(found))


def contacts_between(before: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Return the pairs of cells that have pixels at one place in slices that follow each other."""
    differ = (before != plane) & (before > 0) & (plane > 0)
    return unique_pairs(np.stack([before[differ], plane[differ]], axis=-1).astype(np.int64))


def unique_pairs(pairs: np.ndarray) -> np.ndarray:
    """Return pairs (n, 2), each once and ascending, the lower number first."""
    numbers, places = np.unique(pairs, return_inverse=True)
    low, high = np.sort(places.reshape(-1, 2), axis=1).T
    low, high = np.divmod(np.unique(low * len(numbers) + high), max(1, len(numbers)))
    return np.stack([numbers[low], numbers[high]], axis=-1)


def _along_rows(plane: np.ndarray) -> np.ndarray:
    width = plane.shape[1]
    found = [np.zeros((0, 2), np.int64)]
    for apart in range(1, min(GAP_PX + 1, width - 1) + 1):
        left, right = plane[:, :-apart], plane[:, apart:]
        meet = (left != right) & (left > 0) & (right > 0)
        for between in range(1, apart):
            meet &= plane[:, between : width - apart + between] <= 0
        pairs = np.stack([left[meet], right[meet]], axis=-1).astype(np.int64)
        found.append(unique_pairs(pairs))
    return np.concatenate(found)
