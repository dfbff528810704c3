"""Compiled distances to tapered tubes, and the packing of tubes into a block of tissue.

A tube is a row of eight numbers in nm: z, y, x, radius of one end, then of the other. A chain is a row of
tubes, each from where the last one ends.
"""

from __future__ import annotations

import math

import numpy as np

from emseg_napari.core.compiled import compiled

# Tubes may overlap a little: cells are where a tube is nearest, so that they deform each other.
_CLAIMED = 0.93


def _depth_in(tube: np.ndarray, z: float, y: float, x: float) -> float:
    """Return how deep a point lies in a tube, in nm, negative outside."""
    dz, dy, dx = tube[4] - tube[0], tube[5] - tube[1], tube[6] - tube[2]
    vz, vy, vx = z - tube[0], y - tube[1], x - tube[2]
    along = (vz * dz + vy * dy + vx * dx) / (dz * dz + dy * dy + dx * dx + 1e-9)
    along = min(max(along, 0.0), 1.0)
    away = (vz - along * dz) ** 2 + (vy - along * dy) ** 2 + (vx - along * dx) ** 2
    return tube[3] + along * (tube[7] - tube[3]) - math.sqrt(away)


depth_in = compiled(_depth_in)


def _window(tube: np.ndarray, corner: np.ndarray, step: float, size: tuple) -> tuple[int, int, int, int]:
    """Return the points (first and past the last in y, in x) of a plane that a tube may cover."""
    reach = max(tube[3], tube[7])
    top, bottom = min(tube[1], tube[5]) - reach, max(tube[1], tube[5]) + reach
    left, right = min(tube[2], tube[6]) - reach, max(tube[2], tube[6]) + reach
    low_y = max(math.ceil((top - corner[0]) / step), 0)
    low_x = max(math.ceil((left - corner[1]) / step), 0)
    high_y = min(int((bottom - corner[0]) / step) + 1, size[1])
    high_x = min(int((right - corner[1]) / step) + 1, size[2])
    return low_y, high_y, low_x, high_x


window = compiled(_window)


def _claim(tube: np.ndarray, grid: tuple, taken: np.ndarray, paint: bool) -> int:
    """Return whether a tube covers a taken point (0 or 1); or take all it covers and return how many."""
    corner, step, planes = grid
    low_y, high_y, low_x, high_x = window(tube, corner, step, taken.shape)
    count = 0
    for p in range(len(planes)):
        for i in range(low_y, high_y):
            for j in range(low_x, high_x):
                if taken[p, i, j] == paint:
                    continue
                deep = depth_in(tube, planes[p], corner[0] + i * step, corner[1] + j * step)
                if deep > (1 - _CLAIMED) * max(tube[3], tube[7]):
                    taken[p, i, j] = True
                    count += 1
                    if not paint:
                        return count
    return count


claim = compiled(_claim)


def _place(chains: np.ndarray, first: int, grid: tuple, taken: np.ndarray, room: int) -> np.ndarray:
    """Place chains one after the other where there is room; return which.

    Parameters
    ----------
    chains : numpy.ndarray
        float64 (chain, tube, 8).
    first : int
        The tubes before this one may overlap what is there.
    grid : tuple
        Corner (y, x), step and the planes' z, in nm, of `taken`.
    taken : numpy.ndarray
        bool (z, y, x), where there is no room; gets the new ones.
    room : int
        Stop when this many more points are taken.
    """
    placed = np.zeros(len(chains), np.bool_)
    for number in range(len(chains)):
        if room <= 0:
            break
        free = True
        for t in range(first, chains.shape[1]):
            free = free and not claim(chains[number, t], grid, taken, False)
        for t in range(chains.shape[1] * free):
            new = claim(chains[number, t], grid, taken, True)
            room -= new
            placed[number] |= new > 0
    return placed


place = compiled(_place)


def joined(nodes: np.ndarray) -> np.ndarray:
    """Return the tubes (chain, tube, 8) between the nodes (chain, node, 4: z, y, x, radius) of chains."""
    return np.concatenate([nodes[:, :-1], nodes[:, 1:]], 2)
