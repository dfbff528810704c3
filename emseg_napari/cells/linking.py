"""The same cell through the slices of a stack: one number, so one colour."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from emseg_napari.cells.regions import in_reading_order
from emseg_napari.jobs import Cancelled, Progress, Report, ShouldStop, ignore, never
from emseg_napari.settings import InstanceSettings
from emseg_napari.stacks import as_stack


def link(
    cells: np.ndarray,
    settings: InstanceSettings | None = None,
    report: Report = ignore,
    should_stop: ShouldStop = never,
) -> np.ndarray:
    """Give the cells of neighbouring slices that overlap one number.

    Two cells overlap by the pixels that they share, divided by those of either (intersection over
    union). Of all pairs of a slice and the one before, the pair that overlaps most is linked first,
    then the one that overlaps most of what is left, and so on down to `settings.overlap`: one to one.

    - Where a cell splits, the part that overlaps it most keeps its number, the others start new ones.
    - Where cells merge, the number of the one that overlaps the result most goes on, the others end.
    - A number that ended may go on up to `settings.gap_slices` slices later, by the same rule and
      after all others: over a damaged slice, or when two cells part again that had merged.

    The result does not depend on the numbers that come in, and linking it again changes nothing.

    Parameters
    ----------
    cells : numpy.ndarray
        int (z, y, x) or (y, x): the cells of each slice, 0 outside of them. A number counts for its
        slice only.
    settings : InstanceSettings, optional
        `overlap` and `gap_slices`.
    report : callable
        Gets a `Progress` per slice.
    should_stop : callable
        When it answers True, `Cancelled` is raised.

    Returns
    -------
    numpy.ndarray
        int32 (z, y, x): 0 where it was 0, numbers from 1 in the order of slices, and within a slice in
        reading order.
    """
    stack = as_stack(cells)
    result = np.empty(stack.shape, np.int32)
    linker, left = Linker(settings or InstanceSettings()), time_left(len(stack))
    for z, numbers in enumerate(stack):
        if should_stop():
            raise Cancelled
        result[z] = linker.next(numbers)
        report(Progress((z + 1) / len(stack), left(z + 1), f"slice {z} linked"))
    return result


class Linker:
    """Links slices as they come, from the first to the last.

    Parameters
    ----------
    settings : InstanceSettings
        `overlap` and `gap_slices`.
    """

    def __init__(self, settings: InstanceSettings) -> None:
        self._overlap = settings.overlap
        self._before: deque[np.ndarray] = deque(maxlen=settings.gap_slices + 1)  # the nearest first
        self._last = 0

    def next(self, cells: np.ndarray) -> np.ndarray:
        """Return the next slice with the numbers of the slices before.

        Parameters
        ----------
        cells : numpy.ndarray
            int (y, x), 0 outside the cells.

        Returns
        -------
        numpy.ndarray
            int32 (y, x).
        """
        own = in_reading_order(cells)
        number = self._carried(own)
        fresh = np.flatnonzero(number == 0)
        number[fresh] = self._last + 1 + np.arange(len(fresh))
        self._last += len(fresh)
        linked = np.concatenate([[0], number]).astype(np.int32)[own]
        self._before.appendleft(linked)
        return linked

    def _carried(self, own: np.ndarray) -> np.ndarray:
        """Return for each cell, from 1, the number that it carries on, 0 for none."""
        number = np.zeros(int(own.max(initial=0)), np.int64)
        seen = np.zeros(self._last + 1, bool)
        for earlier in self._before:
            for old, cell in _pairs(earlier, own, self._overlap):
                if not seen[old] and number[cell - 1] == 0:
                    number[cell - 1] = old
                    seen[old] = True
            seen[earlier] = True  # what a nearer slice shows has not ended before it
        return number


def _pairs(earlier: np.ndarray, later: np.ndarray, least: float) -> list[tuple[int, int]]:
    """Return the pairs of numbers that overlap by at least `least`, those that overlap most first."""
    width = int(later.max(initial=0)) + 1
    both = (earlier > 0) & (later > 0)
    keys, shared = np.unique(earlier[both].astype(np.int64) * width + later[both], return_counts=True)
    one, other = keys // width, keys % width
    union = np.bincount(earlier.ravel())[one] + np.bincount(later.ravel())[other] - shared
    overlap = shared / union
    order = np.argsort(-overlap, kind="stable")  # equal ones in reading order
    order = order[overlap[order] >= least]
    return list(zip(one[order].tolist(), other[order].tolist(), strict=True))


def time_left(total: int) -> Callable[[int], float]:
    """Return a function that says how many seconds are left after `done` of `total`."""
    began = time.monotonic()
    return lambda done: (time.monotonic() - began) / done * (total - done)
