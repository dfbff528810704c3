import numpy as np
import pytest

from emseg_napari.gaps import close_gaps
from emseg_napari.jobs import never
from emseg_napari.judging import Judge


class Known:
    """A network whose opinion of a slice is the slice itself."""

    def probability(self, slice_, should_stop):
        return slice_


def weak_spot() -> tuple[np.ndarray, np.ndarray]:
    """Two cells and the membrane between them: fringes of 0.4 are none of it, a weak stretch of 0.3 is."""
    probability = np.full((1, 64, 64), 0.05, np.float32)
    probability[:, :, 28:36] = 0.4
    probability[:, :, 31:33] = 0.9
    probability[:, 30:34] = np.minimum(probability[:, 30:34], 0.3)
    labels = np.full((1, 64, 64), 2, np.uint8)
    labels[:, :, 31:33] = 1
    return probability, labels


def judge(labels: np.ndarray) -> Judge:
    return Judge(weak_spot()[0], labels, 1.0, never)


def test_boundary_is_where_it_is_most_accurate_and_cells_part_where_that_is_best():
    threshold, gap_threshold = judge(weak_spot()[1]).thresholds([0], Known())
    assert 0.4 < threshold <= 0.9
    assert 0.05 < gap_threshold <= 0.3


def test_closing_the_gap_parts_the_cells_and_costs_no_accuracy():
    labels = weak_spot()[1]
    open_, closed = (judge(labels).score([0], Known(), 0.65, gap) for gap in (None, 0.2))
    assert open_.v_rand < 0.7
    assert closed.v_rand == pytest.approx(1, abs=0.01)
    assert closed.accuracy >= open_.accuracy


def test_labels_with_gaps_choose_no_threshold_for_cells():
    labels = weak_spot()[1]
    labels[:, ::2] = 0
    threshold, gap_threshold = judge(labels).thresholds([0], Known())
    assert 0.4 < threshold <= 0.9
    assert gap_threshold is None
    assert judge(labels).score([0], Known()).v_rand is None


def test_of_nothing_nothing_is_chosen():
    assert judge(weak_spot()[1]).thresholds([], Known()) == (0.5, None)


def test_closing_is_what_the_judge_scored():
    probability, labels = weak_spot()
    closed = close_gaps(probability[0], 0.2, 0.65)[np.newaxis]
    one = judge(labels).score([0], Known(), 0.65, 0.2)
    assert one == Judge(closed, labels, 1.0, never).score([0], Known(), 0.65)
