"""Contents of the report of an evaluation, and its figures for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from emseg_napari.core.owned_output import writing_file
from emseg_napari.evaluation.evaluation import Evaluation, Scores
from emseg_napari.evaluation.predictions import boundary_threshold
from emseg_napari.evaluation.review import Review
from emseg_napari.evaluation.training_overlap import Overlap

WORST_SLICES = 3


@dataclass(frozen=True)
class SlicePicture:
    """What is shown of one slice.

    Attributes
    ----------
    z : int
    image : numpy.ndarray or None
        (y, x), any grey levels; None if no image is there.
    truth : numpy.ndarray
        uint8 (y, x): 0 unlabelled, 1 boundary, 2 interior.
    interior : numpy.ndarray
        bool (y, x): predicted interior.
    """

    z: int
    image: np.ndarray | None
    truth: np.ndarray
    interior: np.ndarray


@dataclass(frozen=True)
class EvaluationReport:
    """Contents of a report.

    Attributes
    ----------
    title : str
    review : Review
    facts : dict
        Name to value: prediction, truth, run, settings, versions.
    notes : list of str
        Sentences that a reader must know.
    honesty : str
        Sentences on how far the figures can be trusted, such as `honesty.honesty_of` returns.
    overlap : Overlap
        What the run has seen of the scored slices.
    pictures : list of SlicePicture
    """

    title: str
    review: Review
    facts: dict[str, str]
    notes: list[str] = field(default_factory=list)
    honesty: str = ""
    overlap: Overlap = field(default_factory=Overlap)
    pictures: list[SlicePicture] = field(default_factory=list)


def worst_slices(evaluation: Evaluation, count: int = WORST_SLICES) -> list[int]:
    """Return the slices with the lowest V_rand at the threshold, worst first, of those that count."""
    ranked = sorted(evaluation.counted, key=lambda one: one.scores.v_rand)
    return [one.z for one in ranked[:count]]


def error_counts(review: Review) -> dict[int, Counter[str]]:
    """Return how many merges and splits every scored slice has."""
    counts: dict[int, Counter[str]] = {one.z: Counter() for one in review.evaluation.per_slice}
    for error in review.errors:
        counts[error.z][error.kind] += 1
    return counts


def write_csv(path: str | Path, review: Review, overlap: Overlap) -> None:
    """Write the scores as CSV, whole or not at all.

    A row for every slice at the threshold, with what the run has seen of it, one for the mean of those that
    count, and one for the mean at each of the eleven official thresholds.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    evaluation, names = review.evaluation, [one.name for one in fields(Scores)]
    counts = error_counts(review)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["slice", "boundary_threshold", "seen", *names, "merges", "splits"])

    def row(name: object, threshold: float, seen: str, scores: Scores, *errors: int) -> None:
        figures = [f"{getattr(scores, each):.6f}" for each in names]
        writer.writerow([name, f"{boundary_threshold(threshold):.2f}", seen, *figures, *(errors or ("", ""))])

    for one in evaluation.per_slice:
        found = counts[one.z]
        row(one.z, evaluation.threshold, overlap.seen_of(one), one.scores, found["merge"], found["split"])
    kinds = overlap.by_kind(evaluation.counted)
    seen = ", ".join(kind for kind in kinds if kinds[kind])
    row("mean", evaluation.threshold, seen, evaluation.at_threshold)
    for threshold, scores in zip(evaluation.thresholds, evaluation.per_threshold, strict=True):
        row("mean", threshold, seen, scores)
    with writing_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
