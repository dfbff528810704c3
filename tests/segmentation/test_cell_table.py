"""The table of cells: what is measured, and how it is written."""

import numpy as np
import pytest

from emseg_napari.segmentation.cell_table import measured, write_table

# Cell 7 lies in slices 0 and 2, cell 3 in slice 1.
CELLS = np.array([[[0, 7, 7]], [[3, 3, 3]], [[0, 0, 7]]])


@pytest.mark.parametrize(("linked", "size"), [(True, "voxels"), (False, "pixels")])
def test_every_cell_has_its_slices_and_its_size(linked, size):
    found = {name: column.tolist() for name, column in measured(enumerate(CELLS), None, linked).items()}
    assert found == {
        "cell": [3, 7],
        "first_slice": [1, 0],
        "last_slice": [1, 2],
        "slices": [1, 2],
        size: [3, 3],
    }


@pytest.mark.parametrize(("linked", "name"), [(True, "volume_nanometer3"), (False, "area_nanometer2")])
def test_sizes_have_the_units_of_the_pixel(linked, name):
    assert measured(enumerate(CELLS), (20, "nanometer"), linked)[name].tolist() == [60, 60]


def test_the_table_is_written_as_csv(tmp_path):
    write_table(tmp_path / "cells.csv", measured(enumerate(CELLS), (0.01, "micrometer"), False))
    lines = (tmp_path / "cells.csv").read_text(encoding="utf-8").split("\n")
    assert lines[0] == "cell,first_slice,last_slice,slices,pixels,area_micrometer2"
    assert lines[1:] == ["3,1,1,1,3,0.03", "7,0,2,2,3,0.03", ""]


def test_no_cells_are_an_empty_table():
    table = measured(enumerate(np.zeros((2, 1, 3), int)), (1000, "nanometer"), True)
    assert all(not len(column) for column in table.values())
