"""The window with a real engine process: train, predict, cancel, die, resume."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from emseg_napari.annotation.label_state import proposed
from emseg_napari.core.labels import from_probability
from emseg_napari.core.machine import processors
from emseg_napari.io.samples import phantom
from emseg_napari.models.run import open_run
from emseg_napari.widgets.base.prediction_options import FILL, OWN_LAYER
from emseg_napari.widgets.layers.labels_layer import (
    add_labels,
    confirmed_in,
    is_managed,
    labels_of,
    trusted_of,
)
from helpers.timing import within
from helpers.window import canvas_of, drag, middle, striped, wait_for

SMALL = {"patch_px": 64, "batch_size": 2, "steps_per_epoch": 3}


@pytest.fixture
def ready(dock):
    """The dock on a crop of the sample, set to the smallest training."""
    image, labels = phantom()
    layer = dock.workspace.viewer.add_image(image[:5, :96, :96], name="sample")
    add_labels(dock.workspace.viewer, labels[:5, :96, :96].copy(), "truth", layer)
    dock.train.form.set_values(SMALL)
    dock.train.unit.setCurrentText("epochs")
    dock.train.amount.setText("2")
    return dock


def train(dock, qtbot):
    dock.train.train.click()
    assert dock.train.job.running, dock.train.status.text()
    wait_for(qtbot, lambda: not dock.train.job.running, 180)


def test_the_main_job_from_training_to_training_again(ready, qtbot, tmp_path):
    viewer = ready.workspace.viewer
    ready.train.keep_movie.setChecked(True)
    train(ready, qtbot)
    run = open_run(ready.train.folder)
    ready.workspace.choose_run(run.folder)  # it is not by itself, unless it is better than its start
    assert run.record.trained_slices == [0, 1, 2, 3]
    assert run.record.held_out_slices == [4]
    assert [row.epoch for row in ready.train.plot.rows] == [1, 2]
    assert "on held-out slice" in ready.train.figures.text()
    assert viewer.layers["training movie (epochs)"].data.shape == (2, 1, 96, 96)
    ready.train.preview.export_gif(tmp_path / "movie.gif")
    assert len(imageio.imread(tmp_path / "movie.gif", index=None)) == 2

    ready.predict.with_probability.setChecked(True)
    ready.load.new_labels_button.click()
    ready.predict.whole_stack.click()
    wait_for(qtbot, lambda: not ready.predict.job.running)
    assert ready.predict.bar.format() == "done"  # nothing came after the end
    proposal = ready.workspace.labels
    assert proposal.name == "sample labels"
    probability = viewer.layers["sample boundary probability"].data
    expected = proposed(from_probability(probability, run.record.threshold))
    np.testing.assert_array_equal(proposal.data, expected)
    assert not trusted_of(proposal, labels_of(proposal)).stored_slices

    ready.correct.tools[0].click()
    canvas = canvas_of(ready)
    drag(canvas, middle(canvas, -60), middle(canvas, 60))
    ready.correct.confirm.click()
    z = next(iter(confirmed_in(proposal)))
    ready.export.export_to(tmp_path / "out")
    wait_for(qtbot, lambda: ready.export.status.text().startswith("Exported"))

    train(ready, qtbot)
    again = open_run(ready.train.folder)
    assert again.folder != run.folder
    assert z in again.record.trained_slices
    assert not {"tensorflow", "keras"} & set(sys.modules)


@pytest.mark.slow
def test_a_prediction_changes_neither_strokes_nor_layers_of_the_user(ready, qtbot):
    viewer = ready.workspace.viewer
    train(ready, qtbot)
    truth = ready.workspace.labels
    kept = truth.data.copy()
    ready.predict.target.setCurrentText(OWN_LAYER)
    ready.predict.whole_stack.click()
    wait_for(qtbot, lambda: not ready.predict.job.running)
    np.testing.assert_array_equal(truth.data, kept)

    ready.workspace.choose("labels", truth)
    truth.data[:, :, 48:] = 0
    ready.predict.target.setCurrentText(FILL)
    ready.predict.whole_stack.click()
    wait_for(qtbot, lambda: not ready.predict.job.running)
    np.testing.assert_array_equal(truth.data[:, :, :48], kept[:, :, :48])
    assert (truth.data[:, :, 48:] > 0).all()
    assert not trusted_of(truth, labels_of(truth))[:][:, :, 48:].any()
    assert sum(is_managed(layer) for layer in viewer.layers) == 2


@pytest.mark.slow
def test_only_the_slice_in_view_is_predicted_when_asked(ready, qtbot):
    train(ready, qtbot)
    ready.load.new_labels_button.click()
    ready.workspace.viewer.dims.set_point(0, 3)
    ready.predict.this_slice.click()
    wait_for(qtbot, lambda: not ready.predict.job.running)
    filled = ready.workspace.labels.data.any(axis=(1, 2))
    assert filled.tolist() == [False, False, False, True, False]


@pytest.mark.slow
def test_cancel_ends_a_training_within_a_second_and_resume_goes_on_with_it(ready, qtbot):
    ready.train.amount.setText("500")
    ready.train.train.click()
    wait_for(qtbot, lambda: len(ready.train.plot.rows) > 0, 120)
    kept = ready.workspace.labels.data.copy()
    began = time.monotonic()
    ready.train.cancel.click()
    wait_for(qtbot, lambda: not ready.train.job.running)
    assert time.monotonic() - began < within(1)
    assert "Cancelled" in ready.train.status.text()
    np.testing.assert_array_equal(ready.workspace.labels.data, kept)

    folder, epochs = ready.train.folder, len(ready.train.plot.rows)
    ready.train.folder = None  # as after a new start of napari
    choice = ready.train.start_from
    choice.networks.refresh()
    wait_for(qtbot, lambda: choice.findData(str(folder)) >= 0)
    choice.setCurrentIndex(choice.findData(str(folder)))
    choice.activated.emit(choice.currentIndex())
    ready.train.resume.click()
    wait_for(qtbot, lambda: len(ready.train.plot.rows) > epochs, 120)
    assert open_run(folder).history[epochs].epoch == epochs + 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_engine_is_said_within_two_seconds_and_the_training_resumes(ready, qtbot):
    ready.train.amount.setText("12")  # more than it does before it is killed
    ready.train.train.click()
    wait_for(qtbot, lambda: len(ready.train.plot.rows) > 1, 120)
    kept = ready.workspace.labels.data.copy()
    began = time.monotonic()
    os.kill(ready.train.job.process_id, signal.SIGKILL)
    wait_for(qtbot, lambda: "ended unexpectedly" in ready.train.status.text())
    assert time.monotonic() - began < within(2)
    np.testing.assert_array_equal(ready.workspace.labels.data, kept)
    wait_for(qtbot, lambda: ready.train.resume.isEnabled())
    ready.train.resume.click()
    wait_for(qtbot, lambda: not ready.train.job.running, 180)
    run = open_run(ready.train.folder)
    assert [row.epoch for row in run.history] == list(range(1, 13))
    assert run.record.finished


CLOSES_IN_MID_TRAINING = """
import sys, time
from pathlib import Path
import napari
from qtpy.QtCore import QTimer
from emseg_napari.widgets.demo import open_window

viewer, dock = open_window()
dock.workspace.choose("labels", viewer.layers["phantom truth"])
dock.workspace.runs_folder = Path(sys.argv[1])
dock.train.form.set_values({"patch_px": 64, "batch_size": 2, "steps_per_epoch": 3})
dock.train.unit.setCurrentText("epochs")
dock.train.amount.setText("100000")
dock.train.train.click()

def close_in_mid_training():
    if dock.train.plot.rows:
        print(dock.train.job.process_id, dock.train.folder, flush=True)
        timer.stop()
        dock.window().close()

timer = QTimer()
timer.timeout.connect(close_in_mid_training)
timer.start(50)
napari.run()
print("ended", flush=True)
"""


@pytest.mark.slow
def test_closing_the_window_in_mid_training_leaves_no_process_and_no_broken_checkpoint(tmp_path):
    command = [sys.executable, "-c", CLOSES_IN_MID_TRAINING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    process, folder = done.stdout.splitlines()[-2].split(maxsplit=1)
    assert done.stdout.splitlines()[-1] == "ended"
    assert "Traceback" not in done.stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(process), 0)
    assert zipfile.ZipFile(open_run(folder).last_checkpoint).testzip() is None


@pytest.mark.slow
def test_the_preview_of_a_training_follows_the_slice_in_view_and_goes_when_done(ready, qtbot):
    viewer = ready.workspace.viewer
    ready.train.amount.setText("500")
    ready.train.train.click()
    name = "training preview (boundary probability)"
    wait_for(qtbot, lambda: name in viewer.layers, 120)
    viewer.dims.set_point(0, 1)
    wait_for(qtbot, lambda: name in viewer.layers and viewer.layers[name].translate[0] == 1)
    assert viewer.layers[name] not in ready.workspace.candidates("image")
    assert viewer.layers.selection.active != viewer.layers[name]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_engine_of_a_window_leaves_it_a_core(ready, qtbot):
    train(ready, qtbot)
    environment = Path(f"/proc/{ready.train.job.process_id}/environ").read_bytes().split(b"\0")
    assert f"TF_NUM_INTRAOP_THREADS={max(1, processors() - 1)}".encode() in environment


@pytest.mark.slow
def test_a_stack_of_one_slice_trains_and_claims_no_score(dock, qtbot):
    image, labels = striped((1, 64, 64))
    layer = dock.workspace.viewer.add_image(image[0], name="single")
    add_labels(dock.workspace.viewer, labels[0], "truth", layer)
    dock.train.form.set_values(SMALL)
    dock.train.unit.setCurrentText("epochs")
    dock.train.amount.setText("1")
    train(dock, qtbot)
    assert "nothing was held out" in dock.train.status.text()
    dock.predict.whole_stack.click()
    wait_for(qtbot, lambda: not dock.predict.job.running)
    assert dock.workspace.labels.data.shape == (64, 64)
    assert dock.workspace.labels.data.any()
