"""Watershed: fragments of cells from a boundary probability.

Seeds are the places where a cell is widest. A watershed (Beucher and Lantuejoul 1979) grows them,
first over the interior from wide to narrow, so that fronts meet in the gaps of a boundary, then over
the boundary, so that they meet on its ridge.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.morphology import local_maxima

from emseg_napari.core.jobs import Cancelled, ShouldStop, never
from emseg_napari.segmentation.agglomeration import first_pixels
from emseg_napari.settings import CellSettings

_PER_PX = 4  # distances are counted in quarter pixels: whole numbers compare exactly


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
    """
    ask(should_stop)
    interior = probability < settings.seed_below
    if interior.all():  # then nothing would be there to measure distances to
        return _one(probability.shape)
    from emseg_napari.segmentation.watershed_kernel import flooded, squared_distances

    squares = squared_distances(interior)
    seeds, count = seeds_of(np.sqrt(squares), settings.neck_px)
    if count <= 1:
        return _one(probability.shape)
    ask(should_stop)
    return flooded(*_levels(probability, squares), seeds), first_pixels(seeds)[1:]


def _levels(probability: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the order in which pixels are flooded, int32 (y, x) from 0, and how many levels it has."""
    interior = squares > 0
    if squares.max() > squares.size:  # of a long strip: as many levels as there are distances
        squares = np.unique(squares, return_inverse=True)[1].reshape(squares.shape)
    widest = int(squares.max())
    values, order = np.unique(probability[~interior], return_inverse=True)
    levels = (widest - squares).astype(np.int32)
    levels[~interior] = order + widest
    return levels, widest + len(values)


def _one(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(shape, np.int32), np.zeros(1, np.int64)


def seeds_of(distance: np.ndarray, neck_px: float) -> tuple[np.ndarray, int]:
    """Return where the cells of one slice begin to grow.

    Seeds are the wide places of the interior: those from which every way to another, or out, comes
    closer to the boundary by more than `neck_px` (extended maxima of the distance). A region of
    interior without such a place, a thin one, is a seed as a whole.

    Parameters
    ----------
    distance : numpy.ndarray
        float (y, x): of interior pixels to the nearest boundary pixel, in pixels; 0 elsewhere.
    neck_px : float

    Returns
    -------
    seeds : numpy.ndarray
        int32 (y, x): 0 outside the seeds, each of which is connected by the sides of its pixels.
    count : int
        How many there are.
    """
    from emseg_napari.segmentation.watershed_kernel import reconstructed

    steps = np.round(_PER_PX * distance).astype(np.int32)
    lowered = reconstructed(steps - np.int32(round(_PER_PX * neck_px)), steps)
    wide = local_maxima(lowered)  # not `h_maxima`, which parts equally wide places whatever the neck
    regions, count = ndimage.label(distance > 0)
    thin = np.ones(count + 1, bool)
    thin[0], thin[regions[wide]] = False, False
    return ndimage.label(wide | thin[regions])


def ask(should_stop: ShouldStop) -> None:
    """Raise `Cancelled` if asked to stop."""
    if should_stop():
        raise Cancelled
