"""Pieces of a slice, counted by hand."""

import numpy as np
import pytest

from emseg_napari.annotation.suggest.pieces import (
    Slice,
    Steps,
    _distance_and_seeds,
    _with_every_part,
    is_interior,
    overlaps,
    pieces_of,
    steps_between,
)
from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_INTERIOR


def slice_of(probability: np.ndarray, labels: np.ndarray | None = None) -> Slice:
    labels = np.zeros(probability.shape, np.uint8) if labels is None else labels
    return Slice(labels, probability.astype(np.float32), np.zeros(probability.shape, np.float32))


def test_interior_is_the_users_or_proposed():
    assert is_interior(np.arange(5)).tolist() == [False, False, True, False, True]


def test_what_the_user_labelled_counts_two_pixels_around_by_sides():
    labels = np.zeros((7, 7), np.uint8)
    labels[3, 3] = BOUNDARY
    y, x = np.indices(labels.shape)
    near = slice_of(np.zeros((7, 7)), labels).near_touched
    np.testing.assert_array_equal(near, np.abs(y - 3) + np.abs(x - 3) <= 2)
    labels[3, 3] = PROPOSED_INTERIOR
    assert not slice_of(np.zeros((7, 7)), labels).near_touched.any()


@pytest.mark.parametrize("shape", [(8, 10), (7, 10), (8, 9), (7, 9)])
def test_the_width_of_sure_interior_is_measured_in_blocks_that_are_all_sure(shape):
    sure = np.ones(shape, bool)
    sure[3, 4] = False
    distance, seeds = _distance_and_seeds(sure)
    assert distance.shape == seeds.shape == shape
    y, x = np.indices(shape)
    np.testing.assert_allclose(distance, np.hypot(y // 2 - 1, x // 2 - 2))
    for pixel in ((2, 4), (2, 5), (3, 4), (3, 5)):
        one = np.ones(shape, bool)
        one[pixel] = False
        np.testing.assert_allclose(_distance_and_seeds(one)[0], distance)


def test_parts_of_the_interior_without_a_seed_are_seeds_as_a_whole():
    interior = np.array([[1, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0, 1]], bool)
    seeds = np.zeros(interior.shape, int)
    seeds[0, 1] = 2
    wanted = [[0, 2, 0, 3, 0, 4], [0, 0, 0, 3, 0, 0], [5, 0, 0, 0, 0, 6]]
    assert _with_every_part(seeds, interior).tolist() == wanted
    assert (
        _with_every_part(np.ones(interior.shape, int) * interior, interior).tolist()
        == interior.astype(int).tolist()
    )


@pytest.mark.parametrize(("value", "count"), [(0.1, 1), (0.14, 1), (0.16, 2), (0.4, 2)])
def test_a_faint_line_in_a_cell_parts_pieces_from_a_probability_of_15_percent(value, count):
    probability = np.full((30, 60), 0.02)
    probability[:, 29:31] = value
    pieces = pieces_of(slice_of(probability))
    assert pieces.max() == count
    assert pieces.min() == 1
    assert pieces.dtype == np.int32
    if count == 2:
        assert (pieces[:, :28] == pieces[0, 0]).all()
        assert (pieces[:, 32:] == pieces[0, -1]).all()


@pytest.mark.parametrize(("width", "count"), [(8, 1), (9, 2)])
def test_a_piece_of_fewer_than_100_pixels_joins_the_neighbour_with_the_weakest_boundary(width, count):
    probability = np.full((40, 60), 0.02)
    probability[8:20, 10 : 12 + width] = 0.9
    probability[9:19, 11 : 11 + width] = 0.02
    sizes = np.bincount(pieces_of(slice_of(probability)).ravel())[1:].tolist()
    assert sorted(sizes) == ([2400] if count == 1 else [100, 2300])


def test_a_slice_without_boundary_or_without_interior_is_one_piece():
    for value in (0.0, 0.1, 0.9, 1.0):
        pieces = pieces_of(slice_of(np.full((9, 11), value)))
        assert (pieces == 1).all()
        assert (pieces.dtype, pieces.shape) == (np.int32, (9, 11))


def test_the_steps_of_random_pieces_are_those_between_neighbouring_pixels():
    random = np.random.default_rng(0)
    for shape in ((1, 7), (7, 1), (5, 8), (2, 2)):
        pieces = random.integers(1, 4, shape)
        labels = random.integers(0, 5, shape).astype(np.uint8)
        slice_ = Slice(
            labels, random.random(shape).astype(np.float32), random.random(shape).astype(np.float32)
        )
        found = steps_between(pieces, slice_)
        wanted = []
        for y in range(shape[0]):
            for x in range(shape[1]):
                for there in ((y + 1, x), (y, x + 1)):
                    if there[0] < shape[0] and there[1] < shape[1] and pieces[there] != pieces[y, x]:
                        edge = (y, x) if slice_.belief[y, x] >= slice_.belief[there] else there
                        is_open = slice_.interior[y, x] and slice_.interior[there]
                        ends = sorted((pieces[y, x], pieces[there]))
                        values = slice_.belief[edge], slice_.spread[edge], is_open, slice_.near_touched[edge]
                        wanted.append((*ends, *edge, *values))
        rows = list(zip(*(getattr(found, name).tolist() for name in Steps.__annotations__), strict=True))
        assert sorted(rows) == sorted(wanted)


def test_overlaps_of_random_pieces_count_every_pixel_of_an_interior():
    random = np.random.default_rng(1)
    pieces, interior = random.integers(1, 6, (9, 12)), random.random((9, 12)) < 0.6
    table = overlaps(pieces, interior).toarray()
    assert table.sum() == interior.sum()
    assert table.sum(axis=1).tolist() == [np.count_nonzero((pieces == n) & interior) for n in range(6)]
    assert not table[:, 0].any()
    assert not table[0].any()


def test_chosen_steps_keep_all_that_is_known_of_them():
    steps = Steps(*(np.arange(4) + 10 * n for n in range(8)))
    chosen = steps.where(np.array([False, True, False, True]))
    assert [getattr(chosen, name).tolist() for name in Steps.__annotations__] == [
        [10 * n + 1, 10 * n + 3] for n in range(8)
    ]


def test_labels_of_the_user_part_pieces_whatever_is_probable():
    labels = np.zeros((30, 60), np.uint8)
    labels[:, 30] = BOUNDARY
    assert pieces_of(slice_of(np.full((30, 60), 0.02), labels)).max() == 2
    labels[:, 30] = INTERIOR
    probability = np.full((30, 60), 0.02)
    probability[:, 30] = 0.9
    assert pieces_of(slice_of(probability, labels)).max() == 1
