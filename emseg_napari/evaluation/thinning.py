"""Border thinning as the ISBI 2012 challenge's scorer does it, compiled with numba.

The flood visits every pixel of every slice at eleven thresholds, each visit depending on the one
before, which numpy cannot express. numba is imported with the first flood, not with this module.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy import ndimage

_DAM, _WAITING, _QUEUED = 0, -1, -2


def thinned_regions(interior: np.ndarray) -> np.ndarray:
    """Return the cells, grown over the membrane until one-pixel dams remain.

    The scorer's own breadth-first flood: a pixel that sees exactly one region among its
    four neighbours joins it, any other becomes a dam; membrane pixels that touch a cell
    come first, column by column. A dam passes the flood on too, so what only dams surround
    becomes dam itself.

    Parameters
    ----------
    interior : numpy.ndarray
        bool (y, x).

    Returns
    -------
    numpy.ndarray
        int32 (y, x): 0 on dams, else the region's number from 1, column by column; a slice
        without interior is one region.
    """
    regions, count = ndimage.label(interior.T)
    if count == 0:
        return np.ones(interior.shape, np.int32)
    # Transposed, so that column order is plain order; the rim of zeros acts as a dam.
    pixels = np.zeros((regions.shape[0] + 2, regions.shape[1] + 2), np.int32)
    pixels[1:-1, 1:-1] = np.where(regions > 0, regions, _WAITING)
    queue = np.empty(np.count_nonzero(regions == 0), np.int64)
    shore = np.flatnonzero((pixels == _WAITING) & _beside_a_region(pixels))
    queue[: len(shore)] = shore
    flat = pixels.ravel()
    flat[shore] = _QUEUED
    _compiled_flood()(flat, pixels.shape[1], queue, len(shore))
    return np.ascontiguousarray(pixels[1:-1, 1:-1].T)


def _beside_a_region(pixels: np.ndarray) -> np.ndarray:
    region, beside = pixels > 0, np.zeros(pixels.shape, bool)
    beside[1:] |= region[:-1]
    beside[:-1] |= region[1:]
    beside[:, 1:] |= region[:, :-1]
    beside[:, :-1] |= region[:, 1:]
    return beside


@cache
def _compiled_flood() -> Callable[[np.ndarray, int, np.ndarray, int], None]:
    from emseg_napari.core.compiled import compiled  # imports numba: half a second, and LLVM

    return compiled(_flood)


def _flood(pixels: np.ndarray, width: int, queue: np.ndarray, end: int) -> None:
    """Flood a padded picture, flattened row by row, in place.

    Parameters
    ----------
    pixels : numpy.ndarray
        int32: the region's number, `_WAITING`, `_QUEUED`, or `_DAM` on the rim.
    width : int
        Length of a row.
    queue : numpy.ndarray
        int64: places of the queued pixels, and room for all that wait.
    end : int
        How many are queued.
    """
    first = 0
    while first < end:
        at = queue[first]
        first += 1
        region, several = _DAM, False
        for step in (-width, -1, width, 1):
            seen = pixels[at + step]
            if seen > 0:
                several |= region != _DAM and region != seen
                region = seen
            elif seen == _WAITING:
                pixels[at + step] = _QUEUED
                queue[end] = at + step
                end += 1
        pixels[at] = _DAM if several else region
