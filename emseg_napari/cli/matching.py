"""Which slices of the labels a prediction shows, which run made it, and what that run had seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emseg_napari.jobs import UserError
from emseg_napari.runs import Run, is_run, open_run
from emseg_napari.scoring.evaluation import as_ranges
from emseg_napari.scoring.predictions import Prediction, interior_threshold
from emseg_napari.stacks import check_range


@dataclass(frozen=True)
class Match:
    """Where a prediction lies in the labels; slices are those of the labels.

    Attributes
    ----------
    begin : int
        Slice that the prediction begins with.
    first, end : int
        Range to compare, half-open.
    shift : int
        What a slice's number in the image is more than in the labels.
    """

    begin: int
    first: int
    end: int
    shift: int

    def here(self, slices: Sequence[int]) -> list[int]:
        """Return those of the image's slices that are compared, by their numbers in the labels."""
        return [z - self.shift for z in slices if self.first <= z - self.shift < self.end]


def matched(prediction: Prediction, known: np.ndarray, wanted: tuple[int, int] | None, labels: str) -> Match:
    """Find what is to be compared.

    Parameters
    ----------
    prediction : Prediction
        Of all slices, of exactly the range, or of slices that its record tells.
    known : numpy.ndarray
        Labels, uint8 (z, y, x).
    wanted : (int, int), optional
        The range to compare; all that the prediction shows when not given.
    labels : str
        Name of the labels' file.

    Raises
    ------
    UserError
        If sizes differ, the range lies outside, or it has no labels.
    """
    _check_size(prediction, known, labels)
    if wanted is not None:
        check_range(wanted, len(known), f"--slices of {labels}")
    begin, count = _beginning(prediction, len(known), wanted, labels), len(prediction.values)
    first, end = wanted or (begin, begin + count)
    if not begin <= first < end <= begin + count:
        raise UserError(
            f"{prediction.name} shows the slices {begin}:{begin + count} by its own record; "
            f"choose --slices inside them instead of {first}:{end}."
        )
    if not known[first:end].any():
        raise UserError(f"{labels} has no labels in the slices {first}:{end}; choose labelled --slices.")
    return Match(begin, first, end, (prediction.slices or (begin, 0))[0] - begin)


def _check_size(prediction: Prediction, known: np.ndarray, labels: str) -> None:
    if prediction.values.shape[1:] != known.shape[1:]:
        sizes = [" x ".join(map(str, array.shape)) for array in (prediction.values, known)]
        raise UserError(
            f"{prediction.name} ({sizes[0]}) and {labels} ({sizes[1]}) differ in size; "
            "choose a prediction and labels of the same image."
        )


def _beginning(prediction: Prediction, depth: int, wanted: tuple[int, int] | None, labels: str) -> int:
    count = len(prediction.values)
    if count == depth:
        return 0
    if wanted is not None and wanted[1] - wanted[0] == count:
        return wanted[0]
    if prediction.slices is not None and prediction.slices[1] <= depth:
        return prediction.slices[0]
    raise UserError(
        f"{prediction.name} has {count} slices and {labels} has {depth}; "
        f"say with --slices which {count} of {labels} they are."
    )


def maker_of(prediction: Prediction, folder: Path | None) -> Run | None:
    """Open the run folder that is given, or that the file names; that one may be gone by now."""
    if folder is not None:
        return open_run(folder)
    named = prediction.record.get("run_folder")
    try:
        return open_run(named) if named and is_run(Path(named)) else None
    except (UserError, OSError):
        return None


def seen_by(maker: Run | None, prediction: Prediction, match: Match) -> list[int]:
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


def threshold_of(prediction: Prediction, maker: Run | None, is_given: bool) -> float | None:
    """Return where the interior begins: by the run that is given, else by the file, else by its run."""
    own = None if maker is None else interior_threshold(maker.record.threshold)
    order = (own, prediction.threshold) if is_given else (prediction.threshold, own)
    return next((one for one in order if one is not None), None)


def notes_about(prediction: Prediction, known: np.ndarray, match: Match, maker: Run | None) -> list[str]:
    """Say what the scores themselves do not: which of them flatter, or that nobody knows."""
    if maker is None:
        gone = prediction.record.get("run_folder")
        why = f"its run is no longer in {gone}" if gone else f"{prediction.name} names no run"
        return [f"Not known which slices it was trained on: {why}; add --run RUN."]
    notes = []
    if held_out := match.here(maker.record.held_out_slices):
        notes.append(
            f"On slices {as_ranges(held_out)} the run chose its threshold and weights: they flatter."
        )
    if not (maker.record.image_shape == known.shape or match.shift or _has_fingerprints(maker, prediction)):
        sizes = [" x ".join(map(str, shape)) for shape in (maker.record.image_shape, known.shape)]
        notes.append(
            f"The run was trained on a stack of {sizes[0]}, the labels are {sizes[1]}: "
            "slices of the same number are taken to be the same."
        )
    return notes
