"""Which slices of the labels a prediction covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.predictions import Prediction, Reason
from emseg_napari.io.axes import shape_text, slice_ranges
from emseg_napari.io.records import KINDS, Kind
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices
from emseg_napari.io.stacks import check_range


@dataclass(frozen=True)
class Names:
    """Words of the caller: what the user calls the labels, and what can be done about what is missing.

    Attributes
    ----------
    labels, slices, threshold : str
        The labels, and what states the range and the threshold.
    run, interior : str
        What the user can do to state the run, and that a probability is the interior's.
    run_is_gone : str
        Sentence with {name}, {folder} and {run}.
    held_out : str
        Sentence with {slices}.
    """

    labels: str = "The labels"
    slices: str = "slices"
    threshold: str = "threshold"
    run: str = "add run"
    interior: str = 'add kind="interior"'
    run_is_gone: str = "Not known which slices it was trained on: its run is no longer in {folder}; {run}."
    held_out: str = "On {slices} the run chose its threshold and weights: scores there are too high."


@dataclass(frozen=True)
class SliceAlignment:
    """Where a prediction lies in the labels; slices are those of the labels.

    Attributes
    ----------
    begin : int
        Slice that the prediction begins with.
    first, end : int
        Range to compare, half-open.
    shift : int
        What a slice's number in the image is more than in the labels.
    labelled : list of int
        All slices with labels that the prediction shows, also outside of that range.
    """

    begin: int
    first: int
    end: int
    shift: int
    labelled: list[int]

    @property
    def compared(self) -> list[int]:
        """Slices with labels in the range to compare."""
        return self.only_compared(self.labelled)

    def only_compared(self, slices: Sequence[int]) -> list[int]:
        """Return those of some slices that lie in the range to compare."""
        return [z for z in slices if self.first <= z < self.end]

    def among(self, labelled: Sequence[int], image_slices: Sequence[int]) -> list[int]:
        """Return those of some slices that are given by their numbers in the image."""
        return [z for z in labelled if z + self.shift in image_slices]


def aligned_slices(
    prediction: Prediction, known: np.ndarray | SparseStack, wanted: tuple[int, int] | None, names: Names
) -> SliceAlignment:
    """Find what is to be compared.

    Parameters
    ----------
    prediction : Prediction
        Of all slices, of exactly the range, or of the slices that its record states.
    known : numpy.ndarray or SparseStack
        Labels, uint8 (z, y, x).
    wanted : (int, int), optional
        The range to compare; all that the prediction shows when not given.
    names : Names

    Raises
    ------
    UserError
        If sizes differ, the range lies outside, or it has no labels.
    """
    _check_size(prediction, known, names)
    if wanted is not None:
        check_range(wanted, len(known), f"{names.slices} of {names.labels}")
    begin, count = _beginning(prediction, len(known), wanted, names), len(prediction.values)
    first, end = wanted or (begin, begin + count)
    if not begin <= first < end <= begin + count:
        raise UserError(
            f"{prediction.name} shows the slices {begin}:{begin + count} by its own record; "
            f"choose {names.slices} inside them instead of {first}:{end}."
        )
    labelled = labelled_slices(known, range(begin, begin + count))
    match = SliceAlignment(begin, first, end, (prediction.slices or (begin, 0))[0] - begin, labelled)
    if not match.compared:
        among = f"choose among {slice_ranges(labelled)}" if labelled else "choose labelled slices"
        raise UserError(
            f"{names.labels} has no labels in the slices {first}:{end}; {among} ({names.slices})."
        )
    return match


def _check_size(prediction: Prediction, known: np.ndarray | SparseStack, names: Names) -> None:
    if prediction.values.shape[1:] != known.shape[1:]:
        sizes = [shape_text(array.shape) for array in (prediction.values, known)]
        raise UserError(
            f"{prediction.name} ({sizes[0]}) and {names.labels} ({sizes[1]}) differ in size; "
            "choose a prediction and labels of the same image."
        )


def _beginning(prediction: Prediction, depth: int, wanted: tuple[int, int] | None, names: Names) -> int:
    count = len(prediction.values)
    if count == depth:
        return 0
    if wanted is not None and wanted[1] - wanted[0] == count:
        return wanted[0]
    if prediction.slices is not None and prediction.slices[1] <= depth:
        return prediction.slices[0]
    raise UserError(
        f"{prediction.name} has {count} slices and {names.labels} has {depth}; "
        f"say with {names.slices} which {count} of {names.labels} they are, since the two differ in size."
    )


def taken_for(prediction: Prediction, names: Names) -> str:
    """Return in a sentence what the values of a prediction are taken for, and why."""
    eight_bits = prediction.kind != "labels" and prediction.values.dtype == np.uint8
    return reading_of(prediction.name, prediction.kind, eight_bits, prediction.reason, names)


def reading_of(name: str, kind: Kind, eight_bits: bool, reason: Reason, names: Names) -> str:
    """Return in a sentence what values are taken for, and why."""
    what, seen = "labels", "since it holds no other values"
    if kind != "labels":
        what = f"the {KINDS[kind]} from 0 to {255 if eight_bits else 1}"
        found = "8-bit values that are not labels" if eight_bits else "floats"
        seen = f"since it holds {found}; {names.interior} if it is the interior's"
    why = {"given": "as you say", "recorded": "as it says itself", "recognised": seen}[reason]
    return f"{name} is taken for {what}, {why}."
