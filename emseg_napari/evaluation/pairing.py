"""Pairing of a prediction with the labels that it is scored by: slices, threshold, run.

Window, command line and API score what this finds, so the same prediction has the same scores in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.independence import doubts_of_choices, doubts_of_equal, equal_slices
from emseg_napari.evaluation.predictions import Prediction, interior_threshold
from emseg_napari.evaluation.recognition import Part
from emseg_napari.evaluation.slice_alignment import Names, SliceAlignment, aligned_slices, taken_for
from emseg_napari.evaluation.training_overlap import Overlap, overlap_of, parts_of, refuse_image, run_of
from emseg_napari.io.axes import slice_spans, slices_text
from emseg_napari.io.records import Kind
from emseg_napari.io.sparse_stack import SparseStack, exchanged
from emseg_napari.io.volume import Volume
from emseg_napari.models.run import Run
from emseg_napari.settings import EvaluationSettings

Source = Literal["given", "run", "default"]
_DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Pairing:
    """A prediction and the labels that it is scored by.

    Attributes
    ----------
    kind : str
        What the prediction holds.
    interior : SparseStack
        Interior probability, float32 (z, y, x), of the slices that are compared, from the first to the last.
    truth : SparseStack
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    first_slice : int
        Index of the first of them in the labels, where all slices are counted.
    settings : EvaluationSettings
        With the threshold that counts, and a range inside of what is compared if one is given.
    threshold_from : str or None
        Whether the threshold was "given", is the "run"'s own or the "default"; None for labels, which
        have none.
    overlap : Overlap
        The run that made the prediction, and what it has seen of the labels' slices.
    taken_for : str
        Sentence on what the values of the prediction are taken for.
    notes : list of str
        Sentences on what the scores themselves do not show.
    dependence : list of str
        Those of them that say why prediction and labels may not be independent.
    """

    kind: Kind
    interior: SparseStack
    truth: SparseStack
    first_slice: int
    settings: EvaluationSettings
    threshold_from: Source | None
    overlap: Overlap
    taken_for: str
    notes: list[str]
    dependence: list[str] = field(default_factory=list)

    @property
    def equal_slices(self) -> list[int]:
        """The slices to compare in which prediction and labels are equal, see `independence`."""
        return [self.first_slice + z for z in equal_slices(self.interior, self.truth)]

    @property
    def is_equal(self) -> bool:
        """Whether they are equal in all slices to compare."""
        return self.equal_slices == self.slices

    def with_doubts(self, doubts: Sequence[str]) -> Pairing:
        """Return the same with sentences on why prediction and labels may not be independent."""
        return replace(self, notes=[*self.notes, *doubts], dependence=[*self.dependence, *doubts])

    @property
    def slices(self) -> list[int]:
        """The slices that are compared."""
        return [self.first_slice + z for z in self.truth.stored_slices]

    @property
    def job(self) -> dict[str, Any]:
        """Arguments of `evaluation.evaluation.evaluate`."""
        return {
            "prediction": self.interior,
            "truth": self.truth,
            "settings": self.settings,
            "trained_slices": self.overlap.trained,
            "first_slice": self.first_slice,
        }


def paired(
    prediction: Prediction,
    known: np.ndarray | SparseStack,
    settings: EvaluationSettings,
    run: Run | Path | str | None = None,
    names: Names | None = None,
    image: Any = None,
) -> Pairing:
    """Pair a prediction with labels.

    Parameters
    ----------
    prediction, known
        As for `slice_alignment.aligned_slices`.
    settings : EvaluationSettings
        With the range to compare; all that the prediction shows when not given.
    run : Run, Path or str, optional
        The run that made the prediction; the one that its record names when not given.
    names : Names, optional
        For the sentences.
    image : array or Volume, optional
        Grey values (z, y, x) of the image: slices are recognised by them where the record of the prediction
        has no fingerprints.

    Raises
    ------
    UserError
        If sizes differ, the range lies outside, has no labels or was not predicted, there is no such run, the
        prediction is the image that it was trained on, or a threshold is given for labels.
    """
    names = names or Names()
    match = aligned_slices(prediction, known, settings.slices, names)
    predicted = [z for z in match.labelled if prediction.holds(z - match.begin)]
    scored = _scored(predicted, prediction, match, names)
    named = run_of(prediction, run)
    maker, *others = parts_of(prediction, named, run is not None, match, scored)
    refuse_image(prediction, maker.run, _to_look_at(prediction, match, scored))
    threshold, source = _threshold(prediction, maker.run, settings.threshold, run is not None, names)
    parts = parts_of(prediction, named, run is not None, match, predicted)
    overlap = overlap_of(parts, prediction, match, known.shape, names, image)
    interior, truth = _stacks(prediction, known, match, scored)
    wanted = None if settings.slices is None else (scored[0], scored[-1] + 1)
    pair = Pairing(
        kind=prediction.kind,
        interior=interior,
        truth=truth,
        first_slice=scored[0],
        settings=EvaluationSettings(slices=wanted, threshold=threshold),
        threshold_from=source,
        overlap=overlap,
        taken_for=taken_for(prediction, names),
        notes=[
            *overlap.notes,
            *_of_one(maker, others, source),
            *_placed_otherwise(prediction, match, names),
            *_notes(prediction, match, scored, truth),
            *_doubts(prediction, truth, names),
        ],
    )
    doubts = doubts_of_equal(prediction.name, pair.equal_slices)
    chosen = doubts_of_choices(prediction, maker.run, [z - match.begin for z in scored])
    return pair.with_doubts([*doubts, *chosen])


def _scored(
    predicted: Sequence[int], prediction: Prediction, match: SliceAlignment, names: Names
) -> list[int]:
    """Return the slices to compare that were predicted."""
    found = [z for z in match.compared if z in predicted]
    if not found:
        raise UserError(
            f"{prediction.name} has no prediction in the slices that {names.labels} labels "
            f"({slices_text(match.compared)}); predict them first."
        )
    return found


def _to_look_at(prediction: Prediction, match: SliceAlignment, scored: Sequence[int]) -> list[int]:
    """Return the indices of slices that might be the image: of what is not in memory only those compared."""
    in_memory = isinstance(prediction.values, np.ndarray) and not isinstance(prediction.values, np.memmap)
    return list(range(len(prediction.values))) if in_memory else [z - match.begin for z in scored]


def _stacks(
    prediction: Prediction, known: np.ndarray | SparseStack, match: SliceAlignment, scored: Sequence[int]
) -> tuple[SparseStack, SparseStack]:
    """Return prediction and truth of the slices that are scored, which may be few of many."""
    low, shape = scored[0], (scored[-1] + 1 - scored[0], known.shape[1], known.shape[2])
    interior = {z - low: prediction.interior(z - match.begin, z - match.begin + 1)[0] for z in scored}
    truth = {z - low: known[z] for z in scored}
    return SparseStack(shape, np.float32, interior), SparseStack(shape, np.uint8, truth)


def _threshold(
    prediction: Prediction, maker: Run | None, wanted: float | None, run_is_given: bool, names: Names
) -> tuple[float, Source | None]:
    """Return where the interior begins, and its origin: from the user, a run that is given, or the record."""
    if prediction.kind == "labels":
        if wanted is not None:
            raise UserError(
                f"{prediction.name} holds labels, which have no threshold; leave out {names.threshold}."
            )
        return _DEFAULT_THRESHOLD, None
    if wanted is not None:
        return wanted, "given"
    own = None if maker is None else interior_threshold(maker.record.threshold)
    order = (own, prediction.threshold) if run_is_given else (prediction.threshold, own)
    found = next((one for one in order if one is not None), None)
    return (_DEFAULT_THRESHOLD, "default") if found is None else (found, "run")


def _doubts(prediction: Prediction, truth: SparseStack, names: Names) -> list[str]:
    """Return which of both labels look as if boundary and interior were exchanged."""
    return list(filter(None, [exchanged(truth, names.labels), prediction.doubt]))


def _of_one(maker: Part, others: Sequence[Part], source: Source | None) -> list[str]:
    """Return whose threshold counts for slices of several runs."""
    if source != "run" or not others:
        return []
    return [f"The threshold of {Path(maker.folder).name} counts for all of them."]


def _placed_otherwise(prediction: Prediction, match: SliceAlignment, names: Names) -> list[str]:
    """Return which slices are compared with those of other numbers in the image."""
    if not match.shift:
        return []
    here = range(match.begin, match.begin + len(prediction.values))
    shown = slices_text(z + match.shift for z in here)
    return [
        f"{prediction.name} shows {shown} of its image, as it says itself, and is compared with "
        f"{slice_spans(here)} of {names.labels}."
    ]


def _notes(
    prediction: Prediction, match: SliceAlignment, scored: Sequence[int], truth: SparseStack
) -> list[str]:
    """Return which slices are not scored, or only in part."""
    notes = []
    if waiting := [z for z in match.compared if z not in scored]:
        on_disk = isinstance(prediction.values, Volume)
        why = "Not predicted yet, or not all there on disk" if on_disk else "Not predicted yet"
        notes.append(f"{why}, so not scored: {slices_text(waiting)}.")
    if part := [z for z in scored if not truth[z - scored[0]].all()]:
        notes.append(f"Labelled only in part: {slices_text(part)}; V_rand and V_info see just that part.")
    return notes
