"""Smooth noise: cubic B-splines through random numbers, as fast for wide noise as for narrow."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# The sum of the squared weights of a cubic B-spline, the mean over all places: variance kept by each axis.
_KEPT_VARIANCE = 0.479


def _weights(u: np.ndarray | float) -> np.ndarray:
    """Return the four weights at the fraction `u` between two grid points; last axis 4."""
    u = np.asarray(u)
    return np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, 3 * (u + u**2 - u**3) + 1, u**3], -1) / 6


def _slopes(u: float) -> np.ndarray:
    """Return the derivatives of the four weights."""
    return np.array([-((1 - u) ** 2), 3 * u**2 - 4 * u, 1 + 2 * u - 3 * u**2, u**2]) / 2


@lru_cache(maxsize=64)
def _basis(size: int, spacing: float) -> np.ndarray:
    """Return the weights (size, grid points) of every grid point for every pixel, float32."""
    at = np.arange(size) / spacing
    first = at.astype(int)
    matrix = np.zeros((size, first[-1] + 4), np.float32)
    weights = _weights(at - first)
    for number in range(4):
        matrix[np.arange(size), first + number] = weights[:, number]
    return matrix


class SmoothNoise:
    """Several pictures of smooth noise that change with depth; mean 0, standard deviation 1.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
        How many pictures, independent of each other.
    shape : tuple of int
        Of each picture, (y, x).
    spacing_px : float
        Between the grid points: bumps are about twice as wide.
    depth : float
        Up to where it is needed, in units of the spacing through depth.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        count: int,
        shape: tuple[int, int],
        spacing_px: float,
        depth: float = 0.0,
    ) -> None:
        self._bases = [_basis(size, round(max(spacing_px, 1.0), 3)) for size in shape]
        grid = (int(depth) + 4, count, *(basis.shape[1] for basis in self._bases))
        self._grid = rng.standard_normal(grid, np.float32) / np.float32(_KEPT_VARIANCE**1.5)

    def at(self, depth: float = 0.0) -> np.ndarray:
        """Return the pictures (count, y, x) at a depth, float32."""
        return self._mixed(_weights(depth % 1), int(depth))

    def slope(self, depth: float) -> np.ndarray:
        """Return how they change with depth, float32 (count, y, x)."""
        return self._mixed(_slopes(depth % 1), int(depth))

    def _mixed(self, weights: np.ndarray, first: int) -> np.ndarray:
        grid = np.tensordot(weights.astype(np.float32), self._grid[first : first + 4], 1)
        return self._bases[0] @ grid @ self._bases[1].T
