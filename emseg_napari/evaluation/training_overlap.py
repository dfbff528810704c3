"""Training overlap: which of the compared slices the run of a prediction was trained on.

Scores of such slices prove nothing, and those by which a run chose its threshold and weights flatter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.evaluation import as_ranges
from emseg_napari.evaluation.predictions import Prediction
from emseg_napari.evaluation.slice_alignment import Names, SliceAlignment
from emseg_napari.io.axes import shape_text
from emseg_napari.io.fingerprint import SliceMarker, marker_of, seen
from emseg_napari.io.volume import BrokenChunk
from emseg_napari.models.run import Run, is_run, open_run

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Overlap:
    """What the runs of a prediction have seen of the labels' slices; by their numbers in the labels.

    Attributes
    ----------
    runs : list of Run
        Those that made the slices to score: one, or several of a layer that was filled by several.
    unknown : list of int
        Slices to score whose run is not known, or gone.
    trained : list of int
        Predicted slices that their run, or one that it started from, was trained on.
    held_out : list of int
        Scored slices by which their run chose its weights and threshold.
    assumed : list of int
        Scored slices that are known by their numbers only.
    notes : list of str
        Sentences on what is not known, or only assumed.
    """

    runs: list[Run] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)
    held_out: list[int] = field(default_factory=list)
    assumed: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def run(self) -> Run | None:
        """The run that made all of them; None if it is not known, or there are several."""
        return self.runs[0] if len(self.runs) == 1 and not self.unknown else None

    @property
    def run_names(self) -> str:
        """Names of the runs; empty if none is known."""
        return ", ".join(run.folder.name for run in self.runs)


@dataclass(frozen=True)
class Part:
    """Slices of a prediction that one run made.

    Attributes
    ----------
    folder : str
        Where the run is, or was; empty if that is not known.
    run : Run or None
        None if it is not known, or gone.
    slices : list of int
        By their numbers in the labels.
    """

    folder: str
    run: Run | None
    slices: list[int]


def run_of(prediction: Prediction, run: Run | Path | str | None) -> Run | None:
    """Open the run that is given, or that the record names; that one may be gone by now.

    Raises
    ------
    UserError
        If the run that is given cannot be opened.
    """
    if run is not None:
        return run if isinstance(run, Run) else open_run(run)
    return _opened(prediction.record.get("run_folder"))


def parts_of(
    prediction: Prediction, run: Run | None, is_given: bool, match: SliceAlignment, slices: Sequence[int]
) -> list[Part]:
    """Return which run made which of some slices, the run that made most of them first.

    Parameters
    ----------
    prediction : Prediction
    run : Run or None
        As `run_of` found it.
    is_given : bool
        Whether the user names it, and so for all slices.
    match : SliceAlignment
    slices : sequence of int
        By their numbers in the labels.
    """
    named = str(prediction.record.get("run_folder") or "")
    folders = {z: named if is_given else prediction.runs.get(z - match.begin, named) for z in slices}
    parts = [
        Part(
            folder,
            run if folder == named else _opened(folder),
            [z for z in slices if folders[z] == folder],
        )
        for folder in dict.fromkeys(folders.values())
    ]
    return sorted(parts, key=lambda part: -len(part.slices))


def _opened(folder: str | None) -> Run | None:
    try:
        return open_run(folder) if folder and is_run(Path(folder)) else None
    except (UserError, OSError):
        return None


def overlap_of(
    parts: Sequence[Part],
    prediction: Prediction,
    match: SliceAlignment,
    shape: Shape,
    names: Names,
    image: Any = None,
) -> Overlap:
    """Find what runs have seen: by the grey values of the slices, else by their numbers.

    Parameters
    ----------
    parts : sequence of Part
        The slices that have labels and were predicted. Only their image is looked at.
    prediction : Prediction
        Its record may hold the fingerprints of the slices that it shows.
    match : SliceAlignment
    shape : tuple of int
        (z, y, x) of the labels.
    names : Names
        For the sentences.
    image : array or Volume, optional
        Grey values (z, y, x) of the labels' slices: of those whose fingerprint is not recorded.
    """
    runs: dict[Path, Run] = {}
    unknown, trained, held_out, assumed, notes = [], [], [], [], _naming_several(prediction, parts, match)
    for part in parts:
        scored = match.only_compared(part.slices)
        if part.run is None:
            unknown += scored
            notes.append(_why_unknown(prediction, part, names))
            continue
        if scored:
            runs[part.run.folder] = part.run
        found = _Recognition(prediction, match, part, shape, image)
        trained += found.trained()
        held_out += found.held_out(scored)
        assumed += found.assumed(scored)
        notes += [*_naming_another(prediction, part.run, len(parts)), *found.notes()]
    held_out, trained = sorted(held_out), sorted(trained)
    if held_out:
        notes.append(names.held_out.format(slices=as_ranges(held_out)))
    return Overlap([*runs.values()], sorted(unknown), trained, held_out, sorted(assumed), notes)


class _Recognition:
    """Compares slices of a prediction with those that their run has seen.

    A slice is known by its mark, where both sides have one. Others are taken for the slices of the same
    number, unless the marks tell that the stack is another.
    """

    def __init__(
        self, prediction: Prediction, match: SliceAlignment, part: Part, shape: Shape, image: Any
    ) -> None:
        assert part.run is not None
        self._run, self._record, self._match, self._shape = part.run, part.run.record, match, shape
        self._name, self._slices = prediction.name, part.slices
        recorded = prediction.record.get("fingerprints") or ()
        self._recorded = recorded if len(recorded) == len(prediction.values) else ()
        self._image = image
        self._markers: dict[int, SliceMarker | None] = {}
        known = {*self._record.fingerprints, *self._record.held_out_fingerprints}
        self._marked = {z for z in part.slices if known and self._is_among(z, known) is not None}
        fits = _may_be_part_of(self._record.image_shape, shape)
        self._may_be_its = fits and not self._is_another()
        kept_no_marks = bool(self._record.held_out_slices and not self._record.held_out_fingerprints)
        self._may_be_held_out = fits and kept_no_marks and not self._is_surely_its()

    def trained(self) -> list[int]:
        """Return the slices that the run was trained on."""
        return [z for z in self._slices if self._is_one(z, *self._of_training)]

    def held_out(self, slices: Sequence[int]) -> list[int]:
        """Return those by which it chose its weights and threshold."""
        return [z for z in slices if self._is_one(z, *self._of_validation)]

    def assumed(self, slices: Sequence[int]) -> list[int]:
        """Return those that only their number tells of."""
        if self._may_be_held_out:
            return list(slices)
        return [z for z in slices if z not in self._marked] if self._may_be_its else []

    @property
    def _of_training(self) -> tuple[Sequence[str], Sequence[int]]:
        return self._record.fingerprints, self._record.seen_slices

    @property
    def _of_validation(self) -> tuple[Sequence[str], Sequence[int]]:
        return self._record.held_out_fingerprints, self._record.held_out_slices

    def _is_one(self, z: int, marks: Sequence[str], numbers: Sequence[int]) -> bool:
        among = self._is_among(z, marks) if marks else None
        return bool(self._may_be_its and self._match.among([z], numbers)) if among is None else among

    def _is_among(self, z: int, marks: Collection[str]) -> bool | None:
        """Whether the mark of a slice is one of some; None if the slice has none."""
        recorded = self._recorded[z - self._match.begin] if self._recorded else ""
        if recorded:
            return recorded in marks
        marker = self._marker(z)
        return None if marker is None else marker.known_as(marks) in marks

    def _marker(self, z: int) -> SliceMarker | None:
        """Return the marks of a slice of the image, which is read once; None if that cannot be done."""
        if self._image is None:
            return None
        if z not in self._markers:
            try:
                self._markers[z] = marker_of(self._image[z])
            except BrokenChunk:
                self._markers[z] = None
        return self._markers[z]

    def _is_another(self) -> bool:
        """Whether the marks tell that slices of the same number are not the same."""
        return False in self._same_numbers()

    def _is_surely_its(self) -> bool:
        """Whether the marks tell that slices of the same number are the same."""
        answers = self._same_numbers()
        return True in answers and False not in answers

    def _same_numbers(self) -> set[bool | None]:
        """Return whether the slices with the numbers of trained ones are these; None where that is unknown."""
        marks, numbers = self._of_training
        return {self._is_among(z, marks) for z in self._match.among(self._slices, numbers) if marks}

    def notes(self) -> list[str]:
        """Return what is assumed of slices that are known by their numbers only."""
        return [*self._of_numbers(), *self._of_no_marks()]

    def _of_no_marks(self) -> list[str]:
        if not self._may_be_held_out:
            return []
        return [
            f"{self._run.folder.name} is of an earlier version, which kept no marks of the slices by which it "
            "chose its threshold and weights: these are known by their numbers only."
        ]

    def _of_numbers(self) -> list[str]:
        unmarked = [z for z in self._slices if z not in self._marked]
        its_shape = self._record.image_shape
        sizes = [shape_text(one) for one in (its_shape, self._shape)]
        if not unmarked or self._is_another():
            return []
        if not self._may_be_its:
            return [
                f"The run was trained on another stack, of {sizes[0]} and not {sizes[1]}: every slice counts "
                "as new to it."
            ]
        if its_shape != self._shape and not self._match.shift:
            return [
                f"The run was trained on a stack of {sizes[0]}, the labels are {sizes[1]}: "
                "slices of the same number are assumed to be the same."
            ]
        return [
            f"Not known from their grey values which slices {self._run.folder.name} has seen: slices of the "
            "same number are assumed to be the same."
        ]


def refuse_image(prediction: Prediction, run: Run | None, slices: list[int]) -> None:
    """Raise `UserError` if some slices of a prediction are the image that the run was trained on."""
    if run is None or prediction.kind == "labels" or prediction.reason == "recorded":
        return
    known = set(run.record.fingerprints)
    for z in slices:
        if seen(prediction.values[z], known):
            raise UserError(
                f"{prediction.name} is not a prediction but the image that {run.folder.name} was trained on "
                f"(slice {z}); choose what was predicted of it."
            )


def _naming_several(prediction: Prediction, parts: Sequence[Part], match: SliceAlignment) -> list[str]:
    """Return which slices to score are of which run, if there are several."""
    scored = [(part, match.only_compared(part.slices)) for part in parts]
    named = [
        f"slices {as_ranges(slices)} by {Path(part.folder).name or 'a run that is not known'}"
        for part, slices in scored
        if slices
    ]
    if len(named) < 2:
        return []
    return [f"{prediction.name} was predicted by several runs: {'; '.join(named)}."]


def _why_unknown(prediction: Prediction, part: Part, names: Names) -> str:
    if part.folder:
        return names.run_is_gone.format(name=Path(part.folder).name, folder=part.folder, run=names.run)
    return f"Not known which slices it was trained on: {prediction.name} names no run; {names.run}."


def _naming_another(prediction: Prediction, run: Run, parts: int) -> list[str]:
    named, name = prediction.record.get("run"), run.folder.resolve().name
    if named in (None, name) or parts > 1:
        return []
    return [f"{prediction.name} says that the run {named} made it, and not {name}."]


def _may_be_part_of(its_shape: Shape, shape: Shape) -> bool:
    """Whether labels, not larger in y or x, may be of a run's own stack or of a part cut out of it."""
    return all(n <= most for most, n in zip(its_shape[1:], shape[1:], strict=True))
