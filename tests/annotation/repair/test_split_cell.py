"""Strokes through small cells, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair import split_cell as module
from emseg_napari.annotation.repair.skeleton import skeleton_of
from emseg_napari.annotation.repair.slice_window import window_around
from emseg_napari.annotation.repair.split_cell import (
    _best_band,
    _best_path,
    _Cut,
    _cut,
    _landing,
    _pixels_along,
    _smaller_part,
    _way_out,
)
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR


def tube(height: int = 32, width: int = 41) -> np.ndarray:
    """A cell of rows 11 to 20 between walls of one pixel."""
    labels = np.full((height, width), INTERIOR, np.uint8)
    labels[10] = labels[21] = BOUNDARY
    return labels


def column(x: int, top: int = 10, bottom: int = 21) -> np.ndarray:
    return np.array([(y, x) for y in range(top, bottom + 1)])


def test_the_pixels_of_a_stroke_follow_each_other_without_repeats():
    line = _pixels_along(np.array([(1, 1), (1, 4), (3, 4), (5.4, 6.4)]), (9, 9))
    assert line.tolist() == [[1, 1], [1, 2], [1, 3], [1, 4], [2, 4], [3, 4], [4, 5], [5, 6]]
    assert _pixels_along(np.array([(0, 0), (0, 1)]), (9, 9)).tolist() == [[0, 0], [0, 1]]
    with pytest.raises(UserError, match="single point"):
        _pixels_along(np.array([(2, 2), (2.3, 2.4)]), (9, 9))
    assert _pixels_along(np.array([(4, 0), (0, 2)]), (9, 9)).tolist()[::2] == [[4, 0], [2, 1], [0, 2]]


def test_a_band_cuts_off_what_is_the_second_largest_of_the_parts_beside_it():
    cell = np.ones((4, 10), bool)
    band = np.zeros(cell.shape, bool)
    assert _smaller_part(cell, band) == 0
    band[:, 3] = True
    assert _smaller_part(cell, band) == 12
    band[:, 8] = True
    assert _smaller_part(cell, band) == 12  # 12, 16 and 4
    cell[:, 5] = False  # what lies elsewhere is not cut off by it
    assert _smaller_part(cell, np.indices(cell.shape)[1] == 8) == 4
    assert _smaller_part(cell, np.indices(cell.shape)[1] == 9) == 0


def test_a_way_out_leads_to_the_nearest_membrane_or_edge_up_to_twenty_pixels_away():
    labels = np.full((101, 101), INTERIOR, np.uint8)
    assert _way_out(labels, np.array([50, 50])).shape == (0, 2)
    for at, end in (((20, 50), (0, 50)), ((80, 50), (100, 50)), ((50, 20), (50, 0)), ((50, 80), (50, 100))):
        way = _way_out(labels, np.array(at))
        assert len(way) == 20
        assert tuple(way[-1]) == end
        assert np.abs(way[0] - at).sum() == 1
    for at in ((21, 50), (79, 50), (50, 21), (50, 79)):
        assert len(_way_out(labels, np.array(at))) == 0
    labels[50, 62] = BOUNDARY
    assert _way_out(labels, np.array([50, 50])).tolist() == [[50, x] for x in range(51, 63)]
    labels[50, 70] = BOUNDARY
    assert len(_way_out(labels, np.array([30, 70]))) == 20
    assert len(_way_out(labels, np.array([0, 40]))) == 0  # it is there


def cut_of(labels: np.ndarray, line: list[tuple[int, int]]) -> tuple[_Cut, list[list[int]]]:
    """What a line cuts, and its pixels in the slice."""
    window = window_around(line, 40, labels.shape)
    cut = _cut(labels, window, np.array(line))
    return cut, (cut.line + window.origin).tolist()


def test_a_cut_is_the_part_of_a_stroke_in_its_cell_with_a_pixel_of_membrane_at_both_ends():
    labels = tube()
    cut, line = cut_of(labels, [(y, 20) for y in range(5, 29)])
    assert line == [[y, 20] for y in range(10, 22)]
    assert np.count_nonzero(cut.cell) == 10 * 41
    assert [tuple(at) for at in cut.line[[0, -1]].tolist()] == cut.ends
    _, line = cut_of(labels, [(y, 20) for y in range(11, 18)])  # both ends are led on
    assert line == [[y, 20] for y in range(10, 22)]
    _, line = cut_of(labels, [(y, 7) for y in range(16, 10, -1)])
    assert line == [[y, 7] for y in range(21, 9, -1)]  # five rows to the lower wall, six to the upper
    _, line = cut_of(labels, [(y, 20) for y in range(20)])  # ten pixels above the wall, nine below
    assert line == [[y, 20] for y in range(11)]
    with pytest.raises(UserError, match="lies on membrane"):
        cut_of(labels, [(10, 3), (10, 4)])


@pytest.mark.parametrize(("x", "kept"), [(10, True), (9, False), (30, True), (31, False)])
def test_a_path_that_cuts_off_half_as_much_as_the_stroke_is_taken_and_one_of_less_is_not(
    monkeypatch, x, kept
):
    labels = tube()
    cut = _Cut(np.pad(np.ones((10, 41), bool), ((11, 11), (0, 0))), column(20))
    monkeypatch.setattr(module, "_best_path", lambda *given: column(x))
    band = _best_band(skeleton_of(labels), cut, np.ones(labels.shape))
    assert set(np.flatnonzero(band[15]).tolist()) == {x if kept else 20}
    monkeypatch.setattr(module, "_best_path", lambda *given: None)
    assert np.flatnonzero(_best_band(skeleton_of(labels), cut, np.ones(labels.shape))[15]).tolist() == [20]


def test_a_stroke_that_parts_nothing_is_taken_from_membrane_to_membrane_only(monkeypatch):
    labels = tube()
    labels[10, 30] = labels[21, 30] = BOUNDARY
    cell = np.ones(labels.shape, bool)
    monkeypatch.setattr(module, "_best_path", lambda *given: None)
    band = _best_band(skeleton_of(labels), _Cut(cell, column(20)), np.ones(labels.shape))
    assert band[10:22, 20].all()
    for line in (column(20, 10, 20), column(20, 11, 21)):
        with pytest.raises(UserError, match="does not split"):
            _best_band(skeleton_of(labels), _Cut(cell, line), np.ones(labels.shape))


@pytest.mark.parametrize(("length", "reach"), [(12, 3), (20, 5), (24, 6), (40, 6)])
def test_a_path_runs_near_the_stroke_and_lands_near_its_ends(monkeypatch, length, reach):
    labels = np.full((length + 40, 61), INTERIOR, np.uint8)
    labels[10], labels[9 + length] = BOUNDARY, BOUNDARY
    cell = np.zeros(labels.shape, bool)
    cell[11 : 9 + length] = True
    monkeypatch.setattr(module, "cheapest_path", lambda cost, near, starts, ends: (near, starts, ends))
    line = column(30, 10, 9 + length)
    near, starts, ends = _best_path(skeleton_of(labels), _Cut(cell, line), np.ones(labels.shape))
    wide = int(5 + length / 10)
    assert np.flatnonzero(near[10 + length // 2]).tolist() == list(range(30 - wide, 31 + wide))
    assert not (near & ~cell).any()
    for found, row in ((starts, 10), (ends, 9 + length)):
        assert found[0] == (row, 30)
        assert sorted(found[1:]) == [(row, x) for x in range(30 - reach, 31 + reach)]


def test_landings_are_where_the_shore_is_in_reach_of_an_end():
    shore = np.zeros((9, 9), bool)
    shore[2] = True
    assert _landing(shore, (5, 4), 3) == [(5, 4), (2, 4)]
    assert _landing(shore, (2, 0), 2) == [(2, 0), (2, 0), (2, 1), (2, 2)]
