"""Training overlap: which of the compared slices the run of a prediction was trained on.

Scores of such slices prove nothing, and those by which a run chose its threshold and weights flatter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.predictions import Prediction
from emseg_napari.evaluation.recognition import Part, Recognition, Shape
from emseg_napari.evaluation.scores import SliceEvaluation
from emseg_napari.evaluation.slice_alignment import Names, SliceAlignment
from emseg_napari.io.axes import slices_text
from emseg_napari.io.fingerprint import seen
from emseg_napari.models.run import Run, is_run, open_run

# What a run has seen of a slice, and what the slice's score is worth then.
TRAINED, HELD_OUT, UNKNOWN = "trained on", "held out", "not known"
ABOUT = {
    TRAINED: "trained on: proves nothing",
    HELD_OUT: "held out: the run chose its threshold and weights by it, so the score is a little too high",
    UNKNOWN: "not known is which run predicted it, so the score may prove nothing",
}


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

    def kind_of(self, one: SliceEvaluation) -> str:
        """Return which key of `ABOUT` a scored slice is; empty if it is new to the run."""
        if one.trained:
            return TRAINED
        if one.z in self.held_out:
            return HELD_OUT
        return UNKNOWN if one.z in self.unknown else ""

    def seen_of(self, one: SliceEvaluation) -> str:
        """Return in words what the run has seen of a scored slice; empty if it is surely new to it."""
        kind = self.kind_of(one)
        is_assumed = kind != UNKNOWN and one.z in self.assumed
        return f"{kind or 'new'} (by its number)" if is_assumed else kind

    def by_kind(self, scored: Iterable[SliceEvaluation]) -> dict[str, tuple[int, ...]]:
        """Return which of some scored slices are not new to the run, for each key of `ABOUT`."""
        kinds = {one.z: self.kind_of(one) for one in scored}
        return {kind: tuple(z for z in kinds if kinds[z] == kind) for kind in ABOUT}


def run_of(prediction: Prediction, run: Run | Path | str | None) -> Run | None:
    """Open the run that is given, or that the record names; that one may be gone, or another, by now.

    Raises
    ------
    UserError
        If the run that is given cannot be opened.
    """
    if run is not None:
        return run if isinstance(run, Run) else open_run(run)
    found = _opened(prediction.record.get("run_folder"))
    return None if found is None or _is_another(prediction, found) else found


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
        found = Recognition(prediction, match, part, shape, image)
        trained += found.trained()
        held_out += found.held_out(scored)
        assumed += found.assumed(scored)
        notes += [*_naming_another(prediction, part.run, len(parts)), *found.notes()]
    held_out, trained = sorted(held_out), sorted(trained)
    if held_out:
        notes.append(names.held_out.format(slices=slices_text(held_out)))
    return Overlap([*runs.values()], sorted(unknown), trained, held_out, sorted(assumed), notes)


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


def _is_another(prediction: Prediction, run: Run) -> bool:
    """Whether a prediction was made with another network than a run has, such as one trained there before."""
    record = prediction.record
    recorded = record.get("network") or record.get("predicted_by", {}).get("network")
    try:
        return recorded not in (None, run.network_mark)
    except OSError:  # it has none yet
        return recorded is not None


def _naming_several(prediction: Prediction, parts: Sequence[Part], match: SliceAlignment) -> list[str]:
    """Return which slices to score are of which run, if there are several."""
    scored = [(part, match.only_compared(part.slices)) for part in parts]
    named = [
        f"{slices_text(slices)} by {Path(part.folder).name or 'a run that is not known'}"
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
    if parts > 1:
        return []
    if named in (None, name):
        other = f"{prediction.name} says that another network made it than that of {name}."
        return [other] if _is_another(prediction, run) else []
    return [f"{prediction.name} says that the run {named} made it, and not {name}."]
