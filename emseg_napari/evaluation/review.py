"""Scores and errors of one prediction, for the window."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emseg_napari.core.jobs import Event, JobContext, Progress
from emseg_napari.evaluation.errors import SegmentationError, find_errors
from emseg_napari.evaluation.evaluation import Evaluation, evaluate
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.settings import ErrorSettings, EvaluationSettings

# Of the time: scores take eleven thresholds, the search for errors one.
_SCORING = 0.75


@dataclass(frozen=True)
class Review:
    """Scores and errors of one prediction.

    Attributes
    ----------
    evaluation : Evaluation
    errors : list of SegmentationError
        Of the scored slices at `evaluation.threshold`, largest first.
    """

    evaluation: Evaluation
    errors: list[SegmentationError]


def review(
    prediction: np.ndarray | SparseStack,
    truth: np.ndarray | SparseStack,
    settings: EvaluationSettings | None = None,
    context: JobContext | None = None,
    *,
    error_settings: ErrorSettings | None = None,
    trained_slices: Sequence[int] = (),
    first_slice: int = 0,
) -> Review:
    """Score a prediction, then find its merges and splits in the slices that were scored.

    Slices that were trained on are scored, too, but count for no mean if there are others.

    Parameters
    ----------
    prediction, truth, settings, context, trained_slices, first_slice
        As of `emseg_napari.evaluation.evaluation.evaluate`.
    error_settings : ErrorSettings, optional

    Raises
    ------
    UserError
        As `evaluate` does.
    Cancelled
    """
    part = _Parts(context or JobContext())
    evaluation = evaluate(
        prediction,
        truth,
        settings,
        part(0, _SCORING),
        trained_slices=trained_slices,
        with_trained=True,
        first_slice=first_slice,
    )
    slices = [one.z for one in evaluation.per_slice]
    here = [z - first_slice for z in slices]
    # In double precision, as the scores compare it.
    interior = prediction[here].astype(np.float64) > evaluation.threshold
    errors = find_errors(truth[here], interior, error_settings, part(_SCORING, 1), slices=slices)
    return Review(evaluation, errors)


class _Parts:
    """Combines the progress of two parts."""

    def __init__(self, context: JobContext) -> None:
        self._context, self._start = context, time.monotonic()

    def __call__(self, first: float, end: float) -> JobContext:
        def pass_on(event: Event) -> None:
            if isinstance(event, Progress):
                fraction = first + (end - first) * event.fraction
                left = (time.monotonic() - self._start) * (1 / fraction - 1) if fraction > 0 else None
                event = Progress(fraction, left, event.text)
            self._context.report(event)

        return self._context.reporting_to(pass_on)
