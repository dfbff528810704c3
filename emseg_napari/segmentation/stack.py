"""Segmentation of a stack in memory: every pixel in one cell, with closed boundaries.

A watershed makes fragments (`emseg_napari.segmentation.watershed`). Then those too small to be a cell
are joined to a neighbour, and pieces between which the boundary is weak.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emseg_napari.core.jobs import JobContext, Message, Progress, ShouldStop, UserError, never
from emseg_napari.io.axes import shape_text
from emseg_napari.io.stacks import as_stack
from emseg_napari.segmentation.agglomeration import Regions, outlined
from emseg_napari.segmentation.linking import Linker, time_left
from emseg_napari.segmentation.tile_joining import cells_of_tiles
from emseg_napari.segmentation.tiles import CUT, Cut
from emseg_napari.segmentation.watershed import ask, watershed_fragments
from emseg_napari.settings import CellSettings

_ROUNDING = 1e-6  # by which the probabilities of other programs may pass 0 and 1
_NEEDED = "a boundary probability is needed, floats from 0 to 1 or uint8 from 0 to 255"


def segment_stack(
    probability: np.ndarray,
    settings: CellSettings | None = None,
    context: JobContext | None = None,
    first_slice: int = 0,
) -> np.ndarray:
    """Divide the slices of a boundary probability into cells.

    A slice in which all pixels are boundary, or none, is one cell, as the ISBI 2012 challenge's
    scorer has it; a `Message` says so.

    Parameters
    ----------
    probability : numpy.ndarray
        Boundary probability (z, y, x) or (y, x): float from 0 to 1, or uint8 from 0 to 255 for it.
    settings : CellSettings, optional
    context : JobContext, optional
        Gets a `Progress` per slice.
    first_slice : int
        What messages call the first slice.

    Returns
    -------
    numpy.ndarray
        int32 (z, y, x). Every pixel has the number of its cell, from 1, and the pixels of a cell in a
        slice are connected (by their sides). Numbers occur in one slice only, unless `settings.link`
        asks for `emseg_napari.segmentation.linking.link`. With `settings.outlines` a cell has 0 where
        it touches another at its next pixel in y or x.

    Raises
    ------
    UserError
        If the values are not a probability.
    """
    settings, context = settings or CellSettings(), context or JobContext()
    check_probability(probability, "The probability", first_slice)
    stack = as_stack(probability)
    result, left = np.empty(stack.shape, np.int32), time_left(len(stack))
    number = Linker(settings).next if settings.link else _numbering()
    for z, slice_ in enumerate(stack, first_slice):
        cells = number(cells_of_slice(as_float(slice_), settings, context.should_stop))
        if cells.min() == cells.max():
            context.report(Message(f"Slice {z} is one single cell: it has no boundary, or only boundary."))
        done = z - first_slice + 1
        result[done - 1] = outlined(cells) if settings.outlines else cells
        context.report(Progress(done / len(stack), left(done), f"cells of slice {z}"))
    return result


def check_probability(probability: np.ndarray, name: str, first_slice: int = 0) -> None:
    """Raise `UserError` unless an array holds boundary probabilities.

    Parameters
    ----------
    probability : numpy.ndarray
        As for `segment_stack`.
    name : str
        What the user calls it; starts the sentence.
    first_slice : int
        What the sentence calls the first slice.
    """
    if probability.dtype.kind != "f" and probability.dtype != np.uint8:
        raise UserError(f"{name} holds {probability.dtype.name} values; {_NEEDED}.")
    if probability.ndim not in (2, 3) or probability.size == 0:
        size = shape_text(probability.shape) or "a single number"
        raise UserError(f"{name} is not a stack of slices ({size}); {_NEEDED}, with the axes (z, y, x).")
    if probability.dtype == np.uint8:
        return
    for z, slice_ in enumerate(as_stack(probability), first_slice):
        wrong = ~((slice_ >= -_ROUNDING) & (slice_ <= 1 + _ROUNDING))  # NaN is neither
        if wrong.any():
            value = slice_[wrong][0]
            raise UserError(f"{name} holds {value:g} in slice {z}, which is not a probability; {_NEEDED}.")


def cells_of_slice(
    probability: np.ndarray,
    settings: CellSettings,
    should_stop: ShouldStop = never,
    cut: Cut = CUT,
) -> np.ndarray:
    """Divide one slice into cells: int32 (y, x), from 1 in reading order; no 0.

    The parameters are those of `fragments_of_slice`, and `cut`: which slices are cut into tiles.
    """
    if cut.grid(probability.shape) != (1, 1):
        return cells_of_tiles(probability, settings, cut, should_stop)
    regions = fragments_of_slice(probability, settings, should_stop)
    regions.join_weak(settings.merge_threshold)
    return regions.numbers()


def fragments_of_slice(
    probability: np.ndarray, settings: CellSettings, should_stop: ShouldStop = never
) -> Regions:
    """Divide one slice into pieces of cells, between which boundaries may be weak.

    Parameters
    ----------
    probability, settings, should_stop
        As for `watershed.watershed_fragments`.
    """
    numbers, _ = watershed_fragments(probability, settings, should_stop)
    regions = Regions(numbers, probability)
    ask(should_stop)
    regions.join_small(settings.size_px)
    return regions


def as_float(slice_: np.ndarray) -> np.ndarray:
    """Return a probability as float from 0 to 1; uint8 is divided by 255 in float32."""
    return slice_ / np.float32(255) if slice_.dtype == np.uint8 else slice_


def _numbering() -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that numbers the cells of one slice after the other."""
    last = 0

    def number(cells: np.ndarray) -> np.ndarray:
        nonlocal last
        numbered = cells + last
        last += int(cells.max())
        return numbered

    return number
