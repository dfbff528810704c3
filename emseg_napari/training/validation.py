"""What is held out of a training, and how good a network is on it.

Whole slices are held out, or, where too few have labels, a tile of the labelled area. Only a part
of a few slices is compared, so that judging stays short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np

from emseg_napari.core.jobs import ShouldStop, UserError, never
from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED, check_trainable, from_probability
from emseg_napari.evaluation.metrics import best_threshold, comparisons, pixel_accuracy
from emseg_napari.inference import SlicePredictor
from emseg_napari.io.axes import SliceWindow
from emseg_napari.io.sparse_stack import SparseStack, Stack, labelled_slices
from emseg_napari.io.stacks import check_range
from emseg_napari.models.run import RunRecord, fingerprint
from emseg_napari.segmentation.close_gaps import close_gaps, closings
from emseg_napari.settings import MERGE_THRESHOLD, TrainingSettings

T = TypeVar("T")

SLICES_FOR_HOLD_OUT = 4
_SLICES = 3
_SIDE_PX = 1024
# Between a held-out tile and the labels that train: neighbouring pixels are no independent witnesses.
_MARGIN_PX = 16
# An eighth of the labelled area, as of the slices; a smaller one says nothing.
_TILE_SIDE = 8**-0.5
_SMALLEST_TILE_PX = 32
# Below that part of labelled pixels, cells have gaps and their scores mean nothing.
_DENSE = 0.9
# Of each side, slices that choose how probabilities become labels (benchmarks/README.md).
_CHOOSING_SLICES = 4
# By what V_rand and V_info of a handful of slices differ by chance.
_NEARLY = 0.01
# None above the usual: on slices that train, boundaries are stronger than on others.
_LEVELS = (0.3, 0.4, 0.5, 0.6, MERGE_THRESHOLD)

Tile = tuple[int, int, int, int]
Labels = np.ndarray | SparseStack


def split(labels: Labels, settings: TrainingSettings) -> tuple[list[int], list[int]]:
    """Choose which slices train and which are held out.

    An eighth of the labelled slices is held out, the last ones together, since neighbouring
    slices resemble each other; nothing when fewer than four are labelled.

    Returns
    -------
    trained, held_out : list of int
        Disjoint indices of slices with labels.
    """
    first, end = check_range(settings.slices, len(labels), "Slices")
    labelled = labelled_slices(labels, range(first, end))
    if settings.validate_slices is not None:
        low, high = check_range(settings.validate_slices, len(labels), "Held-out slices")
        held_out = labelled_slices(labels, range(low, high))
    else:
        enough = settings.hold_out and len(labelled) >= SLICES_FOR_HOLD_OUT
        fit = [z for z in labelled if _both(labels[z])] if enough else []
        held_out = fit[-max(1, len(labelled) // 8) :]
    trained = [z for z in labelled if z not in held_out]
    if labelled and not trained:
        raise UserError("All labelled slices are held out, so none is left to train on; hold out fewer.")
    if not trained:
        check_trainable(labels[labelled], "The labels")
    return trained, held_out


def hold_out_tile(labels: Labels, slices: list[int]) -> Tile | None:
    """Choose a corner of the labelled area to judge by, where no whole slice can be spared.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (z, y, x), or a `SparseStack`.
    slices : list of int
        Those that train.

    Returns
    -------
    tuple of int or None
        First y, end y, first x, end x; None if it would be tiny, or either side left without both classes.
    """
    labels = labels[slices]
    rows, columns = (np.flatnonzero(labels.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    (top, bottom), (left, right) = ((int(n[0]), int(n[-1]) + 1) for n in (rows, columns))
    height, width = (round(_TILE_SIDE * n) for n in (bottom - top, right - left))
    if min(height, width) < _SMALLEST_TILE_PX:
        return None
    corners = [(y, y + height, x, x + width) for y in (top, bottom - height) for x in (left, right - width)]
    fit = [c for c in corners if _both(only_tile(labels, c)) and _both(but_tile(labels, c))]
    return max(fit, key=lambda c: np.count_nonzero(only_tile(labels, c)), default=None)


def only_tile(labels: np.ndarray, tile: Tile) -> np.ndarray:
    """Return labels (z, y, x) or (y, x) of which only those in the tile are left."""
    part = np.s_[..., tile[0] : tile[1], tile[2] : tile[3]]
    result = np.zeros_like(labels)
    result[part] = labels[part]
    return result


def but_tile(labels: np.ndarray, tile: Tile) -> np.ndarray:
    """Return labels (z, y, x) or (y, x) without those in the tile and in a margin around it."""
    top, bottom, left, right = tile
    result = labels.copy()
    result[
        ...,
        max(0, top - _MARGIN_PX) : bottom + _MARGIN_PX,
        max(0, left - _MARGIN_PX) : right + _MARGIN_PX,
    ] = UNLABELLED
    return result


def _each(labels: Labels, change: Callable[[np.ndarray, Tile], np.ndarray], tile: Tile | None) -> Labels:
    if tile is None:
        return labels
    if isinstance(labels, SparseStack):
        return labels.mapped(lambda plane: change(plane, tile))
    return change(labels, tile)


def _both(labels: np.ndarray) -> bool:
    return bool((labels == BOUNDARY).any() and (labels == INTERIOR).any())


@dataclass(frozen=True)
class ValidationScore:
    """How good a network is on slices.

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


class Scorer:
    """Compares predictions with labels.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x).
    labels : numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.
    boundary_weight : float
        Of the loss, so that the cost ranks networks as their training does.
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
    ) -> ValidationScore:
        """Judge by some slices, with closed gaps if `merge_threshold` is given."""
        if not slices:
            return ValidationScore()
        labels, probability = self._compared(slices, predictor)
        if merge_threshold is not None:
            stop = self._should_stop
            probability = np.stack([close_gaps(p, threshold, merge_threshold, stop) for p in probability])
        target = labels == BOUNDARY
        right = np.where(target, probability, 1 - probability)
        weight = np.where(target, self._boundary_weight, 1.0) * (labels != UNLABELLED)
        cost = float(np.sum(weight * -np.log(np.maximum(right, 1e-6))) / max(1.0, weight.sum()))
        v_rand = float(_agreement(labels, probability, threshold)[0]) if is_dense(labels) else None
        return ValidationScore(pixel_accuracy(labels, from_probability(probability, threshold)), v_rand, cost)

    def choose(
        self, slices: list[int], predictor: SlicePredictor, usual: float = MERGE_THRESHOLD
    ) -> tuple[float, float]:
        """Choose how probabilities become labels, by all of `slices`.

        Returns
        -------
        threshold : float
            The boundary probability with the best accuracy; 0.5 of no slices.
        merge_threshold : float
            See `close_gaps`: the usual, unless V_rand and V_info are clearly better with another one.
        """
        if not slices:
            return 0.5, usual
        labels, probability = self._compared(slices, predictor)
        threshold = best_threshold(labels, probability)
        if not is_dense(labels):
            return threshold, usual
        closed = zip(*(closings(p, threshold, _LEVELS, self._should_stop) for p in probability), strict=True)
        scores = smoothed(np.array([_agreement(labels, p, threshold).mean() for p in closed]))
        near = [level for level, score in zip(_LEVELS, scores, strict=True) if score > scores.max() - _NEARLY]
        return threshold, min(near, key=lambda level: abs(level - usual))

    def _compared(self, slices: list[int], predictor: SlicePredictor) -> tuple[np.ndarray, np.ndarray]:
        part = most_labelled(self._labels[slices], _SIDE_PX)
        probability = [predictor.probability(self._image[z][part], self._should_stop) for z in slices]
        return self._labels[slices][:, *part], np.stack(probability)


class Validator:
    """Judges one training by what teaches and by what is held out, a few slices of each.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        The whole stack, (z, y, x).
    labels : numpy.ndarray or SparseStack
        Its labels, uint8.
    record : RunRecord
        Says what is held out.
    boundary_weight, should_stop
        See `Scorer`.

    Attributes
    ----------
    teaching : numpy.ndarray
        The labels less a held-out tile and its margin.
    can_choose : bool
        Whether anything is held out.
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
        self._trained, self._held_out = record.trained_slices, record.judged_slices
        self._usual = record.merge_threshold
        self.can_choose = bool(self._held_out)
        self.teaching = _each(labels, but_tile, tile)
        held_out = _each(labels, only_tile, tile)
        self._teacher, self._scorer, self._chooser = (
            Scorer(image, some, boundary_weight, should_stop) for some in (self.teaching, held_out, labels)
        )

    def trained(self, predictor: SlicePredictor) -> ValidationScore:
        """Judge at 0.5 by what teaches."""
        return self._teacher.score(spread_over(self._trained, _SLICES), predictor)

    def held_out(
        self, predictor: SlicePredictor, threshold: float = 0.5, merge_threshold: float | None = None
    ) -> ValidationScore:
        """Judge by what is held out."""
        return self._scorer.score(spread_over(self._held_out, _SLICES), predictor, threshold, merge_threshold)

    def verdict(self, predictor: SlicePredictor) -> dict[str, float | None]:
        """Choose how probabilities become labels and score these: fields of the run's record."""
        predictor = cast(SlicePredictor, CachedPredictor(predictor))
        # Two held-out slices alone choose badly, since a single gap between large cells decides.
        some = {z for side in (self._held_out, self._trained) for z in spread_over(side, _CHOOSING_SLICES)}
        threshold, merge_threshold = self._chooser.choose(sorted(some), predictor, self._usual)
        kept = self.held_out(predictor, threshold, merge_threshold)
        return {
            "threshold": threshold,
            "merge_threshold": merge_threshold,
            "kept_accuracy": kept.accuracy,
            "kept_v_rand": kept.v_rand,
        }


class CachedPredictor:
    """A predictor that is asked for the same slices several times."""

    def __init__(self, predictor: SlicePredictor) -> None:
        self._predictor = predictor
        self._known: dict[str, np.ndarray] = {}

    def probability(self, slice_: np.ndarray, should_stop: ShouldStop = never) -> np.ndarray:
        """Predict a slice, or remember it."""
        name = fingerprint(slice_)
        if name not in self._known:
            self._known[name] = self._predictor.probability(slice_, should_stop)
        return self._known[name]


def is_dense(labels: np.ndarray) -> bool:
    """Say whether nearly all pixels around the labels (z, y, x) have labels, so that cells are whole."""
    rows, columns = (np.flatnonzero(labels.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    inside = labels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return float(np.mean(inside != UNLABELLED)) >= _DENSE


def _agreement(labels: np.ndarray, probability: Iterable[np.ndarray], threshold: float) -> np.ndarray:
    """Return V_rand and V_info, the means over slices."""
    found = [
        next(comparisons(known, 1 - p, [1 - threshold])).agreement
        for known, p in zip(labels, probability, strict=True)
    ]
    return np.mean([(one.rand.score, one.information.score) for one in found], axis=0)


def smoothed(scores: np.ndarray) -> np.ndarray:
    """Let the scores of neighbouring levels flow together: one lucky slice makes a narrow peak."""
    return np.convolve(np.pad(scores, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")


def spread_over(items: list[T], most: int) -> list[T]:
    """Return at most so many items, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(most, len(items)))
    return [items[i] for i in places.round().astype(int)]


def most_labelled(labels: np.ndarray, side_px: int) -> SliceWindow:
    """Return the window (y, x), of a grid with `side_px` steps, that has most labels of (z, y, x)."""
    starts = [(y, x) for y in range(0, labels.shape[1], side_px) for x in range(0, labels.shape[2], side_px)]
    windows = [(slice(y, y + side_px), slice(x, x + side_px)) for y, x in starts]
    return max(windows, key=lambda window: np.count_nonzero(labels[:, *window]))
