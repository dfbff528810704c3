"""Cells of a slice as stretches: connected pixels of one row. (Compiled: import with first use.)

A slice has fifty times fewer stretches than pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emseg_napari.core.compiled import compiled

_Place = np.uint64
_WORD = 8  # bytes


class RowSegments(NamedTuple):
    """The stretches of a slice in reading order.

    Attributes
    ----------
    first : numpy.ndarray
        int32 (rows + 1,): with which stretch a row begins.
    start, stop : numpy.ndarray
        int32 (n,): columns, half-open.
    """

    first: np.ndarray
    start: np.ndarray
    stop: np.ndarray


class SegmentsByCell(NamedTuple):
    """The stretches of a slice cell by cell, each cell's in reading order.

    Attributes
    ----------
    first : numpy.ndarray
        int32 (cells + 2,): with which stretch a cell begins, by its number.
    at : numpy.ndarray
        int32 (n, 3): row, start and stop.
    """

    first: np.ndarray
    at: np.ndarray


@compiled
def stretches_of(membrane: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the `RowSegments` of a slice, uint8 (y, x): 1 membrane, 0 cells."""
    height, width = membrane.shape
    found = np.empty(height * (width + 1), np.int32)  # where membrane begins or ends; the rim is membrane
    first = np.empty(height + 1, np.int32)
    line = np.ones(width + 2, np.uint8)
    changes = np.zeros(width // _WORD * _WORD + 2 * _WORD, np.uint8)
    words = changes.view(np.uint64)
    count = 0
    for y in range(height):
        first[y] = count // 2
        for x in range(_Place(width)):
            line[x + _Place(1)] = membrane[y, x]
        for x in range(_Place(width + 1)):
            changes[x] = line[x] ^ line[x + _Place(1)]
        for place in range(_Place(len(words))):
            if words[place] != 0:
                for byte in range(_Place(_WORD)):
                    if changes[place * _Place(_WORD) + byte]:
                        found[count] = place * _Place(_WORD) + byte
                        count += 1
    first[height] = count // 2
    return first, found[:count:2].copy(), found[1:count:2].copy()


@compiled
def numbers_of(first: np.ndarray, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Return the cell of each stretch, int32 (n,), from 1 in reading order: cells touch by sides."""
    parent = np.arange(len(start), dtype=np.int32)
    for y in range(1, len(first) - 1):
        above = first[y - 1]
        for here in range(first[y], first[y + 1]):
            while above < first[y] and stop[above] <= start[here]:
                above += 1
            other = above
            while other < first[y] and start[other] < stop[here]:
                _join(parent, other, here)
                other += 1
    number = np.empty(len(start), np.int32)
    count = 0
    for here in range(len(start)):
        root = _root(parent, here)
        if root == here:
            count += 1
        number[here] = count if root == here else number[root]
    return number


@compiled
def _join(parent: np.ndarray, one: int, other: int) -> None:
    one, other = _root(parent, one), _root(parent, other)
    parent[max(one, other)] = min(one, other)


@compiled
def _root(parent: np.ndarray, place: int) -> int:
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


@compiled
def shared(below: RowSegments, above: RowSegments) -> np.ndarray:
    """Return what stretches of two slices share, int32 (n, 3): one of either, and how many pixels."""
    found = np.empty((len(below.start) + len(above.start), 3), np.int32)
    count = 0
    for y in range(len(below.first) - 1):
        one, other = below.first[y], above.first[y]
        while one < below.first[y + 1] and other < above.first[y + 1]:
            begins = max(below.start[one], above.start[other])
            ends = min(below.stop[one], above.stop[other])
            if begins < ends:
                found[count, 0], found[count, 1], found[count, 2] = one, other, ends - begins
                count += 1
            if below.stop[one] < above.stop[other]:
                one += 1
            else:
                other += 1
    return found[:count]


@compiled
def sorted_by(number: np.ndarray, last: int, stretches: RowSegments) -> tuple[np.ndarray, np.ndarray]:
    """Return segments sorted by cell; their cells are `number`, int32 (n,), 1 to `last`."""
    first = np.zeros(last + 2, np.int32)
    for here in range(len(number)):
        first[number[here] + 1] += 1
    first[:] = np.cumsum(first)
    at, free = np.empty((len(number), 3), np.int32), first.copy()
    for y in range(len(stretches.first) - 1):
        for here in range(stretches.first[y], stretches.first[y + 1]):
            place = free[number[here]]
            free[number[here]] += 1
            at[place, 0], at[place, 1], at[place, 2] = y, stretches.start[here], stretches.stop[here]
    return first, at
