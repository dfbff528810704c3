"""Page Check in a real window; the engine scores for real, or answers with figures that are known."""

import csv
import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from emseg_napari.annotation.label_state import proposed
from emseg_napari.annotation.session.store import Round, Session, load_session, save_session
from emseg_napari.core.jobs import Failed, Finished, Message, Progress, SlicePredicted, UserError
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.stacks import write_stack
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.base.theme_colours import GREY
from emseg_napari.widgets.evaluate.report import report_of
from emseg_napari.widgets.evaluate.rounds_table import with_round
from emseg_napari.widgets.evaluate.step import EvaluateStep
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of
from emseg_napari.widgets.layers.layer_info import LayerInfo, info_of, update_info
from emseg_napari.widgets.layers.layer_records import record_of_layer
from emseg_napari.widgets.layers.proposal_layers import PredictionSource, ProposalLayers
from emseg_napari.widgets.layers.session_layers import session_layers
from helpers.reviews import a_review, leaky
from helpers.window import (
    answer_with,
    canvas_of,
    end_jobs,
    noting,
    settle,
    striped,
    wait_for,
    wait_until_left,
)

IMAGE, TRUTH = striped((6, 64, 64))
# A gap of 5 px in slice 2, one of 10 px in slice 4 and a false wall in slice 5.
PREDICTED = leaky(leaky(TRUTH, 2, np.s_[4:9]), 4, np.s_[20:30])
PREDICTED[5, 40, 35:48] = 1
PROBABILITY = np.where(PREDICTED == 1, 0.9, 0.1).astype(np.float32)
V_RAND = {1: 0.99, 2: 0.8, 4: 0.7, 5: 0.95}


def opened(step):
    """Give a step an image, its true labels and a probability that a prediction has left."""
    image = step.viewer.add_image(IMAGE, name="cells")
    add_labels(step.viewer, TRUTH.copy(), "truth", image)
    step.viewer.add_image(
        PROBABILITY.copy(), name="found", metadata=LayerInfo(proposal_of=image.unique_id).as_metadata()
    )
    return step


@pytest.fixture
def alone(make_napari_viewer_proxy, qtbot):
    """The step by itself in an empty window that is not shown."""
    viewer = make_napari_viewer_proxy()
    step = EvaluateStep(viewer)
    viewer.window.add_dock_widget(step)
    yield step
    end_jobs(qtbot, step)


@pytest.fixture
def step(alone):
    """The same with layers."""
    return opened(alone)


@pytest.fixture
def in_window(dock, qtbot):
    """The step of the dock in a window that is shown, with layers and known results."""
    step = opened(dock.evaluate)
    dock.show_step(step)
    step.job.start = noting([])
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND, trained=(5,)))
    return step


@pytest.fixture
def started(step, monkeypatch):
    """The jobs that would have begun."""
    jobs = []
    monkeypatch.setattr(step.job, "start", noting(jobs))
    return jobs


@pytest.fixture
def evaluated(step, started):
    """The step after an evaluation with known scores and true errors."""
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND, trained=(5,)))
    return step


def answer(step, review, *before):
    for event in (*before, Finished(review)):
        step.job.event.emit(event)


def a_run(folder, trained, held_out=(), image=None, shape=TRUTH.shape, threshold=0.7):
    """A run folder that says what it was trained on."""
    marks = [] if image is None else [fingerprint(image[z]) for z in trained]
    record = RunRecord(
        image_shape=shape,
        image_dtype="uint8",
        trained_slices=list(trained),
        held_out_slices=list(held_out),
        fingerprints=marks,
        label_counts={"boundary": 1, "interior": 1},
        threshold=threshold,
        finished=True,
    )
    folder.mkdir(parents=True)
    Run(folder, TrainingSettings(), record).save()
    return folder


def column(table, j):
    return [table.item(i, j).text() for i in range(table.rowCount())]


def layer_of(step, name):
    return step.viewer.layers[name]


def click_row(qtbot, table, i):
    where = table.visualItemRect(table.item(i, 0)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)


def assert_complaint(step, *parts):
    settle(step)
    text = step.status.text()
    assert step.is_wrong, text
    assert "Unexpected error" not in text
    for part in parts:
        assert part in text


# -- evaluating for real ------------------------------------------------------------------


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


# -- what is chosen, and what goes to the engine ------------------------------------------


def test_the_probability_of_the_image_and_other_labels_are_offered_unasked(step):
    viewer = step.viewer
    assert (step.prediction.layer.name, step.truth.layer.name) == ("found", "truth")
    viewer.layers.remove("found")
    assert step.prediction.layer is None
    assert not step.evaluate.isEnabled()
    assert "choose a prediction first" in step.evaluate.toolTip()
    proposal = add_labels(viewer, PREDICTED.copy(), "proposal", layer_of(step, "cells"))
    update_info(proposal, proposal_of=layer_of(step, "cells").unique_id)
    viewer.add_image(IMAGE.astype(np.float32), name="other")
    assert (step.prediction.layer.name, step.truth.layer.name) == ("proposal", "truth")


def test_proposals_in_the_users_labels_are_scored_by_their_probability_against_what_the_user_made(
    alone, monkeypatch, tmp_path
):
    viewer, jobs = alone.viewer, []
    image = viewer.add_image(IMAGE, name="cells")
    mine = add_labels(viewer, np.zeros_like(TRUTH), "mine", image)
    mine.data[2] = TRUTH[2]
    source = PredictionSource(image, IMAGE.shape, a_run(tmp_path / "run", trained=(0,), image=IMAGE), 0.5)
    layers = ProposalLayers(viewer, source, mine, wants_probability=True)
    for z in range(6):
        layers.show(SlicePredicted(z, PROBABILITY[z], fingerprint(IMAGE[z])))
    layers.end()
    assert mine.data[[0, 1, 3, 4, 5]].all()
    probability = layer_of(alone, "cells boundary probability")
    assert (alone.prediction.layer, alone.truth.layer) == (probability, mine)
    assert not probability.visible
    monkeypatch.setattr(alone.job, "start", noting(jobs))
    alone.evaluate.click()
    assert (jobs[0]["first_slice"], len(jobs[0]["truth"])) == (2, 1)


def test_what_the_user_has_chosen_stays_while_its_layer_does(step):
    viewer = step.viewer
    mine = viewer.add_labels(PREDICTED.copy(), name="mine")
    step.prediction.choose(mine)
    later = LayerInfo(proposal_of=layer_of(step, "cells").unique_id)
    viewer.add_image(PROBABILITY, name="later", metadata=later.as_metadata())
    assert step.prediction.layer == mine
    viewer.layers.remove(mine)
    assert step.prediction.layer.name in ("found", "later")


def test_the_run_of_the_layer_gives_threshold_and_trained_slices(step, started, tmp_path):
    folder = a_run(tmp_path / "first", trained=(0, 1), held_out=(3,))
    update_info(layer_of(step, "found"), run=folder)
    step.workspace.choose_run(a_run(tmp_path / "other", trained=(5,)))
    assert step.run_name.text() == "first"
    step.evaluate.click()
    (job,) = started
    assert job["trained_slices"] == [0, 1]
    assert job["settings"].threshold == pytest.approx(0.3)
    assert job["settings"].slices is None
    np.testing.assert_allclose(job["prediction"], 1 - PROBABILITY)
    answer(step, a_review(TRUTH, PREDICTED, V_RAND, trained=(1,)), Message("Left out: slices 0."))
    assert "Left out: slices 0." in step.status.text()
    assert "By slices 3 the run chose" in step.status.text()


def fill(step, run, slices, **choices):
    """Propose slices as step Predict does, from a run, with a scale or threshold of the user's."""
    source = PredictionSource(layer_of(step, "cells"), IMAGE.shape, run, 0.5, choices)
    layers = ProposalLayers(step.viewer, source, None, wants_probability=True, own_layer=True)
    for z in slices:
        layers.show(SlicePredicted(z, PROBABILITY[z], fingerprint(IMAGE[z])))
    layers.end()
    return layers.target


def test_a_layer_that_two_runs_filled_counts_each_slice_for_its_own_run_and_says_so(step, started, tmp_path):
    first = a_run(tmp_path / "first", trained=(0, 1), image=IMAGE)
    second = a_run(tmp_path / "second", trained=(3, 5), image=IMAGE)
    fill(step, first, range(6))
    confirmed_in(layer_of(step, "cells proposal")).add(5)
    proposal = fill(step, second, (3, 4, 5))
    step.viewer.add_image(
        255 - IMAGE, name="another image of that size"
    )  # chosen, and not what was predicted
    step.workspace.choose("image", layer_of(step, "another image of that size"))
    for layer in (proposal, layer_of(step, "found")):
        step.prediction.choose(layer)
        step.evaluate.click()
    assert step.run_name.text() == "first, second"
    assert [job["trained_slices"] for job in started] == [[0, 1, 3], [0, 1, 3, 5]]
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert "predicted by several runs: slices 0:3 by first; slices 3:6 by second." in step.status.text()
    assert "The threshold of first counts for all of them." in step.status.text()
    assert step.workspace.rounds[-1].run == "first, second"
    step.prediction.choose(proposal)
    for do, trained in ((history_of(proposal).undo, [0, 1]), (history_of(proposal).redo, [0, 1, 3])):
        do()
        step.evaluate.click()
        assert started[-1]["trained_slices"] == trained


def test_another_scale_or_threshold_of_scored_slices_is_doubted_and_that_of_others_is_not(
    step, started, tmp_path
):
    run = a_run(tmp_path / "run", trained=(0,), image=IMAGE, threshold=0.6)
    fill(step, run, (1, 2))
    labels = fill(step, run, (3, 4), scale=2.0, threshold=0.3)
    doubts = {labels: "scale 2 instead of the run's own, threshold 0.3 instead of the run's own"}
    for layer in (labels, layer_of(step, "found")):
        step.prediction.choose(layer)
        for slices, is_doubted in (("1:3", False), ("2:4", True)):
            step.form.widgets["slices"].value = slices
            step.evaluate.click()
            answer(step, a_review(TRUTH, PREDICTED, V_RAND))
            doubt = doubts.get(layer, "scale 2 instead of the run's own")
            sentence = f"{layer.name} was made with {doubt}: its scores are honest only if that was chosen"
            assert (sentence in step.status.text()) == is_doubted
            assert ("was made with" in step.status.text()) == is_doubted


def test_a_session_knows_which_run_proposed_which_slice_and_how(step, started, tmp_path):
    run = a_run(tmp_path / "first", trained=(0, 1), image=IMAGE)
    fill(step, run, range(5))
    proposal = fill(step, run, (5,), scale=2.0)
    session = Session(None, IMAGE, proposal.data, origins=dict(info_of(proposal).origins))
    save_session(tmp_path / "here" / "work.emseg", session)
    shutil.copytree(tmp_path / "here" / "work.emseg", tmp_path / "work.emseg")
    (_, _, _), (labels, shown, _) = session_layers(tmp_path / "work.emseg")
    reopened = step.viewer.add_labels(labels, **shown | {"name": "reopened"})
    origins = info_of(reopened).origins
    assert {z: one.choices for z, one in origins.items() if one.choices} == {5: {"scale": 2}}
    step.prediction.choose(reopened)
    step.evaluate.click()
    assert step.run_name.text() == "first"
    assert started[0]["trained_slices"] == [0, 1]


def test_slices_are_known_again_by_what_they_show(step, started, tmp_path):
    shown = np.concatenate([IMAGE[4:], IMAGE[:4]])  # another order than here
    step.workspace.choose_run(a_run(tmp_path / "run", trained=(0, 1), image=shown))
    step.evaluate.click()
    assert started[0]["trained_slices"] == [4, 5]


@pytest.mark.slow
def test_a_run_of_another_stack_or_one_that_is_gone_is_told(step, started, tmp_path):
    step.workspace.choose_run(a_run(tmp_path / "run", trained=(0, 1), shape=(9, 32, 32)))
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert "run was trained on another stack" in step.status.text()
    update_info(layer_of(step, "found"), run=tmp_path / "gone")
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert "The run gone is not there any more" in step.status.text()
    assert [job["trained_slices"] for job in started] == [[], []]


def test_a_prediction_file_of_some_slices_lies_where_it_says(step, started, tmp_path, qtbot, monkeypatch):
    folder = a_run(tmp_path / "run", trained=(2,))
    record = {
        "kind": "interior",
        "slices": [2, 5],
        "threshold": 0.6,
        "run_folder": str(folder),
        "fingerprints": [fingerprint(plane) for plane in IMAGE[2:5]],
    }
    write_stack(tmp_path / "part.tif", 1 - PROBABILITY[2:5], record)
    source = LayerInfo(source=str(tmp_path / "part.tif")).as_metadata()  # as step Load leaves it
    threads = []
    monkeypatch.setattr(
        "emseg_napari.widgets.evaluate.step.record_of_layer",
        lambda layer: threads.append(threading.current_thread()) or record_of_layer(layer),
    )
    step.prediction.choose(step.viewer.add_image(1 - PROBABILITY[2:5], name="part", metadata=source))
    wait_for(qtbot, lambda: step.run_name.text() == "run")
    assert threading.main_thread() not in threads  # a file on a slow disk does not hold the window up
    step.evaluate.click()
    (job,) = started
    assert job["first_slice"] == 2
    assert job["trained_slices"] == [2]
    assert job["settings"].threshold == pytest.approx(0.4)
    np.testing.assert_array_equal(job["truth"], TRUTH[2:5])
    np.testing.assert_array_equal(job["prediction"], 1 - PROBABILITY[2:5])


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_probability_may_be_8_bit_or_of_any_float(step, started, dtype):
    values = (PROBABILITY * (255 if dtype == np.uint8 else 1)).round(3).astype(dtype)
    step.prediction.choose(step.viewer.add_image(values, name="other"))
    step.evaluate.click()
    np.testing.assert_allclose(started[0]["prediction"], 1 - PROBABILITY, atol=0.003)


def test_labels_of_a_person_count_as_truth_and_proposals_do_not(step, started):
    truth = layer_of(step, "truth")
    others = [0, 2, 3, 4, 5]
    truth.data[others] = proposed(truth.data[others])
    confirmed_in(truth).add(4)
    step.evaluate.click()
    (job,) = started
    assert job["first_slice"] == 1
    assert job["truth"][:].any(axis=(1, 2)).tolist() == [True, False, False, True]


@pytest.mark.slow
def test_slices_without_a_prediction_are_not_scored_and_named(step, started):
    layer_of(step, "found").data[[0, 3]] = 0
    step.evaluate.click()
    assert started[0]["truth"][:].any(axis=(1, 2)).tolist() == [True, True, False, True, True]
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert "Not predicted yet, so not scored: slices 0, 3." in step.status.text()


def test_labels_as_prediction_have_no_threshold_and_own_strokes_in_them_are_told(step, started):
    proposal = add_labels(step.viewer, proposed(PREDICTED), "proposal", layer_of(step, "cells"))
    proposal.data[4] = PREDICTED[4]  # a person's
    update_info(proposal, proposal_of=layer_of(step, "cells").unique_id)
    step.prediction.choose(proposal)
    step.form.widgets["boundary_threshold"].value = "0.9"
    step.evaluate.click()
    (job,) = started
    np.testing.assert_array_equal(job["prediction"], PREDICTED == 2)
    assert job["settings"].threshold == 0.5
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert "You painted in proposal, slices 4" in step.status.text()
    assert step.results.headline.figures[0, 1].text() == "labels as they are"
    assert step.results.headline.figures[1, 2].text() == ""


@pytest.mark.slow
def test_cells_as_prediction_are_asked_about_and_compared_by_their_outlines(step, started, monkeypatch):
    asked = answer_with(monkeypatch, "instances")
    from scipy import ndimage

    cells = np.stack([ndimage.label(plane == 2)[0] for plane in PREDICTED])
    step.prediction.choose(step.viewer.add_labels(cells, name="numbered"))
    step.evaluate.click()
    assert "numbered" in asked[0]
    np.testing.assert_array_equal(started[0]["prediction"], PREDICTED == 2)


@pytest.mark.slow
def test_two_dimensional_layers_are_compared_and_their_errors_shown(alone, monkeypatch):
    viewer, step = alone.viewer, alone
    viewer.add_image(IMAGE[4], name="cell")
    viewer.add_labels(TRUTH[4], name="truth")
    viewer.add_labels(PREDICTED[4], name="mine")
    monkeypatch.setattr(step.job, "start", noting([]))
    step.prediction.choose(layer_of(step, "mine"))
    step.truth.choose(layer_of(step, "truth"))
    step.evaluate.click()
    answer(step, a_review(TRUTH[4:5], PREDICTED[4:5], {0: 0.7}))
    shown = layer_of(step, "errors: merge red, split blue")
    assert shown.data.shape == TRUTH.shape[1:]
    step.results.errors.table.step(1)
    assert tuple(step.viewer.scene.camera.center[-2:]) == step.results.errors.errors[0].centre


# -- mistakes -----------------------------------------------------------------------------


def test_mistakes_are_sentences_and_start_nothing(step, started, tmp_path):
    viewer = step.viewer
    mine = viewer.add_labels(PREDICTED, name="mine")
    partly = PREDICTED.copy()
    partly[3, 0, 0] = 0
    cases = {
        "same": (mine, mine, ("mine is chosen both as prediction and as truth", "two different")),
        "one array": (
            viewer.add_labels(mine.data, name="twin"),
            mine,
            ("Prediction and labels are the same (twin, mine)",),
        ),
        "size": (viewer.add_labels(TRUTH[:, :30].copy(), name="low"), mine, ("low", "differ in size")),
        "depth": (viewer.add_image(PROBABILITY[:3], name="thin"), mine, ("thin", "differ in size")),
        "no truth": (mine, add_labels(viewer, np.zeros_like(TRUTH), "empty"), ("empty has no labels",)),
        "not predicted": (viewer.add_labels(0 * TRUTH, name="zero"), mine, ("zero has no prediction",)),
        "range": (viewer.add_image(2 * PROBABILITY, name="twice"), mine, ("twice", "is not a probability")),
        "nan": (viewer.add_image(np.nan * PROBABILITY, name="nan"), mine, ("nan", "is not a probability")),
        "the image": (layer_of(step, "cells"), mine, ("cells holds grey levels and no prediction",)),
        "16 bit": (viewer.add_image(IMAGE.astype(np.uint16), name="deep"), mine, ("deep", "no prediction")),
        "colour": (viewer.add_image(np.zeros((6, 64, 64, 3), np.uint8), name="rgb"), mine, ("colour",)),
        "hole": (viewer.add_labels(partly, name="hole"), mine, ("hole leaves pixels of slice 3 unlabelled",)),
    }
    for name, (prediction, truth, parts) in cases.items():
        step.prediction.choose(prediction)
        step.truth.choose(truth)
        step.evaluate.click()
        assert_complaint(step, *parts), name
    assert not started


@pytest.mark.slow
def test_labels_of_which_nobody_says_what_they_are_start_nothing(step, started, monkeypatch):
    answer_with(monkeypatch, None)
    step.truth.choose(step.viewer.add_labels(TRUTH - 1, name="two values"))
    step.evaluate.click()
    assert_complaint(step, "two values holds only 0 and 1")
    assert not started


def greys(table):
    """Which rows are grey, by their first cell."""
    grey = GREY.on(table)
    is_grey = {
        table.item(i, 0).text(): table.item(i, 1).foreground().color() == grey
        for i in range(table.rowCount())
    }
    return [name for name in is_grey if is_grey[name]]


def test_slices_that_were_trained_on_are_scored_and_grey_and_the_means_leave_them_out(step, qtbot, tmp_path):
    step.workspace.choose_run(a_run(tmp_path / "run", trained=(2, 5)))
    step.evaluate.click()
    wait_for(qtbot, lambda: not step.job.running)
    table, headline = step.results.slices, step.results.headline
    assert column(table, 0) == ["0", "1", "2", "3", "4", "5"]
    assert greys(table) == ["2", "5"]
    assert headline.figures[0, 0].text() == "Mean over 4 slices"
    unseen = [
        float(text) for text, z in zip(column(table, 1), column(table, 0), strict=True) if z not in "25"
    ]
    assert headline.figures[1, 1].text() == f"<b>{np.mean(unseen):.4f}</b>"
    warning = "The means are over slices 0:2, 3:5; slices 2, 5 were trained on and do not count."
    assert warning in headline.warning.text()
    (one,) = step.workspace.rounds
    assert (one.slices, one.trained) == ((0, 1, 3, 4), ())
    assert step.status.text().startswith(
        "Scored slices 0:6. The run was trained on slices 2, 5: their scores"
    )


def test_means_over_the_held_out_slices_alone_are_said_to_be_too_high(step, started, tmp_path):
    run = a_run(tmp_path / "run", trained=(1, 2, 4), held_out=(5,), image=IMAGE)
    step.workspace.choose_run(run)
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND, trained=(1, 2, 4)))
    warning = "By slices 5 the run chose its threshold and weights: the means are too high."
    assert warning in step.results.headline.warning.text()
    (one,) = step.workspace.rounds
    assert (one.slices, one.trained, one.held_out, one.unknown) == ((5,), (), (5,), ())
    assert column(step.results.rounds, 0)[0].endswith("slices 5\nheld out")


def test_where_all_labelled_slices_were_trained_on_they_are_scored_and_said_to_prove_nothing(
    step, qtbot, tmp_path
):
    step.workspace.choose_run(a_run(tmp_path / "run", trained=range(6)))
    step.evaluate.click()
    wait_for(qtbot, lambda: not step.job.running)
    table, headline = step.results.slices, step.results.headline
    assert greys(table) == column(table, 0) == ["0", "1", "2", "3", "4", "5"]
    assert "All scored slices were trained on: these figures prove nothing." in headline.warning.text()
    assert not headline.warning.isHidden()
    (one,) = step.workspace.rounds
    assert one.trained == one.slices == (0, 1, 2, 3, 4, 5)
    assert "trained on" in column(step.results.rounds, 0)[0]


def test_a_range_of_slices_is_scored_alone(step, started, tmp_path):
    step.workspace.choose_run(a_run(tmp_path / "run", trained=range(6)))
    step.form.widgets["slices"].value = "1:3"
    step.evaluate.click()
    assert started[0]["settings"].slices == (1, 3)
    assert started[0]["trained_slices"] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("text", ["0.7", "0,7"])
def test_a_threshold_is_given_and_shown_as_boundary_probability(step, qtbot, tmp_path, text):
    step.form.widgets["boundary_threshold"].value = text
    step.evaluate.click()
    wait_for(qtbot, lambda: not step.job.running)
    assert step.results.headline.figures[0, 1].text() == "at threshold 0.70"
    assert step.results.thresholds._own.value() == 0.7
    step.write_report(tmp_path / "report.html")
    wait_for(qtbot, lambda: step.status.text().startswith("Wrote"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "0.70 of the boundary probability" in page
    assert "The threshold 0.70 was given" in page


def test_confirmed_proposals_are_true_and_said_to_score_too_high(step, started):
    truth = layer_of(step, "truth")
    truth.data[:] = proposed(truth.data)
    truth.data[1, 5:9] = 1
    confirmed_in(truth).update([1, 3])
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert "In slices 1, 3 of truth, confirmed proposals count as true" in step.status.text()


@pytest.mark.slow
def test_slices_outside_or_without_labels_are_named(step, started):
    layer_of(step, "truth").data[:2] = 0
    for text, part in (("4:9", "0:6"), ("0:2", "choose among 2:6"), ("x", "FIRST:END")):
        step.form.widgets["slices"].value = text
        step.evaluate.click()
        assert_complaint(step, "Slices", part)
    step.form.widgets["slices"].value = "1:4"
    step.evaluate.click()
    assert started[0]["settings"].slices == (2, 4)


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


# -- what shows ---------------------------------------------------------------------------


def test_the_own_threshold_stands_beside_the_best(evaluated):
    texts = {place: label.text() for place, label in evaluated.results.headline.figures.items()}
    assert texts[0, 1] == "at threshold 0.65"
    assert (texts[1, 1], texts[1, 2]) == ("<b>0.8300</b>", "0.8400 at 0.6")
    assert texts[2, 2] == "0.9200 at 0.5"
    assert texts[5, 2] == "0.0625"
    assert "thick ones cost nothing" in evaluated.results.headline.toolTip()


def test_the_pages_fit_into_the_narrowest_dock_with_all_figures(in_window, dock):
    scroll_bar_px = 20
    for page in (in_window, dock.cells, dock.export):
        assert page.minimumSizeHint().width() + scroll_bar_px <= dock.minimumWidth() - 12


@pytest.mark.slow
def test_slices_sort_by_value_and_trained_ones_are_marked(evaluated):
    table = evaluated.results.slices
    assert column(table, 0) == ["1", "2", "4", "5"]
    table.sortItems(1, Qt.SortOrder.AscendingOrder)
    assert column(table, 0) == ["4", "2", "5", "1"]
    row = column(table, 0).index("5")
    assert table.item(row, 6).text() == "trained on"
    assert "proves nothing" in table.item(row, 6).toolTip()
    assert "split 0.9700" in table.item(row, 1).toolTip()
    table.sortItems(5, Qt.SortOrder.DescendingOrder)
    assert sorted(column(table, 5)[:3]) == ["0+1", "1+0", "1+0"]
    assert column(table, 5)[3] == "0+0"


@pytest.mark.slow
def test_numbers_sort_as_numbers_not_as_text(step, started):
    step.evaluate.click()
    truth = np.concatenate([TRUTH, TRUTH])
    answer(step, a_review(truth, truth, {2: 0.5, 10: 0.6, 9: 0.7}))
    table = step.results.slices
    table.sortItems(0, Qt.SortOrder.AscendingOrder)
    assert column(table, 0) == ["2", "9", "10"]


@pytest.mark.slow
def test_clicking_a_slice_shows_it_and_leaves_the_camera(in_window, qtbot):
    in_window.viewer.scene.camera.zoom = 3.5
    click_row(qtbot, in_window.results.slices, 2)
    assert in_window.viewer.dims.current_step[0] == 4
    assert in_window.viewer.scene.camera.zoom == 3.5
    qtbot.keyClick(in_window.results.slices, Qt.Key.Key_Up)
    assert in_window.viewer.dims.current_step[0] == 2


def test_errors_are_listed_largest_first_and_drawn_in_a_layer_that_is_nobodys_labels(evaluated):
    errors = evaluated.results.errors
    sizes = [int(text) for text in column(errors.table, 2)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 3
    assert "2 merges" in errors.summary.text()
    assert "1 split" in errors.summary.text()
    layer = layer_of(evaluated, "errors: merge red, split blue")
    assert set(np.unique(layer.data[4])) == {0, 1}
    assert set(np.unique(layer.data[5])) == {0, 2}
    assert not layer.data[3].any()
    assert (layer.data[4, 20:30, 16:19] == 1).all()
    assert layer not in evaluated.workspace.candidates("labels")
    assert evaluated.workspace.labels.name == "truth"


def test_clicking_an_error_brings_it_into_the_middle_large(in_window, qtbot):
    in_window.results.tabs.setCurrentWidget(in_window.results.errors)
    for i, error in enumerate(in_window.results.errors.errors):
        click_row(qtbot, in_window.results.errors.table, i)
        assert in_window.viewer.dims.current_step[0] == error.z
        assert tuple(in_window.viewer.scene.camera.center[-2:]) == error.centre
        assert in_window.viewer.scene.camera.zoom == 4


def test_keys_and_buttons_go_from_error_to_error_and_round(in_window, qtbot):
    canvas, errors = canvas_of(in_window), in_window.results.errors
    canvas.setFocus()
    for expected in (0, 1, 2, 0):
        qtbot.keyClick(canvas, "n")
        assert errors.table.currentRow() == expected
        assert in_window.viewer.dims.current_step[0] == errors.errors[expected].z
    qtbot.keyClick(canvas, "n", Qt.KeyboardModifier.ShiftModifier)
    assert errors.table.currentRow() == 2
    in_window.results.tabs.setCurrentWidget(errors)
    for button in errors.findChildren(QPushButton):
        button.click()
    assert errors.table.currentRow() == 2


def test_the_keys_are_free_in_napari_and_given_back_with_the_step(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    layers = viewer.add_image(IMAGE), viewer.add_labels(TRUTH)
    taken = {str(key) for owner in (viewer, *layers) for key in (*owner.keymap, *owner.class_keymap)}
    assert "C" in taken | {str(key) for key in layers[0].class_keymap}
    assert not {"N", "Shift+N"} & taken
    step = EvaluateStep(viewer)
    assert {"N", "Shift+N"} <= {str(key) for key in viewer.keymap}
    step.deleteLater()
    wait_for(qtbot, lambda: not {"N", "Shift+N"} & {str(key) for key in viewer.keymap})


@pytest.mark.slow
def test_scale_and_place_of_the_truth_are_kept_by_errors_and_camera(alone, monkeypatch):
    viewer, step = alone.viewer, alone
    place = {"scale": (50, 4, 4), "translate": (100, 10, 20)}
    viewer.add_image(IMAGE, name="cells", **place)
    viewer.add_labels(TRUTH, name="truth", **place)
    step.prediction.choose(viewer.add_labels(PREDICTED, name="mine", **place))
    monkeypatch.setattr(step.job, "start", noting([]))
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    layer = layer_of(step, "errors: merge red, split blue")
    assert layer.scale.tolist() == [50, 4, 4]
    assert layer.translate.tolist() == [100, 10, 20]
    error = step.results.errors.errors[0]
    step.results.errors.table.step(1)
    y, x = error.centre
    assert tuple(viewer.scene.camera.center[-2:]) == (10 + 4 * y, 20 + 4 * x)
    assert viewer.dims.point[0] == 100 + 50 * error.z
    assert viewer.scene.camera.zoom == 1
    for moved in ("cells", "truth", "mine"):
        viewer.layers[moved].translate = (0, 0, 8)
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert layer.translate.tolist() == [0, 0, 8]


def test_evaluating_again_replaces_the_errors_and_their_layer_may_be_deleted(evaluated):
    viewer = evaluated.viewer
    viewer.layers.remove("errors: merge red, split blue")
    evaluated.results.errors.table.step(1)
    viewer.layers.remove("errors: merge red, split blue")
    for predicted in (PREDICTED, TRUTH):
        evaluated.evaluate.click()
        answer(evaluated, a_review(TRUTH, predicted, V_RAND))
        assert layer_of(evaluated, "errors: merge red, split blue").data.any() == (predicted is PREDICTED)
    assert [layer.name for layer in viewer.layers].count("errors: merge red, split blue") == 1
    shown = layer_of(evaluated, "errors: merge red, split blue")
    shown.visible = False
    assert evaluated.results.errors.table.rowCount() == 0
    assert "0 merges" in evaluated.results.errors.summary.text()
    evaluated.prediction.choose(viewer.add_labels(PREDICTED[4], name="flat"))
    evaluated.truth.choose(viewer.add_labels(TRUTH[4], name="flat truth"))
    evaluated.evaluate.click()
    answer(evaluated, a_review(TRUTH[4:5], PREDICTED[4:5], {0: 0.7}))
    assert layer_of(evaluated, "errors: merge red, split blue") == shown
    assert (shown.ndim, shown.visible) == (2, True)


def test_an_evaluation_leaves_labels_layer_tool_and_brush_as_they_are(step, started):
    truth = layer_of(step, "truth")
    step.viewer.layers.selection.active = truth
    truth.mode, truth.brush_size = "paint", 7
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert step.viewer.layers.selection.active == truth
    assert (truth.mode, truth.brush_size, step.workspace.labels) == ("paint", 7, truth)


@pytest.mark.slow
def test_the_plot_has_both_curves_and_marks_own_and_best(evaluated):
    plot = evaluated.results.thresholds
    assert len(plot._curves["v_rand"].getData()[0]) == 11
    assert plot._own.value() == 0.65
    assert plot._marks["own"].getData()[1].tolist() == pytest.approx([0.83, 0.9])
    assert plot._marks["best"].getData()[0].tolist() == [0.6, 0.5]


# -- rounds -------------------------------------------------------------------------------


def a_round(v_rand, slices=(1, 2), when="2026-01-02T10:00:00", **changes):
    return replace(Round(when, "first", 1, 0, slices, v_rand, 0.9, 0.95), **changes)


def test_a_round_shows_the_difference_to_the_last_one_on_the_same_slices(step):
    rounds = [a_round(0.8), a_round(0.5, slices=(3,)), a_round(0.85, run="second", accuracy=0.94)]
    step.workspace.set_rounds(rounds)
    table = step.results.rounds
    assert [text.split("\n")[1:] for text in column(table, 0)] == [
        ["second", "slices 1:3"],
        ["first", "slices 3"],
        ["first", "slices 1:3"],
    ]
    assert column(table, 2) == ["0.8500\n+0.0500", "0.5000", "0.8000"]
    assert column(table, 4)[0] == "94.00\n-1.00"
    others = [a_round(0.9, image="another"), a_round(0.9, truth="another"), a_round(0.95, image="another")]
    step.workspace.set_rounds([*rounds, *others])
    assert column(table, 2)[:3] == ["0.9500\n+0.0500", "0.9000", "0.9000"]  # of other pixels or labels
    step.workspace.set_rounds([a_round(0.8), a_round(0.99, trained=(1, 2))])
    assert column(table, 2) == ["0.9900", "0.8000"]  # no progress where the run was trained on them since
    assert column(table, 0)[0].endswith("slices 1:3\ntrained on")
    assert table.item(0, 2).foreground().color() == GREY.on(table)
    step.workspace.set_rounds([a_round(0.8, slices=(1, 4, 6, 8, 10), run="stack-compact-20260102-100000")])
    _, run, slices = column(table, 0)[0].split("\n")
    assert (run, slices) == ("stack-compa...00", "5 slices")
    assert "stack-compact-20260102-100000\nslices 1, 4, 6, 8, 10" in table.item(0, 0).toolTip()


def test_the_same_evaluation_again_is_no_further_round():
    first, again = a_round(0.8), a_round(0.8, when="2026-01-02T11:00:00")
    assert with_round([first], again) == [again]
    assert with_round([first], a_round(0.81)) == [first, a_round(0.81)]


@pytest.mark.slow
def test_a_round_counts_painted_and_confirmed_slices(evaluated):
    truth = layer_of(evaluated, "truth")
    confirmed_in(truth).update([0, 3, 4, 5])
    others = [0, 3, 4, 5]
    truth.data[others] = proposed(truth.data[others])
    evaluated.evaluate.click()
    answer(evaluated, a_review(TRUTH, PREDICTED, V_RAND, trained=(5,)))
    latest = evaluated.workspace.rounds[-1]
    assert (latest.corrected, latest.confirmed) == (2, 4)
    assert latest.slices == (1, 2, 4)  # the means leave out 5, which was trained on
    assert (latest.truth, latest.image) == ("truth", fingerprint(IMAGE[3]))
    assert latest.v_rand == pytest.approx(0.83)
    assert len(evaluated.workspace.rounds) == 2


def test_the_history_is_saved_with_the_session_and_comes_back(in_window, dock, qtbot, tmp_path):
    rounds = in_window.workspace.rounds
    dock.load.save_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Saved"))
    dock.workspace.viewer.layers.clear()
    wait_until_left(qtbot, tmp_path / "work.emseg")
    in_window.workspace.set_rounds([])
    assert in_window.results.isHidden()
    dock.load.open_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: bool(in_window.workspace.rounds))
    assert in_window.workspace.rounds == rounds
    assert not in_window.results.isHidden()
    assert in_window.results.rounds.rowCount() == 1


@pytest.mark.parametrize("rounds", [[{"when": 1}], "none", [3]])
def test_a_damaged_history_is_named_and_a_session_of_before_has_none(tmp_path, rounds):
    session = Session(None, IMAGE, TRUTH, rounds=[a_round(0.8)])
    save_session(tmp_path / "work.emseg", session)
    assert load_session(tmp_path / "work.emseg").rounds == [a_round(0.8)]
    path = tmp_path / "work.emseg" / "session.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"rounds": rounds}))
    with pytest.raises(UserError, match=r"damaged \(its entry 'rounds"):
        load_session(tmp_path / "work.emseg")
    del content["rounds"]
    path.write_text(json.dumps(content))
    assert load_session(tmp_path / "work.emseg").rounds == []


# -- files --------------------------------------------------------------------------------


def test_scores_and_report_are_written_from_the_window(evaluated, qtbot, tmp_path):
    evaluated.write_csv(tmp_path / "scores.csv")
    evaluated.write_report(tmp_path / "report.html")
    wait_for(qtbot, lambda: (tmp_path / "report.html").exists() and (tmp_path / "scores.csv").exists())
    wait_for(qtbot, lambda: evaluated.status.text().startswith("Wrote"))
    with open(tmp_path / "scores.csv", newline="") as file:
        assert [row["slice"] for row in csv.DictReader(file)][:4] == ["1", "2", "4", "5"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "found against truth" in page
    assert page.count("<img") == 12  # three slices, four pictures each
    assert "1:3, 4:6" in page
    assert "slices 5 were trained on and do not count" in page
    assert "napari" in page


def test_the_report_shows_the_image_that_was_predicted_and_is_made_beside_the_window(
    evaluated, qtbot, tmp_path, monkeypatch
):
    reports = []
    monkeypatch.setattr(
        "emseg_napari.widgets.evaluate.step.report_of",
        lambda *given: reports.append((report_of(*given), threading.current_thread())) or reports[0][0],
    )
    evaluated.workspace.choose("image", evaluated.viewer.add_image(255 - IMAGE, name="of the same size"))
    evaluated.write_report(tmp_path / "report.html")
    wait_for(qtbot, lambda: evaluated.status.text().startswith("Wrote"))
    ((report, thread),) = reports
    assert thread is not threading.main_thread()
    assert all(np.array_equal(one.image, IMAGE[one.z]) for one in report.pictures)


def test_a_file_that_cannot_be_written_is_a_sentence(evaluated, qtbot, tmp_path):
    evaluated.write_csv(tmp_path / "missing" / "scores.csv")
    wait_for(qtbot, lambda: "missing" in evaluated.status.text() and evaluated.is_wrong)
    assert_complaint(evaluated, "does not exist")


# -- with the other steps -----------------------------------------------------------------


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
    dock.predict.form.widgets["average_orientations"].value = False
    dock.predict.whole_stack.click()
    wait_for(qtbot, lambda: not dock.predict.job.running)
    assert dock.evaluate.prediction.layer.name == "lines boundary probability"
    assert dock.evaluate.truth.layer.name == "truth"
    wait_for(qtbot, lambda: dock.evaluate.run_name.text() == tiny_run.folder.name)
    assert info_of(dock.evaluate.prediction.layer).run == tiny_run.folder
