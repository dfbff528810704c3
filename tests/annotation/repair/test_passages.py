"""Passages through a few pixels of membrane, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair.passages import PassageWindow
from emseg_napari.annotation.repair.slice_window import RIM_PX, window_around
from emseg_napari.core.labels import BOUNDARY, INTERIOR


def passage(labels: np.ndarray, probability: np.ndarray | None = None, **options) -> PassageWindow:
    """In the whole slice."""
    window = window_around([(0, 0), np.subtract(labels.shape, 1)], 0, labels.shape)
    return PassageWindow(labels, window, probability, **options)


def number_at(window: PassageWindow, pixel: tuple[int, int]) -> int:
    return int(window.numbers[window.window.local(pixel)])


@pytest.mark.parametrize(("most", "cells"), [(29, 0), (30, 1), (31, 1)])
def test_interior_of_fewer_than_thirty_pixels_is_a_pocket(most, cells):
    labels = np.full((20, 60), BOUNDARY, np.uint8)
    labels[10, 10 : 10 + most] = INTERIOR
    assert passage(labels).cells.max() == cells
    assert passage(labels).numbers.max() == 1
    assert passage(labels, pocket_px=most + 1).cells.max() == 0


def test_a_step_costs_what_is_probable_on_membrane_and_little_in_a_pocket():
    labels = np.full((9, 40), BOUNDARY, np.uint8)
    labels[4, 3], labels[6, 2:38] = INTERIOR, INTERIOR
    likely = np.full(labels.shape, 0.3, np.float32)
    likely[0, 0], likely[1, 1] = np.nan, 1.5
    for probability, of_membrane in ((None, 1.05), (likely, 0.35)):
        cost = passage(labels, probability).cost
        assert (cost[:RIM_PX] == -1).all()
        assert (cost[:, -RIM_PX:] == -1).all()
        inside = cost[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
        assert (inside[6, 2:38] == -1).all()
        assert inside[4, 3] == pytest.approx(0.05)
        assert inside[2, 20] == pytest.approx(of_membrane)
    assert (inside[0, 0], inside[1, 1]) == pytest.approx((0.55, 1.05))


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(("column", "found"), [(59, True), (60, True), (61, False)])
def test_a_cell_is_reached_from_up_to_forty_pixels(across, column, found):
    labels = np.full((20, 120), BOUNDARY, np.uint8)
    labels[:, :20] = labels[:, 70:] = INTERIOR
    pixel = (10, column)
    window = passage(labels.T.copy() if across else labels)
    way = window.through(window.window.local(pixel[::-1] if across else pixel))
    assert (way is not None) == found
    if found:
        assert len(way) == 50  # straight, from the first pixel of membrane to the last
        first, last = sorted(way[:, 0 if across else 1].tolist())[:: len(way) - 1]
        assert (first - RIM_PX, last - RIM_PX) == (20, 69)
        assert len(np.unique(way, axis=0)) == len(way)
        assert set(window.ends(way)) == {1, 2}


def three_cells() -> np.ndarray:
    """Above, to the left, and to the right of 12 x 30 pixels of membrane."""
    labels = np.full((40, 90), BOUNDARY, np.uint8)
    labels[2:8, 2:88] = labels[12:38, 2:30] = labels[12:38, 60:88] = INTERIOR
    return labels


@pytest.mark.parametrize(
    ("pixel", "meant"), [((25, 45), {2, 3}), ((18, 33), {1, 2}), ((18, 56), {1, 3}), ((30, 45), {2, 3})]
)
def test_a_click_means_the_two_cells_that_are_easiest_to_reach(pixel, meant):
    window = passage(three_cells())
    way = window.through(window.window.local(pixel))
    assert set(window.ends(way)) == meant
    assert window.window.local(pixel) in {tuple(at) for at in way.tolist()}
    assert (np.abs(np.diff(way, axis=0)).max(axis=1) == 1).all()


def test_an_easy_way_is_taken_before_a_short_one():
    labels = three_cells()
    likely = np.ones(labels.shape, np.float32)
    likely[10:27, 45] = 0
    window = passage(labels, likely)
    way = window.through(window.window.local((25, 45)))
    assert 1 in window.ends(way)
    assert passage(labels).between(window.cells == 2, window.cells == 3).shape == (30, 2)
    assert window.between(window.cells == 1, window.cells == 9) is None


def test_an_opening_reaches_four_pixels_to_either_side_of_the_way():
    labels = np.full((40, 80), INTERIOR, np.uint8)
    labels[:, 30:36] = BOUNDARY
    window = passage(labels)
    edit = window.opened(np.array([window.window.local((20, x)) for x in range(30, 36)]), (1, 2))
    wanted = {(y, x) for y in range(16, 25) for x in range(30, 36)}
    assert set(zip(edit.y.tolist(), edit.x.tolist(), strict=True)) == wanted
    edit = window.opened(np.array([window.window.local((20, x)) for x in range(30, 35)]), (1, 2))
    assert {(20, 35), (22, 35), (23, 35)} <= set(zip(edit.y.tolist(), edit.x.tolist(), strict=True))
    assert (24, 35) not in set(zip(edit.y.tolist(), edit.x.tolist(), strict=True))


@pytest.mark.parametrize(("wall", "kept"), [(5, 3), (4, 3), (3, 3), (2, 2), (1, 1)])
def test_other_cells_keep_three_pixels_of_membrane_or_two_or_one(wall, kept):
    labels = np.full((50, 100), INTERIOR, np.uint8)
    row = 10 + wall
    labels[10 : row + wall + 1] = BOUNDARY
    labels[row, :48] = labels[row, 52:] = INTERIOR
    window = passage(labels)
    ends = number_at(window, (row, 5)), number_at(window, (row, 95))
    way = np.array([window.window.local((row, x)) for x in range(48, 52)])
    edit = window.opened(way, ends)
    gone = edit.y[edit.x == 50]
    assert sorted(gone.tolist()) == list(range(10 + kept, row + wall + 1 - kept))


def test_a_way_that_would_open_another_cell_stays_closed():
    labels = np.full((50, 100), INTERIOR, np.uint8)
    labels[10:13] = BOUNDARY
    labels[11, :48] = labels[11, 52:] = labels[10, 50] = INTERIOR
    window = passage(labels)
    way = np.array([window.window.local((11, x)) for x in range(48, 52)])
    assert window.opened(way, (number_at(window, (11, 5)), number_at(window, (11, 95)))) is None
