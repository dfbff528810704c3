"""Lines, ends and clicks on membranes of a few pixels."""

import numpy as np
import pytest

from emseg_napari.annotation.repair.clicked_cells import (
    beside,
    interior_under,
    membrane_at,
    membrane_near,
    parted,
)
from emseg_napari.annotation.repair.edit import edit_of, pixel_at
from emseg_napari.annotation.repair.loose_ends import loose_ends, snap
from emseg_napari.annotation.repair.passages import PassageWindow
from emseg_napari.annotation.repair.skeleton import skeleton_of, without_specks
from emseg_napari.annotation.repair.slice_window import window_around
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR


def cross() -> np.ndarray:
    """A wall across, and one from its middle downwards that ends loosely."""
    labels = np.full((41, 61), INTERIOR, np.uint8)
    labels[20], labels[20:33, 30] = BOUNDARY, BOUNDARY
    return labels


def test_lines_have_cells_on_their_sides_and_ends_have_one_neighbour():
    skeleton = skeleton_of(cross())
    at = {(int(y), int(x)): n for n, (y, x) in enumerate(zip(skeleton.y, skeleton.x, strict=True))}
    assert set(at) == {*((20, x) for x in range(61)), *((y, 30) for y in range(21, 33))}
    assert skeleton.regions[0, 0] == 1
    assert skeleton.regions[40, 0] == skeleton.regions[40, 60] == 2
    degrees = {pixel: int(skeleton.degree[n]) for pixel, n in at.items()}
    assert degrees[20, 10] == 2
    assert degrees[20, 30] == 3
    assert degrees[32, 30] == 1
    lowest, highest, third = (side[at[20, 10]] for side in skeleton.sides)
    assert (lowest, highest, third) == (1, 2, False)
    assert skeleton.is_loose[at[28, 30]]
    assert not skeleton.is_loose[at[20, 10]]
    assert not skeleton.sides[2].any()
    chosen = skeleton.y > 28
    assert skeleton.nearest((22, 31), chosen) == at[29, 30]
    assert skeleton.nearest((22, 31), chosen & ~chosen) is None
    assert skeleton.picture(chosen).sum() == 4


def test_a_pixel_between_three_cells_has_a_third():
    labels = cross()
    labels[20:, 30] = BOUNDARY
    skeleton = skeleton_of(labels)
    third = {(int(y), int(x)) for y, x in np.argwhere(skeleton.picture(skeleton.sides[2]))}
    assert (20, 30) in third
    assert all(abs(y - 20) + abs(x - 30) <= 1 for y, x in third)
    around = window_around([(20, 30)], 60, labels.shape)
    window = skeleton_of(around.of(labels))
    upper, left = (beside(window, cell) for cell in interior_under(labels, around, [(5, 5), (35, 5)]))
    wall = window.picture(parted(window, upper, left)) & around.in_slice
    assert wall.any(axis=0).sum() >= 28
    assert not wall[:, around.local((20, 30))[1] :].any()


def test_holes_of_fewer_than_twelve_pixels_are_specks():
    mask = np.ones((9, 30), bool)
    mask[2:4, 2:8], mask[2:4, 12:17], mask[4, 12] = False, False, False  # 12 and 11 pixels
    filled = without_specks(mask)
    assert not filled[2:4, 2:8].any()
    assert filled[:, 9:].all()


def test_a_line_ends_loosely_inside_of_the_slice_only():
    assert loose_ends(cross()).tolist() == [[32, 30]]
    assert loose_ends(np.full((20, 20), INTERIOR, np.uint8)).shape == (0, 2)


@pytest.mark.parametrize(("turns", "end"), [(0, [4, 0]), (1, [8, 4]), (2, [4, 8]), (3, [0, 4])])
def test_a_membrane_of_one_pixel_at_any_edge_of_the_slice_ends_in_that_pixel(turns, end):
    labels = np.full((9, 9), INTERIOR, np.uint8)
    labels[4, 0] = BOUNDARY
    assert loose_ends(np.rot90(labels, turns)).tolist() == [end]


@pytest.mark.parametrize(
    ("click", "meant"),
    [
        ((38, 30), (32, 30)),
        ((32, 42), (32, 30)),  # 12 pixels away
        ((33, 43), (33, 43)),  # 13, from the wall too
        ((16, 10), (20, 10)),  # on the wall, from which the end is too far
        ((30, 34), (32, 30)),
        ((8, 50), (20, 50)),
        ((7, 50), (7, 50)),
        ((4, 50), (0, 50)),
        ((5, 50), (5, 50)),
        ((36, 4), (40, 0)),
        ((35, 5), (35, 5)),
        ((5, 56), (5, 60)),
        ((5, 55), (5, 55)),
    ],
)
def test_a_click_snaps_to_what_is_in_its_radius(click, meant):
    assert snap(cross(), click) == meant


def test_the_nearest_membrane_is_found_up_to_the_radius():
    assert membrane_near(cross(), (16, 3)) == (20, 3)
    assert membrane_near(cross(), (15, 3)) is None
    assert membrane_near(cross(), (15, 3), 5) == (20, 3)
    assert membrane_near(cross(), (23, 32)) == (23, 30)
    assert membrane_near(cross(), (23, 32), 1.5) is None
    assert membrane_at(cross(), (24.2, 7.4)) == (20, 7)
    with pytest.raises(UserError, match=r"no membrane at \(15, 3\)"):
        membrane_at(cross(), (15, 3))


def test_pixels_are_inside_of_the_slice():
    assert pixel_at((-0.5, 60.4), (41, 61)) == (0, 60)
    for outside in ((-0.6, 3), (40.6, 3), (3, -1), (3, 61)):
        with pytest.raises(UserError, match="outside of the slice"):
            pixel_at(outside, (41, 61))


def test_an_edit_holds_what_changes_inside_of_the_slice():
    labels = np.array([[1, 2, 2], [2, 2, 1]], np.uint8)
    edit = edit_of(labels, np.ones((3, 3), bool), BOUNDARY, (-1, 1))
    assert list(zip(edit.y.tolist(), edit.x.tolist(), edit.values.tolist(), strict=True)) == [
        (0, 1, 1),
        (0, 2, 1),
        (1, 1, 1),
    ]
    assert edit.applied_to(labels).tolist() == [[1, 1, 1], [2, 1, 1]]
    assert labels[0, 1] == 2


def strips() -> np.ndarray:
    """Three cells in a row, parted by walls of 4 and of 12 pixels; a pocket of 28 lies in the second."""
    labels = np.full((40, 76), INTERIOR, np.uint8)
    labels[:, 20:24] = labels[:, 44:56] = BOUNDARY
    labels[16:23, 48:52] = INTERIOR
    return labels


def test_the_way_through_membrane_is_the_shortest_and_leads_through_pockets():
    labels = strips()
    window = window_around([(20, 38)], 60, labels.shape)
    passage = PassageWindow(labels, window, None)
    assert len(np.unique(passage.numbers)) == 5
    assert len(np.unique(passage.cells)) == 4  # a pocket is none
    left, middle, right = (passage.cells[window.local((20, x))] for x in (5, 30, 70))
    way = passage.between(passage.cells == left, passage.cells == middle)
    assert len(way) == 4
    assert set(way[:, 0].tolist()) == {way[0, 0]}
    way = passage.between(passage.cells == middle, passage.cells == right)
    assert len(way) == 12
    top, bottom = window.local((16, 0))[0], window.local((22, 0))[0]
    assert top <= way[:, 0].min() <= way[:, 0].max() <= bottom
    assert passage.between(passage.cells == left, passage.cells == right) is None
    found = passage.through(window.local((20, 21)))
    assert set(passage.ends(found)) == {left, middle}
    assert len(found) == 4
    opened = passage.opened(found, passage.ends(found)).applied_to(labels)
    assert (opened[20, 20:24] == INTERIOR).all()
    assert (opened[:, 44:] == labels[:, 44:]).all()
