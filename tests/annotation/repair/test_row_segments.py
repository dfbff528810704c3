"""Stretches of cells against the same pixel by pixel."""

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from scipy import ndimage

from emseg_napari.annotation.repair import row_segments
from emseg_napari.annotation.repair.row_segments import RowSegments


@pytest.fixture(autouse=True, params=["compiled", "interpreted"])
def interpreted(request, monkeypatch):
    """Interpreted code raises where compiled code would read or write beside an array."""
    for name, function in list(vars(row_segments).items()):
        if request.param == "interpreted" and isinstance(function, Dispatcher):
            monkeypatch.setattr(row_segments, name, function.py_func)


def membranes() -> list[np.ndarray]:
    """Slices of widths around whole words of 8 pixels, full, empty, and of stripes of single pixels."""
    random = np.random.default_rng(0)
    shapes = [(1, 1), (5, 1), (1, 8), (4, 7), (4, 8), (4, 9), (9, 15), (9, 16), (9, 17), (7, 31)]
    found = [random.random(shape) < share for shape in shapes for share in (0.2, 0.5, 0.8)]
    found += [np.full(shape, value) for shape in shapes for value in (False, True)]
    found += [np.indices(shape)[1] % 2 == first for shape in shapes for first in (0, 1)]
    return [membrane.astype(np.uint8) for membrane in found]


def pixels(found: RowSegments, value: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A picture, int (y, x), of a value per stretch; -1 elsewhere."""
    drawn = np.full(shape, -1)
    for y in range(shape[0]):
        for n in range(found.first[y], found.first[y + 1]):
            drawn[y, found.start[n] : found.stop[n]] = value[n]
    return drawn


def stretches(membrane: np.ndarray) -> RowSegments:
    return RowSegments(*row_segments.stretches_of(membrane))


def test_stretches_are_the_connected_pixels_of_a_row_in_reading_order():
    for membrane in membranes():
        found = stretches(membrane)
        numbers, count = ndimage.label(membrane == 0, [[0, 0, 0], [1, 1, 1], [0, 0, 0]])
        boxes = ndimage.find_objects(numbers)
        rows = [box[0].start for box in boxes]
        assert found.start.tolist() == [box[1].start for box in boxes]
        assert found.stop.tolist() == [box[1].stop for box in boxes]
        assert found.first.tolist() == np.searchsorted(rows, np.arange(len(membrane) + 1)).tolist()
        assert {(part.dtype.name, part.flags.c_contiguous) for part in found} == {("int32", True)}
        assert count == len(found.start)


def test_cells_touch_by_sides_and_are_numbered_in_reading_order():
    for membrane in membranes():
        found = stretches(membrane)
        number = row_segments.numbers_of(*found)
        assert number.dtype == np.int32
        cells = ndimage.label(membrane == 0)[0]
        np.testing.assert_array_equal(np.maximum(pixels(found, number, membrane.shape), 0), cells)


def test_a_spiral_and_a_comb_are_one_cell_each():
    spiral = np.array(
        [[0, 0, 0, 0, 0], [1, 1, 1, 1, 0], [0, 0, 0, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]], np.uint8
    )
    comb = np.array(
        [[0, 1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 1, 0]], np.uint8
    )
    for membrane in (spiral, comb, comb[::-1].copy(), spiral[:, ::-1].copy()):
        assert set(row_segments.numbers_of(*stretches(membrane)).tolist()) == {1}


def test_what_stretches_share_is_counted_once_for_each_two():
    slices = membranes()
    for below in slices:
        for above in [other for other in slices if other.shape == below.shape][:3]:
            one, other = stretches(below), stretches(above)
            marks = [pixels(part, np.arange(len(part.start)), below.shape) for part in (one, other)]
            both = (marks[0] >= 0) & (marks[1] >= 0)
            pairs, counts = np.unique(np.stack([mark[both] for mark in marks], 1), axis=0, return_counts=True)
            wanted = [[*pair, count] for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)]
            assert row_segments.shared(one, other).tolist() == wanted


def test_the_stretches_of_a_cell_stand_together_in_reading_order():
    random = np.random.default_rng(1)
    for membrane in membranes():
        found = stretches(membrane)
        number = random.integers(1, 6, len(found.start)).astype(np.int32)
        first, at = row_segments.sorted_by(number, 7, found)
        assert (first.dtype, at.dtype, first.shape) == (np.int32, np.int32, (9,))
        rows = np.repeat(np.arange(len(membrane)), np.diff(found.first))
        for cell in range(8):
            part = at[first[cell] : first[cell + 1]].tolist()
            mine = number == cell
            assert part == np.stack([rows[mine], found.start[mine], found.stop[mine]], 1).tolist()
