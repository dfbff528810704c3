"""A review whose every figure is known, for the tests of reports and of the window."""

from __future__ import annotations

import numpy as np

from emseg_napari.evaluation.errors import find_errors
from emseg_napari.evaluation.evaluation import Evaluation, Scores, SliceEvaluation
from emseg_napari.evaluation.review import Review
from emseg_napari.settings import ErrorSettings

THRESHOLDS = tuple(step / 10 for step in range(11))


def scores(v_rand: float, v_info: float = 0.9, accuracy: float = 0.95) -> Scores:
    """Scores with the figures that the window shows; the rest is made up."""
    return Scores(v_rand, 0.97, 0.81, v_info, 0.96, 0.86, accuracy, 0.75, 0.6)


def an_evaluation(
    v_rand: dict[int, float], trained: tuple[int, ...] = (), threshold: float = 0.35
) -> Evaluation:
    """The V_rand of some slices; the best of their mean is 0.01 higher, at 0.4 (of the interior)."""
    averaged = tuple(z for z in v_rand if z not in trained) or tuple(v_rand)
    mean = sum(v_rand[z] for z in averaged) / len(averaged)
    curve = [mean + 0.01 - abs(t - 0.4) / 2 for t in THRESHOLDS]
    return Evaluation(
        v_rand=mean + 0.01,
        v_rand_threshold=0.4,
        v_info=0.92,
        v_info_threshold=0.5,
        pixel_error=0.0625,
        threshold=threshold,
        at_threshold=scores(mean),
        thresholds=THRESHOLDS,
        per_threshold=tuple(scores(value) for value in curve),
        per_slice=tuple(SliceEvaluation(z, z in trained, scores(value)) for z, value in v_rand.items()),
        averaged=averaged,
    )


def leaky(truth: np.ndarray, z: int, rows: slice) -> np.ndarray:
    """A copy of striped truth whose slice z has a gap in a wall: one merge of two cells."""
    predicted = truth.copy()
    predicted[z, rows, 16:19] = 2
    return predicted


def a_review(
    truth: np.ndarray, predicted: np.ndarray, v_rand: dict[int, float], trained: tuple[int, ...] = ()
) -> Review:
    """Made-up scores with the true errors of labels against labels."""
    slices = list(v_rand)
    errors = find_errors(truth[slices], predicted[slices] == 2, ErrorSettings(smallest_px=10), slices=slices)
    return Review(an_evaluation(v_rand, trained), errors)
