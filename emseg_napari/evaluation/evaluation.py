"""The evaluation job: a prediction against the truth, every slice at every threshold.

Thresholds are those of the interior probability, as in the ISBI 2012 challenge: interior is
what lies strictly above.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import takewhile
from typing import Any

import numpy as np

from emseg_napari.core.jobs import JobContext, Message, Progress, Report, UserError
from emseg_napari.core.machine import threads
from emseg_napari.evaluation.metrics import (
    ROUNDING,
    THRESHOLDS,
    BestOfThresholds,
    SliceComparison,
    comparisons,
)
from emseg_napari.evaluation.pixels import total
from emseg_napari.evaluation.scores import Evaluation as Evaluation
from emseg_napari.evaluation.scores import Scores as Scores
from emseg_napari.evaluation.scores import SliceEvaluation as SliceEvaluation
from emseg_napari.io.axes import shape_text, slices_text
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices
from emseg_napari.io.stacks import as_stack
from emseg_napari.settings import EvaluationSettings

_MOST_THREADS = 8
_SECONDS_BETWEEN_QUESTIONS = 0.1


def evaluate(
    prediction: np.ndarray | SparseStack,
    truth: np.ndarray | SparseStack,
    settings: EvaluationSettings | None = None,
    context: JobContext | None = None,
    *,
    trained_slices: Sequence[int] = (),
    with_trained: bool = False,
    first_slice: int = 0,
) -> Evaluation:
    """Compare a prediction with the truth, slice by slice.

    Parameters
    ----------
    prediction : numpy.ndarray or SparseStack
        Interior probability, float32 (z, y, x), 0 to 1, compared as it is; of a boundary
        probability it is one minus that, of labels 1 where they are interior, else 0.
    truth : numpy.ndarray or SparseStack
        uint8 of the same shape: 0 unlabelled (counts for nothing), 1 boundary, 2 interior.
        Slices without labels are skipped.
    settings : EvaluationSettings, optional
        Which slices, and the threshold of the interior probability (0.5 when it has none; that
        of a run is ``1 - run.record.threshold``).
    context : JobContext, optional
        Gets a `Progress` per slice, and a `Message` where slices are left out or prove nothing.
    trained_slices : sequence of int
        What the run was trained on. They are left out when other labelled slices are there
        and `settings` names no range; else they are scored and marked.
    with_trained : bool
        Whether they are scored in any case; the means are then over the other slices, if there are any.
    first_slice : int
        Index of the first slice given, where the arrays are a part of a stack: all other numbers of
        slices, in and out, count from the stack's first.

    Raises
    ------
    UserError
        If the shapes differ, a value is not between 0 and 1, or no slice has labels.
    """
    settings, context = settings or EvaluationSettings(), context or JobContext()
    prediction, truth = as_stack(prediction), as_stack(truth)
    _check_sizes(prediction, truth)
    unwanted = frozenset(() if with_trained else trained_slices)
    chosen, left_out = _chosen(truth, settings.slices, unwanted, first_slice)
    trained = [z for z in chosen if z in trained_slices]
    averaged = (with_trained and [z for z in chosen if z not in trained]) or chosen
    for z in chosen:
        _check_values(prediction[z - first_slice])
    _say_what_is_trained(trained, averaged, left_out, context.report)
    threshold = 0.5 if settings.threshold is None else settings.threshold

    def compare(z: int) -> Iterator[SliceComparison]:
        at = z - first_slice
        return comparisons(truth[at], prediction[at], (*THRESHOLDS, threshold))

    found = _in_threads(compare, chosen, context)
    return _summary(found, threshold, trained, averaged, left_out)


def _chosen(
    truth: np.ndarray | SparseStack,
    wanted: tuple[int, int] | None,
    unwanted: frozenset[int],
    first_slice: int,
) -> tuple[list[int], list[int]]:
    """Return the slices to score, and those that are left out because the run was trained on them."""
    first, end = wanted or (first_slice, first_slice + len(truth))
    if not first_slice <= first < end <= first_slice + len(truth):
        raise UserError(
            f"The slices {first}:{end} do not lie inside what is to be compared; "
            f"choose a range inside {first_slice}:{first_slice + len(truth)}."
        )
    here = labelled_slices(truth, range(first - first_slice, end - first_slice))
    labelled = [first_slice + z for z in here]
    if not labelled:
        raise UserError(f"The slices {first}:{end} have no labels to compare with; choose labelled slices.")
    unseen = [z for z in labelled if z not in unwanted]
    if wanted is not None or not unseen:
        return labelled, []
    return unseen, [z for z in labelled if z in unwanted]


def _check_sizes(prediction: Any, truth: Any) -> None:
    if prediction.shape != truth.shape:
        sizes = " and ".join(shape_text(array.shape) for array in (prediction, truth))
        raise UserError(f"Prediction and labels differ in size ({sizes}); choose two that belong together.")


def _check_values(prediction: np.ndarray) -> None:
    low, high = float(prediction.min()), float(prediction.max())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # NaN is neither
        raise UserError(
            f"The prediction holds {low if low < 0 or math.isnan(low) else high:g}, which is not a "
            "probability; give values from 0 to 1."
        )


def _say_what_is_trained(
    trained: Sequence[int], averaged: Sequence[int], left_out: Sequence[int], report: Report
) -> None:
    if left_out:
        report(Message(f"Left out, since the run was trained on them: {slices_text(left_out)}."))
    if trained:
        counts = "" if set(trained) <= set(averaged) else " and do not count for the means"
        slices = slices_text(trained)
        report(Message(f"The run was trained on {slices}: scores there prove nothing{counts}."))


def _in_threads(
    compare: Callable[[int], Iterator[SliceComparison]],
    slices: Sequence[int],
    context: JobContext,
) -> dict[int, list[SliceComparison]]:
    """Compare slices side by side, which the compiled flood allows, and report on each."""
    stopped = threading.Event()

    def finish(z: int) -> tuple[int, list[SliceComparison]]:
        return z, list(takewhile(lambda _: not stopped.is_set(), compare(z)))

    context.report(Progress(0.0, None, f"scoring {slices_text(slices)}"))
    started, found = time.monotonic(), {}
    pool = ThreadPoolExecutor(min(len(slices), _threads()))
    waiting: set[Future[tuple[int, list[SliceComparison]]]] = {pool.submit(finish, z) for z in slices}
    try:
        while waiting:
            over, waiting = wait(waiting, _SECONDS_BETWEEN_QUESTIONS, FIRST_COMPLETED)
            context.check_stop()
            for z, comparisons_ in (one.result() for one in over):
                found[z] = comparisons_
                left = (time.monotonic() - started) / len(found) * (len(slices) - len(found))
                text = f"{len(found)} of {len(slices)} slices scored"
                context.report(Progress(len(found) / len(slices), left, text))
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return dict(sorted(found.items()))


def _threads() -> int:
    """As many as ONNX Runtime and TensorFlow get; the window lets its engine leave a core free."""
    return min(_MOST_THREADS, threads())


def _summary(
    found: Mapping[int, Sequence[SliceComparison]],
    threshold: float,
    trained: Sequence[int],
    averaged: Sequence[int],
    left_out: Sequence[int],
) -> Evaluation:
    official, own, counted = len(THRESHOLDS), -1, [found[z] for z in averaged]
    means = [Scores.mean([Scores.of(one[k]) for one in counted]) for k in range(official)]
    own_scores = {z: Scores.of(one[own]) for z, one in found.items()}
    rand = BestOfThresholds.of([scores.v_rand for scores in means])
    information = BestOfThresholds.of([scores.v_info for scores in means])
    totals = [total(one[k].pixels for one in counted) for k in range(official)]
    return Evaluation(
        v_rand=rand.best,
        v_rand_threshold=rand.threshold,
        v_info=information.best,
        v_info_threshold=information.threshold,
        pixel_error=1 - max(pixels.interior_f1 for pixels in totals),
        threshold=threshold,
        at_threshold=Scores.mean([own_scores[z] for z in averaged]),
        thresholds=THRESHOLDS,
        per_threshold=tuple(means),
        per_slice=tuple(SliceEvaluation(z, z in trained, one) for z, one in own_scores.items()),
        averaged=tuple(averaged),
        left_out=tuple(left_out),
    )
