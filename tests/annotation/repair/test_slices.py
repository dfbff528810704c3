"""Labels that come from neighbouring slices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from emseg_napari.annotation.repair.copy_slice import copy_neighbour, shift_between
from emseg_napari.annotation.repair.interpolate import Between, interpolate
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_BOUNDARY, PROPOSED_INTERIOR, UNLABELLED
from emseg_napari.evaluation.metrics import v_info, v_rand
from emseg_napari.segmentation.linking import link


def tissue(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A slice with dark walls between cells of many shapes."""
    blobs = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 12)
    wall = np.abs(blobs) < 0.15 * blobs.std()
    return ndimage.gaussian_filter(np.where(wall, 60.0, 180.0), 1)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    return (image + np.random.default_rng(seed).normal(0, 25, image.shape)).clip(0, 255).astype(np.uint8)


def rectangle(top: int, left: int, bottom: int, right: int, membrane_px: int = 3) -> np.ndarray:
    """One cell in membrane in the middle of 80 x 80 pixels of another."""
    labels = np.full((80, 80), INTERIOR, np.uint8)
    around = membrane_px
    labels[top - around : bottom + around, left - around : right + around] = BOUNDARY
    labels[top:bottom, left:right] = INTERIOR
    return labels


# Copies


@pytest.mark.parametrize("shift", [(0, 0), (7, -12), (-30, 21)])
@pytest.mark.parametrize("side", [200, 600])
def test_the_shift_between_two_slices_is_found_in_spite_of_noise(shift, side):
    whole = tissue(side + 100, side + 100)
    here = whole[50 : 50 + side, 50 : 50 + side]
    there = whole[50 + shift[0] : 50 + shift[0] + side, 50 + shift[1] : 50 + shift[1] + side]
    assert shift_between(noisy(there, 1), noisy(here, 2)) == pytest.approx(shift, abs=1)


@pytest.mark.parametrize("unknown", [np.nan, np.inf, 3.4e38])
def test_the_shift_is_found_where_some_pixels_have_no_value(unknown):
    whole = tissue(300, 300).astype(np.float32)
    here, there = whole[50:250, 50:250].copy(), whole[57:257, 38:238].copy()
    here[:20, 30:60] = there[90:110, :15] = unknown
    assert shift_between(there, here) == pytest.approx((7, -12), abs=1)


def test_towards_a_section_of_which_nothing_is_left_nothing_moves():
    flat = np.full((100, 100), 128, np.uint8)
    assert shift_between(tissue(100, 100), flat) == (0, 0)
    assert shift_between(flat, tissue(100, 100)) == (0, 0)


def test_copied_labels_move_with_their_image_and_nothing_comes_in_from_outside():
    whole = tissue(300, 300)
    image, neighbour = whole[40:240, 40:240], whole[46:246, 31:231]
    labels = np.where(neighbour < 120, PROPOSED_BOUNDARY, PROPOSED_INTERIOR).astype(np.uint8)
    labels[:, 199] = UNLABELLED
    copied = copy_neighbour(labels, neighbour, image)
    y, x = shift_between(neighbour, image)
    assert (y, x) == pytest.approx((6, -9), abs=1)
    assert copied.dtype == np.uint8
    assert not copied[:y].any()
    assert not copied[:, x - 1 :].any()
    known = copied > 0
    assert known.sum() == (200 - y) * (199 + x)
    assert ((copied == BOUNDARY) == (image < 120))[known].mean() > 0.97


def test_a_users_and_proposed_labels_are_copied_alike():
    image = noisy(tissue(64, 64), 0)
    labels = np.tile(np.array([0, 1, 2, 3, 4], np.uint8), (64, 13))[:, :64]
    np.testing.assert_array_equal(copy_neighbour(labels, image, image), np.array([0, 1, 2, 1, 2])[labels])


def test_slices_of_different_size_are_refused():
    with pytest.raises(UserError, match="differ in size"):
        copy_neighbour(np.zeros((5, 6), np.uint8), np.zeros((5, 6)), np.zeros((6, 5)))
    with pytest.raises(UserError, match="differ in size"):
        interpolate(np.zeros((5, 6), np.uint8), np.zeros((6, 5), np.uint8), 0.5)


# Interpolation


def test_halfway_between_two_rectangles_is_the_rectangle_between():
    below, above = rectangle(20, 20, 50, 50), rectangle(24, 28, 54, 58)
    between = interpolate(below, above, 0.5)
    difference = between != rectangle(22, 24, 52, 54)
    assert difference.mean() < 0.02
    assert ndimage.label(between == INTERIOR)[1] == 2


@pytest.mark.parametrize(("fraction", "like"), [(0.0, 0), (1.0, 1)])
def test_at_its_ends_it_is_the_slices_themselves(fraction, like):
    slices = rectangle(20, 20, 50, 50), rectangle(24, 28, 54, 58)
    np.testing.assert_array_equal(interpolate(*slices, fraction), slices[like])


def test_membranes_that_do_not_overlap_part_cells_in_between_too():
    """As one shape, the boundary would be gone halfway: there no pixel is boundary in both."""
    below, above = rectangle(20, 20, 50, 50), rectangle(26, 26, 56, 56)
    assert ndimage.label(interpolate(below, above, 0.5) == INTERIOR)[1] == 2


def test_a_cell_of_one_slice_only_tapers_off():
    empty = np.full((80, 80), INTERIOR, np.uint8)
    areas = [
        np.count_nonzero(ndimage.label(interpolate(rectangle(20, 20, 60, 60), empty, f) == INTERIOR)[0] == 2)
        for f in (0.0, 0.3, 0.5, 0.7)
    ]
    assert areas[0] == 1600
    assert areas == sorted(areas, reverse=True)
    assert 0 < areas[2] < 800


def test_of_a_cell_of_one_slice_only_halfway_what_is_some_8_px_deep_is_left():
    below, above = np.full((41, 41), INTERIOR, np.uint8), np.full((41, 41), BOUNDARY, np.uint8)
    below[20, 20] = BOUNDARY
    y, x = np.ogrid[-20:21, -20:21]
    np.testing.assert_array_equal(interpolate(below, above, 0.5) == INTERIOR, y**2 + x**2 >= 72)


def test_states_do_not_matter_to_shapes():
    below, above = rectangle(20, 20, 50, 50), rectangle(24, 28, 54, 58)
    np.testing.assert_array_equal(interpolate(below + 2, above, 0.4), interpolate(below, above, 0.4))


def by_cell(below, above, fraction):
    """The same, cell by cell and from whole distances; a cell of one slice is 8 px away in the other."""
    cells = link(np.stack([ndimage.label(labels & 1 == 0)[0] for labels in (below, above)]))
    outside = np.full(below.shape, np.inf)
    for number in range(1, cells.max() + 1):
        distances = []
        for here in cells == number:
            away = ndimage.distance_transform_edt(~here) if here.any() else np.full(here.shape, 72**0.5)
            distances.append(away - ndimage.distance_transform_edt(here) + np.where(here, 0.5, -0.5))
        outside = np.minimum(outside, (1 - fraction) * distances[0] + fraction * distances[1])
    return np.where(outside > 1e-9, BOUNDARY, INTERIOR)


@given(
    st.integers(0, 10**6),
    st.integers(20, 130),
    st.sampled_from([1.5, 3, 8]),
    st.sampled_from([0, 0.3, 0.5, 1]),
)
def test_every_cell_is_as_far_on_its_way_as_its_distances_say(seed, width, size, fraction):
    """In slices of all widths, with specks and large cells, a few of them in one slice only."""
    random = np.random.default_rng(seed)
    below = ndimage.gaussian_filter(random.normal(size=(50, width)), size)
    above = below + 0.4 * ndimage.gaussian_filter(random.normal(size=(50, width)), size)
    walls = [np.abs(height) < 0.25 * height.std() for height in (below, above)]
    for wall in walls:
        wall[::13] = True  # no pixel is farther from membrane, or from its cell, than distances are told
    labels = [np.where(wall, BOUNDARY, INTERIOR).astype(np.uint8) for wall in walls]
    expected = by_cell(*labels, fraction)
    assert (
        np.mean(interpolate(*labels, fraction) != expected) < 0.001
    )  # distances that are the same but for rounding


def test_a_pixel_deep_in_a_cell_stays_in_it_however_far_the_other_slice_has_it():
    """Distances are told up to 64 px."""
    below, above = rectangle(2, 2, 78, 78, 2), rectangle(2, 2, 78, 78, 2)
    large = [np.kron(labels, np.ones((4, 4), np.uint8)) for labels in (below, above)]
    large[1][:, 100:] = BOUNDARY
    drawn = interpolate(*large, 0.5)
    assert drawn[160, 160] == INTERIOR
    assert (drawn[160, 260:] == BOUNDARY).all() or (drawn[160, 300:] == BOUNDARY).all()


def test_what_was_compiled_once_serves_labels_of_any_layout(tmp_path):
    """Compiling takes seconds, in which the window would wait."""
    from emseg_napari.annotation.repair import interpolation_kernel, row_segments

    labels = rectangle(20, 20, 50, 50)
    Between(labels, labels).at(0.5)
    on_disk = np.memmap(tmp_path / "labels", np.uint8, "w+", shape=(80, 80))
    on_disk[:] = labels
    locked = labels.copy()
    locked.flags.writeable = False
    compiled = (
        row_segments.stretches_of,
        row_segments.shared,
        interpolation_kernel.depths,
        interpolation_kernel.draw_persisting,
    )
    known = [len(function.signatures) for function in compiled]
    for other in (
        on_disk,
        locked,
        np.asfortranarray(labels),
        np.tile(labels, 2)[:, ::2],
        labels.astype(np.int32),
    ):
        Between(other, labels).at(0.25)
        Between(labels, other).at(0.75)
    assert [len(function.signatures) for function in compiled] == known


@pytest.mark.parametrize("filled", [BOUNDARY, INTERIOR])
def test_slices_without_cells_or_without_membrane_are_interpolated_as_well(filled):
    plain = np.full((9, 7), filled, np.uint8)
    np.testing.assert_array_equal(interpolate(plain, plain, 0.5), plain)


def test_a_slice_of_real_tissue_is_drawn_as_well_as_before(tissue):
    """Measured: V_rand 0.9573 and V_info 0.9167 in slice 16; a copy of slice 12 has 0.8897."""
    labels = tissue[1]
    drawn = interpolate(labels[12], labels[20], 0.5)[np.newaxis] == INTERIOR
    truth = labels[16:17] == INTERIOR
    assert v_rand(truth, drawn.astype(np.float32)).values[5] > 0.956
    assert v_info(truth, drawn.astype(np.float32)).values[5] > 0.916
