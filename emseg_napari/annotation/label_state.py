"""States of labels: made by the user, or proposed by a network.

The value of a pixel is its state: 0 unlabelled, 1 and 2 boundary and interior of the user, 3 and 4
boundary and interior that a network proposes. So a stroke that agrees with a proposal is a change
like any other, and undoing a label, also by napari itself, restores its state. In a confirmed slice all
labels count as the user's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from emseg_napari.core.labels import PROPOSED_BOUNDARY, UNLABELLED


@dataclass(frozen=True)
class SliceSummary:
    """How many pixels of one slice are in which state, and whether the user has confirmed it."""

    unlabelled: int
    proposed: int
    own: int
    confirmed: bool


def is_proposal(labels: np.ndarray) -> np.ndarray:
    """Return where labels are only proposed, bool of the same shape."""
    return (labels == PROPOSED_BOUNDARY) | (labels == PROPOSED_BOUNDARY + 1)


def is_own(labels: np.ndarray) -> np.ndarray:
    """Return where labels are the user's even in a slice that is not confirmed, bool of the same shape."""
    return (labels != UNLABELLED) & ~is_proposal(labels)


def plain(labels: np.ndarray) -> np.ndarray:
    """Return labels without their state: 0, 1 and 2.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer, any shape, 0 to 4. Other values stay what they are.

    Returns
    -------
    numpy.ndarray
        A copy of the same shape and type.
    """
    return labels - 2 * is_proposal(labels).astype(labels.dtype)  # many times faster than a table


def proposed(labels: np.ndarray) -> np.ndarray:
    """Return labels 0, 1, 2 as proposals: 0, 3, 4, uint8."""
    return np.where(labels == UNLABELLED, labels, labels + 2)


def trusted(
    labels: np.ndarray, confirmed: Collection[int] = (), include_proposals: bool = False
) -> np.ndarray:
    """Return what trains and is exported: labels without state, proposals being unlabelled.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (z, y, x), 0 to 4.
    confirmed : collection of int
        Slices whose proposals count as labels.
    include_proposals : bool
        Whether all proposals do.

    Returns
    -------
    numpy.ndarray
        uint8 (z, y, x): 0, 1, 2.
    """
    result = plain(labels).astype(np.uint8, copy=False)
    if not include_proposals:
        for z in set(range(len(labels))).difference(confirmed):
            result[z] *= ~is_proposal(labels[z])
    return result


def fill(labels: np.ndarray, prediction: np.ndarray) -> int:
    """Propose labels for the pixels of an unconfirmed slice that the user has not labelled.

    Parameters
    ----------
    labels : numpy.ndarray
        Integer (y, x), 0 to 4; changed in place.
    prediction : numpy.ndarray
        uint8 (y, x): 1 boundary, 2 interior, 0 where nothing is proposed.

    Returns
    -------
    int
        Of how many pixels.
    """
    if labels.shape != prediction.shape:
        raise ValueError(f"a prediction of shape {prediction.shape} for a slice of shape {labels.shape}")
    free = ((labels == UNLABELLED) | is_proposal(labels)) & (prediction != UNLABELLED)
    np.copyto(labels, proposed(prediction), where=free, casting="unsafe")  # fast: the window waits for it
    return int(np.count_nonzero(free))


def summary(labels: np.ndarray, confirmed: bool) -> SliceSummary:
    """Count the pixels of a slice, uint8 (y, x), by their state."""
    labelled = int(np.count_nonzero(labels))  # ten times faster than a histogram
    waiting = 0 if confirmed else int(np.count_nonzero(labels >= PROPOSED_BOUNDARY))
    return SliceSummary(labels.size - labelled, waiting, labelled - waiting, confirmed)
