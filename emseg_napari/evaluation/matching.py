"""Which slices of the labels a prediction shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.predictions import KINDS, Prediction
from emseg_napari.io.axes import shape_text
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices
from emseg_napari.io.stacks import check_range


@dataclass(frozen=True)
class Names:
    """What the user calls the labels, and what can be added to the call."""

    labels: str = "The labels"
    slices: str = "slices"
    run: str = "run"
    threshold: str = "threshold"
    interior: str = 'kind="interior"'


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


def matched(
    prediction: Prediction, known: np.ndarray | SparseStack, wanted: tuple[int, int] | None, names: Names
) -> Match:
    """Find what is to be compared.

    Parameters
    ----------
    prediction : Prediction
        Of all slices, of exactly the range, or of slices that its record tells.
    known : numpy.ndarray or SparseStack
        Labels, uint8 (z, y, x).
    wanted : (int, int), optional
        The range to compare; all that the prediction shows when not given.
    names : Names
        For the sentences.

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
    if not labelled_slices(known, range(first, end)):
        raise UserError(
            f"{names.labels} has no labels in the slices {first}:{end}; choose labelled {names.slices}."
        )
    return Match(begin, first, end, (prediction.slices or (begin, 0))[0] - begin)


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
        f"say with {names.slices} which {count} of {names.labels} they are."
    )


def taken_for(prediction: Prediction, names: Names) -> str:
    """Say in a sentence what the values of a prediction are taken for, and why."""
    what, seen = "labels", "since it holds no other values"
    if prediction.kind != "labels":
        eight_bits = prediction.values.dtype == np.uint8
        what = f"the {KINDS[prediction.kind]} from 0 to {255 if eight_bits else 1}"
        found = "8-bit values that are no labels" if eight_bits else "floats"
        seen = f"since it holds {found}; add {names.interior} if it is the interior's"
    why = {"given": "as you say", "said": "as it says itself", "seen": seen}[prediction.reason]
    return f"{prediction.name} is taken for {what}, {why}."
