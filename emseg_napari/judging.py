"""Which slices are held out of a training, and how good a network is on slices.

Only a part of a few slices is compared, so that judging stays short.
"""

from __future__ import annotations

import numpy as np

from emseg_napari.jobs import Message, Report, ShouldStop, UserError, ignore
from emseg_napari.labels import BOUNDARY, UNLABELLED, check_trainable, from_probability
from emseg_napari.metrics import best_threshold, pixel_accuracy
from emseg_napari.prediction import SlicePredictor, Window
from emseg_napari.settings import TrainingSettings
from emseg_napari.stacks import check_range

SLICES_FOR_HOLD_OUT = 4
_SLICES = 3
_SIDE_PX = 1024


def split(
    labels: np.ndarray, settings: TrainingSettings, report: Report = ignore
) -> tuple[list[int], list[int]]:
    """Choose which slices train and which are held out.

    An eighth of the labelled slices is held out, the last ones together, since neighbouring
    slices resemble each other; nothing when fewer than four are labelled.

    Returns
    -------
    trained, held_out : list of int
        Disjoint indices of slices with labels.
    """
    first, end = check_range(settings.slices, len(labels), "Slices")
    labelled = [z for z in range(first, end) if labels[z].any()]
    if settings.validate_slices is not None:
        low, high = check_range(settings.validate_slices, len(labels), "Held-out slices")
        held_out = [z for z in range(low, high) if labels[z].any()]
    else:
        held_out = labelled[-max(1, len(labelled) // 8) :] if len(labelled) >= SLICES_FOR_HOLD_OUT else []
    trained = [z for z in labelled if z not in held_out]
    if labelled and not trained:
        raise UserError("All labelled slices are held out, so none is left to train on; hold out fewer.")
    if not trained:
        check_trainable(labels[first:end], "The labels")
    if not held_out:
        report(
            Message(
                f"{len(trained)} labelled slice(s): none is held out, so this run has no score of its own."
            )
        )
    return trained, held_out


class Judge:
    """Compares predictions with labels.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x).
    labels : numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    boundary_weight : float
        Of the loss, so that the cost ranks networks as their training does.
    should_stop : callable
        When it answers True, `Cancelled` is raised.
    """

    def __init__(
        self, image: np.ndarray, labels: np.ndarray, boundary_weight: float, should_stop: ShouldStop
    ) -> None:
        self._image, self._labels = image, labels
        self._boundary_weight, self._should_stop = boundary_weight, should_stop

    def score(self, slices: list[int], predictor: SlicePredictor) -> tuple[float | None, float]:
        """Return pixel accuracy at 0.5 and mean weighted cross-entropy; None and inf of no slices."""
        if not slices:
            return None, float("inf")
        labels, probability = self._compared(slices[:_SLICES], predictor)
        target = labels == BOUNDARY
        right = np.where(target, probability, 1 - probability)
        weight = np.where(target, self._boundary_weight, 1.0) * (labels != UNLABELLED)
        cost = float(np.sum(weight * -np.log(np.maximum(right, 1e-6))) / max(1.0, weight.sum()))
        return pixel_accuracy(labels, from_probability(probability, 0.5)), cost

    def threshold(self, slices: list[int], predictor: SlicePredictor) -> float:
        """Return the boundary probability that parts the classes best; 0.5 of no slices."""
        if not slices:
            return 0.5
        # Between counting all pixels alike (most accurate) and as the loss does (fewest gaps, each
        # of which merges two cells): on ISBI slices this costs little of either.
        weight = (1 + self._boundary_weight) / 2
        return best_threshold(*self._compared(slices[:_SLICES], predictor), weight)

    def _compared(self, slices: list[int], predictor: SlicePredictor) -> tuple[np.ndarray, np.ndarray]:
        part = most_labelled(self._labels[slices], _SIDE_PX)
        probability = [predictor.probability(self._image[z][part], self._should_stop) for z in slices]
        return self._labels[slices][:, *part], np.stack(probability)


def most_labelled(labels: np.ndarray, side_px: int) -> Window:
    """Return the window (y, x), of a grid with `side_px` steps, that has most labels of (z, y, x)."""
    starts = [(y, x) for y in range(0, labels.shape[1], side_px) for x in range(0, labels.shape[2], side_px)]
    windows = [(slice(y, y + side_px), slice(x, x + side_px)) for y, x in starts]
    return max(windows, key=lambda window: np.count_nonzero(labels[:, *window]))
