"""What lasts of a slice's cells, pixel by pixel, against whole distances in plain numpy."""

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from scipy import ndimage

from emseg_napari.annotation.repair import interpolation_kernel as kernel
from emseg_napari.annotation.repair import row_segments
from emseg_napari.core.labels import BOUNDARY, INTERIOR

FAR = 64**2  # squared: no distance is told beyond


@pytest.fixture(params=["compiled", "interpreted"])
def interpreted(request, monkeypatch):
    """Interpreted code raises where compiled code would read or write beside an array."""
    if request.param == "compiled":
        return False
    for name, function in list(vars(kernel).items()):
        if isinstance(function, Dispatcher):
            monkeypatch.setattr(kernel, name, function.py_func)
    return True


def squares(mask: np.ndarray) -> np.ndarray:
    """Squared distance from every pixel to those of a mask, at most `FAR`."""
    if not mask.any():
        return np.full(mask.shape, FAR)
    return np.minimum(np.rint(ndimage.distance_transform_edt(~mask) ** 2).astype(int), FAR)


def numbered(membrane: np.ndarray, cells: int, random: np.random.Generator | None):
    """A slice's stretches, numbered at random or in turn: as they are kept, and as a picture."""
    found = row_segments.RowSegments(*row_segments.stretches_of(membrane))
    count = len(found.start)
    number = np.arange(count) % cells if random is None else random.integers(0, cells, count)
    number = (number + 1).astype(np.int32)
    picture = np.zeros(membrane.shape, int)
    for y in range(len(membrane)):
        for n in range(found.first[y], found.first[y + 1]):
            picture[y, found.start[n] : found.stop[n]] = number[n]
    return row_segments.SegmentsByCell(*row_segments.sorted_by(number, cells, found)), picture


def slices(random: np.random.Generator, height: int, width: int, share: float) -> list[np.ndarray]:
    """Two slices in which this share is membrane: lone pixels, walls, and columns without any."""
    found = []
    for _ in range(2):
        membrane = random.random((height, width)) < share
        membrane[:, random.random(width) < 0.15] = False
        membrane[random.random(height) < 0.1] = True
        found.append(membrane.astype(np.uint8))
    return found


def expected(own: np.ndarray, other: np.ndarray, reach: np.ndarray, membrane: np.ndarray) -> np.ndarray:
    limit, drawn = reach[squares(membrane > 0)].astype(int), np.full(own.shape, BOUNDARY)
    for cell in range(1, own.max() + 1):
        there = other == cell
        near = squares(there) <= limit if there.any() else limit >= 72
        drawn[(own == cell) & (there | near)] = INTERIOR
    return drawn


def persisting(random, membranes, reach, cells=4):
    """What is drawn, and what should be."""
    (own, mine), (other, theirs) = (numbered(membrane, cells, random) for membrane in membranes)
    drawn = np.full(mine.shape, BOUNDARY, np.uint8)
    room = np.full((3, kernel.LANES), 7, np.uint16)  # what another cell has left there
    kernel.draw_persisting(drawn, own, other, kernel.depths(membranes[0]), reach, room)
    return drawn, expected(mine, theirs, reach, membranes[0])


def reaches(random: np.random.Generator, most: int) -> np.ndarray:
    """Any limits that grow with depth, some of 0."""
    limits = np.sort(random.integers(0, most + 1, FAR + 1))
    limits[: random.integers(1, 4)] = 0
    return limits.astype(np.uint16)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 12), (70, 4), (140, 3)])
def test_depth_is_counted_along_columns_up_to_64_px_between_two_rims_of_100(interpreted, shape):
    random = np.random.default_rng(shape[0])
    for share in (0, 0.02, 0.5, 1):
        membrane = (random.random(shape) < share).astype(np.uint8)
        depth = kernel.depths(membrane)
        y = np.arange(shape[0])
        away = np.abs(y[:, None] - y)[..., None]  # (y, other y, x)
        nearest = np.where(membrane[None] > 0, away, 64).min(axis=1)
        assert depth.dtype == np.uint8
        np.testing.assert_array_equal(
            depth, np.pad(np.minimum(nearest, 64), ((0, 0), (100, 100)), constant_values=64)
        )


@pytest.mark.parametrize("share", [0.02, 0.15, 0.5])
def test_a_pixel_lasts_if_the_same_cell_of_the_other_slice_is_as_near_as_its_depth_allows(interpreted, share):
    random = np.random.default_rng(int(100 * share))
    sizes = [(1, 1), (1, 40), (40, 1), (9, 33), (13, 70), (6, 17)]
    for height, width in sizes if interpreted else [*sizes, (90, 140), (150, 90), (70, 75)] * 4:
        reach = reaches(random, 150 if interpreted else 4000)
        drawn, wanted = persisting(random, slices(random, height, width, share), reach)
        np.testing.assert_array_equal(drawn, wanted)


@pytest.mark.parametrize(
    ("long", "short"), [(15, 1), (16, 3), (17, 2), (31, 5), (32, 1), (33, 6), (64, 7), (65, 1)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_stretches_of_any_length_last_up_to_their_limit(interpreted, long, short, turned):
    random = np.random.default_rng(long)
    for limit in (0, 1, 4, 24, 25, 26, 100, 625):
        below, above = np.ones((7, 80), np.uint8), np.ones((7, 80), np.uint8)
        below[1:6, 5 : 5 + long] = 0
        above[random.integers(0, 7), (at := random.integers(0, 73)) : at + short] = 0
        membranes = (below[:, ::-1].copy(), above[:, ::-1].copy()) if turned else (below, above)
        reach = np.full(FAR + 1, limit, np.uint16)
        np.testing.assert_array_equal(*persisting(None, membranes, reach, 1))


@pytest.mark.parametrize(("limit", "lasts"), [(71, False), (72, True)])
def test_a_cell_of_one_slice_only_lasts_where_its_limit_is_72(interpreted, limit, lasts):
    below, above = np.ones((3, 5), np.uint8), np.ones((3, 5), np.uint8)
    below[1, 1:4] = 0
    drawn, wanted = persisting(np.random.default_rng(0), (below, above), np.full(FAR + 1, limit, np.uint16))
    assert (drawn[1, 1:4] == INTERIOR).all() == lasts
    np.testing.assert_array_equal(drawn, wanted)


def test_the_first_slice_may_have_fewer_cells_than_the_second(interpreted):
    random = np.random.default_rng(3)
    full, empty = np.zeros((4, 6), np.uint8), np.ones((4, 6), np.uint8)
    for membranes in ((full, empty), (empty, full), (empty, empty), (full, full)):
        np.testing.assert_array_equal(*persisting(random, membranes, reaches(random, 200)))


def test_what_a_wide_cell_left_behind_does_not_draw_a_narrow_one(interpreted):
    below, above = np.ones((6, 60), np.uint8), np.ones((6, 60), np.uint8)
    below[1, :30] = below[4, 5:10] = above[1, :41] = above[4, :2] = 0
    for membranes in ((below, above), (below[:, ::-1].copy(), above[:, ::-1].copy())):
        drawn, wanted = persisting(None, membranes, np.full(FAR + 1, 20, np.uint16))
        np.testing.assert_array_equal(drawn, wanted)
        assert np.count_nonzero(drawn[4] == INTERIOR) == 1


@pytest.mark.parametrize("turns", range(4))
def test_what_the_other_cell_has_far_above_below_or_beside_is_left_aside(interpreted, turns):
    below, above = np.ones((151, 151), np.uint8), np.ones((151, 151), np.uint8)
    below[74:77, 72:79] = above[75, 77] = above[70, 150] = 0
    for far in (0, 3, 8, 9, 10, 138, 139, 140, 141, 149):
        above[far, 70:80:4] = above[73:78:2, far] = 0
    membranes = [np.rot90(membrane, turns).copy() for membrane in (below, above)]
    for limit in (9,) if interpreted else (9, 63**2):
        np.testing.assert_array_equal(*persisting(None, membranes, np.full(FAR + 1, limit, np.uint16), 1))


@pytest.mark.parametrize("row", [4, 5, 6, 7])
def test_what_the_other_cell_has_65_pixels_above_is_not_taken_for_what_it_has_below(interpreted, row):
    below, above = np.ones((80, 50), np.uint8), np.ones((80, 50), np.uint8)
    below[70:72, 8:15] = above[72, 40] = above[row, 10:13] = 0
    drawn, wanted = persisting(None, (below, above), np.full(FAR + 1, 4, np.uint16), 1)
    np.testing.assert_array_equal(drawn, wanted)
    assert (drawn == BOUNDARY).all()
