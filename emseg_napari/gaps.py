"""Gaps in membranes: closing them with lines one pixel thin.

A threshold that keeps all cells apart makes membranes thicker than they are, and one that is true
to their thickness leaves gaps, each of which merges two cells. So cells are parted at a low
threshold, and where the probability itself is too weak there, only the thin dam between them is raised.
"""

from __future__ import annotations

import numpy as np

from emseg_napari.scoring.thinning import thinned_regions


def close_gaps(probability: np.ndarray, gap_threshold: float, threshold: float) -> np.ndarray:
    """Raise just above `threshold` the thin lines that part cells at `gap_threshold`.

    Parameters
    ----------
    probability : numpy.ndarray
        Boundary probability of a slice, float32 (y, x), 0 to 1.
    gap_threshold : float
        Cells are the connected parts below it; the dams between them, where they have grown until
        they meet, are the lines (see `emseg_napari.scoring.thinning`).
    threshold : float
        Boundary is what reaches it.

    Returns
    -------
    numpy.ndarray
        float32 (y, x); a copy that differs only on the lines.
    """
    weak_dams = (thinned_regions(probability < gap_threshold) == 0) & (probability < threshold)
    # The next number above: 1 - float32(0.65) is more than 0.35, so that scores would see the dam open.
    raised = np.nextafter(np.float32(threshold), np.float32(2))
    return np.where(weak_dams, np.minimum(raised, np.float32(1)), probability)
