"""Where the cells of a slice begin to grow, pixel by pixel. (Compiled: import with first use.)

Pictures have a rim of zeros, so that every pixel has eight neighbours.
"""

from __future__ import annotations

import numpy as np

from emseg_napari.core.compiled import compiled

PER_PX = 4  # distances are counted in quarter pixels: whole numbers compare exactly
INTERIOR, WIDE = 1, 2
_SEARCHED = 2**31 - 1  # the height of what an earlier search met: higher than any peak


def wide_places(squares: np.ndarray, neck: int) -> np.ndarray:
    """Find the wide places of an interior: extended maxima of the distance, over the eight neighbours.

    A peak is one if nothing is higher that is connected to it by pixels lower than it by at most `neck`;
    they are the place. Peaks are searched from the highest to the lowest. So what an earlier search has met
    is connected to a peak that is as high, and no pixel is searched twice.

    Parameters
    ----------
    squares : numpy.ndarray
        int32 (y, x): squares of the distances to the boundary, in pixels.
    neck : int
        In quarter pixels, above 0.

    Returns
    -------
    numpy.ndarray
        uint8 (y + 2, x + 2) with the rim: 0, `INTERIOR` or `WIDE`.
    """
    steps = np.zeros([n + 2 for n in squares.shape], np.int32)
    _step(squares, steps)
    height, width = steps.ravel(), steps.shape[1]
    kind = (height > 0).astype(np.uint8)
    _search(height, width, _peaks(height, width, neck), neck, kind)
    return kind.reshape(steps.shape)


@compiled
def _search(height: np.ndarray, width: int, peaks: np.ndarray, neck: int, kind: np.ndarray) -> None:
    """Fill in the kind of wide places."""
    met = np.empty(height.size, np.int32)
    for peak in peaks:
        if height[peak] < _SEARCHED:
            count, is_highest = _searched(height, width, peak, neck, met)
            for place in met[:count]:
                height[place] = _SEARCHED
                if is_highest:
                    kind[place] = WIDE


@compiled
def _step(squares: np.ndarray, steps: np.ndarray) -> None:
    """Fill in distances rounded to quarter pixels, within the rim. (None is halfway between two.)"""
    rows, width = squares.shape
    for y in range(rows):
        square, here = squares[y], steps[y + 1, 1:-1]
        for x in range(np.uint64(width)):
            here[x] = np.int32(PER_PX * np.sqrt(square[x]) + 0.5)


@compiled
def _peaks(height: np.ndarray, width: int, above: int) -> np.ndarray:
    """Return places above a height of which no neighbour is higher, the highest first: int32 (n,)."""
    places, count, highest = np.empty(height.size, np.int32), 0, above
    for place in range(width + 1, height.size - width - 1):
        here = height[place]
        if here <= above or max(height[place - 1], height[place + 1]) > here:
            continue
        up, down = place - width, place + width
        if max(height[up - 1], height[up], height[up + 1]) > here:
            continue
        if max(height[down - 1], height[down], height[down + 1]) <= here:
            places[count] = place
            count, highest = count + 1, max(highest, here)
    begin = np.zeros(highest - above + 1, np.int64)  # a counting sort
    for place in places[:count]:
        begin[highest - height[place] + 1] += 1
    for low in range(1, begin.size):
        begin[low] += begin[low - 1]
    found = np.empty(count, np.int32)
    for place in places[:count]:
        low = highest - height[place]
        found[begin[low]] = place
        begin[low] += 1
    return found


@compiled
def _searched(height: np.ndarray, width: int, peak: int, neck: int, met: np.ndarray) -> tuple[int, bool]:
    """Lower what is connected to a peak to -1. Return how many pixels were `met`, and if none is higher."""
    highest, lowest = height[peak], height[peak] - neck
    met[0], height[peak] = peak, -1
    done, count = 0, 1
    while done < count:
        place = met[done]
        done += 1
        for row in range(place - width, place + width + 1, width):
            for beside in range(row - 1, row + 2):
                if height[beside] > highest:
                    return count, False
                if height[beside] >= lowest:
                    height[beside] = -1
                    met[count] = beside
                    count += 1
    return count, True


def numbered_seeds(kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the wide places of an interior, and each of its regions that has none, as seeds.

    Parameters
    ----------
    kind : numpy.ndarray
        As from `wide_places`.

    Returns
    -------
    seeds : numpy.ndarray
        int32 (y, x), without the rim: 1, 2, ... in reading order, each connected by sides; 0 elsewhere.
    first : numpy.ndarray
        int64 (n,): the first pixel of each in reading order, counted from 0.
    """
    parts, seeds = np.zeros(kind.shape, np.int32), np.empty([n - 2 for n in kind.shape], np.int32)
    return seeds, _number(parts, seeds, *_divide(kind, parts))


@compiled
def _number(
    parts: np.ndarray, seeds: np.ndarray, joined_to: np.ndarray, first: np.ndarray, is_seed: np.ndarray
) -> np.ndarray:
    """Fill in the seeds, and return the first pixel of each."""
    number, count = np.zeros(joined_to.size, np.int32), 0
    for part in range(joined_to.size):  # a part is joined to an earlier one
        if joined_to[part] != part:
            number[part] = number[joined_to[part]]
        elif is_seed[part]:
            first[count] = first[part]
            count += 1
            number[part] = count
    for y in range(seeds.shape[0]):
        for x in range(seeds.shape[1]):
            seeds[y, x] = number[parts[y + 1, x + 1]]
    return first[:count].copy()


@compiled
def _divide(kind: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill in parts of one kind, connected by sides (Rosenfeld and Pfaltz 1966).

    Returns of each part the one that it is joined to, its first pixel and whether it is a seed: interior
    beside a wide place is none.
    """
    height, width = kind.shape[0] - 2, kind.shape[1] - 2
    count = 1
    joined_to, first = np.zeros(kind.size, np.int32), np.empty(kind.size, np.int64)
    is_seed = np.zeros(kind.size, np.bool_)
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            own, left, up = kind[y, x], kind[y, x - 1], kind[y - 1, x]
            if own == 0:
                continue
            if left == own:
                part = parts[y, x - 1]
                if up == own and kind[y - 1, x - 1] != own:
                    part = _join(joined_to, part, parts[y - 1, x])
            elif up == own:
                part = parts[y - 1, x]
            else:
                part = count
                count += 1
                joined_to[part], first[part], is_seed[part] = part, (y - 1) * width + x - 1, True
            parts[y, x] = part
            if left + own == INTERIOR + WIDE:
                is_seed[part if own == INTERIOR else parts[y, x - 1]] = False
            if up + own == INTERIOR + WIDE:
                is_seed[part if own == INTERIOR else parts[y - 1, x]] = False
    for part in range(count):
        joined_to[part] = _last(joined_to, np.int32(part))
        is_seed[joined_to[part]] &= is_seed[part]
    return joined_to[:count], first, is_seed


@compiled
def _join(joined_to: np.ndarray, one: int, other: int) -> int:
    one, other = _last(joined_to, one), _last(joined_to, other)
    joined_to[max(one, other)] = min(one, other)
    return min(one, other)


@compiled
def _last(joined_to: np.ndarray, part: int) -> int:
    while joined_to[part] != part:
        joined_to[part] = joined_to[joined_to[part]]
        part = joined_to[part]
    return part
