"""The table of cells: what is measured, and how it is written."""

import numpy as np
import pytest

from emseg_napari.core.jobs import Cancelled, JobContext, Progress, UserError
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.volume import volume_of
from emseg_napari.segmentation import cell_table
from emseg_napari.segmentation.cell_table import (
    cells_by_slice,
    cells_in,
    measured,
    save_table,
    survey,
    write_table,
)
from emseg_napari.segmentation.contacts import contacts_in

# Cell 7 lies in slices 0 and 2, cell 3 in slice 1.
STACK = np.array([[[0, 7, 7]], [[3, 3, 3]], [[0, 0, 7]]])
CELLS = [cells_in(plane) for plane in STACK]


@pytest.mark.parametrize(
    "plane",
    [
        STACK[0],
        np.zeros((2, 3), np.int32),
        np.random.default_rng(0).integers(0, 90, (20, 30), np.uint16),
        np.random.default_rng(1).integers(2**31 - 90, 2**31, (20, 30)).astype(np.int32),
        np.array([[1, 2**31 - 1, 0]], np.int32),  # few pixels, far apart
        np.array([[-2, -(2**31), 2**31 - 1]], np.int32),
        np.array([[-1, 32767, 0, -32768]], np.int16),
        np.array([[2**63 - 1, 2**63 - 1, 0]], np.uint64),
    ],
)
def test_every_number_of_a_slice_above_0_is_counted(plane):
    numbers, pixels = np.unique(plane[plane > 0], return_counts=True)
    found = cells_in(plane)
    assert (found.numbers.tolist(), found.pixels.tolist()) == (numbers.tolist(), pixels.tolist())
    assert (found.numbers.dtype, found.pixels.dtype) == (np.int64, np.int64)
    boxes = [np.argwhere(plane == number) for number in numbers]
    assert found.boxes.tolist() == [
        [int(end(where[:, axis])) for axis in (0, 1) for end in (np.min, np.max)] for where in boxes
    ]
    assert found.raised(5).numbers.tolist() == (found.numbers + 5).tolist()


def test_slices_are_measured_one_by_one_with_progress_and_cancel():
    events = []
    found = cells_by_slice(STACK, JobContext(events.append), first_slice=4)
    assert [(z, cells.numbers.tolist()) for z, cells in found.items()] == [(4, [7]), (5, [3]), (6, [7])]
    assert [event.fraction for event in events] == pytest.approx([1 / 3, 2 / 3, 1])
    assert all(isinstance(event, Progress) and event.seconds_left is not None for event in events)
    assert events[-1].text == "slice 6 measured"
    asked = []
    with pytest.raises(Cancelled):
        cells_by_slice(STACK, JobContext(should_stop=lambda: len(asked) == 2, report=asked.append))
    assert len(asked) == 2


def test_of_a_sparse_stack_only_what_it_stores_is_measured():
    assert list(cells_by_slice(SparseStack.of(STACK, [2]))) == [2]
    assert cells_by_slice(SparseStack.of(STACK, [])) == {}


def test_no_file_is_left_of_a_table_that_is_cancelled(tmp_path):
    save_table(STACK, tmp_path / "cells.csv", (20, "nanometer"), True)
    kept = (tmp_path / "cells.csv").read_bytes()
    with pytest.raises(Cancelled):
        save_table(STACK + 1, tmp_path / "cells.csv", None, True, JobContext(should_stop=lambda: True))
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".csv"] == ["cells.csv"]
    assert (tmp_path / "cells.csv").read_bytes() == kept


def test_sizes_are_written_exactly(tmp_path):
    slices = [(0, cells_in(np.ones((1, 6401234), np.uint8)))]
    write_table(tmp_path / "cells.csv", measured(slices, (100, "nanometer"), True))
    assert (
        (tmp_path / "cells.csv")
        .read_text(encoding="utf-8")
        .splitlines()[1]
        .endswith(",640123400,0,0,0,6401233")
    )


@pytest.mark.parametrize(("linked", "size"), [(True, "voxels"), (False, "pixels")])
def test_every_cell_has_its_slices_and_its_size(linked, size):
    found = {name: column.tolist() for name, column in measured(enumerate(CELLS), None, linked).items()}
    assert found == {
        "cell": [3, 7],
        "first_slice": [1, 0],
        "last_slice": [1, 2],
        "slices": [1, 2],
        size: [3, 3],
        "y_min": [0, 0],
        "y_max": [0, 0],
        "x_min": [0, 1],
        "x_max": [2, 2],
    }


@pytest.mark.parametrize(("linked", "name"), [(True, "volume_nanometer3"), (False, "area_nanometer2")])
def test_sizes_have_the_units_of_the_pixel(linked, name):
    assert measured(enumerate(CELLS), (20, "nanometer"), linked)[name].tolist() == [60, 60]


def test_the_table_is_written_as_csv(tmp_path):
    write_table(tmp_path / "cells.csv", measured(enumerate(CELLS), (0.01, "micrometer"), False))
    lines = (tmp_path / "cells.csv").read_text(encoding="utf-8").split("\n")
    assert lines[0] == "cell,first_slice,last_slice,slices,pixels,area_micrometer2,y_min,y_max,x_min,x_max"
    assert lines[1:] == ["3,1,1,1,3,0.03,0,0,0,2", "7,0,2,2,3,0.03,0,0,1,2", ""]


def test_no_cells_are_an_empty_table():
    table = measured([(0, cells_in(np.zeros((1, 3), int)))], (1000, "nanometer"), True)
    assert list(table) == list(measured([], (1000, "nanometer"), True))
    assert all(not len(column) for column in table.values())


def touching(stack: np.ndarray, linked: bool) -> dict[int, str]:
    table = survey(stack, None, linked)
    return dict(zip(table["cell"].tolist(), table["neighbours"], strict=True))


def test_neighbours_touch_or_lie_behind_a_line_of_no_cell():
    plane = np.array([[1, 0, 2, 0, 0, 3, 0, 0, 0, 4], [1, 5, 5, 0, 0, 0, 0, 0, 0, 4]])
    assert touching(plane[np.newaxis], False) == {1: "2 5", 2: "1 3 5", 3: "2", 4: "", 5: "1 2"}


def test_negative_numbers_are_unlabelled_and_no_cells():
    stack = np.array([[[-1, 32767, 32767, -32768, -2, 5]], [[-1, 7, -1, -1, -1, -1]]], np.int16)
    assert touching(stack, True) == {5: "32767", 7: "32767", 32767: "5 7"}


def test_linked_cells_have_neighbours_in_the_slices_beside_them():
    assert touching(STACK, True) == {3: "7", 7: "3"}
    assert touching(STACK, False) == {3: "", 7: ""}
    gap = np.array([[[1]], [[0]], [[2]]])
    assert touching(SparseStack.of(gap), True) == {1: "", 2: ""}


@pytest.mark.parametrize("linked", [True, False])
def test_tiles_of_large_slices_give_the_same_table(linked, monkeypatch):
    stack = np.random.default_rng(4).integers(0, 60, (4, 23, 31)).astype(np.int32)
    whole = survey(stack, (2.0, "nanometer"), linked)
    monkeypatch.setattr(cell_table, "_TILE_PX", 7)
    monkeypatch.setattr(cell_table, "_PENDING", 5)
    for source in (stack, volume_of(stack), SparseStack.of(stack)):
        tiled = survey(source, (2.0, "nanometer"), linked)
        assert {k: v.tolist() for k, v in tiled.items()} == {k: v.tolist() for k, v in whole.items()}


def test_pairs_of_neighbours_are_listed_once():
    assert contacts_in(np.array([[2, 1], [1, 2], [2, 1]])).tolist() == [[1, 2]]
    assert contacts_in(np.array([[7]])).tolist() == []


def test_what_holds_no_numbers_of_cells_is_refused(tmp_path):
    with pytest.raises(UserError, match="float32 values; numbers of cells are needed"):
        save_table(np.zeros((1, 2, 2), np.float32), tmp_path / "cells.csv", None, True)
    with pytest.raises(UserError, match="18446744073709551615, which is too high"):
        save_table(np.full((1, 2, 2), 2**64 - 1, np.uint64), tmp_path / "cells.csv", None, True)
    assert not list(tmp_path.glob("*.csv"))
