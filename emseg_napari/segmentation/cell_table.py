"""Table of cells: slices, size, bounding box and neighbours of each, for a spreadsheet and for napari.

Memory: some tiles of a slice, and some hundred bytes for each cell and each pair of neighbours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from emseg_napari.core.files import explained
from emseg_napari.core.jobs import JobContext, UserError
from emseg_napari.core.meter import Meter
from emseg_napari.core.owned_output import writing_file
from emseg_napari.io.axes import SliceWindow
from emseg_napari.io.layout import Blocks
from emseg_napari.io.slabs import Slabs, in_slabs
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.io.volume import Volume
from emseg_napari.segmentation.contacts import GAP_PX, contacts_between, contacts_in, unique_pairs

Table = dict[str, np.ndarray]
_TILE_PX = 2048  # of a large slice that are looked at at once
_PENDING = 100_000  # rows that wait before they are put together
# Columns of rows, and how those of one cell become one.
_COLUMNS = ("cell", "first_slice", "last_slice", "slices", "pixels", "y_min", "y_max", "x_min", "x_max")
_JOINED = (np.minimum, np.minimum, np.maximum, np.add, np.add, np.minimum, np.maximum, np.minimum, np.maximum)


class SliceCells(NamedTuple):
    """The cells of one slice.

    Attributes
    ----------
    numbers : numpy.ndarray
        int64, ascending; above 0, which is no cell.
    pixels : numpy.ndarray
        int64: how many pixels each has.
    boxes : numpy.ndarray
        int64 (n, 4): the first and last row, the first and last column of each.
    """

    numbers: np.ndarray
    pixels: np.ndarray
    boxes: np.ndarray

    def raised(self, by: int) -> SliceCells:
        """Return the same cells with higher numbers."""
        return self._replace(numbers=self.numbers + by)

    def moved(self, down: int, right: int) -> SliceCells:
        """Return the same cells further down and to the right."""
        return self._replace(boxes=self.boxes + np.array([down, down, right, right]))


def cells_in(plane: np.ndarray) -> SliceCells:
    """Return the cells of a slice: int (y, x), 0 or negative where there is none."""
    found, places = _numbered(plane)
    boxes = [
        (rows.start, rows.stop - 1, columns.start, columns.stop - 1)
        for rows, columns in ndimage.find_objects(places)
    ]
    pixels = np.bincount(places.ravel(), minlength=1)[1:]
    return SliceCells(found, pixels, np.array(boxes, np.int64).reshape(-1, 4))


def _numbered(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers in a slice above 0, and the slice with their places from 1 on."""
    numbers = plane[plane > 0]
    lowest, highest = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    if highest - lowest > plane.size:  # more numbers to look at than pixels to sort
        found = np.unique(numbers)
        places = np.searchsorted(found, plane) + 1
    else:
        shifted = (plane - numbers.dtype.type(lowest)).astype(np.intp, copy=False)
        present = np.zeros(highest - lowest + 1, np.intp)
        present[shifted[plane > 0]] = 1
        found = np.flatnonzero(present) + lowest
        places = np.cumsum(present)[np.where(plane > 0, shifted, 0)]
    return found.astype(np.int64), np.where(plane > 0, places, 0)


def cells_by_slice(
    stack: Stack | SparseStack, context: JobContext | None = None, first_slice: int = 0
) -> dict[int, SliceCells]:
    """Return the cells of every slice of a stack; of a `SparseStack`, of those that it stores.

    Parameters
    ----------
    stack : numpy.ndarray, Volume or SparseStack
        int (z, y, x): the number of every pixel's cell, 0 or less for none; read slice by slice.
    context : JobContext, optional
        Gets a `Progress` per slice.
    first_slice : int
        What the first slice is called.

    Raises
    ------
    Cancelled
    """
    stack, context = in_slabs(stack), context or JobContext()
    slices, found = _slices_of(stack), {}
    meter = Meter(context, len(slices))
    context.check_stop()
    for z in slices:
        found[z + first_slice] = cells_in(stack[z])
        meter.done(1, f"slice {z + first_slice} measured")
    return found


def measured(
    slices: Iterable[tuple[int, SliceCells]], pixel: tuple[float, str] | None, is_linked: bool
) -> Table:
    """Measure the cells of a stack.

    Parameters
    ----------
    slices : iterable of (int, SliceCells)
        The index of a slice, and its cells.
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
        cells "voxels" and "volume_UNIT3" ("UNIT" is "unit" where the pixel names none); "y_min", "y_max",
        "x_min" and "x_max", the first and last row and column.
    """
    tally = _Tally()
    for z, cells in slices:
        tally.add(z, [cells])
    return tally.table(pixel, is_linked)


class _Tally:
    """Puts what is found slice by slice together; only so much waits as is in the table already."""

    def __init__(self) -> None:
        self._rows = np.zeros((0, len(_COLUMNS)), np.int64)
        self._pairs = np.zeros((0, 2), np.int64)
        self._waiting: tuple[list[np.ndarray], list[np.ndarray]] = [], []

    def add(self, z: int, tiles: list[SliceCells]) -> None:
        """Add the cells of a slice, of which those of some tiles may be parts."""
        rows = _joined(np.concatenate([_rows(z, cells) for cells in tiles]))
        rows[:, _COLUMNS.index("slices")] = 1
        waiting = self._waiting[0]
        waiting.append(rows)
        if sum(map(len, waiting)) > max(len(self._rows), _PENDING):
            self._join()

    def meet(self, pairs: np.ndarray) -> None:
        """Add pairs of neighbours, (n, 2)."""
        waiting = self._waiting[1]
        waiting.append(pairs)
        if sum(map(len, waiting)) > max(len(self._pairs), _PENDING):
            self._join()

    def _join(self) -> None:
        rows, pairs = self._waiting
        self._rows = _joined(np.concatenate([self._rows, *rows]))
        self._pairs = unique_pairs(np.concatenate([self._pairs, *pairs]))
        self._waiting = [], []

    def table(self, pixel: tuple[float, str] | None, is_linked: bool) -> Table:
        """Return the columns, as `measured` does."""
        self._join()
        found = dict(zip(_COLUMNS, self._rows.T, strict=True))
        pixels = found["pixels"]
        sizes: Table = {"voxels" if is_linked else "pixels": pixels}
        if pixel is not None:
            size, unit = pixel
            name = "volume_{}3" if is_linked else "area_{}2"
            sizes[name.format("unit" if unit == "pixel" else unit)] = pixels * size
        columns = list(found)
        return (
            {name: found[name] for name in columns[:4]} | sizes | {name: found[name] for name in columns[5:]}
        )

    def neighbours(self) -> np.ndarray:
        """Return the numbers of each cell's neighbours, as text with spaces between."""
        self._join()
        cells = self._rows[:, 0]
        both = np.concatenate([self._pairs, self._pairs[:, ::-1]])
        both = both[np.lexsort((both[:, 1], both[:, 0]))]
        ends = np.searchsorted(both[:, 0], cells, side="right")
        starts = np.searchsorted(both[:, 0], cells)
        return np.array([" ".join(map(str, both[a:b, 1])) for a, b in zip(starts, ends, strict=True)], object)


def _rows(z: int, cells: SliceCells) -> np.ndarray:
    columns = [np.full(len(cells.numbers), value) for value in (z, z, 1)]
    return np.column_stack([cells.numbers, *columns, cells.pixels, cells.boxes])


def _joined(rows: np.ndarray) -> np.ndarray:
    """Return one row for each cell, ascending."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    starts = np.flatnonzero(np.diff(rows[:, 0], prepend=rows[:1, 0] - 1))
    if not len(starts):
        return rows
    return np.column_stack([join.reduceat(rows[:, n], starts) for n, join in enumerate(_JOINED)])


def survey(
    stack: Stack | SparseStack,
    pixel: tuple[float, str] | None,
    is_linked: bool,
    context: JobContext | None = None,
) -> Table:
    """Measure the cells of a stack of any size, with their neighbours.

    Parameters
    ----------
    stack : numpy.ndarray, Volume or SparseStack
        int (z, y, x): the number of every pixel's cell, 0 or less for none; of large slices tiles are read.
    pixel, is_linked
        As of `measured`.
    context : JobContext, optional
        Gets a `Progress` per tile.

    Returns
    -------
    dict of str to numpy.ndarray
        The columns of `measured`, and "neighbours": the numbers of cells that touch it or lie behind a line
        of no cell, in its slices, and of linked cells also in the slices beside them; text with spaces.

    Raises
    ------
    UserError
        If the values are no numbers of cells, or slices cannot be read.
    Cancelled
    """
    _check_type(stack)
    context, tally, slices = context or JobContext(), _Tally(), _slices_of(stack)
    tiles = Blocks((1, *stack.shape[1:]), (1, _TILE_PX, _TILE_PX))
    read, meter = _reader(stack, len(tiles)), Meter(context, max(1, len(slices) * len(tiles)))
    context.check_stop()
    before, last = np.zeros((0, 0)), -1  # the slice before, where it is one tile
    for z in slices:
        found = []
        for tile in tiles:
            rows, columns = tile.window[1:]
            plane = read(z, (_wider(rows), _wider(columns)))
            _check_numbers(plane)
            inside = plane[: rows.stop - rows.start, : columns.stop - columns.start]
            found.append(cells_in(inside).moved(rows.start, columns.start))
            tally.meet(contacts_in(plane))
            if is_linked and z == last + 1 > 0:
                above = before if len(tiles) == 1 else read(last, (rows, columns))
                tally.meet(contacts_between(above, inside))
            before = inside
            meter.done(1, f"slice {z} measured")
        tally.add(z, found)
        last = z
    return tally.table(pixel, is_linked) | {"neighbours": tally.neighbours()}


def _slices_of(stack: Stack | SparseStack) -> list[int] | range:
    return stack.stored_slices if isinstance(stack, SparseStack) else range(len(stack))


def _reader(stack: Stack | SparseStack, tiles: int) -> Callable[[int, SliceWindow], np.ndarray]:
    if isinstance(stack, Volume):
        return Slabs(stack, tiles).read
    return lambda z, window: np.asarray(stack[z])[window]


def _wider(part: slice) -> slice:
    """Return a part with what lies behind it of other cells that are neighbours; the end may lie outside."""
    return slice(part.start, part.stop + GAP_PX + 1)


def _check_type(stack: Stack | SparseStack) -> None:
    if stack.dtype.kind not in "ui":
        raise UserError(
            f"{getattr(stack, 'name', 'The stack')} holds {stack.dtype} values; numbers of cells are needed, "
            "as 'emseg segment' writes them."
        )


def _check_numbers(plane: np.ndarray) -> None:
    if plane.dtype == np.uint64 and plane.max() > np.iinfo(np.int64).max:
        raise UserError(f"A cell has the number {plane.max()}, which is too high; number the cells anew.")


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


def is_table(path: Path) -> bool:
    """Whether a file begins as `write_table` writes it.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    start = ",".join(_COLUMNS[:4]).encode()
    with explained(path, path, "read"), path.open("rb") as file:
        return file.read(len(start)) == start


def save_table(
    stack: Stack | SparseStack,
    path: Path,
    pixel: tuple[float, str] | None,
    is_linked: bool,
    context: JobContext | None = None,
) -> int:
    """Measure the cells of a stack and write their table; a long job (`emseg_napari.core.jobs`).

    Parameters
    ----------
    stack, pixel, is_linked, context
        As of `survey`.
    path : Path
        NAME.csv.

    Returns
    -------
    int
        How many cells there are.

    Raises
    ------
    UserError
        If slices cannot be read, or the file cannot be written.
    Cancelled
        No table was written.
    """
    table = survey(stack, pixel, is_linked, context)
    write_table(path, table)
    return len(table["cell"])
