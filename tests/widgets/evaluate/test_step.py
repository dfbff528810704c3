"""Page Check in a real window: the engine scores for real, and the step shows what it found."""

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtTest import QTest

from emseg_napari.core.jobs import Failed, Progress
from emseg_napari.widgets.evaluate import step as step_module
from emseg_napari.widgets.evaluate.step import EvaluateStep
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.layer_info import info_of
from helpers.evaluations import PREDICTED, TRUTH, V_RAND, answer, assert_complaint, column, layer_of
from helpers.reviews import a_review
from helpers.window import wait_for


def test_the_engine_scores_in_the_background_and_the_step_shows_what_it_found(step, qtbot):
    bars = []
    step.job.event.connect(lambda event: bars.append(event))
    step.form.widgets["smallest_px"].value = "10"
    step.evaluate.click()
    assert step.cancel.isEnabled()
    assert not step.evaluate.isEnabled()
    wait_for(qtbot, lambda: not step.job.running)
    assert step.bar.format() == "done", step.status.text()
    fractions = [event.fraction for event in bars if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert column(step.results.slices, 0) == ["0", "1", "2", "3", "4", "5"]
    figures = [float(text) for text in column(step.results.slices, 1)]
    assert figures[0] == figures[1] == figures[3] == 1
    assert figures[4] < 1
    assert column(step.results.errors.table, 0) == ["merge", "merge", "split"]
    assert step.results.headline.figures[1, 2].text().startswith(figures_best(step))
    assert step.workspace.rounds[0].slices == (0, 1, 2, 3, 4, 5)


def figures_best(step):
    """The best mean V_rand: labels made of 0.1 and 0.9 are the same at every threshold between."""
    return f"{step.workspace.rounds[0].v_rand:.4f}"


def test_cancelling_changes_nothing(step, qtbot):
    for layer in step.viewer.layers:  # so much that it is still being scored when it is cancelled
        layer.data = np.tile(layer.data, (1, 24, 24))
    step.evaluate.click()
    wait_for(qtbot, lambda: step.job.process_id is not None)
    step.cancel.click()
    wait_for(qtbot, lambda: not step.job.running)
    assert step.status.text() == "Cancelled."
    assert step.workspace.rounds == []
    assert not step.save_csv.isEnabled()


def test_how_errors_are_found_is_remembered_once_it_is_asked_for(step, started, qtbot):
    step.form.widgets["smallest_px"].value = "17"
    step.evaluate.click()
    later = EvaluateStep(step.viewer)
    qtbot.addWidget(later)
    assert later.form.values()["smallest_px"] == 17
    assert later.save_csv.toolTip().endswith("Not yet: evaluate first")


@pytest.mark.slow
def test_a_failure_of_the_engine_is_a_sentence_and_keeps_the_last_result(evaluated):
    evaluated.evaluate.click()
    evaluated.job.event.emit(Failed("The engine process ended unexpectedly."))
    assert_complaint(evaluated, "ended unexpectedly")
    assert evaluated.results.slices.rowCount() == 4
    assert evaluated.save_csv.isEnabled()


@pytest.mark.slow
def test_truth_that_is_removed_in_the_meantime_is_told(step, started):
    step.evaluate.click()
    step.viewer.layers.remove("truth")
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert_complaint(step, "'truth' was removed in the meantime")
    assert step.workspace.rounds == []


def test_an_evaluation_leaves_labels_layer_tool_and_brush_as_they_are(step, started):
    truth = layer_of(step, "truth")
    step.viewer.layers.selection.active = truth
    truth.mode, truth.brush_size = "paint", 7
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert step.viewer.layers.selection.active == truth
    assert (truth.mode, truth.brush_size, step.workspace.labels) == ("paint", 7, truth)


def test_who_needs_a_prediction_is_told_which_choice_of_the_step_before_keeps_one(dock):
    choice = dock.predict.with_probability.text()
    for button in (dock.evaluate.evaluate, dock.cells.find):
        assert f"'{choice}' under {dock.predict.options.button.text()}" in button.toolTip()


def test_a_prediction_of_the_step_before_is_signed_with_its_run(dock, qtbot, tiny_run, tiny_stack):
    image, labels = tiny_stack
    viewer = dock.workspace.viewer
    layer = viewer.add_image(image, name="lines")
    add_labels(viewer, labels.copy(), "truth", layer)
    dock.workspace.choose_run(tiny_run.folder)
    dock.predict.with_probability.setChecked(True)
    dock.predict.form.widgets["orientations"].value = 1
    dock.predict.whole_stack.click()
    wait_for(qtbot, lambda: not dock.predict.job.running)
    assert dock.evaluate.prediction.layer.name == "lines boundary probability"
    assert dock.evaluate.truth.layer.name == "truth"
    wait_for(qtbot, lambda: dock.evaluate.run_name.text() == tiny_run.folder.name)
    assert info_of(dock.evaluate.prediction.layer).run == tiny_run.folder


def test_a_long_name_of_runs_takes_one_line_and_its_tooltip_has_all_of_it(in_window, monkeypatch):
    step, name = in_window, "a-run-with-a-long-name-" * 6
    QTest.qWait(10)  # the layout follows what was shown
    before = step.evaluate.mapTo(step, QPoint(0, 0)).y()
    monkeypatch.setattr(step_module, "names_runs", lambda layer: True)
    monkeypatch.setattr(step_module, "run_folders", lambda *_: [Path(name), Path("second")])
    step.workspace.changed.emit()
    QTest.qWait(10)
    assert step.run_name.text() == step.run_name.toolTip() == f"{name}, second"
    assert step.evaluate.mapTo(step, QPoint(0, 0)).y() == before
    assert step.run_name.width() <= step.width()
