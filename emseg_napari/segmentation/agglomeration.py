"""Agglomeration: joins touching regions of a slice where the boundary between them is weak.

The boundary between two regions is as strong as the mean boundary probability along it: of each
step from a pixel of one to the next pixel (in y or x) of the other, the larger of the two
probabilities. A long boundary counts as stronger than a short one of the same mean, since it is less
often a chance. Joining the weakest first, with means kept up to date, is mean boundary agglomeration
(Nunez-Iglesias et al. 2013, doi:10.1371/journal.pone.0071715).
"""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np

SHORT, PER_DOUBLING = 30, 0.055  # steps up to which length does not count, and what it counts then


class Borders(NamedTuple):
    """The borders between regions.

    Attributes
    ----------
    one, other : numpy.ndarray
        int64 (n,): the regions, the lower number first; each pair once, in order.
    total : numpy.ndarray
        float64 (n,): sum of the boundary probability over the steps.
    steps : numpy.ndarray
        int64 (n,): how many steps there are from one to the other.
    """

    one: np.ndarray
    other: np.ndarray
    total: np.ndarray
    steps: np.ndarray

    @classmethod
    def summed(cls, one: np.ndarray, other: np.ndarray, total: np.ndarray, steps: np.ndarray) -> Borders:
        """Add up borders between the same two regions; a region has none with itself."""
        apart = one != other
        one, other = one[apart].astype(np.int64), other[apart].astype(np.int64)
        keys = np.minimum(one, other) << 32 | np.maximum(one, other)
        pairs, which = np.unique(keys, return_inverse=True)
        sums = (np.bincount(which, amount[apart], len(pairs)) for amount in (total, steps))
        return cls(pairs >> 32, pairs & 0xFFFFFFFF, next(sums), next(sums).astype(np.int64))

    @classmethod
    def within(cls, numbers: np.ndarray, probability: np.ndarray) -> Borders:
        """Measure those of a picture; parameters as of `Regions`."""
        regions, strengths, width = numbers.ravel(), probability.ravel(), numbers.shape[1]
        down = np.flatnonzero(regions[width:] != regions[:-width])
        across = np.flatnonzero(regions[1:] != regions[:-1])
        across = across[(across + 1) % width > 0]  # the next of a row's last pixel is in the row below
        here, there = np.concatenate([down, across]), np.concatenate([down + width, across + 1])
        return cls.across(regions[here], regions[there], strengths[here], strengths[there])

    @classmethod
    def across(
        cls, one: np.ndarray, other: np.ndarray, probability: np.ndarray, beyond: np.ndarray
    ) -> Borders:
        """Measure those that are crossed by steps from pixels to the next.

        Parameters
        ----------
        one, other : numpy.ndarray
            int (n,): the region on this side and on the other.
        probability, beyond : numpy.ndarray
            float (n,): boundary probability on this side and on the other.
        """
        apart = one != other
        strength = _exact(np.maximum(probability, beyond)[apart])
        return cls.summed(one[apart], other[apart], strength, np.ones(strength.shape))


class Regions:
    """The regions of one slice, to be joined.

    Parameters
    ----------
    numbers : numpy.ndarray
        int (y, x): the region of each pixel, 0 to some hundred thousand.
    probability : numpy.ndarray
        Boundary probability, float (y, x), 0 to 1.
    """

    def __init__(self, numbers: np.ndarray, probability: np.ndarray) -> None:
        self._keep(numbers, _sizes(numbers), Borders.within(numbers, probability))

    @classmethod
    def of_parts(cls, sizes: np.ndarray, borders: Borders) -> Regions:
        """Make regions of which only sizes and borders are known.

        Parameters
        ----------
        sizes : numpy.ndarray
            int (n,): pixels of region 0, 1, 2, ...
        borders : Borders
            Between them.

        Returns
        -------
        Regions
            Its picture is one row: a pixel for each region.
        """
        regions = cls.__new__(cls)
        regions._keep(np.arange(len(sizes))[None], sizes, borders)
        return regions

    def _keep(self, numbers: np.ndarray, sizes: np.ndarray, borders: Borders) -> None:
        self._numbers = numbers
        first = first_pixels(numbers)
        self._in_order = np.argsort(first)[np.count_nonzero(first < 0) :]  # without those that do not occur
        self._size = sizes.tolist()
        self._joined_to = list(range(len(self._size)))
        # Of each region its neighbours, and of each of them the border: sum of probability, and steps.
        self._borders: list[dict[int, tuple[float, int]]] = [{} for _ in self._size]
        for one, other, total, steps in zip(*(c.tolist() for c in borders), strict=True):
            self._borders[one][other] = self._borders[other][one] = (total, steps)

    def join_weak(self, strength: float) -> None:
        """Join neighbours, the weakest boundary first, until none is weaker than `strength`."""
        waiting = [
            (_strength(border), one, other, border[1])
            for one, borders in enumerate(self._borders)
            for other, border in borders.items()
            if one < other and _strength(border) < strength
        ]
        heapq.heapify(waiting)
        while waiting:
            _, one, other, steps = heapq.heappop(waiting)
            if self._borders[one].get(other, (0, 0))[1] != steps:  # joined or grown since
                continue
            kept = self._join(one, other)
            for third, border in self._borders[kept].items():
                if _strength(border) < strength:
                    heapq.heappush(waiting, (_strength(border), kept, third, border[1]))

    def join_small(self, size_px: int) -> None:
        """Join each region of fewer than `size_px` pixels, the smallest first, to its weakest neighbour."""
        waiting = [(size, one) for one, size in enumerate(self._size) if 0 < size < size_px]
        heapq.heapify(waiting)
        while waiting:
            size, one = heapq.heappop(waiting)
            borders = self._borders[one]
            if self._joined_to[one] != one or self._size[one] != size or not borders:
                continue
            kept = self._join(one, min(borders, key=lambda other: (_strength(borders[other]), other)))
            if self._size[kept] < size_px:
                heapq.heappush(waiting, (self._size[kept], kept))

    def numbers(self) -> np.ndarray:
        """Return the regions as they are now: int32 (y, x), 1, 2, ... in reading order."""
        for one in range(len(self._joined_to)):
            self._joined_to[one] = self._last(one)
        new = np.zeros(len(self._joined_to), np.int32)
        new[self._in_order] = in_reading_order(np.array(self._joined_to)[self._in_order] + 1)
        return new[self._numbers]

    def _last(self, one: int) -> int:
        while self._joined_to[one] != one:
            one = self._joined_to[one]
        return one

    def _join(self, one: int, other: int) -> int:
        """Make two neighbours one and return its number, that of the one with more neighbours."""
        kept, gone = sorted((one, other), key=lambda region: -len(self._borders[region]))
        self._joined_to[gone] = kept
        self._size[kept] += self._size[gone]
        for third, (total, steps) in self._borders[gone].items():
            del self._borders[third][gone]
            if third != kept:
                known, counted = self._borders[kept].get(third, (0.0, 0))
                joint = (known + total, counted + steps)
                self._borders[kept][third] = self._borders[third][kept] = joint
        self._borders[gone] = {}
        return kept


def in_reading_order(numbers: np.ndarray) -> np.ndarray:
    """Number regions 1, 2, ... in the order in which one meets them, row by row.

    Parameters
    ----------
    numbers : numpy.ndarray
        int (y, x), not negative; 0 stays 0.

    Returns
    -------
    numpy.ndarray
        int32 (y, x).
    """
    first = first_pixels(numbers)
    present = np.flatnonzero(first[1:] >= 0) + 1
    new = np.zeros(len(first), np.int32)
    new[present[np.argsort(first[present])]] = np.arange(1, len(present) + 1)
    return new[numbers]


def first_pixels(numbers: np.ndarray) -> np.ndarray:
    """Return where one meets each region first, row by row.

    Parameters
    ----------
    numbers : numpy.ndarray
        int (y, x), not negative.

    Returns
    -------
    numpy.ndarray
        int64 (n,): of number 0, 1, 2, ... the place of its first pixel; -1 for what does not occur.
    """
    first = np.full(int(numbers.max(initial=0)) + 1, -1)
    begin = _begins(numbers)[::-1]
    first[numbers.ravel()[begin]] = begin  # the last to be written is the first pixel
    return first


def _sizes(numbers: np.ndarray) -> np.ndarray:
    """Count the pixels of region 0, 1, 2, ...: int64 (n,)."""
    begin = _begins(numbers)
    lengths = np.diff(begin, append=numbers.size)
    return np.bincount(numbers.ravel()[begin], lengths).astype(np.int64)


def _begins(numbers: np.ndarray) -> np.ndarray:
    """Return the places at which a number follows another in reading order: few, where regions are wide."""
    pixels = numbers.ravel()
    return np.concatenate([np.arange(min(pixels.size, 1)), np.flatnonzero(pixels[1:] != pixels[:-1]) + 1])


def outlined(numbers: np.ndarray) -> np.ndarray:
    """Return regions with 0 at their `edges`.

    Parameters
    ----------
    numbers : numpy.ndarray
        int (y, x).
    """
    return np.where(edges(numbers), 0, numbers)


def edges(numbers: np.ndarray) -> np.ndarray:
    """Return where regions touch another at their next pixel in y or x: bool (y, x).

    Parameters
    ----------
    numbers : numpy.ndarray
        int (y, x).
    """
    found = np.zeros(numbers.shape, bool)
    found[:-1] = numbers[:-1] != numbers[1:]
    found[:, :-1] |= numbers[:, :-1] != numbers[:, 1:]
    return found


def _exact(probability: np.ndarray) -> np.ndarray:
    """Round to 30 binary places: sums of up to 8 million of these are exact in any order and grouping."""
    return np.round(probability.astype(np.float64) * 2**30) / 2**30


def _strength(border: tuple[float, int]) -> float:
    total, steps = border
    return total / steps + PER_DOUBLING * math.log2(max(steps, SHORT) / SHORT)
