"""Table of cells: the slices and the size of each, for a spreadsheet and for napari."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emseg_napari.core.jobs import JobContext, Progress
from emseg_napari.core.owned_output import writing_file
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.segmentation.linking import time_left

Table = dict[str, np.ndarray]


class SliceCells(NamedTuple):
    """The cells of one slice.

    Attributes
    ----------
    numbers : numpy.ndarray
        int64, ascending; without 0, which is no cell.
    pixels : numpy.ndarray
        int64: how many pixels each has.
    """

    numbers: np.ndarray
    pixels: np.ndarray

    def raised(self, by: int) -> SliceCells:
        """Return the same cells with higher numbers."""
        return self._replace(numbers=self.numbers + by)


def cells_in(plane: np.ndarray) -> SliceCells:
    """Return the cells of a slice: int (y, x), 0 where there is none."""
    numbers = plane[plane != 0]
    lowest, highest = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    if highest - lowest > plane.size:  # more numbers to look at than pixels to sort
        found, pixels = np.unique(numbers, return_counts=True)
        return SliceCells(found.astype(np.int64), pixels)
    pixels = np.bincount((numbers - numbers.dtype.type(lowest)).astype(np.intp, copy=False))
    present = np.flatnonzero(pixels)
    return SliceCells(present + lowest, pixels[present])


def cells_by_slice(
    stack: Stack | SparseStack, context: JobContext | None = None, first_slice: int = 0
) -> dict[int, SliceCells]:
    """Return the cells of every slice of a stack; of a `SparseStack`, of those that it stores.

    Parameters
    ----------
    stack : numpy.ndarray, Volume or SparseStack
        int (z, y, x): the number of every pixel's cell, 0 for none; read slice by slice.
    context : JobContext, optional
        Gets a `Progress` per slice.
    first_slice : int
        What the first slice is called.

    Raises
    ------
    Cancelled
    """
    stack, context = in_slabs(stack), context or JobContext()
    slices = stack.stored_slices if isinstance(stack, SparseStack) else range(len(stack))
    found, left = {}, time_left(len(slices))
    for done, z in enumerate(slices, 1):
        context.check_stop()
        found[z + first_slice] = cells_in(stack[z])
        context.report(Progress(done / len(slices), left(done), f"slice {z + first_slice} measured"))
    return found


def measured(
    slices: Iterable[tuple[int, SliceCells]], pixel: tuple[float, str] | None, is_linked: bool
) -> Table:
    """Measure the cells of a stack.

    Parameters
    ----------
    slices : iterable of (int, SliceCells)
        Ascending: the index of a slice, and its cells.
    pixel : (float, str), optional
        Its size, a volume if the cells are linked, else an area; and the unit of its edges. Without it, sizes
        are in pixels only.
    is_linked : bool
        Whether cells have one number through the slices: then they have a volume, else an area.

    Returns
    -------
    dict of str to numpy.ndarray
        Columns, a row for every cell in the order of the numbers: "cell", its number; "first_slice",
        "last_slice" and "slices", in how many it lies; "pixels" and "area_UNIT2", or of linked
        cells "voxels" and "volume_UNIT3" ("UNIT" is "unit" where the pixel names none).
    """
    found = [(0, *_NO_CELLS), *((z, *cells) for z, cells in slices)]
    numbers = np.concatenate([cells for _, cells, _ in found])
    where = np.concatenate([np.full(len(cells), z) for z, cells, _ in found])
    cells, first, row = np.unique(numbers, return_index=True, return_inverse=True)
    pixels, last = np.zeros(len(cells), np.int64), np.zeros(len(cells), np.int64)
    np.add.at(pixels, row, np.concatenate([counts for _, _, counts in found]))
    np.maximum.at(last, row, where)
    table = {
        "cell": cells,
        "first_slice": where[first],
        "last_slice": last,
        "slices": np.bincount(row, minlength=len(cells)),
        "voxels" if is_linked else "pixels": pixels,
    }
    if pixel is not None:
        size, unit = pixel
        name = "volume_{}3" if is_linked else "area_{}2"
        table[name.format("unit" if unit == "pixel" else unit)] = pixels * size
    return table


_NO_CELLS = SliceCells(np.zeros(0, np.int64), np.zeros(0, np.int64))


def write_table(path: Path, table: Table) -> None:
    """Write a table as CSV, whole or not at all.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    for row in zip(*table.values(), strict=True):
        writer.writerow(f"{value:.12g}" if isinstance(value, np.floating) else value for value in row)
    with writing_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def save_table(
    stack: Stack | SparseStack,
    path: Path,
    pixel: tuple[float, str] | None,
    is_linked: bool,
    context: JobContext | None = None,
) -> None:
    """Measure the cells of a stack and write their table; a long job (`emseg_napari.core.jobs`).

    Parameters
    ----------
    stack, context
        As of `cells_by_slice`.
    path : Path
        NAME.csv.
    pixel, is_linked
        As of `measured`.

    Raises
    ------
    UserError
        If slices cannot be read, or the file cannot be written.
    Cancelled
        No table was written.
    """
    slices = cells_by_slice(stack, context)
    write_table(path, measured(slices.items(), pixel, is_linked))
