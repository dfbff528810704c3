"""Boundaries of a slice that its labels have decided: gaps that are open, membranes that are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from emseg_napari.annotation.suggest.joins import Joining, parted_areas
from emseg_napari.annotation.suggest.pieces import (
    Slice,
    Steps,
    is_interior,
    overlaps,
    pieces_of,
    steps_between,
)

Kind = Literal["gap", "membrane"]


@dataclass(frozen=True)
class Boundaries:
    """Boundaries of one kind, each with the two sides that it parts or should part.

    Attributes
    ----------
    kind : str
        "gap" or "membrane".
    steps : Steps
    group : numpy.ndarray
        int: the boundary to which each step belongs, 0, 1, ...; each boundary has steps.
    areas : numpy.ndarray
        float (boundaries, 2): interior pixels on both sides, of a gap if it were closed.
    alike : numpy.ndarray
        (boundaries,), 0 to 1: how much the two sides are in one cell in the neighbouring slices; NaN
        where unknown.
    """

    kind: Kind
    steps: Steps
    group: np.ndarray
    areas: np.ndarray
    alike: np.ndarray


class Pieces:
    """The pieces of a slice, and what they overlap.

    Parameters
    ----------
    slice_ : Slice
    neighbours : sequence of numpy.ndarray or None
        Labels of the slices beside it.

    Attributes
    ----------
    cell_areas : numpy.ndarray
        float: interior pixels of each cell.
    """

    def __init__(self, slice_: Slice, neighbours: Sequence[np.ndarray | None]) -> None:
        numbers = pieces_of(slice_)
        own = overlaps(numbers, slice_.interior)
        self._areas = np.asarray(own.sum(axis=1)).ravel()
        self._cell = np.asarray(own.argmax(axis=1)).ravel()
        self.cell_areas = np.bincount(self._cell, self._areas, own.shape[1])
        self._steps = steps_between(numbers, slice_)
        self._beside = [overlaps(numbers, is_interior(labels)) for labels in neighbours if labels is not None]

    def gaps(self) -> Boundaries:
        """Return the gaps: where pieces of one cell are connected."""
        steps = self._steps.where(self._cell[self._steps.one] == self._cell[self._steps.other])
        ends, border = _pairs(steps.one, steps.other)
        weights = (steps.strength, None, steps.is_open)
        joins = Joining(ends, *(np.bincount(border, weight, len(ends)) for weight in weights)).joins()
        join_of = np.empty(len(ends), int)
        for number, join in enumerate(joins):
            join_of[list(join.borders)] = number
        sides = np.array([(join.one, join.other) for join in joins], int).reshape(-1, 2)
        areas = parted_areas(joins, self._areas)
        return Boundaries("gap", steps, join_of[border], areas, alike_in(self._beside, sides))

    def membranes(self) -> Boundaries:
        """Return the membranes: where two cells touch."""
        one, other = self._cell[self._steps.one], self._cell[self._steps.other]
        differs = one != other
        sides, membrane = _pairs(*np.sort([one[differs], other[differs]], axis=0))
        shape = (len(self.cell_areas), len(self._cell))
        of_cell = sparse.coo_matrix((np.ones(shape[1]), (self._cell, np.arange(shape[1]))), shape).tocsr()
        alike = alike_in([of_cell @ overlap for overlap in self._beside], sides)
        return Boundaries("membrane", self._steps.where(differs), membrane, self.cell_areas[sides], alike)


def alike_in(neighbours: list[sparse.csr_matrix], sides: np.ndarray) -> np.ndarray:
    """Return how much two sides are in the same cells of neighbouring slices.

    Parameters
    ----------
    neighbours : list of scipy.sparse.csr_matrix
        Of each neighbouring slice the pixels that each region (row) has in each cell (column).
    sides : numpy.ndarray
        int (boundaries, 2): the rows of both sides.

    Returns
    -------
    numpy.ndarray
        float (boundaries,), 0 to 1: the cosine of the angle between both rows, its mean over the
        neighbours that know; NaN where none does.
    """
    total, known = np.zeros(len(sides)), np.zeros(len(sides))
    for overlap in neighbours:
        lengths = np.sqrt(np.asarray(overlap.multiply(overlap).sum(axis=1)).ravel())[sides].prod(axis=1)
        product = np.asarray(overlap[sides[:, 0]].multiply(overlap[sides[:, 1]]).sum(axis=1)).ravel()
        total += np.where(lengths > 0, product / np.maximum(lengths, 1), 0)
        known += lengths > 0
    return np.where(known > 0, total / np.maximum(known, 1), np.nan)


def _pairs(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct pairs, int (pairs, 2), and which of them each pair is."""
    width = int(other.max(initial=0)) + 1
    codes, which = np.unique(one.astype(np.int64) * width + other, return_inverse=True)
    return np.stack(np.divmod(codes, width), axis=1), which
