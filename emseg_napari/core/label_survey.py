"""What occurs in a stack of labels: its values, and the form of the regions that hold them.

It is found slice by slice, so that an array in memory and a stack on disk are judged alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_FEW = 16  # values that are searched one by one
MOST_FORMS = 100  # slices whose regions are measured
_MEASURED = (0, 1, 2, 255)  # values whose regions decide what they mean
# Membranes are several hundred times as long as wide, the profiles of cells four to nine times.
_LINE_LENGTH = 12
_THIN_PX = 2  # no profile of a cell is as thin
_ALONG = 0.25
_LONGER = 3  # than profiles of cells are lines that the edges of a small picture cut short


@dataclass
class Form:
    """Regions of one value, summed over slices.

    Attributes
    ----------
    area : int
        Pixels.
    border : int
        Pairs of neighbours in y or x of which one pixel belongs to the regions.
    pieces : int
        Separate parts less the holes in them, at least one for each slice that has any.
    """

    area: int = 0
    border: int = 0
    pieces: int = 0

    def add(self, mask: np.ndarray) -> None:
        """Add the regions of a slice, bool (y, x)."""
        area = int(np.count_nonzero(mask))
        if not area:
            return
        beside, below = mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1]
        pairs = int(np.count_nonzero(beside)) + int(np.count_nonzero(below))
        squares = int(np.count_nonzero(beside[1:] & beside[:-1]))
        self.area += area
        for edge in (mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]):
            self.border += int(np.count_nonzero(edge))
        self.pieces += max(1, area - pairs + squares)  # Euler's number

    @property
    def width(self) -> float:
        """Mean width in pixels."""
        return 2 * self.area / self.border if self.border else float(self.area)

    @property
    def are_lines(self) -> bool:
        """Whether its pieces are lines, as membranes are, and no profiles of cells."""
        return self.area > 0 and (self.width <= _THIN_PX or self.length >= _LINE_LENGTH)

    @property
    def length(self) -> float:
        """How many times as long as wide its pieces are."""
        return self.border**2 / (4 * self.area * self.pieces) if self.area else 0.0


def seems_boundary(forms: Mapping[int, Form]) -> bool:
    """Whether 1 is boundary in a stack of 0, 1 and 2, and no cell of an instance map.

    It is drawn as lines, which are at most two pixels wide, or narrower than the regions of 2 and along these
    for a quarter of their border. Where there is no 1, 2 must be as thin.
    """
    rest, one, two = (forms[value] for value in (0, 1, 2))
    if not one.area:
        return two.area > 0 and two.width <= _THIN_PX
    if one.width <= _THIN_PX:
        return True
    shared = (one.border + two.border - rest.border) / 2
    return one.are_lines and one.width < two.width and shared >= _ALONG * one.border


def seem_exchanged(boundary: Form, interior: Form) -> bool:
    """Whether what is called boundary looks like the cells, and the interior like the lines between them."""
    lines = interior.are_lines or interior.length >= _LONGER * boundary.length > 0
    return boundary.area > interior.area > 0 and lines and not boundary.are_lines


class Survey:
    """What was seen of a stack of labels.

    Attributes
    ----------
    dtype : numpy.dtype
    fraction : float or None
        A value that is no whole number, or is too large for a float to tell it from its neighbours.
    forms : dict of int to Form
        Of the values that decide between two conventions, in the first slices that hold several values.
    strange : numpy.ndarray or None
        The first slice (y, x) with another value than those of a labels file with two classes.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.fraction: float | None = None
        self.forms = {value: Form() for value in _MEASURED}
        self.strange: np.ndarray | None = None
        self._values: set[int] = set()
        self._measured = 0

    @property
    def values(self) -> list[int]:
        """The distinct values, sorted."""
        return sorted(self._values)

    def see(self, plane: np.ndarray, with_forms: bool) -> None:
        """Add a slice (y, x)."""
        self.fraction = _fraction(plane)
        if self.fraction is not None:
            return
        labels = whole(plane)
        found = set(_distinct(labels))
        self._values |= found
        if not found <= {*_MEASURED, 128}:
            self.strange = labels if self.strange is None else self.strange
        elif with_forms and len(found) > 1 and self._measured < MOST_FORMS:
            self._measured += 1
            for value in found & set(_MEASURED):
                self.forms[value].add(labels == value)


def surveyed(planes: Iterable[np.ndarray], dtype: Any, with_forms: bool = True) -> Survey:
    """Look at the slices (y, x) of a stack, up to the first with values that are not whole numbers."""
    survey = Survey(dtype)
    for plane in planes:
        survey.see(plane, with_forms)
        if survey.fraction is not None:
            break
    return survey


def planes_of(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the slices (y, x) of an array of any shape."""
    if array.ndim < 3:
        return iter([np.atleast_2d(array)])
    return iter(array if array.ndim == 3 else array.reshape(-1, *array.shape[-2:]))


def whole(array: np.ndarray) -> np.ndarray:
    """Return labels of any type as integers; floats must be whole numbers."""
    if array.dtype == bool:
        return array.view(np.uint8)
    return array.astype(np.int64) if array.dtype.kind == "f" else array


def _fraction(plane: np.ndarray) -> float | None:
    if plane.dtype.kind != "f":
        return None
    exact = 2 ** (np.finfo(plane.dtype).nmant + 1)
    wrong = (plane != np.trunc(plane)) | ~(np.abs(plane) <= exact)  # NaN is, too
    return float(plane[wrong][0]) if wrong.any() else None


def distinct(array: np.ndarray) -> list[int]:
    """Return the sorted distinct values of an integer array."""
    return sorted(set().union(*map(_distinct, planes_of(array))))


def _distinct(array: np.ndarray) -> list[int]:
    if array.size == 0:
        return []
    low, high = array.min(), array.max()
    if array.dtype.kind in "ui" and int(high) - int(low) < _FEW:  # many times faster than sorting
        return [value for value in range(int(low), int(high) + 1) if (array == value).any()]
    if array.dtype != np.uint8:
        return np.unique(array).tolist()
    present = np.zeros(256, bool)
    present[array] = True
    return np.flatnonzero(present).tolist()
