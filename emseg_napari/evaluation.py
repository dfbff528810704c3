"""How good a prediction is against the truth: every score of every slice at every threshold.

Thresholds are those of the interior probability, as in the ISBI 2012 challenge: interior is
what lies strictly above.
"""

from __future__ import annotations

from dataclasses import dataclass


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
