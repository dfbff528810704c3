"""Step Predict without a window: what is asked of the engine, what is remembered, and what is said."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.annotation.session.store import Origin
from emseg_napari.core.jobs import BlockFailed, Failed, Finished, Message, SlicePredicted
from emseg_napari.models import run as run_module
from emseg_napari.widgets.base.output_target import FILE
from emseg_napari.widgets.base.preferences import recall
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.predict import FILL, OWN_LAYER, SLICE, STACK, PredictStep
from helpers.seen_runs import a_run
from helpers.window import noting, striped

IMAGE, LABELS = striped((4, 24, 32))


@pytest.fixture
def empty(qtbot, tmp_path, monkeypatch):
    """The step without any layer or network; its engine is pretended."""
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")
    return opened(qtbot, monkeypatch)


def opened(qtbot, monkeypatch):
    step = PredictStep(ViewerModel())
    qtbot.addWidget(step)
    step.jobs = []
    monkeypatch.setattr(step.job, "start", noting(step.jobs))
    return step


@pytest.fixture
def step(empty, tmp_path):
    """The same with an image, slice 2 in view, and a run with the threshold 0.6."""
    empty.viewer.add_image(IMAGE, name="cells")
    empty.viewer.dims.set_point(0, 2)
    empty.workspace.choose_run(a_run(tmp_path / "mine", [0], [1]).folder)
    return empty


def predicted(value, z=2):
    return SlicePredicted(z, np.full(IMAGE.shape[1:], value, np.float32), "")


def test_what_is_missing_is_said_in_its_order(empty, tmp_path, monkeypatch):
    seen = [empty.status.text()]
    empty.viewer.add_image(IMAGE, name="cells")
    seen.append(empty.status.text())
    assert seen == [
        "To predict, open an image first.",
        "To predict, train a network or choose a run first.",
    ]
    assert not empty.predict.isEnabled()
    empty.workspace.choose_run(a_run(tmp_path / "mine", [0], [1]).folder)
    assert empty.predict.isEnabled()
    assert empty.status.text() == ""
    monkeypatch.setattr(type(empty.job), "running", True)
    empty.update_buttons()
    assert empty.predict.toolTip().endswith("Not yet: a prediction is running")
    assert empty.cancel.isEnabled()


def test_the_starter_is_recommended_until_a_run_is_chosen(empty, tmp_path, monkeypatch):
    starter = a_run(tmp_path / "starter", [0], [1]).folder
    monkeypatch.setattr(run_module, "STARTER_FOLDER", starter)
    hint = "No training needed: the starter network proposes at once."
    empty.update_buttons()
    assert empty.status.text() != hint  # there is no image
    empty.viewer.add_image(IMAGE, name="cells")
    assert empty.status.text() == hint
    empty.workspace.choose_run(a_run(tmp_path / "mine", [0], [1]).folder)
    assert empty.status.text() == ""
    empty.say("Predicted.")
    empty.workspace.choose_run(None)
    assert empty.status.text() == "Predicted."


@pytest.mark.parametrize(("scope", "slices"), [(SLICE, (2, 3)), (STACK, (0, 4))])
def test_the_slices_in_question_are_asked_for(step, scope, slices, tmp_path):
    step.scope.setCurrentText(scope)
    step.predict.click()
    (job,) = step.jobs
    assert (job["settings"].slices, job["run"], job["first_look"]) == (slices, tmp_path / "mine", True)
    np.testing.assert_array_equal(job["image"], IMAGE)
    assert step.status.text() == "Predicting..."


def test_choices_are_remembered_and_those_of_a_file_are_hidden(step, qtbot, monkeypatch):
    def shown(step):
        return step.scope.isEnabled(), step.volume.isHidden(), step.with_probability.isHidden()

    assert (step.scope.currentText(), step.target.currentText()) == (STACK, OWN_LAYER)
    assert shown(step) == (True, True, False)
    assert step.with_probability.isChecked()
    step.scope.setCurrentText(SLICE)
    step.target.setCurrentText(FILE)
    step.with_probability.setChecked(False)
    assert shown(step) == (False, False, True)
    step.predict.click()
    later = opened(qtbot, monkeypatch)
    assert (later.scope.currentText(), later.target.currentText()) == (SLICE, FILE)
    assert shown(later) == (False, False, True)
    assert not later.with_probability.isChecked()
    assert recall("predict") == {"scope": SLICE, "target": FILE, "probability": False}


def test_the_scale_of_the_workspace_is_predicted_at(step):
    step.workspace.choose_scale(1.5)
    step.predict.click()
    assert step.jobs[0]["settings"].scale == 1.5


def test_a_layer_knows_with_which_other_scale_and_threshold_its_slices_were_proposed(step, tmp_path):
    for scale, threshold, z in (("2", "0.3", 2), ("", "", 3)):
        step.form.set_values({"scale": None, "threshold": None})
        step.form.widgets["scale"].value, step.form.widgets["threshold"].value = scale, threshold
        step.predict.click()
        step.job.event.emit(predicted(0.9, z))
        step.job.event.emit(Finished(None))
    run = tmp_path / "mine"
    for layer in (step.workspace.labels, step.viewer.layers["cells boundary probability"]):
        origins = info_of(layer).origins
        assert origins == {2: Origin(run, "", {"scale": 2, "threshold": 0.3}), 3: Origin(run)}


def test_a_file_is_written_from_the_slice_in_view_outwards(step, tmp_path):
    step.target.setCurrentText(FILE)
    step.volume.path.setText(str(tmp_path / "out.zarr"))
    step.predict.click()
    (job,) = step.jobs
    assert (job["output"], job["near"], job["run"]) == (tmp_path / "out.zarr", 2, tmp_path / "mine")
    assert step.status.text() == f"Predicting to {tmp_path / 'out.zarr'}..."
    step.job.event.emit(Failed("", cancelled=True))
    assert step.status.text() == "Cancelled; finished blocks stay on disk. Press Predict to resume."


def test_proposals_and_their_probability_follow_the_threshold_of_the_run(step, tmp_path):
    step.predict.click()
    for value, z in ((0.55, 2), (0.65, 3)):
        step.job.event.emit(predicted(value, z))
    step.job.event.emit(Finished(None))
    layer = step.workspace.labels
    assert [int(plane.max()) for plane in layer.data] == [0, 0, 4, 3]
    assert (
        step.status.text() == "Proposed in 'cells proposal'. Correct it with the brush, then confirm slices."
    )
    assert step.bar.format() == "done"
    assert step.viewer.layers.selection.active == layer
    probability = step.viewer.layers["cells boundary probability"]
    assert not probability.visible
    np.testing.assert_allclose(probability.data[:, 0, 0], [0, 0, 0.55, 0.65], rtol=1e-6)
    assert info_of(layer).run == info_of(probability).run == tmp_path / "mine"
    step.job.event.emit(Failed("", cancelled=True))
    assert step.status.text() == "Cancelled; finished slices stay."


def test_the_next_prediction_goes_to_the_same_layers_and_without_a_probability_to_none(step):
    step.with_probability.setChecked(False)
    step.predict.click()
    step.job.event.emit(predicted(0.9))
    assert [layer.name for layer in step.viewer.layers] == ["cells", "cells proposal"]
    step.with_probability.setChecked(True)
    step.predict.click()
    step.job.event.emit(predicted(0.1))
    assert len(step.viewer.layers) == 3
    assert (step.viewer.layers["cells proposal"].data[2] == 4).all()


def test_the_chosen_labels_are_filled_where_nothing_is_the_users(step):
    layer = add_labels(step.viewer, LABELS.copy(), "mine", step.workspace.image)
    layer.data[2, :12] = 0
    step.target.setCurrentText(FILL)
    step.predict.click()
    step.job.event.emit(predicted(0.9))
    assert (layer.data[2, :12] == 3).all()
    np.testing.assert_array_equal(layer.data[2, 12:], LABELS[2, 12:])
    step.viewer.layers.remove(layer)
    step.job.event.emit(Finished(None))
    assert step.status.text() == "'mine' was removed in the meantime; predict again."


def test_what_the_engine_says_and_blocks_that_failed_are_said(step, tmp_path, monkeypatch):
    step.job.event.emit(Message("Reading slice 1."))
    assert step.status.text() == "Reading slice 1."
    step.target.setCurrentText(FILE)
    step.volume.path.setText(str(tmp_path / "out.zarr"))
    step.predict.click()
    complete = SimpleNamespace(name="probability")
    monkeypatch.setattr(step._streaming, "complete", lambda: complete)
    failures = [BlockFailed((0, 1, 2), "It is damaged.", ""), BlockFailed((0, 1, 3), "Again.", "")]
    step.job.event.emit(Finished(SimpleNamespace(failures=failures, warning="")))
    assert step.status.text() == (
        "2 blocks could not be predicted, the first (0, 1, 2): It is damaged. All others are in "
        f"{tmp_path / 'out.zarr'}; press Predict to try these again."
    )
    step.job.event.emit(Finished(SimpleNamespace(failures=[], warning="")))
    assert step.status.text().startswith(f"'probability' is in {tmp_path / 'out.zarr'}. To correct a slice")


def test_a_run_is_chosen_by_its_folder_and_described(step, tmp_path, monkeypatch):
    run = a_run(tmp_path / "other", [0], [1], kept_accuracy=0.9)
    picker = step.run_picker
    for answer in ("", str(run.folder)):
        monkeypatch.setattr(
            "emseg_napari.widgets.base.run_picker.QFileDialog.getExistingDirectory",
            lambda *_, answer=answer: answer,
        )
        picker.choose.click()
    assert step.workspace.run == run.folder
    assert picker.name.text() == "other"
    assert step.status.text() == "other: compact, accuracy 90.0 % on what was held out."
    step.workspace.choose_run(None)
    assert picker.name.text() == "none yet"
    assert Path(run.folder).exists()
