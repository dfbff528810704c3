import json
import threading
import time

import numpy as np
import pytest

from emseg_napari.core.jobs import Cancelled, Finished, JobContext, Message, Progress, UserError
from emseg_napari.evaluation import evaluation
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.evaluation.metrics import THRESHOLDS, pixel_error, v_info, v_rand
from emseg_napari.settings import EvaluationSettings
from helpers.timing import settled, within

CELLS = np.array(
    [
        [2, 2, 2, 1, 2, 2, 2],
        [2, 2, 2, 1, 2, 2, 2],
        [1, 1, 1, 1, 2, 2, 2],
        [2, 2, 2, 1, 2, 2, 2],
    ],
    np.uint8,
)
DEPTH = 5


@pytest.fixture
def truth():
    """Five slices of three cells."""
    return np.stack([CELLS] * DEPTH)


@pytest.fixture
def prediction(truth):
    """Good, with a leak in slice 3 and a false membrane in slice 4."""
    interior = np.where(truth == 2, 0.9, 0.2).astype(np.float32)
    interior[3, :2, 3] = 0.65
    interior[4, :, 5] = 0.45
    return interior


@pytest.fixture
def events():
    return []


def texts(events):
    return [event.text for event in events if isinstance(event, Message)]


def scored(found):
    return [one.z for one in found.per_slice]


def test_the_truth_itself_has_full_marks(truth):
    found = evaluate((truth == 2).astype(np.float32), truth)
    assert (found.v_rand, found.v_info, found.pixel_error) == (1, 1, 0)
    assert set(found.at_threshold.as_dict().values()) == {1.0}
    assert [one.scores.v_rand for one in found.per_slice] == [1] * DEPTH


def test_the_best_is_that_of_the_single_measures(prediction, truth):
    found = evaluate(prediction, truth)
    rand, information = v_rand(truth == 2, prediction), v_info(truth == 2, prediction)
    assert (found.v_rand, found.v_rand_threshold) == (rand.best, rand.threshold)
    assert (found.v_info, found.v_info_threshold) == (information.best, information.threshold)
    assert tuple(scores.v_rand for scores in found.per_threshold) == rand.values
    assert found.pixel_error == pixel_error(truth == 2, prediction)
    assert found.thresholds == THRESHOLDS


def test_slices_are_scored_at_the_own_threshold(prediction, truth):
    low = evaluate(prediction, truth, EvaluationSettings(threshold=0.4))
    high = evaluate(prediction, truth, EvaluationSettings(threshold=0.7))
    assert (low.threshold, high.threshold) == (0.4, 0.7)
    merges, splits = (
        [(one.scores.v_rand_merge < 1, one.scores.v_rand_split < 1) for one in found.per_slice]
        for found in (low, high)
    )
    assert merges == [(False, False)] * 3 + [(True, False), (False, False)]
    assert splits == [(False, False)] * 4 + [(False, True)]
    assert low.at_threshold.v_rand == pytest.approx(np.mean([one.scores.v_rand for one in low.per_slice]))


def test_interior_lies_strictly_above_the_threshold(truth):
    found = evaluate(np.full(truth.shape, 0.5, np.float32), truth, EvaluationSettings(threshold=0.5))
    assert found.at_threshold.accuracy == pytest.approx(np.mean(CELLS == 1))
    assert found.per_threshold[4].accuracy == pytest.approx(np.mean(CELLS == 2))


def test_values_are_compared_as_the_scorer_holds_them(truth):
    eighth_bit = np.where(truth == 2, 51 / 255, 0.0)
    assert eighth_bit.dtype == np.float64
    assert evaluate(eighth_bit, truth).per_threshold[2].v_rand == 1


def test_half_is_the_threshold_where_none_is_given(prediction, truth):
    assert evaluate(prediction, truth).threshold == 0.5


def test_slices_without_labels_are_skipped(prediction, truth):
    truth[[0, 2]] = 0
    prediction[0] = np.nan
    assert scored(evaluate(prediction, truth)) == [1, 3, 4]


def test_unlabelled_pixels_count_for_nothing(prediction, truth):
    truth[1, :2, 3:] = 0
    prediction[1, :2, 3:] = 0.1
    one = evaluate(prediction, truth, EvaluationSettings(slices=(1, 2))).per_slice[0]
    assert (one.scores.accuracy, one.scores.v_rand, one.scores.boundary_f1) == (1, 1, 1)


def test_trained_slices_are_left_out(prediction, truth, events):
    found = evaluate(prediction, truth, context=JobContext(report=events.append), trained_slices=[0, 1, 3])
    assert (scored(found), found.left_out, found.trained_slices) == ([2, 4], (0, 1, 3), ())
    assert texts(events) == ["Left out, since the run was trained on them: slices 0-1, 3."]


def test_trained_slices_that_are_asked_for_are_scored_and_marked(prediction, truth, events):
    found = evaluate(
        prediction,
        truth,
        EvaluationSettings(slices=(1, 4)),
        context=JobContext(report=events.append),
        trained_slices=range(3),
    )
    assert [(one.z, one.trained) for one in found.per_slice] == [(1, True), (2, True), (3, False)]
    assert (found.trained_slices, found.left_out) == ((1, 2), ())
    assert texts(events) == ["The run was trained on slices 1-2: scores there prove nothing."]


def test_trained_slices_are_scored_where_there_are_no_others(prediction, truth, events):
    truth[4] = 0
    found = evaluate(prediction, truth, context=JobContext(report=events.append), trained_slices=range(4))
    assert found.trained_slices == (0, 1, 2, 3)
    assert "prove nothing" in texts(events)[0]


def test_trained_slices_that_are_scored_beside_others_count_for_no_mean(prediction, truth, events):
    prediction[0] = 1 - prediction[0]  # a bad score
    found = evaluate(
        prediction,
        truth,
        context=JobContext(report=events.append),
        trained_slices=[0, 3],
        with_trained=True,
    )
    others = evaluate(prediction, truth, trained_slices=[0, 3])
    assert (scored(found), found.averaged) == ([0, 1, 2, 3, 4], (1, 2, 4))
    assert (found.trained_slices, found.averaged_trained, found.left_out) == ((0, 3), (), ())
    assert found.at_threshold == others.at_threshold
    assert (found.per_threshold, found.pixel_error) == (others.per_threshold, others.pixel_error)
    sentence = (
        "The run was trained on slices 0, 3: scores there prove nothing and do not count for the means."
    )
    assert texts(events) == [sentence]
    only = evaluate(prediction, truth, trained_slices=range(5), with_trained=True)
    assert only.averaged == only.averaged_trained == (0, 1, 2, 3, 4)


def test_slices_of_a_part_keep_their_numbers_in_the_stack(prediction, truth):
    found = evaluate(
        prediction,
        truth,
        EvaluationSettings(slices=(21, 25)),
        trained_slices=[3, 22],
        first_slice=20,
    )
    assert [(one.z, one.trained) for one in found.per_slice] == [
        (21, False),
        (22, True),
        (23, False),
        (24, False),
    ]
    assert found.per_slice[2].scores.v_rand_merge < 1


def test_a_single_slice_needs_no_z_axis(prediction, truth):
    assert scored(evaluate(prediction[0], truth[0])) == [0]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_predictions_of_one_class_have_defined_scores(truth, value):
    found = evaluate(np.full(truth.shape, value, np.float32), truth)
    assert np.isfinite(list(found.at_threshold.as_dict().values())).all()
    assert found.at_threshold.v_info == 0
    assert found.at_threshold.v_rand > 0


@pytest.mark.parametrize("label", [1, 2])
def test_truth_of_one_class_has_defined_scores(prediction, label):
    found = evaluate(prediction, np.full(prediction.shape, label, np.uint8))
    assert np.isfinite(list(found.at_threshold.as_dict().values())).all()
    assert (found.v_rand == 0) == (label == 1)


def test_slices_of_one_pixel_have_defined_scores():
    found = evaluate(np.ones((2, 1, 1), np.float32), np.array([[[2]], [[1]]], np.uint8))
    assert [one.scores.v_rand for one in found.per_slice] == [1, 0]
    assert [one.scores.accuracy for one in found.per_slice] == [1, 0]


def test_figures_are_plain_json(prediction, truth):
    found = evaluate(prediction, truth, EvaluationSettings(threshold=0.35), trained_slices=[0])
    said = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert said["v_rand"] == found.v_rand
    assert said["v_rand_at_threshold"] == found.at_threshold.v_rand
    assert said["v_info_at_threshold"] == found.at_threshold.v_info
    assert (said["accuracy"], said["boundary_f1"]) == (
        found.at_threshold.accuracy,
        found.at_threshold.boundary_f1,
    )
    assert said["threshold"] == 0.35
    assert [row["z"] for row in said["per_slice"]] == said["slices"] == [1, 2, 3, 4]
    assert said["left_out"] == [0]
    assert [row["threshold"] for row in said["per_threshold"]] == list(THRESHOLDS)
    assert said["per_threshold"][5]["v_info"] == found.per_threshold[5].v_info


def test_progress_comes_slice_by_slice(prediction, truth, events):
    evaluate(prediction, truth, context=JobContext(report=events.append))
    steps = [event for event in events if isinstance(event, Progress)]
    assert [step.fraction for step in steps] == pytest.approx([k / DEPTH for k in range(DEPTH + 1)])
    assert steps[0].seconds_left is None
    assert all(step.seconds_left >= 0 for step in steps[1:])
    assert steps[-1].seconds_left == 0


def test_shapes_that_differ_are_a_sentence(prediction, truth):
    with pytest.raises(UserError, match=r"differ in size \(4 x 4 x 7 and 5 x 4 x 7\)"):
        evaluate(prediction[:4], truth)


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (1.5, "1.5"), (-0.1, "-0.1"), (np.inf, "inf")])
def test_values_that_are_no_probability_are_a_sentence(prediction, truth, value, shown):
    prediction[1, 0, 0] = value
    with pytest.raises(UserError, match=f"holds {shown}, which is not a probability"):
        evaluate(prediction, truth)
    assert scored(evaluate(prediction, truth, EvaluationSettings(slices=(2, 4)))) == [2, 3]


def test_no_labels_in_the_range_is_a_sentence(prediction, truth):
    truth[2:4] = 0
    with pytest.raises(UserError, match="The slices 2:4 have no labels"):
        evaluate(prediction, truth, EvaluationSettings(slices=(2, 4)))


def test_a_range_outside_is_a_sentence(prediction, truth):
    with pytest.raises(UserError, match=r"The slices 3:9 .* inside 0:5"):
        evaluate(prediction, truth, EvaluationSettings(slices=(3, 9)))


def test_it_stops_within_a_second_and_leaves_no_thread_at_work(prediction, truth, monkeypatch):
    begun, counted = threading.Event(), []

    def slow(*_):
        for k in range(1000):
            begun.set()
            counted.append(k)
            time.sleep(0.05)
            yield None

    monkeypatch.setattr(evaluation, "comparisons", slow)
    started = time.monotonic()
    with pytest.raises(Cancelled):
        evaluate(prediction, truth, context=JobContext(should_stop=begun.is_set))
    assert time.monotonic() - started < within(1)
    assert settled(lambda: len(counted)) < 1000


def test_a_fault_in_a_thread_is_not_lost(prediction, truth, monkeypatch):
    def broken(*_):
        raise MemoryError

    monkeypatch.setattr(evaluation, "comparisons", broken)
    with pytest.raises(MemoryError):
        evaluate(prediction, truth)


def test_the_engine_evaluates(engine, prediction, truth):
    settings = EvaluationSettings(threshold=0.6)
    events = list(
        engine.run("evaluate", prediction=prediction, truth=truth, settings=settings, trained_slices=[1])
    )
    assert isinstance(events[-1], Finished)
    assert events[-1].result == evaluate(prediction, truth, settings, trained_slices=[1])
    assert any(isinstance(event, Progress) for event in events)
