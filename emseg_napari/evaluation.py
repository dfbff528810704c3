"""How good a prediction is against the truth: every score of every slice at every threshold.

Thresholds are those of the interior probability, as in the ISBI 2012 challenge: interior is
what lies strictly above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emseg_napari.jobs import Report, ShouldStop, ignore, never
from emseg_napari.settings import EvaluationSettings


@dataclass(frozen=True)
class Scores:
    """The measures of one segmentation, of a slice or as the mean over slices; all 0 to 1.

    Attributes
    ----------
    v_rand, v_rand_split, v_rand_merge : float
        Foreground-restricted Rand score after border thinning, and its two parts: split falls
        where a true cell was cut, merge where two were joined.
    v_info, v_info_split, v_info_merge : float
        The same of information.
    accuracy : float
        Share of labelled pixels that are right; NaN if none is labelled.
    boundary_f1, boundary_iou : float
        Of the boundary class, over labelled pixels.
    """

    v_rand: float
    v_rand_split: float
    v_rand_merge: float
    v_info: float
    v_info_split: float
    v_info_merge: float
    accuracy: float
    boundary_f1: float
    boundary_iou: float


@dataclass(frozen=True)
class SliceEvaluation:
    """One slice.

    Attributes
    ----------
    z : int
        Index in the labelled stack.
    trained : bool
        The run, or the network it started from, was trained on it: its score proves nothing.
    scores : Scores
        At `Evaluation.threshold`.
    """

    z: int
    trained: bool
    scores: Scores


@dataclass(frozen=True)
class Evaluation:
    """A prediction compared with the truth; means are over slices.

    Attributes
    ----------
    v_rand, v_rand_threshold, v_info, v_info_threshold : float
        The best over the official thresholds, which flatters, and where it lies.
    pixel_error : float
        The official one: 1 - best F-score of the interior.
    threshold : float
        The one that the run chose on other slices, or that was given.
    at_threshold : Scores
        Mean over slices at it: the honest figures.
    thresholds : tuple of float
        The official eleven.
    per_threshold : tuple of Scores
        Mean over slices at each.
    per_slice : tuple of SliceEvaluation
        Those that were scored.
    left_out : tuple of int
        Labelled slices that were not scored, because the run was trained on them.
    """

    v_rand: float
    v_rand_threshold: float
    v_info: float
    v_info_threshold: float
    pixel_error: float
    threshold: float
    at_threshold: Scores
    thresholds: tuple[float, ...]
    per_threshold: tuple[Scores, ...]
    per_slice: tuple[SliceEvaluation, ...]
    left_out: tuple[int, ...] = ()

    @property
    def trained_slices(self) -> tuple[int, ...]:
        """Slices that were scored although the run was trained on them."""
        return tuple(one.z for one in self.per_slice if one.trained)

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain values that JSON knows; None where nothing can be said."""
        raise NotImplementedError


def evaluate(
    prediction: np.ndarray,
    truth: np.ndarray,
    settings: EvaluationSettings | None = None,
    report: Report = ignore,
    should_stop: ShouldStop = never,
    *,
    trained_slices: Sequence[int] = (),
    first_slice: int = 0,
) -> Evaluation:
    """Compare a prediction with the truth, slice by slice.

    Parameters
    ----------
    prediction : numpy.ndarray
        Interior probability, float32 (z, y, x), 0 to 1, compared as it is; of a boundary
        probability it is one minus that, of labels 1 where they say interior, else 0.
    truth : numpy.ndarray
        uint8 of the same shape: 0 unlabelled (counts for nothing), 1 boundary, 2 interior.
        Slices without labels are skipped.
    settings : EvaluationSettings, optional
        Which slices, and the threshold of the interior probability (0.5 when it has none; that
        of a run is ``1 - run.record.threshold``).
    report : callable
        Gets a `Progress` per slice, and a `Message` where slices are left out or prove nothing.
    should_stop : callable
        When it answers True, `Cancelled` is raised within a second.
    trained_slices : sequence of int
        What the run was trained on. They are left out when other labelled slices are there
        and `settings` names no range; else they are scored and marked.
    first_slice : int
        Index of the first slice given, where the arrays are a part of a stack: all other numbers of
        slices, in and out, count from the stack's first.

    Raises
    ------
    UserError
        If the shapes differ, a value is not between 0 and 1, or no slice has labels.
    """
    raise NotImplementedError
