"""Distances between the same cells of two slices: which pixels are near enough.

(Compiled: import with first use.) Distances are those between the centres of pixels, squared, and exact
up to `FAR_PX`: along columns first, then, only where the two slices differ, along rows (Saito and
Toriwaki 1994, doi:10.1016/0031-3203(94)90133-3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emseg_napari.annotation.repair.row_segments import SegmentsByCell
from emseg_napari.core.compiled import compiled, inlined
from emseg_napari.core.labels import INTERIOR

FAR_PX = 64
LANES = 32  # pixels that are compared together: most stretches that differ are not longer
_STEPS = 4  # of the search between two checks whether it is done
_RIM_PX = FAR_PX + LANES + _STEPS
_TAPER = 72  # squared: a cell that is in one slice only ends as if the other one had it some 8 px away
_Place = np.uint64


@compiled
def depths(membrane: np.ndarray) -> np.ndarray:
    """Return how far it is up or down to membrane, at most `FAR_PX`.

    Parameters
    ----------
    membrane : numpy.ndarray
        uint8 (y, x): 1 membrane, 0 cells.

    Returns
    -------
    numpy.ndarray
        uint8 (y, x) with a rim at both ends of each row, which is far from everything.
    """
    height, width = membrane.shape
    depth = np.full((height, width + 2 * _RIM_PX), np.uint8(FAR_PX))
    for y in range(height):
        for x in range(_Place(width)):
            far = np.uint8(FAR_PX)
            depth[y, x + _Place(_RIM_PX)] = np.uint8(0) if membrane[y, x] else far
    _count_along_columns(depth)
    return depth


@compiled
def _count_along_columns(away: np.ndarray) -> None:
    """Turn 0 and far, uint8 (y, x), into the distance to the next 0 up or down."""
    for y in range(1, len(away)):
        _count_from(away[y - 1], away[y])
    for y in range(len(away) - 2, -1, -1):
        _count_from(away[y + 1], away[y])


@compiled
def _count_from(before: np.ndarray, row: np.ndarray) -> None:
    for x in range(len(row)):
        next_one = np.uint8(before[x] + np.uint8(1))
        row[x] = next_one if next_one < row[x] else row[x]


class WorkBuffers(NamedTuple):
    """Arrays in use while a slice is drawn.

    Attributes
    ----------
    drawn : numpy.ndarray
        uint8 (y, x).
    depth : numpy.ndarray
        uint8, `depths` of the slice whose cells are drawn, all rows in one line.
    reach : numpy.ndarray
        As of `draw_persisting`.
    line : numpy.ndarray
        uint8: for a row, how far it is up or down to the other slice's cell, with a rim at both ends.
    inside, outside, limit : numpy.ndarray
        uint16 (lanes,): of pixels side by side the squared depth, the squared distance to the other
        slice's cell, and how large that may be.
    """

    drawn: np.ndarray
    depth: np.ndarray
    reach: np.ndarray
    line: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    limit: np.ndarray
    lanes: int


@compiled
def draw_persisting(
    drawn: np.ndarray,
    own: SegmentsByCell,
    other: SegmentsByCell,
    depth: np.ndarray,
    reach: np.ndarray,
    room: np.ndarray,
) -> None:
    """Draw, as interior, what lasts of one slice's cells on the way to another slice.

    Parameters
    ----------
    drawn : numpy.ndarray
        uint8 (y, x), changed in place.
    own, other : Sorted
        The cells of both slices, numbered alike.
    depth : numpy.ndarray
        `depths` of the first slice.
    reach : numpy.ndarray
        uint16 (FAR_PX**2 + 1,): how near the same cell of the other slice has to be, by the depth of a
        pixel in its own, both squared.
    """
    line = np.full(depth.shape[1], np.uint8(FAR_PX))
    many = room.shape[1]
    desk = WorkBuffers(drawn, depth.ravel(), reach, line, room[0], room[1], room[2], many)
    for cell in range(1, len(own.first) - 1):
        mine = own.at[own.first[cell] : own.first[cell + 1]]
        theirs = other.at[other.first[cell] : other.first[cell + 1]]
        if len(mine) > 0:
            parts = _draw_common(drawn, mine, theirs, many)
            if len(theirs) > 0:
                _draw_near(desk, parts, _away_from(theirs, mine))
            else:
                _draw_deep(desk, parts)


@compiled
def _draw_common(drawn: np.ndarray, mine: np.ndarray, theirs: np.ndarray, most: int) -> np.ndarray:
    """Draw what both slices have of a cell, and return the rest of the first one's, in parts.

    Returns
    -------
    numpy.ndarray
        int32 (n, 3): row, first column, and number of pixels, at most `most`.
    """
    ways = 2 * len(mine) + len(theirs)  # more than a stretch is parted into by those of the other slice
    parts = np.empty((ways + (mine[:, 2] - mine[:, 1]).sum() // most, 3), np.int32)
    count, at = 0, 0
    for i in range(len(mine)):
        y, x, stop = mine[i, 0], mine[i, 1], mine[i, 2]
        while at < len(theirs) and (theirs[at, 0] < y or (theirs[at, 0] == y and theirs[at, 2] <= x)):
            at += 1
        other = at
        while x < stop:
            in_both = other < len(theirs) and theirs[other, 0] == y and theirs[other, 1] < stop
            end = max(theirs[other, 1], x) if in_both else stop
            while x < end:
                parts[count, 0], parts[count, 1], parts[count, 2] = y, x, min(most, end - x)
                x += parts[count, 2]
                count += 1
            if in_both:
                x = min(theirs[other, 2], stop)
                other += 1
                for place in range(_Place(end), _Place(x)):
                    drawn[y, place] = INTERIOR
    return parts[:count]


@compiled
def _away_from(theirs: np.ndarray, mine: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Return top and left of a box around a cell, and how far it is there, up or down, to the other's."""
    top = max(mine[0, 0] - FAR_PX, min(mine[0, 0], theirs[0, 0]))
    bottom = min(mine[-1, 0] + FAR_PX, max(mine[-1, 0], theirs[-1, 0])) + 1
    start, stop = mine[:, 1].min(), mine[:, 2].max()
    left = max(start - FAR_PX, min(start, theirs[:, 1].min()))
    right = min(stop + FAR_PX, max(stop, theirs[:, 2].max()))
    away = np.full((bottom - top, right - left), np.uint8(FAR_PX))
    for i in range(len(theirs)):
        y, begin, end = theirs[i, 0] - top, theirs[i, 1] - left, theirs[i, 2] - left
        if 0 <= y < len(away) and end > 0:
            away[y, max(begin, 0) : end] = 0
    _count_along_columns(away)
    return top, left, away


@compiled
def _draw_near(desk: WorkBuffers, parts: np.ndarray, box: tuple[int, int, np.ndarray]) -> None:
    """Draw those pixels of one slice's cell to which the other's is near enough; `box` is `_away_from`."""
    drawn, depth, reach, line, inside, outside, limit, lanes = desk
    top, left, away = box
    columns, width, row = away.ravel(), away.shape[1], -1
    _fill(line, _RIM_PX + width, min(2 * _RIM_PX + width, len(line)), FAR_PX)
    for i in range(len(parts)):
        y, x, count = parts[i, 0], parts[i, 1], parts[i, 2]
        if y != row:
            row = y
            _copy(columns, (y - top) * width, line, _RIM_PX, width)
        wide = lanes // 2 if count <= lanes // 2 else lanes
        _find_depth(depth, y * len(line) + _RIM_PX + x, count, inside, wide)
        for lane in range(_Place(wide)):
            limit[lane] = reach[inside[lane]]
        _find_other(line, _RIM_PX + x - left, limit, outside, wide)
        for lane in range(_Place(count)):
            if outside[lane] <= limit[lane]:
                drawn[y, _Place(x) + lane] = INTERIOR


@compiled
def _draw_deep(desk: WorkBuffers, parts: np.ndarray) -> None:
    """Draw what lasts of a cell that the other slice does not have."""
    drawn, depth, reach, line, inside, _, _, lanes = desk
    for i in range(len(parts)):
        y, x, count = parts[i, 0], parts[i, 1], parts[i, 2]
        _find_depth(depth, y * len(line) + _RIM_PX + x, count, inside, lanes)
        for lane in range(_Place(count)):
            if reach[inside[lane]] >= _TAPER:
                drawn[y, _Place(x) + lane] = INTERIOR


@compiled
def _find_depth(line: np.ndarray, x: int, count: int, nearest: np.ndarray, lanes: int) -> None:
    """Find how far it is, squared, from `count` pixels to membrane; of the other lanes it says 0."""
    first = _Place(x)
    for lane in range(_Place(lanes)):
        away = np.uint16(line[first + lane])
        nearest[lane] = np.uint16(away * away) if lane < _Place(count) else np.uint16(0)
    step = _Place(1)
    while step * step < _Place(_largest(nearest, lanes)):
        _look_aside(line, first, step, nearest, lanes)
        step += _Place(_STEPS)


@compiled
def _find_other(line: np.ndarray, x: int, limit: np.ndarray, nearest: np.ndarray, lanes: int) -> None:
    """Find how far it is, squared, to the other slice's cell, where that is no more than a limit."""
    first, step = _Place(x), _Place(1)
    for lane in range(_Place(lanes)):
        away = np.uint16(line[first + lane])
        nearest[lane] = np.uint16(away * away)
    while step * step <= _Place(_largest_open(nearest, limit, lanes)):
        _look_aside(line, first, step, nearest, lanes)
        step += _Place(_STEPS)


@inlined
def _largest(values: np.ndarray, lanes: int) -> np.uint16:
    found = np.uint16(0)
    for lane in range(_Place(lanes)):
        found = values[lane] if values[lane] > found else found
    return found


@inlined
def _largest_open(nearest: np.ndarray, limit: np.ndarray, lanes: int) -> np.uint16:
    """Return the largest limit that is not met yet."""
    found = np.uint16(0)
    for lane in range(_Place(lanes)):
        still = limit[lane] if nearest[lane] > limit[lane] else np.uint16(0)
        found = still if still > found else found
    return found


@inlined
def _look_aside(line: np.ndarray, first: int, step: int, nearest: np.ndarray, lanes: int) -> None:
    """Look at four pixels to the left and four to the right, from `step` on: is something nearer there?"""
    second, third, fourth = step + _Place(1), step + _Place(2), step + _Place(3)
    for lane in range(_Place(lanes)):
        here, found = first + lane, nearest[lane]
        left, right = np.uint16(line[here - step]), np.uint16(line[here + step])
        away = left if left < right else right
        by_way = np.uint16(np.uint16(away * away) + np.uint16(step * step))
        found = by_way if by_way < found else found
        left, right = np.uint16(line[here - second]), np.uint16(line[here + second])
        away = left if left < right else right
        by_way = np.uint16(np.uint16(away * away) + np.uint16(second * second))
        found = by_way if by_way < found else found
        left, right = np.uint16(line[here - third]), np.uint16(line[here + third])
        away = left if left < right else right
        by_way = np.uint16(np.uint16(away * away) + np.uint16(third * third))
        found = by_way if by_way < found else found
        left, right = np.uint16(line[here - fourth]), np.uint16(line[here + fourth])
        away = left if left < right else right
        by_way = np.uint16(np.uint16(away * away) + np.uint16(fourth * fourth))
        found = by_way if by_way < found else found
        nearest[lane] = found


@compiled
def _copy(source: np.ndarray, start: int, target: np.ndarray, at: int, count: int) -> None:
    """Copy a part of a line, ten times faster than numba's own way does a short one."""
    first, to = _Place(start), _Place(at)
    for i in range(_Place(count)):
        target[to + i] = source[first + i]


@compiled
def _fill(line: np.ndarray, start: int, stop: int, value: int) -> None:
    for i in range(_Place(start), _Place(stop)):
        line[i] = value
