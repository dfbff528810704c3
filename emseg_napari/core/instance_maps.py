"""Instance maps, in which every cell has a number of its own: boundary, and pixels outside of cells."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

# -1, -2 and -3 as unsigned numbers of 32 or 64 bits: outside, invalid or transparent, as CREMI has them.
_RESERVED = 3


def boundary_of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the boundary of an instance map.

    Parameters
    ----------
    cells : numpy.ndarray
        Integers; the last axes are y and x.

    Returns
    -------
    boundary : numpy.ndarray
        bool: the map is 0, or a cell touches another one at its next pixel in y or x.
    labelled : numpy.ndarray
        bool: the map is not negative, nor one of the numbers that stand for that in unsigned types.
    """
    boundary, labelled = cells == 0, _is_labelled(cells)
    is_cell = labelled & ~boundary
    for here, there in (
        (np.s_[..., :-1, :], np.s_[..., 1:, :]),
        (np.s_[..., :, :-1], np.s_[..., :, 1:]),
    ):
        # beside a 0 the boundary is already drawn, and drawing it again would thicken it
        boundary[here] |= (cells[here] != cells[there]) & is_cell[here] & is_cell[there]
    return boundary, labelled


def unclear_number(found: Collection[int], dtype: np.dtype[Any]) -> int | None:
    """Return a number that may be a cell, or -1 in a smaller unsigned type since it stands apart."""
    if dtype.kind != "u" and dtype.itemsize < 8:
        return None
    greatest = {1: 2**8 - 1, 2: 2**16 - 1, 8: 2**32 - 1}.get(dtype.itemsize, 0)  # all 32 bits are reserved
    return greatest if greatest and greatest in found and greatest - 1 not in found else None


def _is_labelled(cells: np.ndarray) -> np.ndarray:
    if cells.dtype.kind == "u" and cells.dtype.itemsize >= 4:
        return cells <= np.iinfo(cells.dtype).max - _RESERVED
    return cells >= 0
