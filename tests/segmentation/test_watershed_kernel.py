"""The kernel gives what scipy and scikit-image give, number by number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from emseg_napari.segmentation.seed_kernel import INTERIOR, PER_PX, WIDE, numbered_seeds, wide_places
from emseg_napari.segmentation.watershed import _levels
from emseg_napari.segmentation.watershed_kernel import FARTHEST_PX, flooded, ranked, squared_distances

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


def test_farther_than_the_farthest_counts_as_that():
    interior = np.arange(FARTHEST_PX + 9)[None] > 0
    expected = np.minimum(np.arange(FARTHEST_PX + 9), FARTHEST_PX) ** 2
    for picture in (interior, interior.T):
        np.testing.assert_array_equal(squared_distances(picture).ravel(), expected)


@given(numbers(60, 1), st.integers(1, 24))
def test_wide_places_are_the_maxima_of_a_reconstruction(pictures, neck):
    """Of any heights, not only of distances: these vary less."""
    (squares,) = pictures
    squares[0, 0] = 0
    steps = np.round(PER_PX * np.sqrt(squares)).astype(np.int32)
    expected = (steps > 0) * np.where(local_maxima(reconstruction(steps - neck, steps)), WIDE, INTERIOR)
    kind = wide_places(squares, neck)
    np.testing.assert_array_equal(kind[1:-1, 1:-1], expected)
    assert kind.sum() == expected.sum()  # nothing in the rim


@given(numbers(WIDE, 1))
def test_seeds_are_wide_places_and_regions_without_any_numbered_as_the_library_does(pictures):
    (kind,) = pictures
    regions, count = ndimage.label(kind)
    thin = ~np.isin(np.arange(count + 1), [0, *regions[kind == WIDE]])
    expected, count = ndimage.label((kind == WIDE) | thin[regions])
    seeds, first = numbered_seeds(np.pad(kind, 1).astype(np.uint8))
    np.testing.assert_array_equal(seeds, expected)
    assert first.tolist() == [np.flatnonzero(expected == seed)[0] for seed in range(1, count + 1)]


@given(arrays(np.float32, st.integers(0, 40), elements=st.floats(2**-20, 1, width=32)), st.booleans())
def test_ranks_are_those_of_the_library(values, is_double):
    values = values.astype(np.float64) / (3 if is_double else 1)
    distinct, expected = np.unique(values, return_inverse=True)
    ranks, count = ranked(values)
    np.testing.assert_array_equal(ranks, expected)
    assert count == len(distinct)


@given(numbers(4, 2))
def test_a_flood_is_that_of_the_library_with_seeds_in_reading_order(pictures):
    height, where = pictures
    low = height == ndimage.minimum_filter(height, footprint=ndimage.generate_binary_structure(2, 1))
    seeds = np.cumsum(low & (where == 0), dtype=np.int32).reshape(low.shape) * (low & (where == 0))
    ordered = height.astype(float)
    places = np.flatnonzero(seeds)
    ordered.flat[places] -= (seeds.size - places) / (2 * seeds.size)
    expected = watershed(ordered, seeds) if seeds.any() else seeds
    found = flooded(height, 5, seeds)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_a_long_blank_strip_needs_no_level_for_every_square_of_a_distance():
    probability = np.zeros((4, 3000), np.float32)
    probability[:, 0] = probability[1:3, 1500] = 1
    squares = squared_distances(probability < 0.5)
    levels, count = _levels(probability, squares)
    assert squares.max() > squares.size > count > levels.max()
    order = np.argsort(-squares[squares > 0], kind="stable")
    assert (np.diff(levels[squares > 0][order]) >= 0).all()
