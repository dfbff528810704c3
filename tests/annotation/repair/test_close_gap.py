"""Ends of gaps and the ways between them, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair import close_gap as module
from emseg_napari.annotation.repair.close_gap import _between, _half_thickness, _two_ends, close_gap
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR


def one_end() -> np.ndarray:
    """A membrane of one pixel that ends at (30, 40)."""
    labels = np.full((101, 121), INTERIOR, np.uint8)
    labels[30, :41] = BOUNDARY
    return labels


@pytest.mark.parametrize(
    ("start", "end", "meant"),
    [
        ((30, 42), (30, 48), ((30, 40), (30, 48))),
        ((30, 48), (30, 42), ((30, 48), (30, 40))),
        ((24, 40), (36, 40), ((30, 40), (36, 40))),  # both as near: the first click has it
        ((36, 38), (30, 41), ((36, 38), (30, 40))),
        ((33, 38), (30, 41), ((30, 38), (30, 40))),  # four pixels from membrane
    ],
)
def test_of_two_clicks_beside_one_end_the_nearer_has_it_and_the_other_means_its_own_place(start, end, meant):
    assert _two_ends(one_end(), start, end) == meant


def test_clicks_nearer_than_three_pixels_to_each_other_are_one():
    labels = one_end()
    for start, end in (((30, 48), (30, 50)), ((30, 50), (32, 50))):
        with pytest.raises(UserError, match=r"gap are at \(30, 40\)"):
            _two_ends(labels, start, end)
    assert _two_ends(labels, (30, 47), (30, 50)) == ((30, 40), (30, 50))
    assert _two_ends(labels, (30, 50), (30, 47)) == ((30, 50), (30, 40))
    with pytest.raises(UserError, match=r"gap are at \(80, 80\)"):
        _two_ends(labels, (80, 80), (80, 80))


def test_a_way_is_no_longer_than_it_may_seen_from_any_of_its_pixels():
    near = _between((41, 61), (20, 20), (20, 40), 30)
    assert np.flatnonzero(near[20]).tolist() == list(range(15, 46))
    assert np.flatnonzero(near[:, 30]).tolist() == list(range(9, 32))  # 11 up: 2 x hypot(10, 11) = 29.7
    assert np.flatnonzero(_between((5, 9), (2, 2), (2, 6), 4).any(axis=1)).tolist() == [2]


@pytest.mark.parametrize(("length", "coarse"), [(79, False), (80, False), (81, True)])
def test_the_way_over_more_than_eighty_pixels_is_sought_on_every_second_one_first(
    monkeypatch, length, coarse
):
    asked = []
    monkeypatch.setattr(module, "corridor", lambda cost, near, start, end: asked.append((start, end)) or near)
    labels = np.full((60, 160), INTERIOR, np.uint8)
    edit = close_gap(labels, None, np.zeros(labels.shape), (30, 20), (30, 20 + length))
    assert bool(asked) == coarse
    assert set(range(20, 21 + length)) <= set(edit.x.tolist())


def test_a_way_may_be_a_fifth_and_ten_pixels_longer_than_the_straight_one(monkeypatch):
    given = []

    def path(cost, near, starts, ends):
        given.append((near, starts, ends))
        return np.array([starts[0], ends[0]])

    monkeypatch.setattr(module, "cheapest_path", path)
    labels = np.full((121, 161), INTERIOR, np.uint8)
    close_gap(labels, None, np.zeros(labels.shape), (60, 50), (60, 110))
    ((near, (start,), (end,)),) = given
    columns = np.flatnonzero(near[start[0]])
    assert (end[0], end[1] - start[1]) == (start[0], 60)
    assert (start[1] - columns[0], columns[-1] - end[1]) == (11, 11)  # half of 60 x 0.2 + 10
    rows = np.flatnonzero(near[:, (start[1] + end[1]) // 2])
    assert (rows[0] - start[0], rows[-1] - start[0]) == (-27, 27)  # 28 are too many: hypot(30, 28) > 41


@pytest.mark.parametrize(("row", "half"), [(62, 2.5), (85, 2.5), (91, 1.5)])
def test_a_new_membrane_is_half_as_thick_as_those_up_to_48_pixels_away(row, half):
    labels = np.full((140, 140), INTERIOR, np.uint8)
    labels[38:43] = BOUNDARY
    assert _half_thickness(labels, (row, 70)) == pytest.approx(half, abs=0.01)
