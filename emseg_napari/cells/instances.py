"""From a boundary probability to cells: every pixel in one cell, and a closed boundary around each.

Seeds are the places where a cell is widest. A watershed (Beucher and Lantuejoul 1979) grows them,
first over the interior from wide to narrow, so that fronts meet in the gaps of a boundary, then over
the boundary, so that they meet on its ridge. Then fragments too small to be a cell are joined to a
neighbour, and pieces between which the boundary is weak.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from emseg_napari.cells.linking import Linker, time_left
from emseg_napari.cells.regions import Regions, outlined
from emseg_napari.jobs import Cancelled, Message, Progress, Report, ShouldStop, UserError, ignore, never
from emseg_napari.settings import InstanceSettings
from emseg_napari.stacks import as_stack

_ROUNDING = 1e-6  # by which the probabilities of other programs may pass 0 and 1
_PER_PX = 4  # distances are counted in quarter pixels: whole numbers compare exactly
_NEEDED = "a boundary probability is needed, floats from 0 to 1 or uint8 from 0 to 255"


def instances(
    probability: np.ndarray,
    settings: InstanceSettings | None = None,
    report: Report = ignore,
    should_stop: ShouldStop = never,
    first_slice: int = 0,
) -> np.ndarray:
    """Divide the slices of a boundary probability into cells.

    A slice in which all pixels are boundary, or none, is one cell, as the ISBI 2012 challenge's
    scorer has it; a `Message` says so.

    Parameters
    ----------
    probability : numpy.ndarray
        Boundary probability (z, y, x) or (y, x): float from 0 to 1, or uint8 from 0 to 255 for it.
    settings : InstanceSettings, optional
    report : callable
        Gets a `Progress` per slice.
    should_stop : callable
        When it answers True, `Cancelled` is raised.
    first_slice : int
        What messages call the first slice.

    Returns
    -------
    numpy.ndarray
        int32 (z, y, x). Every pixel has the number of its cell, from 1, and the pixels of a cell in a
        slice hang together (by their sides). Numbers occur in one slice only, unless `settings.link`
        asks for `emseg_napari.cells.linking.link`. With `settings.outlines` a cell has 0 where it touches
        another at its next pixel in y or x.

    Raises
    ------
    UserError
        If the values are no probability.
    """
    settings = settings or InstanceSettings()
    check_probability(probability, "The probability", first_slice)
    stack = as_stack(probability)
    result, left = np.empty(stack.shape, np.int32), time_left(len(stack))
    number = Linker(settings).next if settings.link else _numbering()
    for z, slice_ in enumerate(stack, first_slice):
        cells = number(cells_of_slice(_as_float(slice_), settings, should_stop))
        if cells.min() == cells.max():
            report(Message(f"Slice {z} is one single cell: it has no boundary, or nothing else."))
        done = z - first_slice + 1
        result[done - 1] = outlined(cells) if settings.outlines else cells
        report(Progress(done / len(stack), left(done), f"cells of slice {z}"))
    return result


def check_probability(probability: np.ndarray, name: str, first_slice: int = 0) -> None:
    """Raise `UserError` unless an array holds boundary probabilities.

    Parameters
    ----------
    probability : numpy.ndarray
        As for `instances`.
    name : str
        What the user calls it; starts the sentence.
    first_slice : int
        What the sentence calls the first slice.
    """
    if probability.dtype.kind != "f" and probability.dtype != np.uint8:
        raise UserError(f"{name} holds {probability.dtype} values; {_NEEDED}.")
    if probability.ndim not in (2, 3) or probability.size == 0:
        size = " x ".join(map(str, probability.shape)) or "a single number"
        raise UserError(f"{name} is no stack of slices ({size}); {_NEEDED}, with the axes (z, y, x).")
    if probability.dtype == np.uint8:
        return
    for z, slice_ in enumerate(as_stack(probability), first_slice):
        wrong = ~((slice_ >= -_ROUNDING) & (slice_ <= 1 + _ROUNDING))  # NaN is neither
        if wrong.any():
            value = slice_[wrong][0]
            raise UserError(f"{name} holds {value:g} in slice {z}, which is no probability; {_NEEDED}.")


def cells_of_slice(
    probability: np.ndarray, settings: InstanceSettings, should_stop: ShouldStop = never
) -> np.ndarray:
    """Divide one slice into cells: int32 (y, x), from 1 in reading order; no 0.

    The parameters are those of `fragments_of_slice`.
    """
    regions = fragments_of_slice(probability, settings, should_stop)
    regions.join_weak(settings.join_below)
    return regions.numbers()


def fragments_of_slice(
    probability: np.ndarray, settings: InstanceSettings, should_stop: ShouldStop = never
) -> Regions:
    """Divide one slice into pieces of cells, between which boundaries may be weak.

    Parameters
    ----------
    probability : numpy.ndarray
        Boundary probability, float (y, x), 0 to 1.
    settings : InstanceSettings
    should_stop : callable
        Asked between the steps.
    """
    _ask(should_stop)
    interior = probability < settings.seed_below
    if interior.all():  # then nothing would be there to measure distances to
        return _whole(probability)
    distance = ndimage.distance_transform_edt(interior)
    seeds, count = seeds_of(distance, settings.neck_px)
    if count <= 1:
        return _whole(probability)
    _ask(should_stop)
    regions = Regions(watershed(np.where(interior, -distance, probability), seeds), probability)
    _ask(should_stop)
    regions.join_small(settings.size_px)
    return regions


def _whole(probability: np.ndarray) -> Regions:
    return Regions(np.ones(probability.shape, np.int32), probability)


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
        int32 (y, x): 0 outside the seeds, each of which hangs together by the sides of its pixels.
    count : int
        How many there are.
    """
    steps = np.round(_PER_PX * distance).astype(np.int32)
    lowered = reconstruction(steps - round(_PER_PX * neck_px), steps)
    wide = local_maxima(lowered)  # not `h_maxima`, which parts equally wide places whatever the neck
    regions, count = ndimage.label(distance > 0)
    thin = np.ones(count + 1, bool)
    thin[0], thin[regions[wide]] = False, False
    return ndimage.label(wide | thin[regions])


def _as_float(slice_: np.ndarray) -> np.ndarray:
    return slice_ / np.float32(255) if slice_.dtype == np.uint8 else slice_


def _numbering() -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that goes on counting the cells of one slice after the other."""
    last = 0

    def number(cells: np.ndarray) -> np.ndarray:
        nonlocal last
        numbered = cells + last
        last += int(cells.max())
        return numbered

    return number


def _ask(should_stop: ShouldStop) -> None:
    if should_stop():
        raise Cancelled
