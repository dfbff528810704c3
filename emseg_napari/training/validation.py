"""Validation: scores of a network on held-out labels, and the thresholds that suit it.

Only a part of a few slices is compared, so that validation takes seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from emseg_napari.core import machine
from emseg_napari.core.jobs import ShouldStop, never
from emseg_napari.core.labels import BOUNDARY, UNLABELLED, from_probability
from emseg_napari.evaluation.metrics import best_threshold, comparisons, pixel_accuracy
from emseg_napari.evaluation.thinning import thinned_regions
from emseg_napari.inference import SlicePredictor
from emseg_napari.inference.tiles import whole
from emseg_napari.io.axes import SliceWindow
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.sparse_stack import SparseStack, Stack, labelled_slices
from emseg_napari.models.run import RunRecord
from emseg_napari.segmentation.close_gaps import close_gaps, closings, load_closing
from emseg_napari.settings import MERGE_THRESHOLD
from emseg_napari.training.run_record import BY_CHANCE
from emseg_napari.training.splits import (
    Labels,
    Tile,
    are_many,
    but_tile,
    is_dense,
    most_labelled,
    only_tile,
    spread_over,
)

_SLICES = 3
_SIDE_PX = 1024
# Slices that choose how probabilities become labels: held-out ones, and at least two that train.
_CHOOSING_SLICES, _CHOOSING_TRAINED = 4, 2
# None above the usual: on slices that train, boundaries are stronger than on others.
_LEVELS = (0.3, 0.4, 0.5, 0.6, MERGE_THRESHOLD)


@dataclass(frozen=True)
class ValidationScore:
    """Score of a network on some slices.

    Attributes
    ----------
    accuracy : float or None
        Pixel accuracy at the threshold, 0 to 1; None of no slices.
    v_rand : float or None
        Mean V_rand of the compared parts there; None unless nearly all of their pixels have labels.
    cost : float
        Mean weighted cross-entropy; infinite of no slices.
    """

    accuracy: float | None = None
    v_rand: float | None = None
    cost: float = float("inf")


def load_comparisons() -> None:
    """Load now what the first comparison would load, in a second: numba, and what it compiled earlier."""
    with suppress(Exception):  # that comparison will say what is wrong
        thinned_regions(np.eye(3, dtype=bool))
        load_closing()


class Scorer:
    """Comparison of predictions with labels.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x).
    labels : numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    boundary_weight : float
        That of the loss, so that the cost ranks networks as their training does.
    should_stop : callable
        When it answers True, `Cancelled` is raised.
    """

    def __init__(self, image: Stack, labels: Labels, boundary_weight: float, should_stop: ShouldStop) -> None:
        self._image, self._labels = image, labels
        self._boundary_weight, self._should_stop = boundary_weight, should_stop

    def score(
        self,
        slices: list[int],
        predictor: SlicePredictor,
        threshold: float = 0.5,
        merge_threshold: float | None = None,
        cells: bool = True,
    ) -> ValidationScore:
        """Score some slices, with closed gaps if `merge_threshold` is given.

        Parameters
        ----------
        slices : list of int
        predictor : SlicePredictor
        threshold : float
            Boundary probability from which a pixel is boundary, 0 to 1.
        merge_threshold : float, optional
            See `close_gaps`, 0 to 1.
        cells : bool
            Whether to compare cells, too.
        """
        if not slices:
            return ValidationScore()
        labels, probability = self._predicted(slices, predictor)
        if merge_threshold is not None:
            stop = self._should_stop
            probability = np.stack([close_gaps(p, threshold, merge_threshold, stop) for p in probability])
        target = labels == BOUNDARY
        right = np.where(target, probability, 1 - probability)
        weight = np.where(target, self._boundary_weight, 1.0) * (labels != UNLABELLED)
        cost = float(np.sum(weight * -np.log(np.maximum(right, 1e-6))) / max(1.0, weight.sum()))
        compared = cells and is_dense(labels)
        v_rand = float(_agreement(labels, probability, threshold)[0]) if compared else None
        return ValidationScore(pixel_accuracy(labels, from_probability(probability, threshold)), v_rand, cost)

    def choose(
        self, slices: list[int], predictor: SlicePredictor, usual: float = MERGE_THRESHOLD
    ) -> tuple[float, float | None]:
        """Choose the thresholds that suit all of `slices` best.

        Returns
        -------
        threshold : float
            The boundary probability with the best accuracy; 0.5 of no slices.
        merge_threshold : float or None
            See `close_gaps`: the usual, unless V_rand and V_info are clearly better with another one; None if
            nearly all pixels would need labels to choose it.
        """
        if not slices:
            return 0.5, None
        labels, probability = self._predicted(slices, predictor)
        threshold = best_threshold(labels, probability)
        if not is_dense(labels):
            return threshold, None

        def score_levels(known: np.ndarray, found: np.ndarray) -> list[float]:
            closed = closings(found, threshold, _LEVELS, self._should_stop)
            return [_agreement([known], [one], threshold).mean() for one in closed]

        with ThreadPoolExecutor(machine.threads()) as pool:
            scores = smoothed(np.mean([*pool.map(score_levels, labels, probability)], axis=0))
        near = [
            level for level, score in zip(_LEVELS, scores, strict=True) if score > scores.max() - BY_CHANCE
        ]
        return threshold, min(near, key=lambda level: (round(abs(level - usual), 6), level))

    def _predicted(self, slices: list[int], predictor: SlicePredictor) -> tuple[np.ndarray, np.ndarray]:
        part = most_labelled(self._labels[slices], _SIDE_PX)
        probability = [predictor.part(self._image[z], part, self._should_stop) for z in slices]
        return self._labels[slices][:, *part], np.stack(probability)


class Validator:
    """Scores of one training, on its training labels and on what is held out, a few slices of each.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        The whole stack, (z, y, x).
    labels : numpy.ndarray or SparseStack
        Its labels, uint8.
    record : RunRecord
        Which slices train, and what is held out.
    boundary_weight, should_stop
        See `Scorer`.

    Attributes
    ----------
    training_labels : numpy.ndarray
        The labels without a held-out tile and its margin.
    can_choose : bool
        Whether anything is held out.
    can_compare_with_start : bool
        Whether anything is held out in slices that the start had not been trained on.
    """

    def __init__(
        self,
        image: Stack,
        labels: Labels,
        record: RunRecord,
        boundary_weight: float,
        should_stop: ShouldStop,
    ) -> None:
        tile = record.held_out_tile
        self._record, self._all_labels = record, labels
        self.training_labels = _each_slice(labels, but_tile, tile)
        held_out = _each_slice(labels, only_tile, tile)
        # Of a slice all labels may lie on one side, or have been erased before the run was resumed.
        self._trained = labelled_slices(self.training_labels, record.trained_slices)
        self._held_out = labelled_slices(held_out, record.validation_slices)
        self._unseen = labelled_slices(held_out, record.unseen_validation_slices)
        self.can_choose, self.can_compare_with_start = bool(self._held_out), bool(self._unseen)
        self._training, self._held_out_scorer, self._all = (
            Scorer(image, some, boundary_weight, should_stop)
            for some in (self.training_labels, held_out, labels)
        )

    def trained(self, predictor: SlicePredictor) -> ValidationScore:
        """Score the training labels at threshold 0.5, pixel by pixel."""
        return self._training.score(spread_over(self._trained, _SLICES), predictor, cells=False)

    def held_out(
        self, predictor: SlicePredictor, threshold: float = 0.5, merge_threshold: float | None = None
    ) -> ValidationScore:
        """Score what is held out."""
        return self._held_out_scorer.score(
            spread_over(self._held_out, _SLICES), predictor, threshold, merge_threshold
        )

    def cost_beside_start(self, predictor: SlicePredictor) -> float:
        """Return the cost on what is held out in slices that the start had not been trained on."""
        unseen = spread_over(self._unseen, _SLICES)
        return self._held_out_scorer.score(unseen, predictor, cells=False).cost

    def choose_thresholds(self, predictor: SlicePredictor, has_learned: bool = True) -> dict[str, Any]:
        """Choose the thresholds and score them on what is held out; return fields of the run's record.

        Those of the start stay where nothing of what was learned is kept.
        """
        predictor = cast(SlicePredictor, CachedPredictor(predictor))
        record, slices = self._record, self._choosing
        # One gap in few labels would choose another merge threshold than the usual one, which lies between
        # that of the start and that of a network from nothing (measured: benchmarks/README.md).
        can_choose = has_learned and bool(slices) and are_many(self._all_labels[slices])
        if record.start is None or can_choose:
            usual = (record.merge_threshold + MERGE_THRESHOLD) / 2
            threshold, merge_threshold = self._all.choose(slices, predictor, usual)
        else:
            threshold, merge_threshold = record.threshold, None
        if merge_threshold is None:
            merge_threshold = record.merge_threshold
        kept = self.held_out(predictor, threshold, merge_threshold)
        return {
            "threshold": threshold,
            "merge_threshold": merge_threshold,
            "kept_accuracy": kept.accuracy,
            "kept_v_rand": kept.v_rand,
        }

    def score_start(self, start: SlicePredictor) -> dict[str, float | None]:
        """Score the start on what is held out; return fields of the run's record.

        Its thresholds are those of the record with which the training began. Nothing is compared if the start
        had been trained on some of these slices.
        """
        if not self._held_out or self._unseen != self._held_out:
            return {}
        found = self.held_out(start, self._record.threshold, self._record.merge_threshold)
        return {"start_accuracy": found.accuracy, "start_v_rand": found.v_rand}

    @property
    def _choosing(self) -> list[int]:
        # Not the held-out slices alone: of two slices, a single gap between large cells would decide.
        held_out = spread_over(self._held_out, _CHOOSING_SLICES)
        trained = max(_CHOOSING_TRAINED, _CHOOSING_SLICES - len(held_out))
        return sorted({*held_out, *spread_over(self._trained, trained)})

    def pixels_at_end(self, orientations: int, blends: int) -> int:
        """Return how many pixels a network predicts to score the last epoch, blend and choose thresholds.

        Parameters
        ----------
        orientations : int
            Over how many the predictions that choose thresholds are averaged.
        blends : int
            How often `cost_beside_start` is asked; 0 of a training that is not anchored to a start.
        """
        shape = self.training_labels.shape[1:]
        compared = math.prod(min(n, _SIDE_PX) for n in shape)
        trained, held_out, unseen = (
            min(_SLICES, len(some)) for some in (self._trained, self._held_out, self._unseen)
        )
        scored = 0 if self._record.start is None else held_out + 2
        beside_start = unseen * blends + scored * orientations
        return compared * (trained + held_out + beside_start + len(self._choosing) * orientations)


def _each_slice(
    labels: Labels, change: Callable[[np.ndarray, Tile], np.ndarray], tile: Tile | None
) -> Labels:
    if tile is None:
        return labels
    if isinstance(labels, SparseStack):
        return labels.mapped(lambda plane: change(plane, tile))
    return change(labels, tile)


def boundary_share(
    plane: np.ndarray, predictor: SlicePredictor, threshold: float, should_stop: ShouldStop = never
) -> float:
    """Return which part of the middle of a slice (y, x) is boundary at a threshold, 0 to 1."""
    y, x = (slice(max(0, n - _SIDE_PX) // 2, (n + min(n, _SIDE_PX)) // 2) for n in plane.shape)
    return float((predictor.part(plane, (y, x), should_stop) >= threshold).mean())


class CachedPredictor:
    """Predictor that computes each part of a slice once, for callers that need it several times."""

    def __init__(self, predictor: SlicePredictor) -> None:
        self._predictor = predictor
        self._cache: dict[tuple[str, str], np.ndarray] = {}

    def part(self, slice_: np.ndarray, window: SliceWindow, should_stop: ShouldStop = never) -> np.ndarray:
        """Return the boundary probability in a window (y, x) of a slice, computed at the first call."""
        name = fingerprint(slice_), str(window)
        if name not in self._cache:
            self._cache[name] = self._predictor.part(slice_, window, should_stop)
        return self._cache[name]

    def probability(self, slice_: np.ndarray, should_stop: ShouldStop = never) -> np.ndarray:
        """Return the boundary probability of a whole slice (y, x), float32."""
        return self.part(slice_, whole(slice_.shape), should_stop)


def _agreement(
    labels: Iterable[np.ndarray], probability: Iterable[np.ndarray], threshold: float
) -> np.ndarray:
    """Return V_rand and V_info, the means over slices."""
    found = [
        next(comparisons(known, 1 - p, [1 - threshold])).agreement
        for known, p in zip(labels, probability, strict=True)
    ]
    return np.mean([(one.rand.score, one.information.score) for one in found], axis=0)


def smoothed(scores: np.ndarray) -> np.ndarray:
    """Smooth scores over neighbouring levels, since a single slice by chance makes a narrow peak."""
    return np.convolve(np.pad(scores, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
