"""The steps of a watershed that look at every pixel. (Compiled: import with first use.)

Each does what scipy, scikit-image or numpy do, in a fraction of the time, since all values are whole
numbers or finite: they need no heap. Numpy makes the pictures that they fill, since it asks for large
pages of memory: the first touch of many small ones would cost a fifth of the time.
"""

from __future__ import annotations

import numpy as np

from emseg_napari.core.compiled import compiled

FARTHEST_PX = 2**15
_DIGIT_BITS, _DIGITS = 11, 6  # together the 64 bits of a number


def squared_distances(interior: np.ndarray) -> np.ndarray:
    """Return how far each pixel is from the nearest one outside.

    Column by column, then row by row as the lower envelope of parabolas (Meijster, Roerdink and Hesselink
    2000, doi:10.1007/0-306-47025-X_36).

    Parameters
    ----------
    interior : numpy.ndarray
        bool (y, x), somewhere False.

    Returns
    -------
    numpy.ndarray
        int32 (y, x): squares of distances in pixels, 0 outside; all from `FARTHEST_PX` on count as that.
    """
    distances = np.empty(interior.shape, np.int32)
    _distances_in_columns(interior, distances)
    _square_along_rows(distances)
    return distances


@compiled
def _square_along_rows(distances: np.ndarray) -> None:
    """Replace distances within columns, int32 (y, x), by the squares of distances."""
    height, width = distances.shape
    column, begin, lowest = np.empty((3, width), np.int64)  # of each parabola; `begin` is its part of the row
    for y in range(height):
        count, here = 0, distances[y]
        for x in range(width):
            low, meet = np.int64(here[x]) ** 2, 0
            while count > 0:
                other, at, level = column[count - 1], begin[count - 1], lowest[count - 1]
                if (at - other) ** 2 + level <= (at - x) ** 2 + low:
                    meet = (x * x - other * other + low - level) // (2 * (x - other)) + 1
                    break
                count -= 1
            if meet < width:
                column[count], begin[count], lowest[count] = x, meet, low
                count += 1
        end = width
        while count > 0:
            count -= 1
            for x in range(begin[count], end):
                here[x] = min(FARTHEST_PX**2, (x - column[count]) ** 2 + lowest[count])
            end = begin[count]


@compiled
def _distances_in_columns(interior: np.ndarray, found: np.ndarray) -> None:
    """Fill in how far each pixel is from the nearest one outside in its column, int32 (y, x)."""
    height, width = interior.shape
    columns = range(np.uint64(width))  # unsigned: several at a time
    above = found[0]
    for x in columns:
        above[x] = FARTHEST_PX
    for y in range(height):
        inside, here = interior[y], found[y]
        for x in columns:
            here[x] = min(np.int32(FARTHEST_PX), np.int32(above[x] + 1)) * np.int32(inside[x])
        above = here
    for y in range(height - 2, -1, -1):
        here, below = found[y], found[y + 1]
        for x in columns:
            here[x] = min(here[x], np.int32(below[x] + 1))


def ranked(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the ranks of numbers, equal ones sharing one, and how many ranks there are.

    A radix sort of their bits, whose order is that of the numbers.

    Parameters
    ----------
    values : numpy.ndarray
        float64 (n,), above 0.

    Returns
    -------
    ranks : numpy.ndarray
        int32 (n,), 0 and up.
    count : int
    """
    bits, order = values.view(np.uint64).copy(), np.arange(len(values), dtype=np.int32)
    more_bits, ranks = np.empty_like(bits), np.empty_like(order)
    for digit, counts in enumerate(_digit_counts(bits)):
        if counts.max() < len(bits):  # of float32 values, half of the digits are all equal
            _sort(bits, order, digit, np.cumsum(counts) - counts, more_bits, ranks)
            bits, order, more_bits, ranks = more_bits, ranks, bits, order
    return ranks, _rank(bits, order, ranks)


@compiled
def _sort(
    bits: np.ndarray, order: np.ndarray, digit: int, begin: np.ndarray, new_bits: np.ndarray, new: np.ndarray
) -> None:
    """Sort numbers and their order by a digit, of which each value begins somewhere."""
    for n in range(order.size):
        value = _digit(bits[n], digit)
        new_bits[begin[value]], new[begin[value]] = bits[n], order[n]
        begin[value] += 1


@compiled
def _rank(bits: np.ndarray, order: np.ndarray, ranks: np.ndarray) -> int:
    """Fill in the ranks of sorted numbers, and return how many there are."""
    rank = -1
    for n in range(order.size):
        if n == 0 or bits[n] != bits[n - 1]:
            rank += 1
        ranks[order[n]] = rank
    return rank + 1


@compiled
def _digit_counts(bits: np.ndarray) -> np.ndarray:
    """Return how often each digit has each value: int64 (digit, value), the lowest digit first."""
    counts = np.zeros((_DIGITS, 1 << _DIGIT_BITS), np.int64)
    for number in bits:
        for digit in range(_DIGITS):
            counts[digit, _digit(number, digit)] += 1
    return counts


@compiled
def _digit(number: np.uint64, digit: int) -> np.uint64:
    return (number >> np.uint64(_DIGIT_BITS * digit)) & np.uint64((1 << _DIGIT_BITS) - 1)


def flooded(height: np.ndarray, levels: int, seeds: np.ndarray) -> np.ndarray:
    """Grow seeds over their four neighbours, the lowest pixels first, of a level the first met.

    A queue for each level (Meyer 1991). Water that came over a higher level does not fall below it: so
    levels are emptied from the lowest to the highest.

    Parameters
    ----------
    height : numpy.ndarray
        int32 (y, x), 0 to `levels` - 1.
    levels : int
    seeds : numpy.ndarray
        int32 (y, x), 0 outside of the seeds, beside which nothing is lower; those of one level start in
        reading order.

    Returns
    -------
    numpy.ndarray
        int32 (y, x): the seed from which a pixel was reached.
    """
    picture = np.zeros([n + 2 for n in height.shape], np.int32)
    _fill(picture, height, seeds)
    begin = _queues(height, levels)
    end = begin.copy()
    waiting = np.empty(height.size, np.uint32)
    _enqueue_shores(picture, height, end, waiting)
    _flood(picture, begin, end, waiting)
    return np.maximum(picture[1:-1, 1:-1], 0)  # without any seed nothing is reached


@compiled
def _queues(height: np.ndarray, levels: int) -> np.ndarray:
    """Return where the queue of each level begins, with room for all of its pixels: uint32 (levels,).

    Side by side: places that are linked one to the next take a wait for the memory each.
    """
    begin = np.zeros(levels, np.uint32)
    for level in height.ravel():
        if level + 1 < levels:
            begin[level + 1] += 1
    for level in range(1, levels):
        begin[level] += begin[level - 1]
    return begin


@compiled
def _enqueue_shores(picture: np.ndarray, height: np.ndarray, end: np.ndarray, waiting: np.ndarray) -> None:
    """Enqueue the pixels of seeds that have something dry beside them."""
    for y in range(height.shape[0]):
        above, here, below = picture[y], picture[y + 1], picture[y + 2]
        for x in range(height.shape[1]):
            at = x + 1
            if here[at] > 0 and min(above[at], here[at - 1], here[at + 1], below[at]) < 0:
                level = height[y, x]
                waiting[end[level]] = (y + 1) * here.size + at
                end[level] += 1


@compiled
def _flood(picture: np.ndarray, begin: np.ndarray, end: np.ndarray, waiting: np.ndarray) -> None:
    """Fill in what is dry, the lowest level first."""
    pixels, width, one = picture.ravel(), np.uint64(picture.shape[1]), np.uint64(1)
    met = np.empty(waiting.size, np.uint32)  # at the level of the water, lower pixels too
    for water in range(begin.size):
        count, done = 0, 0
        for early in range(begin[water], end[water]):
            met[count] = waiting[early]
            count += 1
        while done < count:
            place = np.uint64(met[done])
            done += 1
            for beside in (place - width, place - one, place + one, place + width):
                if pixels[beside] < 0:
                    level = ~pixels[beside]
                    pixels[beside] = pixels[place]
                    if level > water:
                        waiting[end[level]] = beside
                        end[level] += 1
                    else:
                        met[count] = beside
                        count += 1


@compiled
def _fill(picture: np.ndarray, height: np.ndarray, seeds: np.ndarray) -> None:
    """Fill in seeds, elsewhere heights as -1, -2, ..., within the rim of a picture (y + 2, x + 2)."""
    for y in range(height.shape[0]):
        low, seed, here = height[y], seeds[y], picture[y + 1, 1:-1]
        for x in range(np.uint64(height.shape[1])):
            here[x] = seed[x] if seed[x] else ~low[x]
