"""Islands and false cells of a few pixels, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair.clicked_cells import beside, interior_under
from emseg_napari.annotation.repair.drop_island import _lies_in_one_cell, _room, _walls, _weakest, drop_island
from emseg_napari.annotation.repair.skeleton import Skeleton, skeleton_of
from emseg_napari.annotation.repair.slice_window import window_around
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR


def empty(height: int, width: int) -> np.ndarray:
    return np.full((height, width), INTERIOR, np.uint8)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize(("length", "fits"), [(511, True), (512, True), (513, False)])
def test_an_island_of_512_pixels_is_removed_and_a_larger_one_is_not(length, fits, across):
    labels = empty(560, 20)
    labels[20 : 20 + length, 10] = BOUNDARY
    labels, click = (labels.T.copy(), (10, 200)) if across else (labels, (200, 10))
    if fits:
        assert len(drop_island(labels, click).y) == length
    else:
        with pytest.raises(UserError, match="is connected with others"):
            drop_island(labels, click)


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("length", [3, 63, 64, 65, 66, 128, 129, 130])
def test_the_room_of_an_island_is_all_of_it_and_32_pixels_around(length, turns):
    labels, island = empty(361, 361), np.zeros((361, 361), bool)
    island[180, 180 : 180 + length] = True
    labels[np.rot90(island, turns)] = BOUNDARY
    y, x = np.nonzero(labels == BOUNDARY)
    wanted = (y.min() - 32, x.min() - 32, y.max() + 33, x.max() + 33)
    assert _room(labels, (180, 180)).box == wanted


@pytest.mark.parametrize("turns", range(4))
def test_the_room_ends_where_the_slice_does(turns):
    labels = empty(100, 100)
    labels[40:43, :5] = BOUNDARY
    labels = np.rot90(labels, turns).copy()
    pixel = tuple(int(at[0]) for at in np.nonzero(labels == BOUNDARY))
    box = _room(labels, pixel).box
    boxes = [(8, 0, 75, 37), (63, 8, 100, 75), (25, 63, 92, 100), (0, 25, 37, 92)]
    assert box == boxes[turns]


def test_membrane_is_connected_over_corners_and_interior_is_not():
    labels = empty(120, 120)
    labels[np.arange(50, 60), np.arange(50, 60)] = BOUNDARY
    assert _room(labels, (55, 55)).box == (18, 18, 92, 92)
    labels = np.full((120, 120), BOUNDARY, np.uint8)
    labels[np.arange(50, 60), np.arange(50, 60)] = INTERIOR
    assert _room(labels, (55, 55)).box == (23, 23, 88, 88)


@pytest.mark.parametrize("state", [0, 2])
def test_a_false_cell_of_512_pixels_is_given_away_and_a_larger_one_is_not(state):
    for height in (512, 513):
        labels = empty(height + 2, 90)
        labels[0] = labels[-1] = labels[:, 30] = labels[:, 60] = BOUNDARY
        labels[:, 60:] = BOUNDARY
        if height == 512:
            edit = drop_island(labels + state, (100, 45))
            assert {30} <= set(edit.x.tolist())
        else:
            with pytest.raises(UserError, match="larger than 512 px"):
                drop_island(labels + state, (100, 45))


@pytest.mark.parametrize("turns", range(4))
def test_an_island_at_any_edge_of_the_slice_is_removed_with_what_it_encloses(turns):
    labels = empty(40, 40)
    labels[:4, 15:22] = BOUNDARY
    labels[1:3, 17:20] = INTERIOR
    labels = np.rot90(labels, turns).copy()
    edit = drop_island(labels, tuple(int(at[0]) for at in np.nonzero(labels == BOUNDARY)))
    assert (edit.applied_to(labels) == INTERIOR).all()
    assert len(edit.y) == 4 * 7 - 2 * 3


def test_an_island_between_two_cells_or_without_any_around_is_none():
    labels = empty(30, 30)
    labels[14] = BOUNDARY
    window = window_around([(0, 0), (29, 29)], 0, labels.shape)
    assert not _lies_in_one_cell(labels, window, np.pad(labels == BOUNDARY, 8, mode="edge"))
    labels[14, 9] = INTERIOR
    assert _lies_in_one_cell(labels, window, np.pad(labels == BOUNDARY, 8) & window.in_slice)
    full = np.full((30, 30), BOUNDARY, np.uint8)
    assert not _lies_in_one_cell(full, window, np.ones(window.in_slice.shape, bool))
    corner = np.zeros(window.in_slice.shape, bool)
    corner[8, 8] = True
    assert not _lies_in_one_cell(full, window, corner)  # only membrane around


def strips(*widths: int) -> np.ndarray:
    """Cells one below the other, with a wall of one pixel after each but the last."""
    rows = [np.full((width, 60), INTERIOR, np.uint8) for width in widths]
    for row in rows[:-1]:
        row[-1] = BOUNDARY
    return np.concatenate(rows)


def test_a_cell_goes_to_the_one_that_has_half_of_its_outline():
    labels = strips(20, 20, 20)
    after = drop_island(labels, (30, 30)).applied_to(labels)
    assert (after[19] == INTERIOR).all() != (after[39] == INTERIOR).all()
    labels[40:, 30] = BOUNDARY  # the lower neighbour is two
    after = drop_island(labels, (30, 30)).applied_to(labels)
    assert (after[19] == INTERIOR).all()
    assert (after[39] == BOUNDARY).all()


def test_a_cell_of_which_each_neighbour_has_less_than_half_goes_where_membrane_is_weak():
    labels = strips(60, 20, 60)
    labels[:60, 30] = labels[80:, 30] = BOUNDARY
    with pytest.raises(UserError, match="between several others"):
        drop_island(labels, (70, 30))
    likely = np.ones(labels.shape, np.float32)
    likely[79, 31:] = 0.5
    after = drop_island(labels, (70, 30), likely).applied_to(labels)
    assert (after[79, 35:] == INTERIOR).all()
    assert (after[79, :29] == BOUNDARY).all()
    assert (after[59] == BOUNDARY).all()


@pytest.mark.parametrize(("heights", "is_island"), [((20, 19), True), ((20, 20), False)])
def test_a_cell_that_is_larger_than_the_one_beside_it_is_no_island(heights, is_island):
    labels = strips(*heights)  # the upper one has a row of membrane, too
    if is_island:
        after = drop_island(labels, (30, 30)).applied_to(labels)
        assert (after == INTERIOR).all()
    else:
        with pytest.raises(UserError, match="larger than the one beside it"):
            drop_island(labels, (30, 30))


def test_an_organelle_is_given_to_a_cell_that_is_larger_than_any_organelle():
    labels = empty(560, 200)
    labels[:, 60] = BOUNDARY
    labels[200:300, 30] = labels[200, 30:60] = labels[299, 30:60] = BOUNDARY
    after = drop_island(labels, (250, 45)).applied_to(labels)
    assert (after[201:299, 30] == INTERIOR).all()


def line_of(length: int) -> Skeleton:
    lines = np.zeros((3, length), bool)
    lines[1] = True
    return Skeleton(lines, lines, np.array([[1] * length, [0] * length, [2] * length], np.int32))


@pytest.mark.parametrize(
    ("least", "sure"), [(0.0, False), (0.9, False), (0.94, False), (0.96, True), (1.0, True)]
)
def test_a_wall_of_a_mean_probability_up_to_95_percent_is_weak(least, sure):
    skeleton, probability = line_of(8), np.ones((3, 8), np.float32)
    probability[1, 3:5] = 2 * least - 1 if least > 0.5 else least, 1.0 if least > 0.5 else least
    walls = [np.arange(8) < 3, np.isin(np.arange(8), (3, 4)), np.arange(8) > 4]
    if sure:
        with pytest.raises(UserError, match="between several others"):
            _weakest(walls, skeleton, probability)
    else:
        assert _weakest(walls, skeleton, probability) is walls[1]
    with pytest.raises(UserError, match="between several others"):
        _weakest(walls, skeleton, None)


@pytest.mark.parametrize(("long", "walls"), [(2, [18, 34]), (3, [3, 18, 33]), (4, [4, 18, 32])])
def test_what_two_cells_share_is_a_wall_from_three_pixels_on(long, walls):
    labels = empty(31, 40)
    labels[20] = labels[:20, 10] = labels[:20, 11 + long] = BOUNDARY
    window = window_around([(0, 0), (30, 39)], 0, labels.shape)
    skeleton = skeleton_of(window.of(labels))
    own = beside(skeleton, *interior_under(labels, window, [(25, 20)]))
    found = _walls(labels, window, skeleton, own)
    assert sorted(np.count_nonzero(wall) for wall in found) == walls  # 8 pixels beyond the slice are seen too
    assert all((skeleton.y[wall] == 28).all() for wall in found)


@pytest.mark.parametrize("turns", range(4))
def test_a_loose_membrane_in_a_cell_is_no_wall_between_it_and_another(turns):
    labels = empty(60, 60)
    labels[30, :40] = BOUNDARY
    with pytest.raises(UserError, match="No membrane separates"):
        drop_island(np.rot90(labels, turns).copy(), {0: (10, 50), 1: (9, 10), 2: (49, 9), 3: (50, 49)}[turns])
    labels[:, 50] = BOUNDARY
    labels[20, 30:50] = BOUNDARY
    window = window_around([(0, 0), (59, 59)], 0, labels.shape)
    skeleton = skeleton_of(window.of(labels))
    own = beside(skeleton, *interior_under(labels, window, [(10, 10)]))
    (wall,) = _walls(labels, window, skeleton, own)
    assert (skeleton.x[wall] == 58).all()
    assert np.count_nonzero(skeleton.is_loose) > 50
