"""Closing of gaps in membranes with lines one pixel thin.

No threshold is right everywhere: one that finds the faint stretches of membranes makes the others
thick, and one that is true to their thickness leaves gaps, each of which merges two cells. So
thickness comes from the threshold and connectivity from the cells: where a boundary is strong as a
whole, the thin line between its cells is raised in its gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from emseg_napari.core.jobs import ShouldStop, never
from emseg_napari.segmentation.agglomeration import edges
from emseg_napari.segmentation.stack import fragments_of_slice
from emseg_napari.settings import CellSettings

_TINY_PX = 32  # wide enough for two cells


def close_gaps(
    probability: np.ndarray, threshold: float, merge_threshold: float, should_stop: ShouldStop = never
) -> np.ndarray:
    """Raise to `threshold` the thin lines between cells.

    Parameters
    ----------
    probability : numpy.ndarray
        Boundary probability of a slice, float32 (y, x), 0 to 1.
    threshold : float
        Boundary is what reaches it.
    merge_threshold : float
        Mean boundary probability from which a boundary separates two cells, see `CellSettings`.
    should_stop : callable
        When it answers True, `Cancelled` is raised.

    Returns
    -------
    numpy.ndarray
        float32 (y, x); a copy that differs only on the lines.
    """
    return next(closings(probability, threshold, [merge_threshold], should_stop))


def closings(
    probability: np.ndarray, threshold: float, levels: Iterable[float], should_stop: ShouldStop = never
) -> Iterator[np.ndarray]:
    """Yield what `close_gaps` returns for each of the ascending `levels` of `merge_threshold`."""
    # The next number above: 1 - float32(0.65) is more than 0.35, so that scores would see the line open.
    raised = min(np.nextafter(np.float32(threshold), np.float32(2)), np.float32(1))
    regions = fragments_of_slice(probability, CellSettings(), should_stop)
    for level in levels:
        regions.join_weak(level)
        lines = edges(regions.numbers()) & (probability < threshold)
        yield np.where(lines, raised, probability)


def load_closing() -> None:
    """Load now what the first `close_gaps` would load, in a second: numba, and what it compiled earlier."""
    close_gaps(np.eye(_TINY_PX, dtype=np.float32), 0.5, 0.5)
