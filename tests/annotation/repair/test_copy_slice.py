"""Shifts between slices, counted by hand."""

import numpy as np
import pytest
from scipy import ndimage

from emseg_napari.annotation.repair import copy_slice
from emseg_napari.annotation.repair.copy_slice import (
    _likeness,
    _moved,
    _peak,
    _prepared,
    _top,
    copy_neighbour,
    shift_between,
)


def test_a_slice_moves_by_whole_rows_and_columns_and_0_comes_in():
    array = np.arange(1, 13, dtype=np.uint8).reshape(3, 4)
    for y in range(-4, 5):
        for x in range(-5, 6):
            moved = _moved(array, (y, x))
            wide = np.pad(array, 6)
            np.testing.assert_array_equal(moved, np.roll(wide, (y, x), (0, 1))[6:9, 6:10])
            assert moved.dtype == np.uint8


def test_copying_leaves_the_neighbour_as_it_is():
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((40, 40)), 2)
    labels = np.full((40, 40), 3, np.uint8)
    assert (copy_neighbour(labels, image, image) == 1).all()
    assert (labels == 3).all()


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("share", "moves"), [(0, True), (12, True), (24, True), (26, False), (49, False)])
def test_a_slice_moves_by_up_to_a_quarter_of_its_size(sign, share, moves):
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((100, 200)), 2, mode="wrap")
    down, along = np.roll(image, sign * share, 0), np.roll(image, sign * 2 * share, 1)
    assert shift_between(image, down) == ((sign * share, 0) if moves else (0, 0))
    assert shift_between(image, along) == ((0, 2 * sign * share) if moves else (0, 0))


@pytest.mark.parametrize(
    ("shape", "by"),
    [((1, 1), 1), ((256, 9), 1), ((257, 9), 2), ((9, 512), 2), ((9, 513), 3), ((769, 768), 4)],
)
def test_slices_are_compared_at_up_to_256_px(monkeypatch, shape, by):
    shrunk = []
    monkeypatch.setattr(copy_slice, "_prepared", lambda image, by: shrunk.append(by) or np.zeros((4, 4)))
    shift_between(np.zeros(shape), np.zeros(shape))
    assert shrunk == [by, by]


@pytest.mark.parametrize(
    ("by", "taken"),
    [
        (1, [0]),
        (2, [0, 1]),
        (3, [0, 1, 2]),
        (4, [0, 1, 2, 3]),
        (5, [0, 2, 4]),
        (8, [0, 2, 4, 6]),
        (9, [0, 3, 6]),
    ],
)
def test_a_block_counts_as_up_to_four_of_its_rows_and_columns(by, taken):
    image = np.random.default_rng(by).integers(0, 255, (3 * by + by - 1, 4 * by)).astype(np.uint8)
    blocks = image[: 3 * by].reshape(3, by, 4, by)[:, taken][..., taken].astype(float).sum(axis=(1, 3))
    smooth = ndimage.gaussian_filter(blocks, 1.0)
    np.testing.assert_allclose(_prepared(image, by), smooth - smooth.mean(), atol=1e-2)


@pytest.mark.parametrize(
    ("line", "place", "shift"),
    [
        ([0, 0, 1, 4, 3, 0, 0, 0], 3, 3.25),
        ([0, 0, 3, 4, 1, 0, 0, 0], 3, 2.75),
        ([4, 3, 0, 0, 0, 0, 0, 1], 0, 0.25),
        ([3, 0, 0, 0, 0, 0, 1, 4], 7, -0.75),
        ([0, 0, 0, 1, 4, 1, 0, 0], 4, -4),
        ([0, 0, 0, 0, 1, 4, 1, 0], 5, -3),
        ([0, 0, 1, 4, 1, 0, 0], 3, 3),
        ([0, 0, 0, 1, 4, 1, 0], 4, -3),
        ([2, 2, 2, 2], 1, 1),
    ],
)
def test_the_top_of_a_periodic_line_lies_between_its_samples(line, place, shift):
    assert _top(np.array(line, float), np.intp(place)) == shift


def test_the_peak_is_told_as_rows_and_columns():
    correlation = np.zeros((6, 8))
    correlation[4, 3], correlation[3, 3], correlation[4, 4] = 4, 2, 1
    assert _peak(correlation) == pytest.approx([-2 - 1 / 6, 3 + 1 / 14])


def test_slices_are_alike_where_the_moved_one_lies():
    one = np.array([[1.0, 2, 3, 50]])
    assert _likeness(one, np.array([[2.0, 4, 6, 0]])) == pytest.approx(1)
    assert _likeness(one, np.array([[3.0, 2, 1, 0]])) == pytest.approx(-1)
    assert _likeness(one, np.array([[5.0, 5, 5, 0]])) == -1
    assert _likeness(np.ones((1, 4)), one) == -1
