"""Table of cells: the slices and the size of each, for a spreadsheet and for napari."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from emseg_napari.core.owned_output import writing_file

Table = dict[str, np.ndarray]


def measured(
    slices: Iterable[tuple[int, np.ndarray]], pixel: tuple[float, str] | None, is_linked: bool
) -> Table:
    """Measure the cells of a stack, slice by slice.

    Parameters
    ----------
    slices : iterable of (int, numpy.ndarray)
        Ascending, at least one: its index, and (y, x) the number of every pixel's cell, 0 for none.
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
    found = [(z, *np.unique(plane, return_counts=True)) for z, plane in slices]
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
    return {name: column[cells != 0] for name, column in table.items()}


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
        writer.writerow(f"{value:.6g}" if isinstance(value, np.floating) else value for value in row)
    with writing_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
