"""Compiled: which cell each pixel of a slice belongs to, how near the next one is, how steep the membrane.

All lengths are in pixels, also through depth; axes are (z, y, x). Tubes are `packed`. Loops over the pixels
of a tile are innermost and without branches, so that the processor takes several at a time: ten times faster.
"""

from __future__ import annotations

import math

import numpy as np

from emseg_napari.core.compiled import compiled

BLOCK_PX, TILE_PX = 64, 8
FARTHEST_PX = 200.0
_NOWHERE = np.float32(1e9)
# How much thicker tubes grow into what is left between all, 0: as much as thin ones.
_REACH_AROUND = 0.3
_FLATTEST = 0.02  # no boundary is nearer than this slope of the nearness says


def packed(tubes: np.ndarray) -> np.ndarray:
    """Return tubes in the form that is fast to measure from, float32 (tube, 11).

    Each is the start (z, y, x), the way to the end, one over its square, the radius at the start and how much
    it changes, the weight at the start and how much that changes.
    """
    way = tubes[:, 4:7] - tubes[:, :3]
    ends = np.maximum(tubes[:, [3, 7]], 0.5)
    weights = ends**-_REACH_AROUND
    inverse = 1 / ((way**2).sum(1) + 1e-9)
    pairs = [column for pair in (ends, weights) for column in (pair[:, 0], pair[:, 1] - pair[:, 0])]
    return np.column_stack([tubes[:, :3], way, inverse, *pairs]).astype(np.float32)


def _near_points(tubes: np.ndarray, t: int, points: np.ndarray, values: np.ndarray) -> None:
    """Write how near a tube is to points (3, point), weighted: thick ones reach around thin ones."""
    z, y, x = points
    start_z, start_y, start_x = tubes[t, 0], tubes[t, 1], tubes[t, 2]
    dz, dy, dx, inverse = tubes[t, 3], tubes[t, 4], tubes[t, 5], tubes[t, 6]
    radius, wider, weight, heavier = tubes[t, 7], tubes[t, 8], tubes[t, 9], tubes[t, 10]
    for k in range(np.uint64(len(values))):
        away_z, away_y, away_x = z[k] - start_z, y[k] - start_y, x[k] - start_x
        along = (away_z * dz + away_y * dy + away_x * dx) * inverse
        along = min(max(along, np.float32(0)), np.float32(1))
        away_z, away_y, away_x = away_z - along * dz, away_y - along * dy, away_x - along * dx
        distance = np.sqrt(away_z * away_z + away_y * away_y + away_x * away_x)
        values[k] = (distance - radius - along * wider) * (weight + along * heavier)


near_points = compiled(_near_points, fastmath=True)


def _steepness(tubes: np.ndarray, t: int, at: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the gradient (z, y, x) of a tube's nearness; none for glia, which is no tube."""
    if t < 0:
        return 0.0, 0.0, 0.0
    dz, dy, dx = tubes[t, 3], tubes[t, 4], tubes[t, 5]
    away_z, away_y, away_x = at[0] - tubes[t, 0], at[1] - tubes[t, 1], at[2] - tubes[t, 2]
    along = (away_z * dz + away_y * dy + away_x * dx) * tubes[t, 6]
    along = min(max(along, np.float32(0)), np.float32(1))
    away_z, away_y, away_x = away_z - along * dz, away_y - along * dy, away_x - along * dx
    distance = math.sqrt(away_z * away_z + away_y * away_y + away_x * away_x) + 1e-6
    scale = (tubes[t, 9] + along * tubes[t, 10]) / distance
    return away_z * scale, away_y * scale, away_x * scale


steepness = compiled(_steepness, fastmath=True)


def _tiles(window: tuple[int, int, int, int], size: int) -> list[tuple[int, int, int, int]]:
    """Return the parts of a window (first and past the last row, then column)."""
    top, bottom, left, right = window
    return [
        (i, min(i + size, bottom), j, min(j + size, right))
        for i in range(top, bottom, size)
        for j in range(left, right, size)
    ]


def _middle(where: np.ndarray, tile: tuple[int, int, int, int], place: np.ndarray) -> float:
    """Write the middle (3, 1) of a tile's warped pixels, and return how far the others are from it."""
    top, bottom, left, right = tile
    for axis in range(3):
        place[axis, 0] = where[axis, (top + bottom) // 2, (left + right) // 2]
    farthest = np.float32(0)
    for i in range(top, bottom):
        for j in range(left, right):
            away = (where[0, i, j] - place[0, 0]) ** 2 + (where[1, i, j] - place[1, 0]) ** 2
            farthest = max(farthest, away + (where[2, i, j] - place[2, 0]) ** 2)
    return math.sqrt(farthest)


tiles, middle = compiled(_tiles), compiled(_middle)


def _near_tubes(tissue: tuple, among: np.ndarray, place: np.ndarray, reach: float, found: np.ndarray) -> int:
    """List those tubes that may be of the three nearest cells of a point within `reach`; return how many."""
    tubes, owners = tissue
    upper, value, lower = np.full(3, _NOWHERE), np.empty(1, np.float32), np.empty(len(among), np.float32)
    cell, best = -1, _NOWHERE
    for number in range(len(among)):
        t = among[number]
        near_points(tubes, t, place, value)
        spread = reach * max(tubes[t, 9], tubes[t, 9] + tubes[t, 10])
        lower[number] = value[0] - spread
        if owners[t] != cell:
            enter(upper, best)
            cell, best = owners[t], _NOWHERE
        best = min(best, value[0] + spread)
    enter(upper, best)
    count = 0
    for number in range(len(among)):
        if lower[number] <= upper[2]:
            found[count] = among[number]
            count += 1
    return count


def _enter(smallest: np.ndarray, value: float) -> None:
    """Enter a value into the three smallest, which are sorted."""
    for at in range(3):
        if value < smallest[at]:
            smallest[at], value = value, smallest[at]


enter = compiled(_enter)
near_tubes = compiled(_near_tubes)


def _choose(values: np.ndarray, t: int, best: np.ndarray, which: np.ndarray) -> None:
    """Keep the nearest tube of one cell, for every point."""
    for k in range(np.uint64(len(values))):
        nearer = values[k] < best[k]
        best[k] = values[k] if nearer else best[k]
        which[k] = t if nearer else which[k]


def _rank(near: np.ndarray, who: np.ndarray, best: np.ndarray, which: np.ndarray) -> None:
    """Enter a cell among the three nearest of every point; `who` gets the tubes of the first two."""
    for k in range(np.uint64(len(best))):
        value, tube = best[k], which[k]
        first, second = value < near[0, k], value < near[1, k]
        near[2, k] = near[1, k] if second else min(value, near[2, k])
        near[1, k] = near[0, k] if first else (value if second else near[1, k])
        who[1, k] = who[0, k] if first else (tube if second else who[1, k])
        near[0, k] = value if first else near[0, k]
        who[0, k] = tube if first else who[0, k]
        best[k] = _NOWHERE


choose, rank = compiled(_choose), compiled(_rank)


def _near_cells(
    tissue: tuple, found: np.ndarray, points: np.ndarray, near: np.ndarray, who: np.ndarray
) -> None:
    """Find the nearest cells of all points (3, point) of a tile among the tubes that were found near it."""
    tubes, owners = tissue
    values, which = np.empty(points.shape[1], np.float32), np.empty(points.shape[1], np.int32)
    best = np.full(points.shape[1], _NOWHERE)
    for number in range(len(found)):
        t = found[number]
        near_points(tubes, t, points, values)
        choose(values, t, best, which)
        if number + 1 == len(found) or owners[found[number + 1]] != owners[t]:
            rank(near, who, best, which)


def _tile_points(
    where: np.ndarray, glia: np.ndarray, tile: tuple, points: np.ndarray, near: np.ndarray
) -> int:
    """Copy the points of a tile; return how many. Only glia is near them so far."""
    top, bottom, left, right = tile
    near[1:] = _NOWHERE
    k = 0
    for i in range(top, bottom):
        for j in range(left, right):
            points[0, k], points[1, k], points[2, k] = where[0, i, j], where[1, i, j], where[2, i, j]
            near[0, k] = glia[i, j]
            k += 1
    return k


near_cells, tile_points = compiled(_near_cells), compiled(_tile_points)


def _measure(
    near: tuple, slope: tuple, where: np.ndarray, shear: np.ndarray, at: tuple[int, int]
) -> tuple[float, float, float]:
    """Return the distance to the boundary and that to the third cell, and the sine of the membrane's tilt.

    `slope` is the gradient of what the second cell is farther than the first in the unwarped tissue; the warp
    around the pixel turns it into that of the slice.
    """
    i, j = at
    up, left = max(i - 1, 0), max(j - 1, 0)
    down, right = min(i + 1, where.shape[1] - 1), min(j + 1, where.shape[2] - 1)
    along_z, along_y, along_x = 0.0, 0.0, 0.0
    for axis in range(3):
        along_z += slope[axis] * shear[axis, i, j]
        along_y += slope[axis] * (where[axis, down, j] - where[axis, up, j])
        along_x += slope[axis] * (where[axis, i, right] - where[axis, i, left])
    along_y, along_x = along_y / (down - up), along_x / (right - left)
    whole = math.sqrt(along_z * along_z + along_y * along_y + along_x * along_x)
    scale = 1 / max(whole, _FLATTEST)
    distance = min((near[1] - near[0]) * scale, FARTHEST_PX)
    return distance, min((near[2] - near[0]) * scale, FARTHEST_PX), abs(along_z) / max(whole, 1e-6)


measure = compiled(_measure, fastmath=True)


def _survey_tile(tissue: tuple, found: np.ndarray, fields: tuple, tile: tuple, out: tuple) -> None:
    """Find the nearest cells of one tile's pixels, among the tubes that were found near it."""
    (tubes, owners), (where, shear, glia), (cells, lengths) = tissue, fields, out
    points, near = np.empty((3, TILE_PX**2), np.float32), np.empty((3, TILE_PX**2), np.float32)
    who = np.full((2, TILE_PX**2), -1, np.int32)
    count = tile_points(where, glia, tile, points, near)
    near_cells(tissue, found, points, near, who)
    for k in range(count):
        i, j = tile[0] + k // (tile[3] - tile[2]), tile[2] + k % (tile[3] - tile[2])
        point = points[0, k], points[1, k], points[2, k]
        one, other = steepness(tubes, who[0, k], point), steepness(tubes, who[1, k], point)
        slope = other[0] - one[0], other[1] - one[1], other[2] - one[2]
        nearest = near[0, k], near[1, k], near[2, k]
        lengths[0, i, j], lengths[1, i, j], lengths[2, i, j] = measure(nearest, slope, where, shear, (i, j))
        for rank in range(2):
            cells[rank, i, j] = owners[who[rank, k]] if who[rank, k] >= 0 else -1
        cells[2, i, j], lengths[3, i, j] = who[0, k], near[0, k]


survey_tile = compiled(_survey_tile)


def _survey(tissue: tuple, fields: tuple, cells: np.ndarray, lengths: np.ndarray) -> None:
    """Find the two nearest cells of every pixel of a slice.

    Parameters
    ----------
    tissue : tuple
        The `packed` tubes and their cells, int32 (tube,), in ascending order.
    fields : tuple
        float32 (3, y, x): the place of each pixel in the unwarped tissue, and how it changes with depth;
        float32 (y, x): nearness of glia, the cell that fills what is far from all tubes.
    cells : numpy.ndarray
        int32 (3, y, x), gets the nearest cell, the second and the tube of the nearest; -1: glia.
    lengths : numpy.ndarray
        float32 (4, y, x), gets what `_measure` returns, and the nearness of the nearest cell.
    """
    where = fields[0]
    every = np.arange(len(tissue[0]))
    coarse, fine, place = np.empty_like(every), np.empty_like(every), np.empty((3, 1), np.float32)
    for block in tiles((0, where.shape[1], 0, where.shape[2]), BLOCK_PX):
        reach = middle(where, block, place)
        count = near_tubes(tissue, every, place, reach, coarse)
        for tile in tiles(block, TILE_PX):
            reach = middle(where, tile, place)
            few = near_tubes(tissue, coarse[:count], place, reach, fine)
            survey_tile(tissue, fine[:few], fields, tile, (cells, lengths))


survey = compiled(_survey)
