"""Paths, bands and their thickness on small windows, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair.cheapest_path import (
    THIN_PX,
    cheapest_path,
    corridor,
    cost_of,
    discs,
    downsampled,
    drawn,
    half_thickness,
    upsampled,
    with_pockets,
)
from emseg_napari.annotation.repair.known_values import known_greys, known_probability
from emseg_napari.annotation.repair.skeleton import skeleton_of


def test_blocks_are_means_and_incomplete_ones_repeat_the_edge():
    array = np.array([[0.0, 2, 4], [2, 4, 6], [1, 3, 8]])
    np.testing.assert_array_equal(downsampled(array, 2), [[2, 5], [2, 8]])
    np.testing.assert_array_equal(downsampled(array, 1), array)
    back = upsampled(np.array([[2, 5], [2, 8]]), 2, (3, 3))
    np.testing.assert_array_equal(back, [[2, 2, 5], [2, 2, 5], [2, 2, 8]])


def test_a_step_costs_what_ridge_and_probability_say_and_on_membrane_what_interior_costs():
    flat, nothing = np.zeros((20, 20)), np.zeros((20, 20), bool)
    assert (cost_of(nothing, None, flat) == 1).all()  # an image of one grey has no ridge
    certain = cost_of(nothing, np.full((20, 20), 2.0, np.float32), flat)  # clipped to 1
    np.testing.assert_allclose(certain, 0.03 + 0.97 / 2)
    line = np.full((20, 20), 200)
    line[10] = 0
    cost = cost_of(nothing, np.ones((20, 20), np.float32), line)
    assert cost[10] == pytest.approx(0.03)
    assert cost[3] == pytest.approx(0.03 + 0.97 / 2)
    membrane = nothing.copy()
    membrane[10, :9] = True
    cost = cost_of(membrane, None, line)
    assert (cost[10, :9] == 1).all()
    assert cost[10, 12] == pytest.approx(0.03)


@pytest.mark.parametrize("bright", [False, True])
def test_ridges_are_as_dark_or_bright_as_the_membranes_that_are_there(bright):
    image = np.full((20, 20), 100)
    image[4], image[15] = (200, 0) if bright else (0, 200)
    membrane = np.zeros(image.shape, bool)
    membrane[4, :9] = True
    cost = cost_of(membrane, None, image)
    assert cost[4, 15] < 0.1
    assert cost[15, 15] > 0.9


def test_the_cheapest_way_goes_where_it_is_allowed_from_any_start_to_any_end():
    cost = np.ones((5, 5))
    allowed = np.ones((5, 5), bool)
    allowed[:4, 2] = False
    path = cheapest_path(cost, allowed, [(0, 0), (4, 0)], [(0, 4), (4, 4)])
    assert path.tolist() == [[4, x] for x in range(5)]
    allowed[4, 2] = False
    assert cheapest_path(cost, allowed, [(0, 0)], [(0, 4)]) is None


def test_a_corridor_surrounds_the_coarse_way_by_six_pixels():
    cost = np.ones((41, 41))
    cost[20] = 0.01
    found = corridor(cost, np.ones((41, 41), bool), (20, 2), (20, 38))
    assert found[20, 2:39].all()
    assert np.flatnonzero(found[:, 20]).tolist() == list(range(14, 27))
    blocked = np.ones((41, 41), bool)
    blocked[:, 20:22] = False
    assert (corridor(cost, blocked, (20, 2), (20, 38)) == blocked).all()


def test_a_disc_holds_the_pixels_whose_centres_are_in_its_radius():
    found = discs(np.array([[2, 2], [0, 6]]), np.array([1.5, 1.0]), (5, 7))
    expected = ["     **", " ***  *", " ***   ", " ***   ", "       "]
    assert ["".join(" *"[v] for v in row) for row in found.astype(int)] == expected
    band = drawn(np.array([[3, x] for x in range(9)]), [0.0, 2.0], (7, 9))
    assert band.sum(axis=0).tolist() == [1, 1, 1, 1, 3, 3, 3, 3, 5]


@pytest.mark.parametrize("thickness", [1, 3, 5, 7])
def test_half_a_thickness_is_that_of_the_membrane_nearby_or_of_any_other(thickness):
    labels = np.full((80, 120), 2, np.uint8)
    labels[40 - thickness // 2 : 41 + thickness // 2, :50] = 1
    labels[38:43, 90:] = 1
    skeleton = skeleton_of(labels)
    near, other = half_thickness(skeleton, [(40, 20), (40, 110)])
    assert near == pytest.approx(thickness / 2, abs=0.01)
    assert other == 2.5
    away = half_thickness(skeleton, [(2, 70)])
    assert min(near, 2.5) <= away[0] <= max(near, 2.5)
    assert half_thickness(skeleton_of(np.full((20, 20), 2, np.uint8)), [(1, 1), (2, 2)]) == [THIN_PX] * 2


@pytest.mark.parametrize(("height", "width", "filled"), [(3, 13, True), (4, 10, False)])
def test_what_a_band_cuts_off_is_filled_if_it_has_fewer_than_forty_pixels(height, width, filled):
    mask = np.ones((9, 80), bool)
    mask[3 : 3 + height, 3:77] = False
    band = np.zeros(mask.shape, bool)
    band[3 : 3 + height, 3 + width] = True
    pocket = np.zeros(mask.shape, bool)
    pocket[3 : 3 + height, 3 : 3 + width] = filled
    np.testing.assert_array_equal(with_pockets(band, mask), band | pocket)


def test_what_was_as_small_before_or_reaches_the_edge_is_no_pocket():
    mask = np.ones((9, 40), bool)
    mask[3:6, 3:8] = mask[3:6, 30:] = mask[:3, 20:23] = False
    band = np.zeros(mask.shape, bool)
    band[3:6, 35] = band[1, 20:23] = True
    filled = with_pockets(band, mask) & ~band
    assert {(int(y), int(x)) for y, x in np.argwhere(filled)} == {
        *((y, x) for y in (3, 4, 5) for x in range(30, 35)),  # left of the band
        *((2, x) for x in (20, 21, 22)),  # below it
    }


def test_a_pocket_at_any_edge_of_the_window_is_left_as_it_is():
    mask, band = np.ones((9, 12), bool), np.zeros((9, 12), bool)
    mask[2:8, 0], band[5, 0] = False, True
    for turns in range(4):
        one, other = np.rot90(band, turns), np.rot90(mask, turns)
        np.testing.assert_array_equal(with_pockets(one, other), one)


def test_probabilities_that_are_not_known_are_even_and_others_lie_from_0_to_1():
    values = np.array([[-np.inf, -0.5, np.nan, 0.25, 1.5, np.inf]], np.float32)
    assert known_probability(values).tolist() == [[0, 0, 0.5, 0.25, 1, 1]]


def test_grey_values_that_are_not_known_are_the_mean_of_the_others():
    assert known_greys(np.array([[np.nan, 1, np.inf, 4, -3.4e38]])).tolist() == [[2.5, 1, 2.5, 4, 2.5]]
    assert known_greys(np.full((1, 2), np.nan)).tolist() == [[0, 0]]
