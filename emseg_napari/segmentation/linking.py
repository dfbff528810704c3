"""Linking: the same cell has one number in all slices, and so one colour."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from emseg_napari.core.jobs import JobContext, Progress
from emseg_napari.io.stacks import as_stack
from emseg_napari.segmentation.agglomeration import in_reading_order
from emseg_napari.segmentation.overlaps import Overlaps, overlaps
from emseg_napari.settings import CellSettings


def link(
    cells: np.ndarray,
    settings: CellSettings | None = None,
    context: JobContext | None = None,
) -> np.ndarray:
    """Give the cells of neighbouring slices that overlap one number.

    Two cells overlap by the pixels that they share, divided by those of either (intersection over
    union). Of all pairs of a slice and the one before, the pair that overlaps most is linked first,
    then the one that overlaps most of what is left, and so on down to `settings.overlap`: one to one.

    - Where a cell splits, the part that overlaps it most keeps its number, the others start new ones.
    - Where cells merge, the number of the one that overlaps the result most continues, the others end.
    - A number that ended may continue up to `settings.gap_slices` slices later, by the same rule and
      after all others: over a damaged slice, or when two cells part again that had merged.

    The result does not depend on the numbers that come in, and linking it again changes nothing.

    Parameters
    ----------
    cells : numpy.ndarray
        int (z, y, x) or (y, x): the cells of each slice, 0 outside of them. A number counts for its
        slice only.
    settings : CellSettings, optional
        `overlap` and `gap_slices`.
    context : JobContext, optional
        Gets a `Progress` per slice.

    Returns
    -------
    numpy.ndarray
        int32 (z, y, x): 0 where it was 0, numbers from 1 in the order of slices, and within a slice in
        reading order.
    """
    stack, context = as_stack(cells), context or JobContext()
    result = np.empty(stack.shape, np.int32)
    linker, left = Linker(settings or CellSettings()), time_left(len(stack))
    for z, numbers in enumerate(stack):
        context.check_stop()
        result[z] = linker.next(numbers)
        context.report(Progress((z + 1) / len(stack), left(z + 1), f"slice {z} linked"))
    return result


class Linker:
    """Links slices as they come, from the first to the last.

    Parameters
    ----------
    settings : CellSettings
        `overlap` and `gap_slices`.
    """

    def __init__(self, settings: CellSettings) -> None:
        self._overlap = settings.overlap
        self._before: deque[np.ndarray] = deque(maxlen=settings.gap_slices + 1)  # the nearest first
        self._chain = Chain(settings.gap_slices + 1)

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
        pairs = [overlaps(earlier, own, self._overlap) for earlier in self._before]
        self._before.appendleft(own)
        number = self._chain.next(int(own.max(initial=0)), pairs)
        return np.concatenate([[0], number]).astype(np.int32)[own]


class Chain:
    """The numbers of the cells of one slice after the other, from their overlaps alone.

    Parameters
    ----------
    reach : int
        With how many slices before a slice is compared.

    Attributes
    ----------
    last : int
        The highest number so far.
    """

    def __init__(self, reach: int) -> None:
        self.last = 0
        self._before: deque[np.ndarray] = deque(maxlen=reach)  # numbers of slices, nearest first

    def next(self, count: int, pairs: Sequence[Overlaps]) -> np.ndarray:
        """Return the numbers of the next slice's cells.

        Parameters
        ----------
        count : int
            How many cells it has.
        pairs : sequence of Overlaps
            With the slice before, then the one before that, and so on, as far as it reaches.

        Returns
        -------
        numpy.ndarray
            int64 (count,).
        """
        number = self._carried(count, pairs)
        fresh = np.flatnonzero(number == 0)
        number[fresh] = self.last + 1 + np.arange(len(fresh))
        self.last += len(fresh)
        self._before.appendleft(number)
        return number

    def _carried(self, count: int, pairs: Sequence[Overlaps]) -> np.ndarray:
        """Return for each cell the number that it carries on, 0 for none."""
        number = np.zeros(count, np.int64)
        seen: set[int] = set()
        for earlier, known in zip(pairs, self._before, strict=True):
            for old, cell in _best_first(known[earlier.earlier - 1], earlier):
                if old not in seen and number[cell - 1] == 0:
                    number[cell - 1] = old
                    seen.add(old)
            seen.update(known.tolist())  # what a nearer slice shows has not ended before it
        return number


def _best_first(old: np.ndarray, pairs: Overlaps) -> Iterator[tuple[int, int]]:
    """Yield old numbers and cells, those that overlap most first, and of equal ones the lowest numbers."""
    order = np.lexsort((pairs.later, old, -pairs.overlap))
    return zip(old[order].tolist(), pairs.later[order].tolist(), strict=True)


def time_left(total: int) -> Callable[[int], float]:
    """Return a function that says how many seconds are left after `done` of `total`."""
    began = time.monotonic()
    return lambda done: (time.monotonic() - began) / done * (total - done)
