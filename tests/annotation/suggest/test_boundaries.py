"""Pieces, steps, boundaries and their probability on slices of a few pixels."""

import numpy as np
import pytest
from scipy import sparse

from emseg_napari.annotation.suggest.boundaries import Boundaries, Pieces, alike_in
from emseg_napari.annotation.suggest.error_probability import (
    Weights,
    means,
    probability_wrong,
    typical_strength,
)
from emseg_napari.annotation.suggest.pieces import Slice, Steps, overlaps, steps_between
from emseg_napari.annotation.suggest.search import cost
from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_BOUNDARY, PROPOSED_INTERIOR

PB, PI = PROPOSED_BOUNDARY, PROPOSED_INTERIOR


def slice_of(labels: list[list[int]], probability: list[list[float]]) -> Slice:
    given = np.array(probability, np.float32)
    return Slice(np.array(labels, np.uint8), given, given / 2)


def test_what_the_user_labelled_overrules_the_probability_and_counts_two_pixels_around():
    slice_ = slice_of([[PI, 0, 0, BOUNDARY, PB, PI, PI, PI]], [[0.9, 0.5, 0.4, 0.1, 0.2, 0.3, 0.6, 0.7]])
    assert slice_.interior.tolist() == [[True, False, True, False, False, True, True, True]]
    assert slice_.belief[0] == pytest.approx([0.9, 0.5, 0.4, 1.0, 0.2, 0.3, 0.6, 0.7])
    assert slice_.touched.tolist() == [[False] * 3 + [True] + [False] * 4]
    assert slice_.near_touched.tolist() == [[False] + [True] * 5 + [False] * 2]
    assert slice_of([[INTERIOR]], [[0.8]]).belief.tolist() == [[0]]


def test_steps_between_pieces_can_be_counted_by_hand():
    pieces = np.array([[2, 2, 1], [2, 3, 3]])
    slice_ = slice_of([[PI, PI, PI], [PI, PB, PI]], [[0.1, 0.2, 0.3], [0.2, 0.9, 0.4]])
    steps = steps_between(pieces, slice_)
    rows = zip(
        *(getattr(steps, name).tolist() for name in ("one", "other", "y", "x", "is_open")),
        steps.strength.round(3).tolist(),
        steps.spread.round(3).tolist(),
        strict=True,
    )
    assert sorted(rows) == [
        (1, 2, 0, 2, True, pytest.approx(0.3), pytest.approx(0.15)),
        (1, 3, 1, 2, True, pytest.approx(0.4), pytest.approx(0.2)),
        (2, 3, 1, 1, False, pytest.approx(0.9), pytest.approx(0.45)),
        (2, 3, 1, 1, False, pytest.approx(0.9), pytest.approx(0.45)),
    ]
    assert not steps.touched.any()


def test_overlaps_count_pixels_of_pieces_in_parts_of_an_interior():
    pieces = np.array([[1, 1, 2, 2], [1, 2, 2, 2]])
    interior = np.array([[1, 1, 1, 0], [0, 0, 0, 1]], bool)  # parts of three pixels and of one
    assert overlaps(pieces, interior).toarray().tolist() == [[0, 0, 0], [0, 2, 0], [0, 1, 1]]


def test_sides_are_alike_as_far_as_they_lie_in_the_same_cells_of_the_neighbours():
    sides = np.array([[1, 2], [0, 1], [0, 3]])
    first = sparse.csr_matrix([[0.0, 0, 0], [0, 3, 4], [0, 4, 3], [0, 0, 0]])
    second = sparse.csr_matrix([[0.0, 2, 0], [0, 1, 0], [0, 0, 5], [0, 0, 0]])
    np.testing.assert_allclose(alike_in([first], sides), [24 / 25, np.nan, np.nan])
    np.testing.assert_allclose(alike_in([first, second], sides), [12 / 25, 1, np.nan])
    assert np.isnan(alike_in([], sides)).all()


def test_sides_of_a_single_pixel_are_alike_in_one_cell_and_not_in_two():
    overlap = sparse.csr_matrix([[0.0, 1, 0], [0, 1, 0], [0, 0, 1]])
    assert alike_in([overlap], np.array([[0, 1], [0, 2]])).tolist() == [1, 0]


def test_a_gap_and_a_membrane_have_the_areas_on_their_sides():
    """Rooms of 20 x 20, 20 x 20 and 20 x 10, the first two connected by a passage of 4 x 2 pixels."""
    probability = np.full((24, 60), 0.95, np.float32)
    for left, right in ((2, 22), (24, 44), (46, 56)):
        probability[2:22, left:right] = 0.03
    probability[10:14, 22:24] = 0.3
    labels = np.where(probability < 0.5, PI, PB).astype(np.uint8)
    pieces = Pieces(Slice(labels, probability, np.zeros_like(probability)), [labels, None])
    gaps, membranes = pieces.gaps(), pieces.membranes()
    assert sorted(pieces.cell_areas.tolist()) == [0, 200, 808]
    assert gaps.areas.sum() == 808
    assert sorted(gaps.areas[0]) == pytest.approx([400, 408], abs=4)
    assert membranes.areas.tolist() == [[808, 200]]
    assert gaps.steps.is_open.sum() == 4
    assert gaps.alike.tolist() == [1]
    assert membranes.alike.tolist() == [0]


def boundaries(kind: str = "gap") -> Boundaries:
    """Two boundaries, of two steps and of one."""
    nothing, number = np.zeros(3, bool), np.zeros(3, int)
    strength, spread = np.array([0.2, 0.4, 1.0]), np.array([0.1, 0.3, 0.5])
    steps = Steps(number, number + 1, number, number, strength, spread, nothing, nothing)
    areas, alike = np.array([[7.0, 3.0], [1.0, 15.0]]), np.array([np.nan, 0.5])
    return Boundaries(kind, steps, np.array([0, 0, 1]), areas, alike)


def test_the_log_odds_of_a_mistake_are_the_sum_of_what_is_measured():
    weights = Weights(1.0, 0.5, 2.0, 0.25, 0.125, 3.0, -1.0)
    wrong = probability_wrong(boundaries(), 0.8, weights)
    first = -1 + np.log(0.3 / 0.7) + 0.5 * np.log(4) + 2 * 0.25 + 0.125 * 2 + 3 * 0.2
    second = -1 + np.log(0.98 / 0.02) + 0.5 * np.log(4) + 2 * 0.5 + 0.125 * 1 + 3 * 0.5
    np.testing.assert_allclose(np.log(wrong / (1 - wrong)), [first, second])


def test_means_are_those_of_the_steps_that_count():
    found = boundaries()
    assert means(found, found.steps.strength, np.array([True, False, False])).tolist() == [0.2, 0]
    assert means(found, found.steps.strength, np.ones(3, bool)) == pytest.approx([0.3, 1])
    assert typical_strength(found) == pytest.approx(1.6 / 3)


def test_the_cost_of_a_mistake_is_what_v_rand_loses():
    # 21 and 15 pairs; with 100 pairs in all cells, two that are one have as many fewer, one that is two more.
    np.testing.assert_allclose(cost(boundaries("gap"), 100.0), [21 / 79, 15 / 85])
    np.testing.assert_allclose(cost(boundaries("membrane"), 100.0), [21 / 121, 15 / 115])
