"""Where a segmentation joined true cells or cut one: every such error with its place and size.

Both are one thing with truth and prediction exchanged: an outline (of a found region, or of a true
cell) holds several parts (true cells, or found regions), and between two parts that meet in it runs a
wall that only the parts' side has. True cells and found regions are those of the ISBI 2012 challenge's
score (Arganda-Carreras et al. 2015, doi:10.3389/fnana.2015.00142): 4-connected, found regions grown
over the membrane until one-pixel dams remain.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import ndimage

from emseg_napari.core.jobs import JobContext, Progress
from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.evaluation.error_walls import Picture, Pixels, Sizes, Wall, walls
from emseg_napari.evaluation.thinning import thinned_regions
from emseg_napari.settings import ErrorSettings

MERGE, SPLIT = 1, 2

Counts = dict[tuple[int, int], int]


@dataclass(frozen=True)
class SegmentationError:
    """One wall between two parts that is missing, or that should not be there.

    Attributes
    ----------
    kind : str
        "merge": the membrane between two true cells is missing, so that one found region holds
        both. "split": a false membrane cuts a true cell.
    z : int
        Slice.
    size_px : int
        Pixels of the smaller of the two parts: what the found region holds of the smaller true
        cell, or the smaller piece of the cut cell.
    centre : (int, int)
        y and x of a pixel in the middle of the wall.
    cells : tuple of int
        The true cells concerned, two or one, numbered in their slice from 1 as
        `scipy.ndimage.label` counts 4-connected interior.
    pixels : tuple of numpy.ndarray
        y and x of the wall: true boundary that was not found, or found boundary inside the cell.
    """

    kind: Literal["merge", "split"]
    z: int
    size_px: int
    centre: tuple[int, int]
    cells: tuple[int, ...]
    pixels: Pixels = field(repr=False, compare=False)


def find_errors(
    truth: np.ndarray,
    interior: np.ndarray,
    settings: ErrorSettings | None = None,
    context: JobContext | None = None,
    *,
    slices: Sequence[int],
) -> list[SegmentationError]:
    """Return the merges and splits of several slices, largest first; a long job (`emseg_napari.core.jobs`).

    Parameters
    ----------
    truth : numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    interior : numpy.ndarray
        bool (z, y, x): predicted interior.
    settings : ErrorSettings, optional
    context : JobContext, optional
        Gets a `Progress` per slice.
    slices : sequence of int
        The number of each slice given, for the errors.

    Raises
    ------
    Cancelled
    """
    context = context or JobContext()
    smallest_px = (settings or ErrorSettings()).smallest_px
    start, found = time.monotonic(), []
    for done, (z, labels, inside) in enumerate(zip(slices, truth, interior, strict=True), 1):
        context.check_stop()
        found += segmentation_errors(labels, inside, z, smallest_px)
        left = (time.monotonic() - start) * (len(slices) / done - 1)
        context.report(Progress(done / len(slices), left, f"errors of slice {z}"))
    return sorted(found, key=lambda error: -error.size_px)


def segmentation_errors(
    truth_labels: np.ndarray, interior: np.ndarray, z: int = 0, smallest_px: int = 100
) -> list[SegmentationError]:
    """Return the merges and splits of one slice, largest first.

    A found region merges the true cells of which it holds `smallest_px` pixels or more: one error for
    each two of them that meet in it. A true cell is split into the found regions of which it holds as
    many: one error for each two of them that meet in it. So an error is one wall to draw or to remove.
    Only pixels that were predicted interior count here: where a thick membrane reaches into a cell,
    the thinning gives the rim to a neighbour, and no wall could mend that. A cell of which no region
    holds enough was missed, and counts as merged into the region that has most of it.

    Where in a found region the membrane is missing, says a flood from its true cells that goes
    through predicted interior first; around a missed cell the wall lies where the floods met.

    Parameters
    ----------
    truth_labels : numpy.ndarray
        uint8 (y, x): 0 unlabelled, 1 boundary, 2 interior. Where only unlabelled pixels lie between
        two cells there is no error, since they may be one cell.
    interior : numpy.ndarray
        bool (y, x): predicted interior.
    z : int
        Number of the slice, for the errors.
    smallest_px : int
        Parts with fewer pixels, 1 or more, are slivers that count for nothing.

    Returns
    -------
    list of SegmentationError

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if truth_labels.shape != interior.shape:
        raise ValueError(f"shapes differ: {truth_labels.shape} and {interior.shape}")
    true_interior = truth_labels == INTERIOR
    cells, regions = ndimage.label(true_interior)[0], thinned_regions(interior)
    merged, cut = _parts(cells, regions, interior, smallest_px)
    merges = Picture(regions, cells, interior, truth_labels == BOUNDARY)
    splits = Picture(cells, regions, true_interior, ~interior)
    errors = [_error("merge", z, wall, wall.parts) for wall in walls(merges, merged)]
    errors += [_error("split", z, wall, (wall.outline,)) for wall in walls(splits, cut)]
    return sorted(errors, key=lambda error: -error.size_px)


def error_map(
    errors: Iterable[SegmentationError], shape: tuple[int, ...], drawn: np.ndarray | None = None
) -> np.ndarray:
    """Draw the walls of all errors.

    Parameters
    ----------
    errors : iterable of SegmentationError
    shape : tuple of int
        (z, y, x) of the stack in which `z` of the errors counts.
    drawn : numpy.ndarray, optional
        uint8 of that shape, of 0, to draw on; a new one when not given.

    Returns
    -------
    numpy.ndarray
        uint8 (z, y, x): 0 nothing, 1 a merge, 2 a split.
    """
    drawn = np.zeros(shape, np.uint8) if drawn is None else drawn
    for error in errors:
        drawn[error.z][error.pixels] = MERGE if error.kind == "merge" else SPLIT
    return drawn


def _error(kind: Literal["merge", "split"], z: int, wall: Wall, cells: tuple[int, ...]) -> SegmentationError:
    y, x = wall.pixels
    nearest = int(((y - y.mean()) ** 2 + (x - x.mean()) ** 2).argmin())
    return SegmentationError(kind, z, wall.size_px, (int(y[nearest]), int(x[nearest])), cells, wall.pixels)


def _parts(
    cells: np.ndarray, regions: np.ndarray, interior: np.ndarray, smallest_px: int
) -> tuple[Sizes, Sizes]:
    """Return the cells in each region and the regions in each cell that count, with common pixels."""
    common = _common_pixels(cells, regions, (cells > 0) & (regions > 0))
    found = _common_pixels(cells, regions, (cells > 0) & interior)
    pairs = {pair for pair, count in found.items() if count >= smallest_px}
    in_region: Sizes = defaultdict(dict)
    for cell, region in sorted(pairs | _missed(common, pairs, smallest_px)):
        in_region[region][cell] = common[cell, region]
    in_cell: Sizes = defaultdict(dict)
    for cell, region in sorted(pairs):
        in_cell[cell][region] = common[cell, region]
    return in_region, in_cell


def _missed(common: Counts, pairs: set[tuple[int, int]], smallest_px: int) -> set[tuple[int, int]]:
    """Return the cells that are in no pair, each with the region that has most of it."""
    met = {cell for cell, _ in pairs}
    most = {cell: (cell, region) for cell, region in sorted(common, key=common.__getitem__)}
    return {pair for cell, pair in most.items() if cell not in met and common[pair] >= smallest_px}


def _common_pixels(cells: np.ndarray, regions: np.ndarray, where: np.ndarray) -> Counts:
    """Count the pixels of every pair of cell and region."""
    width = int(regions.max()) + 1
    codes, counts = np.unique(cells[where].astype(np.int64) * width + regions[where], return_counts=True)
    return {divmod(code, width): count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}
