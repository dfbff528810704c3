"""Recognition of the slices that a run has seen among those of a prediction: by their marks, else numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from emseg_napari.evaluation.predictions import Prediction
from emseg_napari.evaluation.slice_alignment import SliceAlignment
from emseg_napari.io.axes import shape_text
from emseg_napari.io.fingerprint import SliceMarker, marker_of
from emseg_napari.io.volume import BrokenChunk
from emseg_napari.models.run import Run

Shape = tuple[int, ...]


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


class Recognition:
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
        """Return whether slices with the numbers of trained ones are these; None where that is unknown."""
        marks, numbers = self._of_training
        return {self._is_among(z, marks) for z in self._match.among(self._slices, numbers) if marks}

    def notes(self) -> list[str]:
        """Return what is assumed of slices that are known by their numbers only."""
        return [*self._of_numbers(), *self._of_no_marks()]

    def _of_no_marks(self) -> list[str]:
        if not self._may_be_held_out:
            return []
        return [
            f"{self._run.folder.name} is of an earlier version, which kept no marks of the slices by which "
            "it chose its threshold and weights: these are known by their numbers only."
        ]

    def _of_numbers(self) -> list[str]:
        unmarked = [z for z in self._slices if z not in self._marked]
        its_shape = self._record.image_shape
        sizes = [shape_text(one) for one in (its_shape, self._shape)]
        has_no_stack = not self._record.image_shape[0]  # imported: `independence` says so
        if not unmarked or has_no_stack or self._is_another():
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


def _may_be_part_of(its_shape: Shape, shape: Shape) -> bool:
    """Whether labels, not larger in y or x, may be of a run's own stack or of a part cut out of it."""
    return all(n <= most for most, n in zip(its_shape[1:], shape[1:], strict=True))
