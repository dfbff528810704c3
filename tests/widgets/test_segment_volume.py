"""Step Cells on stacks of any size: to an OME-Zarr on disk."""

import dask.array as da
import numpy as np
import pytest

from emseg_napari.io.layout import Layout
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_levels
from emseg_napari.segmentation.stack import segment_stack
from emseg_napari.settings import CellSettings
from emseg_napari.widgets.base.output_target import FILE
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.volume_layers import layer_of
from emseg_napari.widgets.segment import LAYER
from helpers.window import striped, wait_for


@pytest.fixture
def probability():
    _, labels = striped((3, 200, 260), period=40)
    return np.where(labels == 1, 230, 20).astype(np.uint8)


@pytest.fixture
def desk(dock, probability, tmp_path):
    """Step Cells with a lazy boundary probability and a place to write to."""
    layer = dock.workspace.viewer.add_image(
        da.from_array(probability, (1, 200, 260)), name="walls", scale=(50, 4, 4), contrast_limits=(0, 255)
    )
    step = dock.cells
    dock.show_step(step)
    step.source.choose(layer)
    step.target.setCurrentText(FILE)
    step.volume.path.setText(str(tmp_path / "cells.zarr"))
    step.form.set_values({"link": True})
    return step


def find(step, qtbot):
    step.find.click()
    wait_for(qtbot, lambda: not step.job.running)


def test_cells_of_a_lazy_stack_go_to_disk_and_are_those_found_in_memory(desk, qtbot, probability, tmp_path):
    find(desk, qtbot)
    assert desk.workspace.labels is None  # cells are no boundary labels
    wanted = segment_stack(probability, CellSettings(link=True))
    layer = desk.viewer.layers["walls cells"]
    np.testing.assert_array_equal(np.asarray(layer.data), wanted)
    np.testing.assert_allclose(layer.scale, (50, 4, 4))
    assert f"{wanted.max()} cells" in desk.status.text()
    assert str(tmp_path / "cells.zarr") in desk.status.text()


def test_cells_on_disk_say_that_confirmed_labels_do_not_count(desk, qtbot, probability):
    labels = (probability < 100).astype(np.uint8) + 1
    add_labels(desk.viewer, labels, "mine", desk.source.layer, confirmed=[1])
    find(desk, qtbot)
    assert "labels that you confirmed do not count" in desk.status.text()


@pytest.mark.parametrize("target", [FILE, LAYER])
def test_an_interior_that_says_it_is_one_is_divided_as_such(desk, qtbot, probability, tmp_path, target):
    layout = Layout(probability.shape, "uint8", chunk=(1, 200, 260), shard=None)
    output = VolumeOutput.prepare(tmp_path / "interior.zarr", layout, {"kind": "interior"})
    for block in output.blocks:
        output.write(block, 255 - probability[block.window])
    data, shown, _ = layer_of(open_levels(output.path))
    layer = desk.viewer.add_image(data, **shown | {"name": "inside"})
    desk.source.choose(layer)
    desk.target.setCurrentText(target)
    find(desk, qtbot)
    wanted = segment_stack(probability, CellSettings(link=True))
    np.testing.assert_array_equal(np.asarray(desk.viewer.layers["inside cells"].data), wanted)


def test_found_again_they_are_there_already_and_shown_once(desk, qtbot):
    find(desk, qtbot)
    layers = list(desk.viewer.layers)
    find(desk, qtbot)
    assert "All cells, in" in desk.status.text()
    assert list(desk.viewer.layers) == layers  # the layer is used again: none was removed or added


def test_a_table_says_of_how_many_parts_it_has_no_cells(desk, qtbot, probability, tmp_path):
    torn = (probability / 255).astype(np.float32)
    torn[1, 7, 7] = np.nan
    layer = desk.viewer.add_image(
        da.from_array(torn, (1, 200, 260)), name="torn", scale=(50, 4, 4), contrast_limits=(0, 1)
    )
    desk.source.choose(layer)
    desk.volume.path.setText(str(tmp_path / "cells.zarr"))
    desk.form.set_values({"link": False})
    find(desk, qtbot)
    assert "1 part without cells" in desk.status.text()
    desk.table.write(tmp_path / "cells.csv")
    wait_for(qtbot, lambda: desk.status.text().startswith("Wrote"))
    assert desk.status.text() == f"Wrote {tmp_path / 'cells.csv'}, without the cells of 1 part."


@pytest.mark.slow
def test_other_settings_do_not_overwrite_them(desk, qtbot):
    find(desk, qtbot)
    desk.form.set_values({"link": False})
    find(desk, qtbot)
    assert "choose another" in desk.status.text()


def test_labels_in_memory_are_no_source_for_cells_on_disk(desk, qtbot, probability):
    labels = desk.viewer.add_labels((probability < 100).astype(np.uint8) + 1, name="mine")
    desk.source.choose(labels)
    find(desk, qtbot)
    assert "need a boundary probability" in desk.status.text()


@pytest.mark.slow
def test_those_of_another_probability_of_the_same_name_are_not_taken_for_done(desk, qtbot, probability):
    find(desk, qtbot)
    desk.viewer.layers.remove("walls")
    other = np.roll(probability, 9, axis=2)
    layer = desk.viewer.add_image(
        da.from_array(other, (1, 200, 260)), name="walls", scale=(50, 4, 4), contrast_limits=(0, 255)
    )
    desk.source.choose(layer)
    find(desk, qtbot)
    assert "choose another output" in desk.status.text()
