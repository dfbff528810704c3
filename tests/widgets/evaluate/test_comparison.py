"""What is chosen to be compared, and what of it goes to the engine."""

import shutil
import threading

import numpy as np
import pytest
from scipy import ndimage

from emseg_napari.annotation.label_state import proposed
from emseg_napari.annotation.session.store import Session, save_session
from emseg_napari.core.jobs import Message, SlicePredicted
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.stacks import write_stack
from emseg_napari.widgets.evaluate.comparison import compare
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of
from emseg_napari.widgets.layers.layer_info import LayerInfo, info_of, update_info
from emseg_napari.widgets.layers.layer_records import record_of_layer
from emseg_napari.widgets.layers.proposal_layers import PredictionSource, ProposalLayers
from emseg_napari.widgets.layers.session_layers import session_layers
from helpers.evaluations import IMAGE, PREDICTED, PROBABILITY, TRUTH, V_RAND, a_run, answer, layer_of
from helpers.reviews import a_review
from helpers.window import answer_with, noting, wait_for


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
    assert "By slice 3 the run chose" in step.status.text()


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
    assert "predicted by several runs: slices 0-2 by first; slices 3-5 by second." in step.status.text()
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
    labels = fill(step, run, (3, 4), scale=2.0, threshold=0.3, orientations=8)
    scale, orientations = "scale 2 instead of the run's own", "orientations 8 instead of 2"
    doubts = {labels: f"{scale}, threshold 0.3 instead of the run's own, {orientations}"}
    for layer in (labels, layer_of(step, "found")):
        step.prediction.choose(layer)
        for slices, is_doubted in (("1:3", False), ("2:4", True)):
            step.form.widgets["slices"].value = slices
            step.evaluate.click()
            answer(step, a_review(TRUTH, PREDICTED, V_RAND))
            doubt = doubts.get(layer, f"{scale}, {orientations}")
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
    assert "You painted in proposal, slice 4" in step.status.text()
    assert step.results.headline.figures[0, 1].text() == "labels as they are"
    assert step.results.headline.figures[1, 2].text() == ""


@pytest.mark.slow
def test_cells_as_prediction_are_asked_about_and_compared_by_their_outlines(step, started, monkeypatch):
    asked = answer_with(monkeypatch, "instances")
    cells = np.stack([ndimage.label(plane == 2)[0] for plane in PREDICTED])
    step.prediction.choose(step.viewer.add_labels(cells, name="numbered"))
    step.evaluate.click()
    assert "numbered" in asked[0]
    np.testing.assert_array_equal(started[0]["prediction"], PREDICTED == 2)


def test_a_truth_of_cells_that_were_found_in_a_prediction_is_doubted(step):
    numbers = np.stack([ndimage.label(plane == 2)[0] for plane in TRUTH])
    found = step.viewer.add_labels(numbers, name="cells found")
    update_info(found, is_cells=True)
    asked = compare(layer_of(step, "found"), found, step.workspace, lambda *_: "instances")
    assert any("cells found was found in a prediction" in note for note in asked.notes)


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
