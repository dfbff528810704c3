"""A prediction beside the labels it is scored by: which slices, which threshold, what its run had seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.evaluation.matching import Match, Names, matched, taken_for
from emseg_napari.evaluation.predictions import Prediction, interior_threshold
from emseg_napari.io.axes import shape_text
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices
from emseg_napari.models.run import Run, fingerprint, is_run, open_run
from emseg_napari.settings import EvaluationSettings

Source = Literal["given", "run", "default"]


@dataclass(frozen=True)
class Pairing:
    """A prediction and the labels that it is scored by.

    Attributes
    ----------
    interior : SparseStack
        Interior probability, float32 (z, y, x), of the slices that are compared and have labels.
    truth : SparseStack
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    first_slice : int
        Index of the first of them in the labels, where all slices are counted.
    settings : EvaluationSettings
        With the threshold that counts.
    threshold_from : str or None
        Whether the threshold was "given", is the "run"'s own or the "default"; None for labels, which
        have none.
    run : Run or None
        The one that made the prediction, if it is known.
    trained, held_out : list of int
        Slices that it was trained on, and by which it chose its weights and threshold.
    notes : list of str
        Sentences that the scores themselves do not tell.
    """

    interior: SparseStack
    truth: SparseStack
    first_slice: int
    settings: EvaluationSettings
    threshold_from: Source | None
    run: Run | None
    trained: list[int]
    held_out: list[int]
    notes: list[str]

    @property
    def job(self) -> dict[str, Any]:
        """Arguments of `scoring.evaluation.evaluate`."""
        return {
            "prediction": self.interior,
            "truth": self.truth,
            "settings": self.settings,
            "trained_slices": self.trained,
            "first_slice": self.first_slice,
        }


def paired(
    prediction: Prediction,
    known: np.ndarray | SparseStack,
    settings: EvaluationSettings,
    run: Run | Path | str | None = None,
    names: Names | None = None,
) -> Pairing:
    """Put a prediction beside labels.

    Parameters
    ----------
    prediction, known
        As for `matching.matched`.
    settings : EvaluationSettings
        With the range to compare; all that the prediction shows when not given.
    run : Run, Path or str, optional
        The run that made the prediction; the one that its record names when not given.
    names : Names, optional
        For the sentences.

    Raises
    ------
    UserError
        If sizes differ, the range lies outside or has no labels, there is no such run, the prediction is
        the image that it was trained on, or a threshold is given for labels.
    """
    names = names or Names()
    match = matched(prediction, known, settings.slices, names)
    maker = _maker_of(prediction, run)
    _refuse_image(prediction, maker)
    threshold, source = _threshold(prediction, maker, settings.threshold, run is not None, names)
    interior, truth = _labelled(prediction, known, match)
    return Pairing(
        interior=interior,
        truth=truth,
        first_slice=match.first,
        settings=settings.model_copy(update={"threshold": threshold}),
        threshold_from=source,
        run=maker,
        trained=_seen_by(maker, prediction, match),
        held_out=match.here(maker.record.held_out_slices) if maker else [],
        notes=[taken_for(prediction, names), *_notes_about(prediction, known, match, maker, names)],
    )


def _labelled(
    prediction: Prediction, known: np.ndarray | SparseStack, match: Match
) -> tuple[SparseStack, SparseStack]:
    """Return prediction and truth of the slices that have labels, which may be few of many."""
    shape = match.end - match.first, known.shape[1], known.shape[2]
    slices = labelled_slices(known, range(match.first, match.end))
    interior = {z - match.first: prediction.interior(z - match.begin, z - match.begin + 1)[0] for z in slices}
    truth = {z - match.first: known[z] for z in slices}
    return SparseStack(shape, np.float32, interior), SparseStack(shape, np.uint8, truth)


def _maker_of(prediction: Prediction, run: Run | Path | str | None) -> Run | None:
    """Open the run that is given, or that the file names; that one may be gone by now."""
    if run is not None:
        return run if isinstance(run, Run) else open_run(run)
    named = prediction.record.get("run_folder")
    try:
        return open_run(named) if named and is_run(Path(named)) else None
    except (UserError, OSError):
        return None


def _refuse_image(prediction: Prediction, maker: Run | None) -> None:
    """Raise `UserError` if grey values are taken for a probability."""
    if maker is None or prediction.kind == "labels" or prediction.reason == "said":
        return
    known = set(maker.record.fingerprints)
    for z in range(len(prediction.values)):
        if known and fingerprint(prediction.values[z]) in known:
            raise UserError(
                f"{prediction.name} is no prediction but the image that {maker.folder.name} was trained on "
                f"(slice {z}); choose what was predicted of it."
            )


def _seen_by(maker: Run | None, prediction: Prediction, match: Match) -> list[int]:
    """Return which of the labels' slices the run was trained on: by what they show, else by number."""
    if maker is None:
        return []
    if not _has_fingerprints(maker, prediction):
        return match.here(maker.record.seen_slices)
    known, marks = set(maker.record.fingerprints), prediction.record["fingerprints"]
    return [z for z in range(match.first, match.end) if marks[z - match.begin] in known]


def _has_fingerprints(maker: Run, prediction: Prediction) -> bool:
    marks = prediction.record.get("fingerprints", ())
    return bool(maker.record.fingerprints) and len(marks) == len(prediction.values)


def _threshold(
    prediction: Prediction, maker: Run | None, wanted: float | None, run_is_given: bool, names: Names
) -> tuple[float | None, Source | None]:
    """Return where the interior begins and who says so: the user, else a run that is given, else the file."""
    if prediction.kind == "labels":
        if wanted is not None:
            raise UserError(
                f"{prediction.name} holds labels, which have no threshold; leave out {names.threshold}."
            )
        return None, None
    if wanted is not None:
        return wanted, "given"
    own = None if maker is None else interior_threshold(maker.record.threshold)
    order = (own, prediction.threshold) if run_is_given else (prediction.threshold, own)
    found = next((one for one in order if one is not None), None)
    return found, "default" if found is None else "run"


def _notes_about(
    prediction: Prediction, known: np.ndarray | SparseStack, match: Match, maker: Run | None, names: Names
) -> list[str]:
    """Say which of the scores flatter, or that nobody knows."""
    if maker is None:
        gone = prediction.record.get("run_folder")
        why = f"its run is no longer in {gone}" if gone else f"{prediction.name} names no run"
        return [f"Not known which slices it was trained on: {why}; add {names.run}."]
    notes = []
    named, name = prediction.record.get("run"), maker.folder.resolve().name
    if named not in (None, name):
        notes.append(f"{prediction.name} says that the run {named} made it, and not {name}.")
    if held_out := match.here(maker.record.held_out_slices):
        notes.append(
            f"On slices {as_ranges(held_out)} the run chose its threshold and weights: they flatter."
        )
    if not (maker.record.image_shape == known.shape or match.shift or _has_fingerprints(maker, prediction)):
        sizes = [shape_text(shape) for shape in (maker.record.image_shape, known.shape)]
        notes.append(
            f"The run was trained on a stack of {sizes[0]}, the labels are {sizes[1]}: "
            "slices of the same number are taken to be the same."
        )
    return notes
