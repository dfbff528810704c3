"""The propose bar without a window: what is asked of the engine, what is remembered, and what is said."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.annotation.session.store import Origin
from emseg_napari.core.jobs import BlockFailed, Failed, Finished, Message, SlicePredicted
from emseg_napari.models import run as run_module
from emseg_napari.widgets.base import output_target
from emseg_napari.widgets.base.output_target import FILE
from emseg_napari.widgets.base.prediction_options import FILL, OWN_LAYER
from emseg_napari.widgets.base.preferences import recall
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, is_managed
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.predict import PredictStep
from helpers.seen_runs import a_run
from helpers.window import noting, striped, wait_for

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
    seen = [empty.hint_line.text()]
    empty.viewer.add_image(IMAGE, name="cells")
    seen.append(empty.hint_line.text())
    assert seen == [
        "To propose labels, open an image first.",
        "To propose labels, train a network, or choose a run under Network.",
    ]
    buttons = empty.this_slice, empty.whole_stack
    assert not any(button.isEnabled() for button in buttons)
    empty.workspace.choose_run(a_run(tmp_path / "mine", [0], [1]).folder)
    assert all(button.isEnabled() for button in buttons)
    assert empty.hint_line.isHidden()
    monkeypatch.setattr(type(empty.job), "running", True)
    empty.update_buttons()
    assert empty.this_slice.toolTip().endswith("Not yet: labels are being proposed")
    assert empty.cancel.isEnabled()


@pytest.mark.parametrize(("button", "slices"), [("this_slice", (2, 3)), ("whole_stack", (0, 4))])
def test_the_slices_in_question_are_asked_for_the_one_in_view_first(step, button, slices, tmp_path):
    getattr(step, button).click()
    (job,) = step.jobs
    assert (job["settings"].slices, job["run"], job["near"]) == (slices, tmp_path / "mine", 2)
    np.testing.assert_array_equal(job["image"], IMAGE)
    assert step.status.text().endswith("...")


def test_choices_are_remembered_and_those_of_a_file_are_hidden(step, qtbot, monkeypatch):
    def shown(step):
        return step.volume.isHidden(), step.with_probability.isHidden()

    assert step.target.currentText() == FILL
    assert shown(step) == (True, False)
    assert step.with_probability.isChecked()
    step.target.setCurrentText(FILE)
    step.with_probability.setChecked(False)
    assert shown(step) == (False, True)
    step.whole_stack.click()
    later = opened(qtbot, monkeypatch)
    assert later.target.currentText() == FILE
    assert shown(later) == (False, True)
    assert not later.with_probability.isChecked()
    assert recall("predict") == {"target": FILE, "probability": False}


def test_the_scale_of_the_workspace_is_predicted_at(step):
    step.workspace.choose_scale(1.5)
    step.whole_stack.click()
    assert step.jobs[0]["settings"].scale == 1.5


def test_a_layer_knows_with_which_other_scale_and_threshold_its_slices_were_proposed(step, tmp_path):
    for scale, threshold, z in (("2", "0.3", 2), ("", "", 3)):
        step.form.set_values({"scale": None, "threshold": None})
        step.form.widgets["scale"].value, step.form.widgets["threshold"].value = scale, threshold
        step.whole_stack.click()
        step.job.event.emit(predicted(0.9, z))
        step.job.event.emit(Finished(None))
    run = tmp_path / "mine"
    for layer in (step.workspace.labels, step.viewer.layers["cells boundary probability"]):
        origins = info_of(layer).origins
        assert origins == {2: Origin(run, "", {"scale": 2, "threshold": 0.3}), 3: Origin(run)}


def test_a_file_is_written_from_the_slice_in_view_outwards(step, tmp_path):
    step.target.setCurrentText(FILE)
    step.volume.path.setText(str(tmp_path / "out.zarr"))
    step.whole_stack.click()
    (job,) = step.jobs
    assert (job["output"], job["near"], job["run"]) == (tmp_path / "out.zarr", 2, tmp_path / "mine")
    assert step.status.text() == f"Predicting to {tmp_path / 'out.zarr'}..."
    step.job.event.emit(Failed("", cancelled=True))
    assert step.status.text() == (
        "Cancelled; finished blocks stay on disk. Press 'Propose the whole stack' to resume."
    )


def test_proposals_and_their_probability_follow_the_threshold_of_the_run(step, tmp_path):
    step.whole_stack.click()
    for value, z in ((0.55, 2), (0.65, 3)):
        step.job.event.emit(predicted(value, z))
    step.job.event.emit(Finished(None))
    layer = step.workspace.labels
    assert [int(plane.max()) for plane in layer.data] == [0, 0, 4, 3]
    assert step.status.text() == "Proposed in 'cells labels'; correct it, then confirm slices (C)."
    assert step.bar.format() == "done"
    probability = step.viewer.layers["cells boundary probability"]
    assert not probability.visible
    np.testing.assert_allclose(probability.data[:, 0, 0], [0, 0, 0.55, 0.65], rtol=1e-6)
    assert info_of(probability).run == tmp_path / "mine"
    step.job.event.emit(Failed("", cancelled=True))
    assert step.status.text() == "Cancelled; finished slices stay."


def test_the_strip_and_its_counts_follow_each_slice_of_a_stack_that_is_being_proposed(dock, qtbot, tmp_path):
    dock.workspace.viewer.add_image(IMAGE, name="cells")
    dock.load.new_labels_button.click()
    dock.workspace.viewer.dims.set_point(0, 1)
    dock.workspace.choose_run(a_run(tmp_path / "run", [0], [1]).folder)
    dock.predict.job.start = noting([])
    dock.predict.whole_stack.click()
    for count, z in enumerate((1, 2, 3), start=1):
        dock.predict.job.event.emit(predicted(0.1, z))
        wait_for(qtbot, lambda count=count: dock.correct.strip.totals()["proposed"] == count)
        wait_for(qtbot, lambda count=count: f"{count} proposed" in dock.correct.slices.totals.text())


def test_without_labels_the_proposals_make_the_labels_layer_and_the_next_ones_fill_it(step):
    for value in (0.9, 0.1):
        step.this_slice.click()
        step.job.event.emit(predicted(value))
        step.job.event.emit(Finished(None))
    names = ["cells", "cells labels", "cells boundary probability"]
    assert [layer.name for layer in step.viewer.layers] == names
    layer = step.workspace.labels
    assert is_managed(layer)
    assert info_of(layer).proposal_of is None
    assert (layer.data[2] == 4).all()


def test_a_layer_of_their_own_is_a_choice_and_is_filled_again(step):
    mine = add_labels(step.viewer, LABELS.copy(), "mine", step.workspace.image)
    step.target.setCurrentText(OWN_LAYER)
    step.with_probability.setChecked(False)
    for value in (0.9, 0.1):
        step.this_slice.click()
        step.job.event.emit(predicted(value))
        step.job.event.emit(Finished(None))
    assert [layer.name for layer in step.viewer.layers] == ["cells", "mine", "cells proposal"]
    assert (step.viewer.layers["cells proposal"].data[2] == 4).all()
    np.testing.assert_array_equal(mine.data, LABELS)
    assert step.workspace.labels == mine


@pytest.mark.parametrize("target", [FILL, OWN_LAYER])
def test_a_prediction_leaves_the_chosen_labels_the_selected_layer_and_the_brush(step, target):
    mine = add_labels(step.viewer, LABELS.copy(), "mine", step.workspace.image)
    mine.data[2, :12] = 0
    other = add_labels(step.viewer, LABELS.copy(), "other", step.workspace.image)
    step.workspace.choose("labels", mine)
    step.viewer.layers.selection.active = other
    other.mode, other.selected_label, other.brush_size = "paint", 2, 17
    step.target.setCurrentText(target)
    step.whole_stack.click()
    for z in (2, 3):
        step.job.event.emit(predicted(0.9, z))
    step.job.event.emit(Finished(None))
    assert step.workspace.labels == mine
    assert step.viewer.layers.selection.active == other
    assert set(step.viewer.layers.selection) == {other}
    assert (other.mode, other.selected_label, other.brush_size) == ("paint", 2, 17)
    assert other.visible


def test_the_chosen_labels_are_filled_where_nothing_is_the_users(step):
    layer = add_labels(step.viewer, LABELS.copy(), "mine", step.workspace.image)
    layer.data[2, :12] = 0
    step.this_slice.click()
    step.job.event.emit(predicted(0.9))
    assert (layer.data[2, :12] == 3).all()
    np.testing.assert_array_equal(layer.data[2, 12:], LABELS[2, 12:])
    step.viewer.layers.remove(layer)
    step.job.event.emit(Finished(None))
    assert step.status.text() == "'mine' was removed in the meantime; propose again."


def test_a_stack_that_is_too_large_for_memory_is_refused_with_what_to_do_instead(step, monkeypatch):
    monkeypatch.setattr(output_target, "MOST_VOXELS", IMAGE[0].size)
    step.whole_stack.click()
    instead = f"press 'Propose this slice', or choose {FILE} in 'Write to' under Options."
    assert step.status.text().endswith(f"too many to propose at once; {instead}")
    assert not step.jobs
    step.this_slice.click()
    assert len(step.jobs) == 1


def test_where_all_pixels_have_labels_of_the_user_nothing_is_proposed_and_that_is_said(step):
    layer = add_labels(step.viewer, LABELS.copy(), "mine", step.workspace.image)
    step.this_slice.click()
    step.job.event.emit(predicted(0.9))
    step.job.event.emit(Finished(None))
    np.testing.assert_array_equal(layer.data, LABELS)
    assert step.autosave.folder(layer) is None  # else untouched labels would be offered as unsaved work
    assert not info_of(layer).origins
    assert step.status.text() == (
        "Nothing was changed in 'mine': all pixels of slice 2 have labels of yours; press 'New' beside "
        "Labels for an empty layer."
    )
    confirmed_in(layer).add(1)
    step.whole_stack.click()
    for z in (2, 1, 3, 0):
        step.job.event.emit(predicted(0.9, z))
    step.job.event.emit(Finished(None))
    assert step.status.text() == (
        "Nothing was changed in 'mine': confirmed slices stay as they are (1; C unconfirms); all pixels of "
        "slices 0, 2-3 have labels of yours; press 'New' beside Labels for an empty layer."
    )


def test_foreign_labels_are_taken_over_before_they_are_filled(step, qtbot):
    foreign = step.viewer.add_labels(np.where(LABELS == 1, 0, 255).astype(np.uint8), name="truth")
    step.workspace.choose("labels", foreign)
    step.this_slice.click()
    wait_for(qtbot, lambda: bool(step.jobs))
    copy = step.workspace.labels
    assert copy.name == "truth (boundary labels)"
    np.testing.assert_array_equal(copy.data, LABELS)
    assert not foreign.visible  # it lies under the copy


def test_labels_of_another_size_are_refused(step):
    add_labels(step.viewer, np.zeros((4, 24, 30), np.uint8), "mine")
    step.this_slice.click()
    assert step.jobs == []
    assert step.status.text() == (
        "mine and cells differ in size; choose labels of this image, or press 'New'."
    )


def test_a_prediction_of_a_confirmed_slice_says_that_it_changed_nothing(step):
    layer = add_labels(step.viewer, np.zeros_like(LABELS), "mine", step.workspace.image)
    confirmed_in(layer).add(2)
    step.this_slice.click()
    step.job.event.emit(predicted(0.9))
    step.job.event.emit(Finished(None))
    assert not layer.data.any()
    assert step.status.text() == (
        "Nothing was changed in 'mine': confirmed slices stay as they are (2; C unconfirms)."
    )
    step.viewer.dims.set_point(0, 3)
    assert step.status.text() == ""
    step.whole_stack.click()
    for z in (2, 3):
        step.job.event.emit(predicted(0.9, z))
    step.job.event.emit(Finished(None))
    step.viewer.dims.set_point(0, 2)
    assert step.status.text().endswith(" Note: confirmed slices stay as they are (2; C unconfirms).")


@pytest.mark.parametrize("to", ["a layer", FILE])
def test_the_buttons_follow_the_start_of_a_job_once(step, monkeypatch, tmp_path, to):
    if to == FILE:
        step.target.setCurrentText(FILE)
        step.volume.path.setText(str(tmp_path / "out.zarr"))
    monkeypatch.setattr(step.job, "start", lambda *_: step.job.started.emit())
    times = []
    monkeypatch.setattr(PredictStep, "update_buttons", lambda self: times.append(True))
    step.whole_stack.click()
    assert times == [True]


def test_what_the_engine_says_and_blocks_that_failed_are_said(step, tmp_path, monkeypatch):
    step.job.event.emit(Message("Reading slice 1."))
    assert step.status.text() == "Reading slice 1."
    step.target.setCurrentText(FILE)
    step.volume.path.setText(str(tmp_path / "out.zarr"))
    step.whole_stack.click()
    complete = SimpleNamespace(name="probability")
    monkeypatch.setattr(step._streaming, "complete", lambda: complete)
    failures = [BlockFailed((0, 1, 2), "It is damaged.", ""), BlockFailed((0, 1, 3), "Again.", "")]
    step.job.event.emit(Finished(SimpleNamespace(failures=failures, warning="")))
    assert step.status.text() == (
        "2 blocks could not be predicted, the first (0, 1, 2): It is damaged. All others are in "
        f"{tmp_path / 'out.zarr'}; press 'Propose the whole stack' to try these again."
    )
    step.job.event.emit(Finished(SimpleNamespace(failures=[], warning="")))
    assert step.status.text().startswith(f"'probability' is in {tmp_path / 'out.zarr'}. To correct a slice")


@pytest.mark.parametrize("to", ["a layer", FILE])
def test_an_image_that_is_removed_after_its_prediction_goes(step, tmp_path, to):
    if to == FILE:
        step.target.setCurrentText(FILE)
        step.volume.path.setText(str(tmp_path / "out.zarr"))
    step.whole_stack.click()
    step.jobs.clear()
    step.job.ended.emit()
    layer = weakref.ref(step.viewer.layers["cells"])
    step.viewer.layers.clear()
    step.viewer.add_image(IMAGE, name="another one")
    gc.collect()
    assert layer() is None


def test_labels_that_are_hidden_or_covered_are_shown_before_they_are_filled(step):
    layers, mine = step.viewer.layers, add_labels(step.viewer, LABELS.copy(), "mine", step.viewer.layers[0])
    mine.visible = False
    step.this_slice.click()
    assert mine.visible
    layers.move(0, len(layers))
    step.this_slice.click()
    assert layers[-1] == mine
    assert len(step.jobs) == 2
