"""Where to look, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.suggest.boundaries import Boundaries, _pairs
from emseg_napari.annotation.suggest.pieces import Steps
from emseg_napari.annotation.suggest.place import next_slice_to_label
from emseg_napari.annotation.suggest.search import _lines, _place, _places


def boundaries(kind: str, touched: list[bool], is_open: list[bool]) -> Boundaries:
    """One boundary of five steps in row 4, from column 10."""
    number, nothing = np.zeros(5, int), np.zeros(5)
    steps = Steps(
        number,
        number + 1,
        number + 4,
        number.cumsum() + np.arange(10, 15),
        nothing,
        nothing,
        *(np.array(part) for part in (is_open, touched)),
    )
    return Boundaries(kind, steps, number, np.array([[10.0, 10.0]]), np.array([np.nan]))


@pytest.mark.parametrize(("length", "radius"), [(1, 16), (16, 16), (17, 16), (18, 17), (40, 28)])
def test_a_place_is_in_the_middle_of_its_line_and_shows_eight_pixels_around_or_sixteen_in_all(length, radius):
    line = np.full(length, 3), np.arange(length) + 5
    for y, x in (line, line[::-1]):
        place = _place(9, "gap", (y, x), 0.25, 0.5)
        assert (place.z, place.kind, place.gain, place.wrong) == (9, "gap", 0.25, 0.5)
        assert sorted((place.y, place.x)) == sorted((3, 5 + (length - 1) // 2))
        assert place.radius_px == radius
        assert place.pixels[0] is y


@pytest.mark.parametrize(("kind", "settled"), [("gap", 3), ("membrane", 1)])
def test_a_place_is_settled_by_half_of_a_gap_or_a_fifth_of_a_membrane(kind, settled):
    for count in range(6):
        found = list(
            _places(0, boundaries(kind, [n < count for n in range(5)], [True] * 5), np.array([0.5]), 1e3)
        )
        assert len(found) == (count < settled)


@pytest.mark.parametrize(("kind", "columns"), [("gap", [11, 12]), ("membrane", [10, 11, 12, 13, 14])])
def test_of_a_gap_the_open_steps_are_shown_and_of_a_membrane_all(kind, columns):
    found = boundaries(kind, [True, False, False, False, False], [False, True, True, False, False])
    places = list(_places(0, found, np.array([0.5]), 1e4))
    shown = [place.pixels[1].tolist() for place in places]
    assert shown == ([columns] if kind == "gap" else [])
    found = boundaries(kind, [False] * 5, [False, True, True, False, False])
    (place,) = _places(0, found, np.array([0.5]), 1e4)
    assert place.pixels[1].tolist() == columns


@pytest.mark.parametrize(("wrong", "asked"), [(1e-3, True), (1.01e-4, True), (0.98e-4, False), (0, False)])
def test_a_place_that_gains_less_than_a_millionth_is_not_asked_about(wrong, asked):
    found = boundaries("membrane", [False] * 5, [True] * 5)
    places = list(_places(0, found, np.array([wrong]), 9900.0))  # a hundredth of all is lost there
    assert len(places) == asked
    assert all(place.gain == pytest.approx(wrong / 100) for place in places)


def test_the_pixels_of_a_line_are_told_once_in_the_order_of_their_boundaries():
    number = np.zeros(6, int)
    y, x = np.array([4, 4, 1, 4, 0, 0]), np.array([2, 2, 9, 1, 0, 0])
    steps = Steps(number, number, y, x, number, number, number > 0, number > 0)
    found = Boundaries("gap", steps, np.array([2, 2, 0, 2, 1, 1]), np.ones((3, 2)), np.ones(3))
    lines = [(n, y.tolist(), x.tolist()) for n, (y, x) in _lines(found, np.array([1, 1, 1, 1, 0, 0], bool))]
    assert lines == [(0, [1], [9]), (2, [4, 4], [1, 2])]
    assert list(_lines(found, np.zeros(6, bool))) == []


def test_pairs_are_told_once_in_order():
    pairs, which = _pairs(np.array([3, 1, 3, 1]), np.array([4, 9, 4, 2]))
    assert pairs.tolist() == [[1, 2], [1, 9], [3, 4]]
    assert which.tolist() == [2, 1, 2, 0]
    assert _pairs(np.zeros(0, int), np.zeros(0, int))[0].shape == (0, 2)


def test_how_much_less_a_slice_near_a_confirmed_one_teaches():
    # One slice away 1 - exp(-1 / 2) = 0.39 is left, two 0.63, three 0.78, ten 0.99.
    for near, away in ((1, 0.39), (2, 0.63), (3, 0.78)):
        assert next_slice_to_label({near: 1.0, 20: away * 0.98}, {0}) == near
        assert next_slice_to_label({near: 1.0, 20: away * 1.03}, {0}) == 20
    assert next_slice_to_label({5: 1.0, 1: 1.0}, {0, 6}) == 1
