import numpy as np
import pytest

from emseg_napari.core.jobs import never
from emseg_napari.segmentation.close_gaps import close_gaps
from emseg_napari.settings import MERGE_THRESHOLD
from emseg_napari.training.validation import Scorer


class Known:
    """A network whose opinion of a slice is the slice itself."""

    def probability(self, slice_, should_stop):
        return slice_


def weak_spot(membrane: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Two cells and the membrane between them: fringes of 0.4 are none of it, a short gap of 0.3 is."""
    probability = np.full((1, 64, 64), 0.05, np.float32)
    probability[:, :, 28:36] = 0.4
    probability[:, :, 31:33] = membrane
    probability[:, 30:34] = np.minimum(probability[:, 30:34], 0.3)
    labels = np.full((1, 64, 64), 2, np.uint8)
    labels[:, :, 31:33] = 1
    return probability, labels


def judge(labels: np.ndarray, image: np.ndarray | None = None) -> Scorer:
    return Scorer(weak_spot()[0] if image is None else image, labels, 1.0, never)


def test_boundary_is_where_it_is_most_accurate_and_cells_part_as_usual():
    threshold, merge_threshold = judge(weak_spot()[1]).choose([0], Known())
    assert 0.4 < threshold <= 0.9
    assert merge_threshold == MERGE_THRESHOLD


def test_where_boundaries_are_weak_weaker_ones_part_cells():
    probability, labels = weak_spot(membrane=0.6)
    threshold, merge_threshold = judge(labels, probability).choose([0], Known())
    assert 0.4 < threshold <= 0.6
    assert merge_threshold < 0.6


@pytest.mark.parametrize("usual", [0.3, 0.5, 0.7])
def test_a_level_that_is_as_good_as_any_is_kept(usual):
    """Between sure cells every level parts them alike."""
    sure, labels = np.where(weak_spot()[1] == 1, 0.95, 0.05).astype(np.float32), weak_spot()[1]
    assert judge(labels, sure).choose([0], Known(), usual)[1] == usual


def test_closing_the_gap_parts_the_cells_and_costs_no_accuracy():
    labels = weak_spot()[1]
    open_, closed = (judge(labels).score([0], Known(), 0.65, level) for level in (None, 0.7))
    assert open_.v_rand < 0.7
    assert closed.v_rand == pytest.approx(1, abs=0.01)
    assert closed.accuracy >= open_.accuracy


def test_labels_with_gaps_cannot_say_where_cells_part():
    labels = weak_spot()[1]
    labels[:, ::2] = 0
    threshold, merge_threshold = judge(labels).choose([0], Known())
    assert 0.4 < threshold <= 0.9
    assert merge_threshold == MERGE_THRESHOLD
    assert judge(labels).score([0], Known()).v_rand is None


def test_of_nothing_nothing_is_chosen():
    assert judge(weak_spot()[1]).choose([], Known()) == (0.5, MERGE_THRESHOLD)
    assert judge(weak_spot()[1]).choose([], Known(), 0.4) == (0.5, 0.4)


def test_closing_is_what_the_judge_scored():
    probability, labels = weak_spot()
    closed = close_gaps(probability[0], 0.65, 0.7)[np.newaxis]
    one = judge(labels).score([0], Known(), 0.65, 0.7)
    assert one == Scorer(closed, labels, 1.0, never).score([0], Known(), 0.65)
