"""What an evaluation holds: the scores of slices, and their means at every threshold.

Thresholds are those of the interior probability, as in the ISBI 2012 challenge: interior is
what lies strictly above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np

from emseg_napari.evaluation.metrics import SliceComparison


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

    @classmethod
    def of(cls, found: SliceComparison) -> Scores:
        """Give the scores of one slice at one threshold."""
        rand, information, pixels = found.agreement.rand, found.agreement.information, found.pixels
        return cls(
            *(rand.score, rand.split, rand.merge),
            *(information.score, information.split, information.merge),
            *(pixels.accuracy, pixels.boundary_f1, pixels.boundary_iou),
        )

    @classmethod
    def mean(cls, scores: Sequence[Scores]) -> Scores:
        """Give the mean of each measure."""
        return cls(*np.mean([astuple(one) for one in scores], axis=0).tolist())

    def as_dict(self) -> dict[str, float | None]:
        """Return the measures by name; None for NaN, which JSON does not know."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


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
    """A prediction compared with the truth; means are over the slices `averaged`.

    Attributes
    ----------
    v_rand, v_rand_threshold, v_info, v_info_threshold : float
        The best over the official thresholds, which is too optimistic, and where it lies.
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
    averaged : tuple of int
        Those of them over which the means are.
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
    averaged: tuple[int, ...]
    left_out: tuple[int, ...] = ()

    @property
    def counted(self) -> tuple[SliceEvaluation, ...]:
        """Those of `per_slice` over which the means are."""
        return tuple(one for one in self.per_slice if one.z in self.averaged)

    @property
    def trained_slices(self) -> tuple[int, ...]:
        """Slices that were scored although the run was trained on them."""
        return tuple(one.z for one in self.per_slice if one.trained)

    @property
    def averaged_trained(self) -> tuple[int, ...]:
        """Those of them that count for the means, which then prove nothing."""
        return tuple(one.z for one in self.counted if one.trained)

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain values that JSON knows; None where nothing is known."""
        at = self.at_threshold
        per_threshold = zip(self.thresholds, self.per_threshold, strict=True)
        return {
            "v_rand": self.v_rand,
            "v_rand_threshold": self.v_rand_threshold,
            "v_info": self.v_info,
            "v_info_threshold": self.v_info_threshold,
            "pixel_error": self.pixel_error,
            "threshold": self.threshold,
            "v_rand_at_threshold": at.v_rand,
            "v_info_at_threshold": at.v_info,
            "accuracy": _plain(at.accuracy),
            "boundary_f1": at.boundary_f1,
            "at_threshold": at.as_dict(),
            "slices": [one.z for one in self.per_slice],
            "trained_slices": list(self.trained_slices),
            "left_out": list(self.left_out),
            "per_slice": [
                {"z": one.z, "trained": one.trained} | one.scores.as_dict() for one in self.per_slice
            ],
            "per_threshold": [{"threshold": t} | scores.as_dict() for t, scores in per_threshold],
        }
