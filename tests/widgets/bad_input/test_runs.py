"""Runs that predict, are trained and resumed. Every mistake is a sentence, and nothing is lost."""

import json
import shutil

import numpy as np
import pytest

from emseg_napari.annotation.label_state import plain
from emseg_napari.annotation.session.store import load_session
from emseg_napari.core.jobs import EpochEnded, SlicePredicted
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.stacks import read_labels
from emseg_napari.models.run import open_run
from emseg_napari.widgets.base.prediction_options import FILL, OWN_LAYER
from emseg_napari.widgets.layers.labels_layer import confirmed_in, is_managed
from helpers.mistakes import IMAGE, LABELS, altered, assert_complaint, assert_kept, files_below, noise, state
from helpers.window import entry, settle, striped, wait_for


def test_what_is_no_run_is_refused_and_the_chosen_run_stays(loaded, choose, tiny_run, run_copy, tmp_path):
    loaded.predict.set_run(tiny_run.folder)
    record = json.loads((run_copy / "run.json").read_text())
    for content, part in (
        (None, "choose the folder that a training wrote"),
        (json.dumps(record | {"format": 99}), "written by another version of emseg-napari (format 99"),
        (json.dumps(record | {"threshold": "high"}), "train again"),
        ("{", "run.json is damaged"),
    ):
        if content is None:
            (run_copy / "run.json").unlink()
        else:
            (run_copy / "run.json").write_text(content)
        choose(run_copy)
        picker = loaded.predict.run_picker
        picker.activated.emit(picker.count() - 1)  # another run folder
        assert_complaint(loaded.predict, run_copy, part)
        assert loaded.workspace.run == tiny_run.folder


def predict(dock, qtbot):
    dock.predict.whole_stack.click()
    assert dock.predict.job.running, dock.predict.status.text()
    wait_for(qtbot, lambda: not dock.predict.job.running)


def test_a_run_that_lost_its_network_predicts_nothing_and_a_whole_one_does(loaded, qtbot, run_copy, tiny_run):
    viewer = loaded.workspace.viewer
    before = state(viewer)
    loaded.predict.with_probability.setChecked(True)
    loaded.predict.set_run(run_copy)
    network = run_copy / "network.onnx"
    network.write_bytes(network.read_bytes()[:1000])
    predict(loaded, qtbot)
    assert_complaint(loaded.predict, network, "damaged: train again")
    network.unlink()
    predict(loaded, qtbot)
    assert_complaint(loaded.predict, run_copy, "network.onnx", "resume it")
    shutil.rmtree(run_copy)
    loaded.predict.whole_stack.click()
    assert_complaint(loaded.predict, run_copy, "is not a run folder")
    assert_kept(viewer, before)
    loaded.predict.set_run(tiny_run.folder)
    loaded.predict.target.setCurrentText(OWN_LAYER)
    predict(loaded, qtbot)
    assert "cells proposal" in viewer.layers


def test_predicting_refuses_what_is_no_image(dock, started, tiny_run):
    viewer = dock.workspace.viewer
    dock.predict.set_run(tiny_run.folder)
    for image, rgb, parts in (
        (noise(2, 20, 20, 3), True, ("cells is a colour image", "convert it")),
        (noise(2, 2, 20, 20), False, ("cells has 4 axes", "split")),
        (np.full_like(IMAGE, 9), False, ("cells", "same value (9)")),
        (altered(IMAGE, np.nan), False, ("cells", "the first in slice 3")),
        (altered(IMAGE, np.inf), False, ("cells", "the first in slice 3")),
    ):
        viewer.layers.clear()
        viewer.add_image(image, name="cells", rgb=rgb)
        before = state(viewer)
        dock.predict.whole_stack.click()
        assert_complaint(dock.predict, *parts)
        assert_kept(viewer, before)
    viewer.dims.set_point(0, 3)
    dock.predict.this_slice.click()
    assert_complaint(dock.predict, "cells", "the first in slice 3")
    assert not started
    viewer.dims.set_point(0, 2)
    dock.predict.this_slice.click()
    assert started[0]["settings"].slices == (2, 3)


def test_a_layer_of_whole_numbers_is_filled_exported_and_saved(dock, qtbot, load, choose, tiny_run, tmp_path):
    """A user's own 0/1/2 layer of 64 bits, which is taken over."""
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    mine = viewer.add_labels(altered(LABELS, 0, np.s_[:, :, 25:]).astype(np.int64), name="mine")
    dock.predict.set_run(tiny_run.folder)
    dock.predict.whole_stack.click()  # it is taken over first
    wait_for(qtbot, lambda: is_managed(mine) and not dock.predict.job.running and mine.data.all())
    assert dock.workspace.labels == mine
    dock.correct.tools[0].click()
    settle(dock.correct)
    assert mine.data.dtype == np.int64
    np.testing.assert_array_equal(mine.data[:, :, :25], LABELS[:, :, :25])
    assert (mine.data[:, :, 25:] > 0).all()
    dock.correct.confirm.click()
    z = next(iter(confirmed_in(mine)))
    choose(tmp_path / "out")
    dock.export.export.click()
    wait_for(qtbot, lambda: dock.export.status.text().startswith("Exported"))
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "labels.tif"), plain(mine.data[[z]]))
    choose(tmp_path / "work.emseg")
    entry(dock, "Save session...").click()
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Saved"))
    np.testing.assert_array_equal(load_session(tmp_path / "work.emseg").labels, mine.data)


def test_layers_deleted_in_mid_prediction_are_said_and_the_next_prediction_comes(loaded, qtbot, tiny_run):
    viewer, truth = loaded.workspace.viewer, loaded.workspace.labels
    loaded.predict.set_run(tiny_run.folder)
    loaded.predict.with_probability.setChecked(False)

    def predict_and_delete(name):
        def delete(event):
            if isinstance(event, SlicePredicted) and event.z == 0:
                viewer.layers.remove(name)

        loaded.predict.job.event.connect(delete)
        predict(loaded, qtbot)
        loaded.predict.job.event.disconnect(delete)

    before = state(viewer)
    loaded.predict.target.setCurrentText(OWN_LAYER)
    predict_and_delete("cells proposal")
    assert_complaint(loaded.predict, "cells proposal", "propose again")
    assert_kept(viewer, before)
    truth.data[:] = 0
    loaded.predict.target.setCurrentText(FILL)
    predict_and_delete("truth")
    assert_complaint(loaded.predict, "truth", "propose again")
    loaded.predict.target.setCurrentText(OWN_LAYER)
    predict_and_delete("cells")
    assert viewer.layers["cells proposal"].data.all()
    assert not loaded.predict.whole_stack.isEnabled()


def set_tiny(dock, epochs=1):
    dock.train.form.set_values({"patch_px": 64, "batch_size": 1, "steps_per_epoch": 2})
    dock.train.unit.setCurrentText("epochs")
    dock.train.amount.setText(str(epochs))


def train(dock, qtbot, button=None):
    (button or dock.train.train).click()
    assert dock.train.job.running, dock.train.status.text()
    wait_for(qtbot, lambda: not dock.train.job.running, 180)


@pytest.mark.slow
def test_layers_deleted_in_mid_training_do_not_stop_it(loaded, qtbot, tmp_path):
    """The stack is smaller than a patch, too."""
    set_tiny(loaded, epochs=3)
    viewer = loaded.workspace.viewer

    def delete(event):
        if isinstance(event, EpochEnded) and event.epoch == 1:
            viewer.layers.clear()

    loaded.train.job.event.connect(delete)
    train(loaded, qtbot)
    assert loaded.train.status.text().startswith("Trained")
    assert not len(viewer.layers)
    assert "open an image first" in loaded.train.train.toolTip()


@pytest.mark.slow
def test_a_damaged_checkpoint_and_a_runs_folder_that_is_none_are_said(loaded, qtbot, run_copy, tmp_path):
    set_tiny(loaded)
    before = state(loaded.workspace.viewer)
    (tmp_path / "file").write_text("a regular file")
    loaded.workspace.runs_folder = tmp_path / "file" / "runs"
    train(loaded, qtbot)
    assert_complaint(loaded.train, tmp_path / "file", "choose another")

    image = loaded.workspace.image.data
    seen = [fingerprint(slice_) for slice_ in image]
    open_run(run_copy).update(
        finished=False, image_shape=image.shape, fingerprints=seen, held_out_fingerprints=seen
    )
    loaded.train.start_from.accept_folder(run_copy)
    checkpoint = run_copy / "last.keras"
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    loaded.train.form.widgets["slices"].value = "abc"  # a resumed training has settings of its own
    written = files_below(run_copy)
    train(loaded, qtbot, loaded.train.resume)
    assert_complaint(loaded.train, checkpoint, "train again")
    assert files_below(run_copy) == written
    assert_kept(loaded.workspace.viewer, before)


@pytest.mark.slow
def test_slices_of_odd_sizes_train_and_predict(dock, qtbot):
    image, labels = striped((2, 513, 300))
    viewer = dock.workspace.viewer
    viewer.add_image(image, name="odd")
    viewer.add_labels(labels, name="truth")
    set_tiny(dock)
    train(dock, qtbot)
    viewer.dims.set_point(0, 1)
    dock.predict.target.setCurrentText(OWN_LAYER)
    dock.predict.this_slice.click()
    wait_for(qtbot, lambda: not dock.predict.job.running)
    proposal = viewer.layers["odd proposal"]
    assert proposal.data.shape == (2, 513, 300)
    assert proposal.data[1].all()
    assert not proposal.data[0].any()
