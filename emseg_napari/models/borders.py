"""Constant borders of slices: what alignment leaves beside a picture that was moved or turned.

A border is of exactly one value, such as black or white, and lies along the edge of the slice. Saturated
pixels of a picture are none of it: they lie inside, scattered, or in a net of lines that meets the edge here
and there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

# A stretch of the slice's edge: so many pixels, of long edges this part.
_STRETCH_PX, _STRETCH = 16, 1 / 16
_LEAST = 0.01  # of the slice's pixels: less moves no grey level
_RIM = 4  # times as long as where a region lies at the edge its rim inside the slice may be


def border_of(slice_: np.ndarray) -> np.ndarray | None:
    """Find the constant borders of a slice.

    Parameters
    ----------
    slice_ : numpy.ndarray
        (y, x), any integer or float dtype.

    Returns
    -------
    numpy.ndarray or None
        bool (y, x), True in borders. None if there are none, or if they leave no picture: less than a
        hundredth of the slice, or a single value.
    """
    found: np.ndarray | None = None
    for value in sorted({value for _, value in _stretches(slice_) if np.isfinite(value)}):
        regions = _regions(slice_, value)
        if regions is not None:
            found = regions if found is None else found | regions
    if found is None or not _is_picture(slice_[~found], slice_.size):
        return None
    return found


def _regions(slice_: np.ndarray, value: float) -> np.ndarray | None:
    """Return where regions of a value are borders; None if all of them together are too small."""
    from scipy import ndimage  # whose seconds the help of the commands does without

    same = slice_ == value
    names, count = ndimage.label(same)
    sizes = np.bincount(names.ravel(), minlength=count + 1)
    rims = np.bincount(names[same & ~ndimage.binary_erosion(same, border_value=1)], minlength=count + 1)
    edges = np.concatenate([names[0], names[-1], names[1:-1, 0], names[1:-1, -1]])
    compact = rims <= _RIM * np.bincount(edges, minlength=count + 1)
    chosen = np.zeros(count + 1, bool)
    for (row, column), one in _stretches(slice_):
        chosen[names[row, column]] |= one == value
    chosen &= compact
    return chosen[names] if sizes[chosen].sum() >= _LEAST * slice_.size else None


def _stretches(slice_: np.ndarray) -> Iterator[tuple[tuple[int, int], float]]:
    """Give a place (y, x) in each stretch of one value along the edges of a slice, and the value."""
    height, width = slice_.shape
    for y in (0, height - 1):
        yield from (((y, x), value) for x, value in _runs(slice_[y]))
    for x in (0, width - 1):
        yield from (((y, x), value) for y, value in _runs(slice_[:, x]))


def _runs(line: np.ndarray) -> Iterator[tuple[int, float]]:
    """Give where long runs of one value begin, and the value."""
    starts = np.concatenate([[0], np.flatnonzero(line[1:] != line[:-1]) + 1, [line.size]])
    least = max(_STRETCH_PX, int(_STRETCH * line.size))
    for start in starts[:-1][np.diff(starts) >= least]:
        yield int(start), line[start].item()


def _is_picture(values: np.ndarray, size: int) -> bool:
    known = values[np.isfinite(values)]
    return known.size >= _LEAST * size and bool(known.min() < known.max())


def box_around(inside: np.ndarray) -> tuple[int, int, int, int]:
    """Return the smallest box, (first y, end y, first x, end x), that holds all True of bool (y, x)."""
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
