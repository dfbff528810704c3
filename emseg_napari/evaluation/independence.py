"""Independence of a prediction and the labels that it is scored by.

Neither may be made from the other, and no choice that the prediction depends on by its score on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.evaluation.predictions import Prediction
from emseg_napari.io.axes import slices_text
from emseg_napari.io.records import Kind, other_scale, recorded_kind
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.models.run import Run
from emseg_napari.settings import CellSettings, PredictionSettings, usual_orientations, with_present_names
from emseg_napari.settings.titles import title_of

_ROUNDING = 1e-6
# Settings of cells that shape them in each slice.
_SHAPING = ("size_px", "neck_px", "merge_threshold", "seed_below")


def equal_slices(interior: SparseStack, truth: SparseStack) -> list[int]:
    """Return the slices that are labelled as a whole, with both classes, and predicted so in every pixel.

    Parameters
    ----------
    interior : SparseStack
        Interior probability, float32 (z, y, x), 0 to 1.
    truth : SparseStack
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    """
    return [z for z in truth.stored_slices if _are_equal(interior[z], truth[z])]


def _are_equal(interior: np.ndarray, truth: np.ndarray) -> bool:
    is_interior = truth == INTERIOR
    both = bool(is_interior.any() and (truth == BOUNDARY).any())
    return both and bool(truth.all()) and np.array_equal(interior, is_interior)


def refuse_same(*names: str) -> None:
    """Raise `UserError`: prediction and labels, by their names, are one file or array, or copies of it."""
    called = f" ({', '.join(dict.fromkeys(names))})" if names else ""
    raise UserError(
        f"Prediction and labels are the same{called}, which proves nothing; choose two that differ in origin."
    )


def doubts_of_equal(prediction: str, slices: list[int]) -> list[str]:
    """Return a sentence on the slices in which a prediction, by its name, equals the labels."""
    if not slices:
        return []
    return [
        f"{prediction} equals the labels in every pixel of {slices_text(slices)}: if one was made from "
        "the other, the scores there prove nothing."
    ]


def doubts_of_record(record: Mapping[str, Any], all_equal: bool) -> list[str]:
    """Return a sentence on labels that were predicted themselves, by their own record.

    Parameters
    ----------
    record : mapping
        Of the labels, see `io.records.record_of_path`; empty if emseg did not write them.
    all_equal : bool
        Whether the prediction equals them in all slices to score.

    Raises
    ------
    UserError
        If they are the prediction.
    """
    if recorded_kind(record) is None:
        return []
    if all_equal:
        raise UserError(
            "The labels were predicted, too, as their file says, and the prediction equals them in every "
            "pixel, which proves nothing; give labels that a person made or corrected."
        )
    return [
        "The labels were predicted, too, as their file says: the scores tell how alike both are, and not how "
        "good."
    ]


def doubts_of_choices(prediction: Prediction, run: Run | None, slices: Sequence[int]) -> list[str]:
    """Return a sentence on a prediction made with another choice than the run's own or the usual one.

    A probability has its threshold chosen when it is scored; labels and cells have it chosen before.

    Parameters
    ----------
    prediction : Prediction
    run : Run or None
        That made it.
    slices : sequence of int
        Those of it that are scored, by their indices in its values.
    """
    kind, of_all = prediction.kind, _choices_of(prediction.record, prediction.kind, run)
    of_slices = prediction.choices
    found = (_choices_of_slice(of_slices[z], kind) if z in of_slices else of_all for z in slices)
    chosen = dict.fromkeys(words for one in found for words in one)
    foreign = _doubts_of_import(run)
    if not chosen:
        return foreign
    return [
        *foreign,
        f"{prediction.name} was made with {', '.join(chosen)}: its scores are honest only if that was chosen "
        "without these slices.",
    ]


def _doubts_of_import(run: Run | None) -> list[str]:
    """Return a sentence on an imported network, or one that started from it."""
    if run is None or not run.record.has_unknown_slices:
        return []
    return [
        f"On which images {run.folder.name} was trained before it was imported is not known: its scores are "
        "honest only if these slices were not among them."
    ]


def _choices_of(record: Mapping[str, Any], kind: Kind, run: Run | None) -> list[str]:
    of_labels = [*_threshold_of(record, run), *_settings_of(record)] if kind == "labels" else []
    return [*_scale_of(record), *_orientations_of(record, run), *of_labels]


def _choices_of_slice(choices: Mapping[str, float], kind: Kind) -> list[str]:
    """Return the words for what a layer knows of a slice: only what is not its run's own."""
    names = ("scale", "threshold") if kind == "labels" else ("scale",)
    of_run = [f"{name} {choices[name]:g} instead of the run's own" for name in names if name in choices]
    return of_run + ([_other_orientations(choices["orientations"])] if "orientations" in choices else [])


def _other_orientations(orientations: float) -> str:
    return f"orientations {orientations:g} instead of {PredictionSettings().orientations}"


def _orientations_of(record: Mapping[str, Any], run: Run | None) -> list[str]:
    usual = PredictionSettings().orientations
    orientations = {**record.get("predicted_by", {}), **record}.get("orientations", usual)
    # A network that is not known may see each slice once.
    fitting = (1, usual) if run is None else (usual_orientations(run.settings.network),)
    return [] if orientations in fitting else [_other_orientations(orientations)]


def _scale_of(record: Mapping[str, Any]) -> list[str]:
    scale = other_scale(record)
    return [] if scale is None else [f"scale {scale:g} instead of the run's own"]


def _threshold_of(record: Mapping[str, Any], run: Run | None) -> list[str]:
    if record.get("made_from") == "labels":  # cells, of labels that were made with a threshold
        record = record.get("predicted_by", {})
    threshold = record.get("threshold")
    if threshold is None or run is None or abs(threshold - run.record.threshold) <= _ROUNDING:
        return []
    return [f"threshold {threshold:g} instead of the run's {run.record.threshold:g}"]


def _settings_of(record: Mapping[str, Any]) -> list[str]:
    settings, usual = with_present_names(record.get("settings", {})), CellSettings().model_dump()
    return [
        f"{title_of(name)} {settings[name]} instead of {usual[name]}"
        for name in _SHAPING
        if settings.get(name, usual[name]) != usual[name]
    ]
