"""Training overlap: which of the compared slices the run of a prediction was trained on.

Scores of such slices prove nothing, and those by which a run chose its threshold and weights flatter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.evaluation.predictions import Prediction
from emseg_napari.evaluation.slice_alignment import Names, SliceAlignment
from emseg_napari.io.axes import shape_text
from emseg_napari.models.run import Run, is_run, open_run
from emseg_napari.io.fingerprint import fingerprint

Shape = tuple[int, ...]
# Returns the fingerprint of a slice of the image, by its number in the labels.
Marks = Callable[[int], str]


@dataclass(frozen=True)
class Overlap:
    """What a run has seen of the labels' slices; by their numbers in the labels.

    Attributes
    ----------
    run : Run or None
        None if it is unknown or gone.
    trained : list of int
        Predicted slices that it, or the run that it started from, was trained on.
    held_out : list of int
        Scored slices by which it chose its weights and threshold.
    notes : list of str
        Sentences on what is not known, or only assumed.
    """

    run: Run | None = None
    trained: list[int] = field(default_factory=list)
    held_out: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run_of(prediction: Prediction, run: Run | Path | str | None) -> Run | None:
    """Open the run that is given, or that the record names; that one may be gone by now.

    Raises
    ------
    UserError
        If the run that is given cannot be opened.
    """
    if run is not None:
        return run if isinstance(run, Run) else open_run(run)
    named = prediction.record.get("run_folder")
    try:
        return open_run(named) if named and is_run(Path(named)) else None
    except (UserError, OSError):
        return None


def overlap_of(
    run: Run | None,
    prediction: Prediction,
    match: SliceAlignment,
    predicted: list[int],
    shape: Shape,
    names: Names,
    image: Marks | None = None,
) -> Overlap:
    """Find what a run has seen: by the grey values of the slices, else by their numbers.

    Parameters
    ----------
    run : Run or None
    prediction : Prediction
        Its record may hold the fingerprints of the slices that it shows.
    match : SliceAlignment
    predicted : list of int
        The slices that have labels and were predicted. Only their image is looked at.
    shape : tuple of int
        (z, y, x) of the labels.
    names : Names
        For the sentences.
    image : callable, optional
        Fingerprints of the image's slices, where the record holds none.
    """
    if run is None:
        return Overlap(notes=[_why_unknown(prediction, names)])
    record, marks = run.record, _marks(run, prediction, match, image)
    may_be_its = _may_be_part_of(record.image_shape, shape)
    scored = [z for z in predicted if match.first <= z < match.end]
    held_out = match.among(scored, record.held_out_slices) if may_be_its else []
    if marks is not None:
        trained = [z for z in predicted if marks(z) in record.fingerprints]
    else:
        trained = match.among(predicted, record.seen_slices) if may_be_its else []
    notes = _naming_another(prediction, run)
    if held_out:
        notes.append(names.held_out.format(slices=as_ranges(held_out)))
    if marks is None:
        notes += _of_another_size(run, shape, match)
    return Overlap(run, trained, held_out, notes)


def refuse_image(prediction: Prediction, run: Run | None, slices: list[int]) -> None:
    """Raise `UserError` if some slices of a prediction are the image that the run was trained on."""
    if run is None or prediction.kind == "labels" or prediction.reason == "recorded":
        return
    known = set(run.record.fingerprints)
    for z in slices:
        if known and fingerprint(prediction.values[z]) in known:
            raise UserError(
                f"{prediction.name} is not a prediction but the image that {run.folder.name} was trained on "
                f"(slice {z}); choose what was predicted of it."
            )


def _marks(run: Run, prediction: Prediction, match: SliceAlignment, image: Marks | None) -> Marks | None:
    """Return the fingerprints to compare with those of the run; None if one has none."""
    recorded = prediction.record.get("fingerprints", ())
    if not run.record.fingerprints:
        return None
    return (lambda z: recorded[z - match.begin]) if len(recorded) == len(prediction.values) else image


def _why_unknown(prediction: Prediction, names: Names) -> str:
    folder = prediction.record.get("run_folder")
    if folder:
        return names.run_is_gone.format(name=Path(folder).name, folder=folder, run=names.run)
    return f"Not known which slices it was trained on: {prediction.name} names no run; {names.run}."


def _naming_another(prediction: Prediction, run: Run) -> list[str]:
    named, name = prediction.record.get("run"), run.folder.resolve().name
    if named in (None, name):
        return []
    return [f"{prediction.name} says that the run {named} made it, and not {name}."]


def _may_be_part_of(its_shape: Shape, shape: Shape) -> bool:
    """Whether labels, not larger in y or x, may be of a run's own stack or of a part cut out of it."""
    return all(n <= most for most, n in zip(its_shape[1:], shape[1:], strict=True))


def _of_another_size(run: Run, shape: Shape, match: SliceAlignment) -> list[str]:
    """Return what is assumed of slices that are known by their numbers only."""
    its_shape = run.record.image_shape
    sizes = [shape_text(one) for one in (its_shape, shape)]
    if not _may_be_part_of(its_shape, shape):
        return [
            f"The run was trained on another stack, of {sizes[0]} and not {sizes[1]}: every slice counts "
            "as new to it."
        ]
    if its_shape == shape or match.shift:
        return []
    return [
        f"The run was trained on a stack of {sizes[0]}, the labels are {sizes[1]}: "
        "slices of the same number are assumed to be the same."
    ]
