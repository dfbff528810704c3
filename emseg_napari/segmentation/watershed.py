"""Watershed: fragments of cells from a boundary probability.

Seeds are the places where a cell is widest. A watershed (Beucher and Lantuejoul 1979) grows them,
first over the interior from wide to narrow, so that fronts meet in the gaps of a boundary, then over
the boundary, so that they meet on its ridge.
"""

from __future__ import annotations

import math

import numpy as np

from emseg_napari.core.jobs import Cancelled, ShouldStop, UserError, never
from emseg_napari.io.axes import shape_text
from emseg_napari.settings import CellSettings

_MOST_PX, _RIM_PX = 2**31 - 1, 2  # places of pixels are int32, of a picture with a rim on both sides


def watershed_fragments(
    probability: np.ndarray, settings: CellSettings, should_stop: ShouldStop = never
) -> tuple[np.ndarray, np.ndarray]:
    """Grow seeds over a slice, or a part of one, until they meet.

    Parameters
    ----------
    probability : numpy.ndarray
        Boundary probability, float (y, x), 0 to 1.
    settings : CellSettings
    should_stop : callable
        Asked between the steps.

    Returns
    -------
    numbers : numpy.ndarray
        int32 (y, x): the seed from which a pixel was reached, from 1 in reading order of the seeds.
    first : numpy.ndarray
        int64 (n,): place of the first pixel of seed 1, 2, ... in reading order, counted from 0.

    Raises
    ------
    UserError
        If it has more pixels than can be counted, see `check_size`.
    """
    check_size(probability.shape)
    ask(should_stop)
    interior = probability < settings.seed_below
    if interior.all():  # then nothing would be there to measure distances to
        return _one(probability.shape)
    from emseg_napari.segmentation.watershed_kernel import flooded, squared_distances

    squares = squared_distances(interior)
    seeds, first = seeds_of(squares, settings.neck_px)
    if len(first) <= 1:
        return _one(probability.shape)
    ask(should_stop)
    return flooded(*_levels(probability, squares), seeds), first


def check_size(shape: tuple[int, ...]) -> None:
    """Raise `UserError` if a slice (y, x), or a part of one, is too large to be divided at once."""
    if math.prod(n + _RIM_PX for n in shape) > _MOST_PX:
        raise UserError(
            f"A slice of {shape_text(shape)} pixels is too large to close its gaps or to divide it into "
            f"cells at once (at most {_MOST_PX:,} pixels). Write the output into an OME-Zarr, which is done "
            "in blocks; a prediction can also leave gaps open."
        )


def _levels(probability: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the order in which pixels are flooded, int32 (y, x) from 0, and how many levels it has."""
    from emseg_napari.segmentation.watershed_kernel import ranked

    boundary = np.flatnonzero(squares == 0)
    if squares.max() > squares.size - boundary.size:  # of a long strip: as many levels as there are distances
        squares = np.unique(squares, return_inverse=True)[1].reshape(squares.shape).astype(np.int32)
    widest = squares.max()
    ranks, count = ranked(probability.ravel()[boundary].astype(np.float64))
    levels = widest - squares
    levels.ravel()[boundary] = widest + ranks
    return levels, int(widest) + count


def _one(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(shape, np.int32), np.zeros(1, np.int64)


def seeds_of(squares: np.ndarray, neck_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the cells of one slice begin to grow.

    Seeds are the wide places of the interior: those from which every way to another, or out, comes
    closer to the boundary by more than `neck_px` (extended maxima of the distance). A region of
    interior without such a place, a thin one, is a seed as a whole.

    Parameters
    ----------
    squares : numpy.ndarray
        int32 (y, x): of the distances of interior pixels to the nearest boundary pixel, in pixels; 0
        elsewhere. See `watershed_kernel.squared_distances`.
    neck_px : float

    Returns
    -------
    seeds : numpy.ndarray
        int32 (y, x): 0 outside the seeds, each of which is connected by the sides of its pixels.
    first : numpy.ndarray
        int64 (n,): place of the first pixel of seed 1, 2, ... in reading order, counted from 0.
    """
    from emseg_napari.segmentation.seed_kernel import PER_PX, numbered_seeds, wide_places

    return numbered_seeds(wide_places(squares, round(PER_PX * neck_px)))


def ask(should_stop: ShouldStop) -> None:
    """Raise `Cancelled` if asked to stop."""
    if should_stop():
        raise Cancelled
