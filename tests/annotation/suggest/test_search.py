"""Places to look at: two cells in a frame, parted by a membrane that is open, weak or sure."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from emseg_napari.annotation.suggest import (
    Place,
    estimated_error,
    next_slice_to_label,
    places_of_slice,
    ranked,
)
from emseg_napari.annotation.suggest.pieces import Slice, pieces_of
from emseg_napari.annotation.suggest.search import worth_a_look
from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_BOUNDARY, PROPOSED_INTERIOR
from emseg_napari.evaluation.partitions import TrueCells

SURE, FAINT, NOTHING = 0.95, 0.35, 0.03


def cells_in_a_row(*walls: float, wide: int = 40, gap: float | None = None) -> np.ndarray:
    """Boundary probability: cells 60 pixels high, with a wall 3 pixels thick between each two.

    A `gap` in the middle of the first wall is 10 pixels long and as probable as it says.
    """
    probability = np.full((60, (len(walls) + 1) * (wide + 3) - 3), NOTHING, np.float32)
    for number, wall in enumerate(walls, 1):
        probability[:, number * (wide + 3) - 3 : number * (wide + 3)] = wall
    if gap is not None:
        probability[25:35, wide : wide + 3] = gap
    return probability


def proposed(probability: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    return np.where(probability >= threshold, PROPOSED_BOUNDARY, PROPOSED_INTERIOR).astype(np.uint8)


def places(probability: np.ndarray, **known) -> list[Place]:
    return places_of_slice(7, proposed(probability), probability, **known)


def the_place(found: list[Place], kind: str) -> Place:
    (place,) = [place for place in found if place.kind == kind]
    return place


def painted(labels: np.ndarray, place: Place, value: int) -> np.ndarray:
    labels = labels.copy()
    labels[place.pixels] = value
    return labels


def interior(labels: np.ndarray) -> np.ndarray:
    return (labels == INTERIOR) | (labels == PROPOSED_INTERIOR)


def test_a_gap_in_a_membrane_is_a_place_in_the_middle_of_its_opening():
    (place,) = places(cells_in_a_row(SURE, gap=FAINT))
    assert (place.z, place.kind) == (7, "gap")
    assert abs(place.y - 29.5) <= 1
    assert 40 <= place.x < 43
    assert place.radius_px == 16  # 13 are enough, but so little shows nothing around


def test_a_membrane_that_stands_is_a_place_on_it():
    place = the_place(places(cells_in_a_row(0.6)), "membrane")
    assert abs(place.y - 29.5) <= 1
    assert 40 <= place.x < 43
    assert place.radius_px == pytest.approx(30 + 8, abs=1)


def test_a_boundary_too_faint_to_stand_is_a_gap():
    place = the_place(places(cells_in_a_row(FAINT)), "gap")
    assert set(place.pixels[0]) == set(range(60))


def test_drawing_the_pixels_of_a_gap_parts_its_cells():
    probability = cells_in_a_row(SURE, gap=FAINT)
    closed = painted(proposed(probability), the_place(places(probability), "gap"), BOUNDARY)
    assert ndimage.label(interior(closed))[1] == 2


def test_a_weak_membrane_comes_before_a_surer_one():
    weak, sure = places(cells_in_a_row(0.8, 0.6))
    assert weak.x > 80 > sure.x
    assert weak.wrong > sure.wrong


def test_a_gap_in_a_strong_membrane_comes_before_one_in_a_weak_membrane():
    strong, weak = (the_place(places(cells_in_a_row(wall, gap=FAINT)), "gap") for wall in (SURE, 0.6))
    assert strong.wrong > weak.wrong


def test_of_equal_gaps_the_one_between_larger_cells_comes_first():
    small, large = cells_in_a_row(SURE, wide=15, gap=FAINT), cells_in_a_row(SURE, wide=60, gap=FAINT)
    wall = np.full((3, large.shape[1]), SURE, np.float32)
    small = np.pad(small, [(0, 0), (0, large.shape[1] - small.shape[1])], constant_values=SURE)
    first, second = [place for place in places(np.vstack([small, wall, large])) if place.kind == "gap"]
    assert first.y > 63 > second.y


@pytest.mark.parametrize("value", [BOUNDARY, INTERIOR])
@pytest.mark.parametrize(
    ("kind", "wall", "gap"), [("gap", SURE, FAINT), ("gap", FAINT, None), ("membrane", 0.6, None)]
)
def test_what_the_user_has_touched_is_not_asked_about_again(kind, wall, gap, value):
    probability = cells_in_a_row(wall, gap=gap)
    place = the_place(places(probability), kind)
    settled = painted(proposed(probability), place, value)
    assert places_of_slice(7, settled, probability) == []


def test_a_membrane_of_which_the_user_touched_little_is_still_asked_about():
    probability = cells_in_a_row(0.6)
    labels = proposed(probability)
    labels[:9, 40:43] = BOUNDARY  # with the two pixels beside that count as touched, 11 rows of 60
    assert the_place(places_of_slice(7, labels, probability), "membrane")
    labels[9, 40:43] = BOUNDARY  # a fifth
    assert places_of_slice(7, labels, probability) == []


def test_an_opening_is_asked_about_until_half_of_it_is_touched():
    probability = cells_in_a_row(SURE, gap=FAINT)
    labels = proposed(probability)
    labels[25:27, 40:43] = INTERIOR  # and two pixels beside: 4 rows of 10
    assert the_place(places_of_slice(7, labels, probability), "gap")
    labels[27, 40:43] = INTERIOR
    assert places_of_slice(7, labels, probability) == []


def test_labels_of_the_user_overrule_the_probability():
    """A membrane drawn where the network sees nothing is sure, and the rest of it is asked about."""
    probability = cells_in_a_row(NOTHING, gap=NOTHING)
    labels = proposed(probability)
    labels[:, 40:43] = BOUNDARY
    labels[25:35, 40:43] = PROPOSED_INTERIOR
    place = the_place(places_of_slice(7, labels, probability), "gap")
    assert abs(place.y - 29.5) <= 1
    assert 40 <= place.x < 43


def test_where_nothing_is_labelled_the_probability_decides():
    probability = cells_in_a_row(SURE, 0.6, gap=FAINT)
    assert places_of_slice(7, np.zeros(probability.shape, np.uint8), probability) == places(probability)


def test_a_gap_matters_more_if_the_neighbouring_slices_have_two_cells_there():
    probability, two = cells_in_a_row(SURE, gap=FAINT), proposed(cells_in_a_row(SURE))
    one = np.full(two.shape, PROPOSED_INTERIOR, np.uint8)
    parted, unknown, joined = (
        places(probability, neighbours=neighbours)[0].gain for neighbours in ([two, two], [], [one, None])
    )
    assert parted > unknown > joined


def test_a_membrane_matters_more_if_the_neighbouring_slices_have_one_cell_there():
    probability, two = cells_in_a_row(0.6), proposed(cells_in_a_row(SURE))
    one = np.full(two.shape, INTERIOR, np.uint8)
    joined, unknown, parted = (
        places(probability, neighbours=neighbours)[0].gain for neighbours in ([one, one], [], [two, None])
    )
    assert joined > unknown > parted


def test_neighbours_without_labels_say_nothing():
    probability = cells_in_a_row(SURE, 0.6, gap=FAINT)
    nothing = np.zeros(probability.shape, np.uint8)
    assert places(probability, neighbours=[nothing, None]) == places(probability)


def test_orientations_that_disagree_make_a_gap_more_suspicious():
    probability = cells_in_a_row(SURE, gap=FAINT)
    agreed, disagreed = (
        places(probability, disagreement=np.full(probability.shape, spread, np.float32))[0].wrong
        for spread in (0.02, 0.3)
    )
    assert disagreed > agreed


@pytest.mark.parametrize(
    ("walls", "found_walls"), [((SURE, SURE), (SURE, FAINT)), ((SURE, FAINT), (SURE, 0.6))]
)
def test_the_gain_is_what_v_rand_loses_there_times_its_probability(walls, found_walls):
    truth = TrueCells(cells_in_a_row(*walls) < 0.5)
    found, _ = ndimage.label(cells_in_a_row(*found_walls) < 0.5)
    lost = 1 - truth.agreement(found).rand.score
    kind = "gap" if found_walls[1] < 0.5 else "membrane"
    place = max((p for p in places(cells_in_a_row(*found_walls)) if p.kind == kind), key=lambda p: p.x)
    assert place.gain / place.wrong == pytest.approx(lost, rel=0.1)


def test_a_gap_parts_all_that_hangs_on_its_two_sides():
    """Of four open cells in a row the middle gap merges two pairs, the outer ones a cell and three."""
    found = sorted(places(cells_in_a_row(FAINT, FAINT, FAINT)), key=lambda place: place.x)
    left, middle, right = (place.gain / place.wrong for place in found)
    assert middle > left == pytest.approx(right, rel=0.05)


@pytest.mark.parametrize(("narrower_px", "count"), [(6, 1), (7, 2)])
def test_a_neck_parts_pieces_where_it_is_more_than_six_pixels_narrower_to_either_side(narrower_px, count):
    probability = np.full((44, 120), SURE, np.float32)
    probability[2:-2, 2:42] = probability[2:-2, -42:-2] = NOTHING  # two rooms of 40 x 40
    probability[2 + narrower_px : -2 - narrower_px, 2:-2] = NOTHING
    slice_ = Slice(proposed(probability), probability, np.zeros_like(probability))
    assert pieces_of(slice_).max() == count


def test_two_ways_between_pieces_are_one_gap():
    """Closing one opening of a wall that has two would part nothing."""
    probability = cells_in_a_row(SURE)
    probability[10:16, 40:43] = probability[44:50, 40:43] = FAINT
    place = the_place(places(probability), "gap")
    closed = painted(proposed(probability), place, BOUNDARY)
    assert ndimage.label(interior(closed))[1] == 2


@pytest.mark.parametrize("value", [0.0, 0.2, 0.5, 1.0])
def test_a_slice_without_a_boundary_or_without_interior_has_no_places(value):
    assert places(np.full((50, 70), value, np.float32)) == []


def test_shapes_that_differ_are_refused():
    probability = cells_in_a_row(SURE)
    with pytest.raises(ValueError, match="shapes differ"):
        places_of_slice(0, proposed(probability), probability, neighbours=[None, np.zeros((3, 3), np.uint8)])


noisy = st.integers(0, 10_000).map(np.random.default_rng)


@settings(deadline=None)
@given(noisy)
def test_places_of_any_labels_lie_in_the_slice_and_gain_a_share_of_the_score(random):
    probability = ndimage.gaussian_filter(random.random((63, 47)), 2)
    probability = ((probability - probability.min()) / np.ptp(probability)).astype(np.float32)
    labels = np.where(random.random((63, 47)) < 0.7, proposed(probability), random.integers(0, 5, (63, 47)))
    found = places_of_slice(3, labels.astype(np.uint8), probability, None, [proposed(probability), None])
    assert found == ranked(found)
    for place in found:
        assert 0 < place.gain <= 1
        assert 0 <= place.wrong <= 1
        assert place.radius_px >= 16
        assert (place.y, place.x) in zip(*place.pixels, strict=True)
        assert labels[place.pixels].shape == place.pixels[0].shape
    assert 0 <= estimated_error(found) < 1


def placement_of(z: int, gain: float) -> Place:
    nothing = np.zeros(0, int)
    return Place(z, 1, 2, "gap", gain, 16.0, 0.5, (nothing, nothing))


def test_places_of_all_slices_are_ranked_by_gain():
    found = ranked([placement_of(3, 0.1), placement_of(5, 0.4), placement_of(2, 0.1)])
    assert [place.z for place in found] == [5, 2, 3]


def test_places_that_hardly_gain_anything_are_left_out():
    assert worth_a_look([]) == []
    sure = [placement_of(z, 0.00001) for z in range(50)]
    assert [place.gain for place in worth_a_look([*sure, placement_of(1, 0.1), placement_of(2, 0.2)])] == [
        0.2,
        0.1,
    ]
    assert len(worth_a_look([placement_of(z, 0.1) for z in range(50)])) == 50
    assert len(worth_a_look([placement_of(0, 0.99), placement_of(1, 0.01)])) == 1
    assert len(worth_a_look([placement_of(0, 0.98), placement_of(1, 0.02)])) == 2


def test_small_gains_add_up_to_the_estimated_error():
    assert estimated_error([]) == 0
    assert estimated_error([placement_of(0, 0.01), placement_of(0, 0.02)]) == pytest.approx(0.03, rel=0.02)


@given(st.lists(st.floats(0, 1), max_size=50))
def test_the_estimated_error_is_a_share_and_grows_with_every_place(gains):
    errors = [estimated_error(placement_of(0, gain) for gain in gains[:n]) for n in range(len(gains) + 1)]
    assert errors == sorted(errors)
    assert errors[-1] <= 1
    assert not math.isnan(errors[-1])


def test_the_slice_with_the_largest_error_is_next():
    assert next_slice_to_label({0: 0.1, 1: 0.3, 2: 0.2}, []) == 1


def test_confirmed_slices_and_those_beside_them_teach_less():
    errors = {4: 0.9, 5: 0.11, 20: 0.1}
    assert next_slice_to_label(errors, {4}) == 20


def test_of_equal_slices_the_farthest_from_confirmed_ones_is_next():
    assert next_slice_to_label(dict.fromkeys(range(11), 0.0), {0}) == 10
    assert next_slice_to_label(dict.fromkeys(range(11), 0.0), {0, 10}) == 5
    assert next_slice_to_label(dict.fromkeys(range(12), 0.0), {0, 11}) == 5  # 6 is as far away


def test_nothing_is_next_when_every_slice_is_confirmed():
    with pytest.raises(ValueError, match="every slice is confirmed"):
        next_slice_to_label({1: 0.5}, {1, 2})
