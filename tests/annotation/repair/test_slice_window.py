"""Windows of a slice, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.repair.slice_window import (
    RIM_PX,
    box_of,
    growing_windows,
    window_around,
)

SHAPE = (50, 70)
RIM = 2 * RIM_PX


def test_a_window_holds_its_points_and_the_margin_as_far_as_the_slice_goes():
    assert window_around([(20, 30), (24, 25)], 3, SHAPE).box == (17, 22, 28, 34)
    assert window_around([(20.5, 30.5)], 2, SHAPE).box == (18, 28, 24, 34)
    assert window_around([(1, 68)], 3, SHAPE).box == (0, 65, 5, 70)


def test_a_window_repeats_its_outermost_pixels_in_a_rim():
    slice_ = np.arange(50 * 70).reshape(SHAPE)
    window = window_around([(20, 30), (24, 25)], 3, SHAPE)
    part = window.of(slice_)
    assert part.shape == (11 + RIM, 12 + RIM) == window.in_slice.shape
    assert window.origin == (17 - RIM_PX, 22 - RIM_PX)
    assert window.local((20.4, 24.6)) == (3 + RIM_PX, 3 + RIM_PX)
    assert part[window.local((20, 25))] == slice_[20, 25]
    assert part[0, 0] == part[RIM_PX, RIM_PX] == slice_[17, 22]
    assert part[-1, -1] == slice_[27, 33]
    assert window.in_slice.sum() == 11 * 12
    assert window.in_slice[window.local((17, 22))]
    assert not window.in_slice[window.local((16, 22))]


def test_a_part_of_a_mask_of_a_larger_window_has_nothing_in_its_rim():
    around, window = (window_around([(25, 35)], margin, SHAPE) for margin in (12, 5))
    mask = np.zeros(around.in_slice.shape, bool)
    for pixel in ((20, 30), (25, 36), (19, 30)):  # the last is in the rim of the smaller
        mask[around.local(pixel)] = True
    part = window.part_of(mask, around)
    assert part.shape == window.in_slice.shape
    assert {tuple(at) for at in np.argwhere(part)} == {window.local((20, 30)), window.local((25, 36))}


@pytest.mark.parametrize(
    ("pixel", "reaches"), [((25, 27), False), ((25, 26), True), ((34, 35), True), ((33, 35), False)]
)
def test_a_mask_near_an_edge_reaches_the_cut_unless_the_slice_ends_there(pixel, reaches):
    window = window_around([(25, 35)], 16, SHAPE)
    assert window.box == (9, 19, 42, 52)
    for turned in (pixel, (50 - pixel[0], 70 - pixel[1])):  # the edges on the other side
        mask = np.zeros(window.in_slice.shape, bool)
        mask[window.local(turned)] = True
        assert window.reaches_cut(mask) == reaches
    whole = window_around([(25, 35)], 80, SHAPE)
    assert not whole.reaches_cut(np.ones(whole.in_slice.shape, bool))


def test_windows_grow_twofold_up_to_the_whole_slice():
    boxes = [window.box for window in growing_windows((25, 35), 5, SHAPE)]
    assert boxes == [(20, 30, 31, 41), (15, 25, 36, 46), (5, 15, 46, 56), (0, 0, 50, 70)]
    assert len(list(growing_windows((25, 35), 80, SHAPE))) == 1


def test_the_box_of_a_mask_is_half_open():
    mask = np.zeros((6, 9), bool)
    mask[1, 4] = mask[3, 2] = True
    assert box_of(mask) == (1, 2, 4, 5)
