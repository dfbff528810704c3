"""The window on stacks that do not fit in memory: nothing ever reads the whole of them."""

import threading
from pathlib import Path

import dask.array
import h5py
import numpy as np
import pytest
import zarr
from napari.layers import Labels

from emseg_napari.annotation.session.recovery import recoverable
from emseg_napari.annotation.session.scratch import ScratchLabels, slices_in_use
from emseg_napari.annotation.session.store import load_session
from emseg_napari.core.files import read_json
from emseg_napari.core.jobs import UserError
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.open import open_volume
from emseg_napari.models.run import open_run
from emseg_napari.widgets.evaluate.comparison import compare
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of, labels_of, stack_of
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from helpers.window import canvas_of, drag, middle, settle, wait_for, wait_until_left

HUGE = (1000, 4096, 4096)


class Walls:
    """A stack of dark walls that is made where it is looked at, and notes in a folder which slices were."""

    dtype, ndim = np.dtype(np.uint8), 3

    def __init__(self, shape, folder):
        self.shape, self.folder = shape, Path(folder)
        self.folder.mkdir(exist_ok=True)

    def __getitem__(self, key):
        slices, *part = key
        for z in range(slices.start, slices.stop):
            (self.folder / str(z)).touch()
        return np.stack([self.plane(z) for z in range(slices.start, slices.stop)])[:, *part]

    def plane(self, z):
        y, x = np.ogrid[: self.shape[1], : self.shape[2]]
        noise = np.random.default_rng(z).normal(0, 12, self.shape[1:])
        return (np.where((y % 16 < 3) | (x % 16 < 3), 60, 180) + noise).clip(0, 255).astype(np.uint8)

    def seen(self):
        return {int(path.name) for path in self.folder.iterdir()}


def walls_labels(shape):
    y, x = np.ogrid[: shape[1], : shape[2]]
    return np.where((y % 16 < 3) | (x % 16 < 3), 1, 2).astype(np.uint8)


@pytest.fixture
def walls(dock, tmp_path):
    """The dock with a layer of 60 slices that notes which of them are read."""
    stack = Walls((60, 96, 96), tmp_path / "seen")
    lazy = dask.array.from_array(stack, chunks=(1, 96, 96), name=False, meta=np.empty((0, 0, 0), np.uint8))
    layer = dock.workspace.viewer.add_image(
        lazy, name="walls", contrast_limits=(0, 255), scale=(50, 4, 4), units=("nanometer",) * 3
    )
    dock.workspace.choose("image", layer)
    yield dock, stack
    assert len(stack.seen()) < 30  # it fails whatever reads all


def put_labels(layer, slices, shape):
    y, x = (grid.ravel() for grid in np.indices(shape[1:]))
    for z in slices:
        layer.data_setitem((np.full(len(y), z), y, x), walls_labels(shape).ravel())


@pytest.mark.slow
def test_a_lazy_layer_is_trained_on_by_the_engine_and_only_labelled_slices_are_read(walls, qtbot):
    dock, stack = walls
    dock.load.new_labels_button.click()
    layer = dock.workspace.labels
    assert tuple(layer.scale) == (50, 4, 4)
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 3
    seen_before = stack.seen()
    labelled = [7, 21, 22, 40, 55]
    put_labels(layer, labelled, stack.shape)
    dock.train.unit.setCurrentText("epochs")
    dock.train.amount.setText("1")
    dock.train.form.set_values({"steps_per_epoch": 2, "patch_px": 32, "batch_size": 2})
    dock.train.train.click()
    wait_for(qtbot, lambda: dock.workspace.run is not None or not dock.train.job.running, 180)
    wait_for(qtbot, lambda: not dock.train.job.running, 180)
    assert dock.workspace.run is not None, dock.train.status.text()
    record = open_run(dock.workspace.run).record
    assert sorted(record.trained_slices + record.held_out_slices) == labelled
    assert record.image_shape == stack.shape
    assert {fingerprint(stack.plane(z)) for z in record.trained_slices} <= set(record.fingerprints)
    assert stack.seen() <= {*labelled, *seen_before, 30}


def test_tools_read_the_slice_that_they_work_on(walls, qtbot, tmp_path):
    dock, stack = walls
    dock.show_step(dock.correct)
    dock.load.new_labels_button.click()
    layer = dock.workspace.labels
    put_labels(layer, [29, 30], stack.shape)
    dock.workspace.viewer.dims.set_point(0, 30 * 50)
    before = stack.seen()
    np.testing.assert_array_equal(dock.correct.image_plane(30), stack.plane(30))
    assert dock.correct.image_plane(30) is dock.correct.image_plane(30)
    dock.correct.confirm.click()
    dock.export.form.set_values({"which": "confirmed"})
    dock.export.export_to(tmp_path / "out")
    wait_for(qtbot, lambda: dock.export.status.text().startswith("Exported"))
    record = read_json(tmp_path / "out" / "export.json")
    assert record["slices"] == [30]
    assert record["voxel"] == {"size": [50, 4, 4], "unit": "nanometer"}
    assert stack.seen() <= before | {30}


def test_a_probability_on_disk_is_scored_where_there_is_truth(walls, qtbot, tmp_path):
    dock, stack = walls
    probability = Walls(stack.shape, tmp_path / "probability")
    probability.plane = lambda z: np.where(walls_labels(stack.shape) == 1, 255, 0).astype(np.uint8)
    lazy = dask.array.from_array(
        probability, chunks=(1, 96, 96), name=False, meta=np.empty((0, 0, 0), np.uint8)
    )
    viewer = dock.workspace.viewer
    dock.load.new_labels_button.click()
    put_labels(dock.workspace.labels, [2, 58], stack.shape)
    layer = viewer.add_image(lazy, name="on disk", contrast_limits=(0, 255), scale=(50, 4, 4))
    wait_for(qtbot, lambda: not dock.offer.isHidden())  # it has looked whether this may be labels
    dock.evaluate.prediction.choose(layer)
    shown = probability.seen()
    dock.evaluate.evaluate.click()
    wait_for(qtbot, lambda: dock.evaluate.status.text().startswith("Scored"))
    assert dock.workspace.rounds[-1].slices == (2, 58)
    assert dock.workspace.rounds[-1].v_rand > 0.99
    assert probability.seen() <= shown | {2, 58}


def test_a_layer_that_no_other_process_can_read_is_said_in_a_sentence(dock, qtbot):
    lock = threading.Lock()
    held = Walls((6, 64, 64), dock.workspace.runs_folder.parent)
    held.lock = lock
    lazy = dask.array.from_array(held, chunks=(1, 64, 64), name=False, meta=np.empty((0, 0, 0), np.uint8))
    dock.workspace.choose("image", dock.workspace.viewer.add_image(lazy, name="held", contrast_limits=(0, 9)))
    dock.load.new_labels_button.click()
    put_labels(dock.workspace.labels, [1, 2], held.shape)
    dock.train.train.click()
    wait_for(qtbot, lambda: not dock.train.job.running)
    assert "held cannot be read by another process" in dock.train.status.text()


@pytest.fixture
def huge(dock, qtbot, tmp_path):
    """The dock with 16 GiB in a Zarr of which two slices are written."""
    array = zarr.create_array(
        tmp_path / "huge.zarr", shape=HUGE, chunks=(1, 1024, 1024), dtype="uint8", fill_value=90
    )
    array[500, 1024:3072, 1024:3072] = 200
    dock.load.open_image(tmp_path / "huge.zarr")
    wait_for(qtbot, lambda: dock.workspace.image is not None)
    dock.workspace.viewer.dims.set_point(0, 500)
    return dock


def test_labels_of_a_huge_stack_are_painted_undone_confirmed_kept_and_opened_again(huge, qtbot, data_folder):
    assert "1000 slices of 4096 x 4096, 8 bit" in huge.load.about.text()
    huge.load.new_labels_button.click()
    layer = huge.workspace.labels
    assert isinstance(layer.data, ScratchLabels)
    huge.show_step(huge.correct)
    huge.correct.tools[0].click()
    canvas = canvas_of(huge)
    drag(canvas, middle(canvas, -60, 20), middle(canvas, 60, 25))
    painted = layer.data[500].copy()
    assert painted.any()
    assert list(slices_in_use(layer.data)) == [500]
    history_of(layer).undo()
    assert not layer.data[500].any()
    history_of(layer).redo()
    np.testing.assert_array_equal(layer.data[500], painted)
    huge.correct.confirm.click()
    assert confirmed_in(layer) == {500}
    wait_for(qtbot, lambda: huge.correct.strip.totals()["raw"] == 999)  # counted by a timer
    folder = huge.autosave.folder(layer)
    wait_for(qtbot, lambda: (folder / "labels" / "0500.png").is_file())
    wait_for(qtbot, lambda: read_json(folder / "session.json")["confirmed"] == [500])
    assert sum(path.stat().st_size for path in data_folder.rglob("*") if path.is_file()) < 5_000_000
    huge.workspace.viewer.layers.clear()
    wait_for(qtbot, lambda: [one.folder for one in recoverable()] == [folder])
    huge.load.lost_work.refresh()
    huge.load.lost_work.restore.click()
    wait_for(qtbot, lambda: huge.workspace.labels is not None)
    again = huge.workspace.labels
    assert isinstance(again.data, ScratchLabels)
    np.testing.assert_array_equal(again.data[500], painted)
    assert confirmed_in(again) == {500}
    assert volume_of_layer(huge.workspace.image).shape == HUGE


def test_a_huge_image_that_nobody_can_open_again_is_not_copied_and_that_is_said(dock, qtbot, tmp_path):
    lazy = dask.array.zeros(HUGE, dtype=np.uint8, chunks=(1, 4096, 4096))
    image = dock.workspace.viewer.add_image(lazy, name="computed", contrast_limits=(0, 9))
    dock.workspace.choose("image", image)
    dock.load.new_labels_button.click()
    layer = dock.workspace.labels
    layer.data_setitem((np.array([3]), np.array([5]), np.array([6])), 1)
    told = "computed is too large to be copied automatically"
    wait_for(qtbot, lambda: told in dock.load.status.text())
    folder = dock.autosave.folder(layer)
    wait_for(qtbot, lambda: (folder / "labels" / "0003.png").is_file())
    assert not (folder / "image.tif").exists()
    dock.load.save_session(tmp_path / "work.emseg")
    settle(dock.load)
    assert "tick 'Sessions hold a copy of the image' in the Menu" in dock.load.status.text()


def test_voxel_size_is_read_shown_kept_and_comes_back(dock, qtbot, tmp_path):
    with h5py.File(tmp_path / "cremi.h5", "w") as file:
        raw = file.create_dataset("volumes/raw", data=np.arange(6 * 64 * 64).reshape(6, 64, 64) % 251)
        raw.attrs["resolution"] = (40.0, 4.0, 4.0)
    dock.load.open_image(tmp_path / "cremi.h5")
    wait_for(qtbot, lambda: dock.workspace.image is not None)
    assert "6 slices of 64 x 64, 64 bit with sign, 40 x 4 x 4 nm (z, y, x)" in dock.load.about.text()
    dock.load.new_labels_button.click()
    dock.workspace.labels.translate = (80, 0, 4)
    dock.workspace.labels.data_setitem((np.array([3]), np.array([5]), np.array([6])), 1)
    dock.load.save_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Saved"))
    dock.workspace.image.scale = (35, 4, 4)  # found out later
    dock.workspace.labels.data_setitem((np.array([3]), np.array([7]), np.array([6])), 1)
    dock.workspace.viewer.layers.clear()
    wait_for(qtbot, lambda: load_session(tmp_path / "work.emseg").labels[3, 7, 6] == 1)
    wait_until_left(qtbot, tmp_path / "work.emseg")
    dock.load.open_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    image, labels = dock.workspace.image, dock.workspace.labels
    assert tuple(image.scale) == (35, 4, 4)
    assert tuple(labels.scale) == (40, 4, 4)
    assert tuple(labels.translate) == (80, 0, 4)
    assert {str(unit) for layer in (image, labels) for unit in layer.units} == {"nanometer"}


def test_the_finest_level_of_a_multiscale_layer_is_the_stack(dock):
    fine = dask.array.zeros((8, 64, 64), dtype=np.uint8, chunks=(1, 64, 64)) + 5
    image = dock.workspace.viewer.add_image([fine, fine[:, ::2, ::2]], name="levels", multiscale=True)
    assert volume_of_layer(image).shape == (8, 64, 64)
    dock.workspace.choose("image", image)
    labels = add_labels(dock.workspace.viewer, np.zeros((8, 64, 64), np.uint8), "mine", image)
    labels.data[2, 3] = 1
    assert labels_of(labels).stored_slices == [2]
    assert stack_of(labels) is labels.data
    dock.workspace.choose("labels", labels)
    assert dock.correct.image().shape == (8, 64, 64)


def test_a_slice_of_a_probability_that_is_not_all_on_disk_is_not_scored(dock, tmp_path):
    shape = (4, 96, 96)
    viewer = dock.workspace.viewer
    image = viewer.add_image(np.zeros(shape, np.uint8), name="image")
    array = zarr.create_array(tmp_path / "p.zarr", shape=shape, chunks=(1, 48, 96), dtype="uint8")
    array[1] = 255 * (walls_labels(shape) == 1)
    array[2, :48] = 255
    known = LayerInfo(proposal_of=image.unique_id, volume=(array, open_volume(tmp_path / "p.zarr")))
    layer = viewer.add_image(array, name="on disk", metadata=known.as_metadata(), contrast_limits=(0, 255))
    truth = add_labels(viewer, np.repeat(walls_labels(shape)[None], 4, 0), "truth", image)
    comparison = compare(layer, truth, dock.workspace, lambda error: None)
    assert comparison.slices == [1]
    assert "Not predicted yet, or not all there on disk, so not scored: slices 0, 2-3." in comparison.notes


def test_labels_of_others_in_a_mapped_file_are_refused_like_volumes_when_too_large(tmp_path, monkeypatch):
    mapped = np.memmap(tmp_path / "labels.raw", np.uint8, "w+", shape=(2, 64, 64))
    mapped[1] = walls_labels(mapped.shape)
    layer = Labels(mapped, name="mapped")
    assert labels_of(layer).stored_slices == [1]
    monkeypatch.setattr("emseg_napari.widgets.layers.labels_layer._MOST_FOREIGN_BYTES", mapped.nbytes - 1)
    with pytest.raises(UserError, match=r"mapped .* is too large to be taken over at once"):
        labels_of(layer)
