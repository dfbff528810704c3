"""Report of an evaluation, gathered from the window."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from emseg_napari.evaluation.honesty import honesty_of
from emseg_napari.evaluation.predictions import boundary_threshold
from emseg_napari.evaluation.report import EvaluationReport, SlicePicture, worst_slices
from emseg_napari.evaluation.review import Review
from emseg_napari.io.axes import shape_text, slice_spans
from emseg_napari.models.run import versions
from emseg_napari.settings import ErrorSettings
from emseg_napari.widgets.evaluate.comparison import LayerComparison


def report_of(
    comparison: LayerComparison,
    review: Review,
    error_settings: ErrorSettings,
    notes: list[str],
) -> EvaluationReport:
    """Gather the figures, what was compared, and pictures of the worst slices; it reads, in any thread."""
    return EvaluationReport(
        title=f"{comparison.prediction_name} against {comparison.truth_name}",
        review=review,
        facts=_facts(comparison, review, error_settings),
        notes=notes,
        honesty=honesty_of(comparison.pair, review.evaluation),
        overlap=comparison.pair.overlap,
        pictures=_pictures(comparison, review),
    )


def _facts(comparison: LayerComparison, review: Review, error_settings: ErrorSettings) -> dict[str, str]:
    evaluation, runs = review.evaluation, comparison.pair.overlap.runs
    scored = [one.z for one in evaluation.per_slice]
    facts = {
        "Prediction": comparison.prediction_name,
        "Truth": comparison.truth_name,
        "Stack (z, y, x)": shape_text(comparison.stack_shape),
        "Scored slices": slice_spans(scored),
    }
    if comparison.has_threshold:
        facts["Threshold"] = f"{boundary_threshold(evaluation.threshold):.2f} of the boundary probability"
    facts["Smallest error"] = f"{error_settings.smallest_px} px"
    for n, run in enumerate(runs, start=1):
        of = f" of run {n}" if len(runs) > 1 else ""
        facts[f"Run {n}" if of else "Run"] = f"{run.folder.name} ({run.settings.network})"
        facts[f"Trained on slices{of}"] = slice_spans(run.record.trained_slices)
        facts[f"Held out of the training{of}"] = slice_spans(run.record.held_out_slices) or "none"
    return facts | {"Evaluated": f"{datetime.now():%Y-%m-%d %H:%M}"} | versions()


def _pictures(comparison: LayerComparison, review: Review) -> list[SlicePicture]:
    image, pictures = comparison.image, []
    for z in worst_slices(review.evaluation):
        at = z - comparison.pair.first_slice
        interior = comparison.pair.interior[at].astype(np.float64) > review.evaluation.threshold
        shown = None if image is None else image[z]
        pictures.append(SlicePicture(z, shown, comparison.pair.truth[at], interior))
    return pictures
