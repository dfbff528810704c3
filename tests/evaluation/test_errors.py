"""Merges and splits on pictures that can be counted by hand; walls are drawn with letters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emseg_napari.core.jobs import Cancelled, JobContext
from emseg_napari.evaluation.errors import error_map, find_errors, segmentation_errors
from emseg_napari.settings import ErrorSettings

TABLE = {"?": 0, "#": 1, ".": 2}


def labels(*rows):
    """A slice from text: # boundary, . interior, ? unlabelled."""
    return np.array([[TABLE[letter] for letter in row] for row in rows], np.uint8)


def drawn(errors, shape):
    """The walls of the errors as text: M merge, S split."""
    picture = error_map(errors, (1, *shape))[0]
    return ["".join(" MS"[value] for value in row) for row in picture]


def found(truth, predicted, smallest_px=1):
    return segmentation_errors(truth, predicted == 2, smallest_px=smallest_px)


TWO_CELLS = labels(
    "....#...",
    "....#...",
    "....#...",
    "....#...",
)
GAP = labels(
    "....#...",
    "........",
    "........",
    "....#...",
)
ONE_CELL = labels(*["........"] * 4)


def test_a_gap_in_a_membrane_is_a_merge_of_the_smaller_cells_size_and_its_pixels_are_the_gap():
    (error,) = found(TWO_CELLS, GAP)
    assert (error.kind, error.size_px, error.cells) == ("merge", 12, (1, 2))
    assert error.centre in {(1, 4), (2, 4)}
    assert drawn([error], GAP.shape) == ["        ", "    M   ", "    M   ", "        "]


def test_a_false_membrane_is_a_split_of_the_smaller_pieces_size_and_its_pixels_are_the_membrane():
    (error,) = found(ONE_CELL, TWO_CELLS)
    assert (error.kind, error.size_px, error.cells) == ("split", 12, (1,))
    assert drawn([error], GAP.shape) == ["    S   "] * 4


def test_a_membrane_that_is_missing_wholly_is_shown_wholly_and_as_thick_as_it_is():
    truth = labels("...###..", "...###..", "...###..")
    (error,) = found(truth, np.full_like(truth, 2))
    assert error.size_px == 6
    assert drawn([error], truth.shape) == ["   MMM  "] * 3


def test_a_false_membrane_is_shown_as_thick_as_it_is():
    predicted = labels("...####..", "...####..")
    (error,) = found(np.full_like(predicted, 2), predicted)
    assert drawn([error], predicted.shape) == ["   SSSS  "] * 2


def test_a_membrane_found_too_thin_or_beside_its_place_or_open_at_its_end_is_no_error():
    truth = labels("....##....", "....##....", "....##....")
    thin = labels("....#.....", "....#.....", "....#.....")
    beside = labels(".....##...", ".....##...", ".....##...")
    dead_end = labels("..........", "..###.....", "..........")
    assert found(truth, thin) == []
    assert found(truth, beside, smallest_px=4) == []
    assert found(np.full_like(truth, 2), dead_end) == []


def test_each_missing_membrane_between_three_cells_is_an_error_of_its_own():
    truth = labels("..#.....#.", "..#.....#.")
    errors = found(truth, np.full_like(truth, 2))
    assert [(error.size_px, error.cells) for error in errors] == [(4, (1, 2)), (2, (2, 3))]
    assert drawn(errors, truth.shape) == ["  M     M "] * 2


def test_slivers_below_the_size_do_not_count():
    assert len(found(TWO_CELLS, GAP, smallest_px=12)) == 1
    assert found(TWO_CELLS, GAP, smallest_px=13) == []
    assert found(ONE_CELL, TWO_CELLS, smallest_px=13) == []


def test_a_cell_that_was_not_found_at_all_is_merged_with_its_neighbour():
    truth = labels("......#..", "......#..", "......#..")
    predicted = labels("......###", "......###", "......###")
    (error,) = found(truth, predicted)
    assert (error.kind, error.size_px, error.cells) == ("merge", 6, (1, 2))
    assert drawn([error], truth.shape) == ["      M  "] * 3


def test_a_thick_membrane_that_reaches_into_a_cell_is_no_error():
    truth = labels(*["......#......"] * 5)
    predicted = labels(*["......####..."] * 5)
    assert found(truth, predicted, smallest_px=3) == []


def test_a_rim_of_a_cell_that_fell_to_its_neighbour_is_no_split():
    truth = labels(*["....#........"] * 3)
    predicted = labels(*["....#######.."] * 3)  # thinned, the dam runs through the second cell
    assert found(truth, predicted) == []


def test_strokes_with_unlabelled_pixels_between_them_may_be_one_cell():
    truth = labels("...??...", "...??...")
    assert found(truth, np.full_like(truth, 2)) == []
    truth = labels("...?#...", "...?#...")
    (error,) = found(truth, np.full_like(truth, 2))
    assert drawn([error], truth.shape) == ["    M   "] * 2


@pytest.mark.parametrize("truth", [0, 1, 2])
@pytest.mark.parametrize("predicted", [1, 2])
def test_slices_of_one_class_have_no_walls(truth, predicted):
    assert found(np.full((5, 6), truth, np.uint8), np.full((5, 6), predicted, np.uint8)) == []


def test_where_nothing_was_found_all_neighbours_are_merged():
    errors = found(TWO_CELLS, np.ones_like(TWO_CELLS))
    assert [(error.kind, error.cells) for error in errors] == [("merge", (1, 2))]


def test_the_largest_error_comes_first_and_the_map_counts_in_its_stack():
    truth = labels("..#....#............", "..#....#............")
    predicted = labels(".............#......", ".............#......")
    errors = segmentation_errors(truth, predicted == 2, z=3, smallest_px=1)
    sizes = [(error.kind, error.size_px) for error in errors]
    assert sizes == [("split", 10), ("merge", 8), ("merge", 4)]
    picture = error_map(errors, (5, *truth.shape))
    assert picture.dtype == np.uint8
    assert not picture[[0, 1, 2, 4]].any()
    assert picture[3].tolist() == [[0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]] * 2


def test_slices_that_differ_in_shape_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="shapes differ"):
        segmentation_errors(TWO_CELLS, np.ones((3, 3), bool))


def test_errors_of_several_slices_are_told_by_their_numbers_largest_first_with_progress():
    truth, predicted = np.stack([TWO_CELLS] * 3), np.stack([GAP, TWO_CELLS, ONE_CELL])
    events = []
    settings = ErrorSettings(smallest_px=12)
    errors = find_errors(
        truth, predicted == 2, settings, context=JobContext(report=events.append), slices=(4, 7, 9)
    )
    assert [(error.z, error.size_px) for error in errors] == [(4, 12), (9, 12)]
    assert [event.fraction for event in events] == [1 / 3, 2 / 3, 1]
    assert events[-1].seconds_left == 0
    assert "slice 9" in events[-1].text
    assert find_errors(truth, predicted == 2, slices=(4, 7, 9)) == []  # smaller than the default


def test_the_largest_error_of_all_slices_comes_first():
    truth = np.stack([labels(*["..#....."] * 4), TWO_CELLS, labels(*[".#......"] * 4)])
    errors = find_errors(truth, truth > 0, ErrorSettings(smallest_px=1), slices=(4, 7, 9))
    assert [(error.z, error.size_px) for error in errors] == [(7, 12), (4, 8), (9, 4)]


def test_the_search_stops_when_it_is_told_to():
    with pytest.raises(Cancelled):
        find_errors(
            TWO_CELLS[None], GAP[None] == 2, context=JobContext(should_stop=lambda: True), slices=(0,)
        )


# -- properties ---------------------------------------------------------------------------


@st.composite
def grids(draw):
    """Labels of a grid of cells, and the rectangle (rows, columns) of one wall between two of them."""
    wall, side = draw(st.integers(1, 4)), draw(st.integers(5, 9))
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    pitch = wall + side
    y, x = np.indices((rows * pitch - wall, columns * pitch - wall))
    grid = np.where((y % pitch < side) & (x % pitch < side), 2, 1).astype(np.uint8)
    row, column = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 2))
    left, top = column * pitch + side, row * pitch
    return grid, np.s_[top : top + side, left : left + wall], row * columns + column + 1


@given(grids())
def test_a_perfect_prediction_has_no_errors(grid):
    truth, _, _ = grid
    assert found(truth, truth) == []


@given(grids(), st.data())
def test_cutting_one_membrane_is_one_merge_of_its_cells_and_no_split(grid, data):
    truth, (rows, columns), first = grid
    top = data.draw(st.integers(rows.start, rows.stop - 1))
    gap = np.s_[top : data.draw(st.integers(top + 1, rows.stop)), columns]
    predicted = truth.copy()
    predicted[gap] = 2
    (error,) = found(truth, predicted)
    assert (error.kind, error.cells) == ("merge", (first, first + 1))
    shown = np.zeros(truth.shape, bool)
    shown[error.pixels] = True
    assert shown[gap].any()
    shown[gap] = False
    assert not shown.any()


@given(grids())
def test_drawing_one_false_membrane_is_one_split_and_no_merge(grid):
    predicted, where, first = grid
    truth = predicted.copy()
    truth[where] = 2
    (error,) = found(truth, predicted)
    assert (error.kind, error.cells) == ("split", (first,))
    shown = np.zeros(truth.shape, bool)
    shown[error.pixels] = True
    assert shown[where].any()
    shown[where] = False
    assert not shown.any()


@given(grids(), st.integers(0, 2**32 - 1))
def test_a_noisy_prediction_has_walls_of_the_right_kind_only(grid, seed):
    truth, _, _ = grid
    noise = np.random.default_rng(seed).random(truth.shape) < 0.2
    predicted = np.where(noise, 3 - truth, truth).astype(np.uint8)
    for error in found(truth, predicted, smallest_px=5):
        y, x = error.pixels
        assert error.size_px >= 5
        assert error.centre in set(zip(y.tolist(), x.tolist(), strict=True))
        if error.kind == "split":
            assert (truth[y, x] == 2).all()
