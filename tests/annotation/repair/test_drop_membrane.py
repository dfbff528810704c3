"""Segments of membrane between junctions, and what lies between two clicks, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair.drop_membrane import (
    _between,
    _crossing,
    _segment,
    drop_membrane,
    join_cells,
)
from emseg_napari.annotation.repair.passages import PassageWindow
from emseg_napari.annotation.repair.skeleton import skeleton_of
from emseg_napari.annotation.repair.slice_window import window_around
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR


def whole(labels: np.ndarray):
    return window_around([(0, 0), np.subtract(labels.shape, 1)], 0, labels.shape)


@pytest.mark.parametrize(("far", "joined"), [(399, True), (400, True), (401, False)])
def test_clicks_up_to_400_pixels_apart_are_joined(far, joined):
    labels = np.full((9, 430), INTERIOR, np.uint8)
    labels[:, 200] = BOUNDARY
    if joined:
        assert (join_cells(labels, (4, 5), (4, 5 + far)).applied_to(labels) == INTERIOR).all()
    else:
        with pytest.raises(UserError, match="far apart"):
            join_cells(labels, (4, 5), (4, 5 + far))


@pytest.mark.parametrize(("thick", "joined"), [(63, True), (64, True), (65, False), (66, False)])
def test_a_way_through_membrane_of_up_to_64_pixels_is_opened(thick, joined):
    labels = np.full((40, 200), BOUNDARY, np.uint8)
    labels[5:35, 20:60] = labels[5:35, 60 + thick : 100 + thick] = INTERIOR
    labels[:3] = INTERIOR  # no line parts just the two
    labels[37:] = INTERIOR
    clicks = (20, 50), (20, 70 + thick)
    if joined:
        assert (join_cells(labels, *clicks).applied_to(labels)[19:22, 55:130] == INTERIOR).any()
    else:
        with pytest.raises(UserError, match="neighbouring cells"):
            join_cells(labels, *clicks)


@pytest.mark.parametrize(("most", "opened"), [(98, True), (99, True), (100, False), (101, False)])
def test_a_cell_of_fewer_than_100_pixels_between_two_others_may_be_opened_too(most, opened):
    labels = np.full((40, 80), BOUNDARY, np.uint8)
    labels[5:35, 10:25] = labels[5:35, 55:70] = labels[:3] = labels[37:] = INTERIOR
    inside = np.zeros(labels.shape, bool)
    inside[17:23, 32:48] = np.arange(96).reshape(6, 16) < most
    inside[23, 32 : 32 + most - 96] = True
    labels[inside] = INTERIOR
    labels[5:17, 40] = labels[24:35, 40] = BOUNDARY
    edit = join_cells(labels, (20, 15), (20, 60)) if opened else None
    if opened:
        after = edit.applied_to(labels)
        assert (after[17:23, 25:55] == INTERIOR).any(axis=0).all()
        assert len(edit.y) < 30 * 30
    else:
        after = join_cells(labels, (20, 15), (20, 60)).applied_to(labels)
        assert (after[inside] == INTERIOR).all()


def test_the_window_between_two_cells_is_where_both_are_in_reach_of_forty_pixels():
    labels = np.full((200, 240), INTERIOR, np.uint8)
    around = whole(labels)

    def cell(top: int, left: int, bottom: int, right: int) -> np.ndarray:
        mask = np.zeros(around.in_slice.shape, bool)
        mask[top + 8 : bottom + 8, left + 8 : right + 8] = True
        return mask

    def box(one: np.ndarray, other: np.ndarray):
        window = _between(around, one, other)
        return None if window is None else window.box

    assert box(cell(90, 50, 110, 100), cell(80, 103, 105, 150)) == (50, 63, 146, 141)
    assert box(cell(90, 103, 110, 130), cell(80, 50, 105, 100)) == (50, 63, 146, 141)
    assert box(cell(0, 0, 60, 60), cell(0, 63, 60, 240)) == (0, 23, 101, 101)
    assert box(cell(150, 200, 200, 219), cell(150, 222, 200, 240)) == (110, 182, 200, 240)
    assert box(cell(90, 10, 110, 60), cell(90, 139, 110, 150)) == (50, 99, 151, 101)
    assert box(cell(90, 10, 110, 60), cell(90, 140, 110, 150)) is None
    assert box(cell(10, 90, 60, 110), cell(140, 90, 150, 110)) is None


def grid() -> np.ndarray:
    """Walls of one pixel that cross at (20, 30), (20, 60), and one that ends loosely in a fork."""
    labels = np.full((61, 91), INTERIOR, np.uint8)
    labels[20] = labels[:, 30] = labels[:, 60] = BOUNDARY
    labels[40, 31:40] = BOUNDARY
    labels[40 - np.arange(8), 39 + np.arange(8)] = labels[40 + np.arange(8), 39 + np.arange(8)] = BOUNDARY
    return labels


@pytest.mark.parametrize(
    ("pixel", "rows", "columns"),
    [((20, 45), (20, 20), (31, 59)), ((5, 30), (0, 19), (30, 30)), ((20, 80), (20, 20), (61, 90))],
)
def test_a_segment_ends_before_the_junctions_on_both_sides(pixel, rows, columns):
    skeleton = skeleton_of(grid())
    at = skeleton.nearest(pixel, np.ones(len(skeleton.y), bool))
    chosen = _segment(skeleton, at)
    y, x = skeleton.y[chosen], skeleton.x[chosen]
    assert (y.min(), y.max()) == pytest.approx(rows, abs=1)
    assert (x.min(), x.max()) == pytest.approx(columns, abs=1)
    assert chosen[at]


def test_of_a_loose_line_that_forks_one_arm_is_meant():
    skeleton = skeleton_of(grid())
    upper = _segment(skeleton, skeleton.nearest((34, 45), skeleton.is_loose))
    assert skeleton.y[upper].max() <= 40
    assert 5 <= np.count_nonzero(upper) <= 8
    stem = _segment(skeleton, skeleton.nearest((40, 35), skeleton.is_loose))
    assert skeleton.x[stem].max() <= 40
    assert set(skeleton.y[stem].tolist()) == {40}


def test_a_way_crosses_the_line_between_its_two_cells_in_its_middle():
    labels = np.full((41, 61), INTERIOR, np.uint8)
    labels[18:23] = labels[:18, 30] = BOUNDARY
    window = whole(labels)
    skeleton, passage = skeleton_of(window.of(labels)), PassageWindow(labels, window, None)
    way = passage.through(window.local((20, 10)))
    found = _crossing(skeleton, passage, way)
    assert (skeleton.y[found] - 8, abs(skeleton.x[found] - 18) <= 1) == (20, True)


def test_a_dropped_wall_of_one_pixel_goes_up_to_its_junctions_and_no_further():
    labels = grid()
    edit = drop_membrane(labels, (20, 45))
    assert set(zip(edit.y.tolist(), edit.x.tolist(), strict=True)) <= {(20, x) for x in range(31, 60)}
    assert len(edit.y) >= 25
    with pytest.raises(UserError, match="no membrane at"):
        drop_membrane(labels, (28, 45))
