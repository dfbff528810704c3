"""The kernel gives what scipy and scikit-image give, number by number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

from emseg_napari.segmentation.watershed import _levels
from emseg_napari.segmentation.watershed_kernel import flooded, reconstructed, squared_distances

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def numbers(draw: st.DrawFn, largest: int, count: int) -> list[np.ndarray]:
    """Some pictures of one size, int32, 0 to the largest number."""
    shape = draw(SHAPES)
    return [draw(arrays(np.int32, shape, elements=st.integers(0, largest))) for _ in range(count)]


@given(arrays(bool, SHAPES))
def test_distances_are_to_the_nearest_pixel_outside(interior):
    interior[0, -1] = False
    np.testing.assert_array_equal(
        np.sqrt(squared_distances(interior)), ndimage.distance_transform_edt(interior)
    )


@given(numbers(9, 2))
def test_a_reconstruction_is_that_of_the_library(pictures):
    marker, mask = np.minimum(*pictures), pictures[1]
    np.testing.assert_array_equal(reconstructed(marker, mask), reconstruction(marker, mask))


@given(numbers(4, 2))
def test_a_flood_is_that_of_the_library_with_seeds_in_reading_order(pictures):
    height, where = pictures
    low = height == ndimage.minimum_filter(height, footprint=ndimage.generate_binary_structure(2, 1))
    seeds = np.cumsum(low & (where == 0), dtype=np.int32).reshape(low.shape) * (low & (where == 0))
    ordered = height.astype(float)
    places = np.flatnonzero(seeds)
    ordered.flat[places] -= (seeds.size - places) / (2 * seeds.size)
    expected = watershed(ordered, seeds) if seeds.any() else seeds
    np.testing.assert_array_equal(flooded(height, 5, seeds), expected)


def test_a_long_blank_strip_needs_no_level_for_every_square_of_a_distance():
    probability = np.zeros((4, 3000), np.float32)
    probability[:, 0] = probability[1:3, 1500] = 1
    squares = squared_distances(probability < 0.5)
    levels, count = _levels(probability, squares)
    assert squares.max() > squares.size > count > levels.max()
    order = np.argsort(-squares[squares > 0], kind="stable")
    assert (np.diff(levels[squares > 0][order]) >= 0).all()
