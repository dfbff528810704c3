"""Removal of small pieces of membrane, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair.membrane_removal import (
    _around,
    _holding,
    _joins,
    _nearest,
    _part,
    _stubs,
    removal,
)
from emseg_napari.annotation.repair.skeleton import skeleton_of
from emseg_napari.annotation.repair.slice_window import window_around
from emseg_napari.core.labels import BOUNDARY, INTERIOR


def test_the_part_that_is_worked_on_is_32_pixels_around_the_lines():
    lines = np.zeros((100, 120), bool)
    lines[40:45, 50:60] = True
    assert _part(lines) == (slice(8, 77), slice(18, 92))
    lines[3, 118] = True
    assert _part(lines) == (slice(0, 77), slice(18, 120))
    lines[99, 0] = True
    assert _part(lines) == (slice(0, 100), slice(0, 120))


@pytest.mark.parametrize(("length", "goes"), [(1, True), (14, True), (15, True), (16, False), (20, False)])
def test_a_loose_piece_of_up_to_fifteen_pixels_goes_with_its_wall(length, goes):
    labels = np.full((41, 61), INTERIOR, np.uint8)
    labels[20] = labels[21 : 21 + length + 1, 30] = BOUNDARY
    skeleton = skeleton_of(labels)
    stubs = _stubs(skeleton, ~skeleton.is_loose)
    loose = int(np.count_nonzero(skeleton.is_loose))
    assert np.count_nonzero(stubs) == (loose if loose <= 15 else 0)
    assert not (stubs & ~skeleton.is_loose).any()
    assert not _stubs(skeleton, (skeleton.x < 20)).any()  # none stands there


def test_the_nearest_line_is_told_with_the_radius_of_the_membrane_there():
    lines = np.zeros((3, 6), bool)
    lines[1, 0] = lines[1, 5] = True
    far, radius = _nearest(lines, np.arange(18.0).reshape(3, 6))
    assert far[1].tolist() == [0, 1, 2, 2, 1, 0]
    assert radius[1].tolist() == [6, 6, 6, 11, 11, 11]
    far, radius = _nearest(np.zeros((2, 2), bool), np.ones((2, 2)))
    assert np.isinf(far).all()
    assert not radius.any()


def test_cells_are_joined_where_one_piece_lies_in_both():
    regions = np.array([[1, 1, 0, 2, 2, 0, 3]])
    mask = np.array([[False, False, True, False, False, True, False]])
    apart, joined = np.array([[1, 1, 0, 2, 2, 0, 3]]), np.array([[1, 1, 1, 1, 1, 0, 2]])
    assert not _joins(apart, regions, mask, {(1, 2), (2, 3)})
    assert _joins(joined, regions, mask, {(1, 2)})
    assert _joins(joined, regions, mask, {(1, 3), (1, 2)})
    assert not _joins(joined, regions, mask, {(1, 3)})
    assert not _joins(np.array([[1, 1, 3, 2, 2, 0, 3]]), regions, mask, {(1, 2)})


def test_pieces_are_held_where_they_have_one_of_the_pixels():
    pieces = np.array([[0, 1, 1, 0, 2, 3]])
    assert _holding(pieces, np.array([[0, 0, 1, 0, 0, 1]], bool)).tolist() == [[0, 1, 1, 0, 0, 1]]
    assert _holding(pieces, np.array([[1, 0, 0, 0, 0, 0]], bool)).tolist() == [[1, 0, 0, 1, 0, 0]]


@pytest.mark.parametrize("thickness", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("across", [False, True])
def test_a_straight_wall_of_any_thickness_goes_as_a_whole(thickness, across):
    labels = np.full((60, 50), INTERIOR, np.uint8)
    labels[20 : 20 + thickness] = BOUNDARY
    labels = labels.T.copy() if across else labels
    window = window_around([(0, 0), np.subtract(labels.shape, 1)], 0, labels.shape)
    skeleton = skeleton_of(window.of(labels))
    edit = removal(labels, window, skeleton, np.ones(len(skeleton.y), bool))
    assert len(edit.y) == thickness * 50
    assert (edit.applied_to(labels) == INTERIOR).all()


def test_membrane_around_a_line_goes_up_to_the_discs_of_the_lines_that_stay():
    mask = np.zeros((21, 40), bool)
    mask[8:13] = True  # five thick, the radius in the middle is three
    lines, kept = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
    lines[10, :20], kept[10, 20:] = True, True
    gone = [_around(mask, lines, kept, share) for share in (1.0, 0.5, 0.0)]
    assert [np.flatnonzero(part[10])[-1] for part in gone] == [17, 18, 19]
    assert all(np.array_equal(part, part[::-1]) for part in gone[:1])
    assert all(part[8:13, :12].all() for part in gone)
    assert not any((part & ~mask).any() for part in gone)
    assert _around(mask, lines, np.zeros(mask.shape, bool), 1.0)[8:13, :20].all()
