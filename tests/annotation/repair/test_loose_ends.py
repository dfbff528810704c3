"""Loose ends near a click, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair.loose_ends import _at_edge, _ends_near, _sticks_out, loose_ends, snap
from emseg_napari.annotation.repair.skeleton import Skeleton, skeleton_of
from emseg_napari.core.labels import BOUNDARY, INTERIOR


@pytest.mark.parametrize("at", [0, 4, 5, 6, 33, 34, 35, 39])
def test_a_click_fewer_than_five_pixels_from_an_edge_means_that_edge(at):
    meant = {0: 0, 4: 0, 35: 39, 39: 39}.get(at, at)
    assert _at_edge((at, 50), (40, 100)) == (meant, 50)
    assert _at_edge((50, at), (100, 40)) == (50, meant)


def two_ends() -> np.ndarray:
    """A membrane that ends at (20, 20), one that ends at (20, 30), both of one pixel."""
    labels = np.full((41, 61), INTERIOR, np.uint8)
    labels[20, :21] = labels[20, 30:] = BOUNDARY
    return labels


@pytest.mark.parametrize(
    ("pixel", "radius", "ends"),
    [
        ((20, 25), 5, [[20, 20], [20, 30]]),
        ((20, 25), 4.9, []),
        ((20, 24), 5, [[20, 20]]),
        ((20, 18), 20, [[20, 20]]),  # on the membrane of the one
        ((20, 33), 20, [[20, 30]]),
        ((23, 24), 5, [[20, 20]]),
        ((24, 24), 5, []),
    ],
)
def test_ends_in_a_circle_are_those_of_the_membrane_that_was_clicked_or_of_any(pixel, radius, ends):
    assert sorted(_ends_near(two_ends(), np.array(pixel), radius).tolist()) == ends


def test_the_nearest_of_two_ends_is_meant():
    assert snap(two_ends(), (24, 24)) == (20, 20)
    assert snap(two_ends(), (24, 26)) == (20, 30)
    assert snap(two_ends(), (32, 20)) == (20, 20)
    assert snap(two_ends(), (26, 22), 6.3) == (26, 22)
    assert snap(two_ends(), (26, 22), 6.4) == (20, 20)


@pytest.mark.parametrize("turns", range(4))
def test_ends_are_told_in_pixels_of_the_slice(turns):
    labels = np.full((31, 51), INTERIOR, np.uint8)
    labels[15, 12:] = BOUNDARY
    ends = loose_ends(np.rot90(labels, turns))
    assert ends.tolist() == [[[15, 12]], [[38, 15]], [[15, 38]], [[12, 15]]][turns]


@pytest.mark.parametrize(("long", "sticks"), [(4, False), (5, False), (6, True), (7, True)])
def test_a_line_sticks_out_more_than_two_pixels_beyond_the_thickness_of_its_wall(long, sticks):
    mask, lines = np.zeros((31, 21), bool), np.zeros((31, 21), bool)
    mask[8:13] = lines[10] = True  # three pixels from its middle to the nearest beside it
    mask[10 : 11 + long, 10] = lines[10 : 11 + long, 10] = True
    regions = np.where(np.indices(mask.shape)[0] < 10, 1, 2).astype(np.int32)
    skeleton = Skeleton(mask, lines, np.where(lines, 0, regions))
    assert _sticks_out(skeleton)[-1] == sticks


def test_without_walls_all_that_lies_in_one_cell_sticks_out():
    labels = np.full((31, 31), INTERIOR, np.uint8)
    labels[15, 10:20] = BOUNDARY
    skeleton = skeleton_of(labels)
    assert _sticks_out(skeleton).all()
    assert len(skeleton.y) > 5
