"""A score is said to prove nothing where a prediction and the labels may be made from each other."""

import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.evaluation.honesty import honesty_of
from emseg_napari.evaluation.independence import doubts_of_record, equal_slices
from emseg_napari.evaluation.pairing import paired
from emseg_napari.evaluation.predictions import Prediction
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.settings import EvaluationSettings
from helpers.seen_runs import FOUND, OTHER, TRUTH, a_run, scored

EQUAL = "p equals the labels in every pixel of slices"


@pytest.fixture
def run(tmp_path):
    return a_run(tmp_path / "run", [0, 1], [5])


def test_equal_slices_are_those_of_both_classes_that_are_labelled_as_a_whole():
    truth = np.concatenate([TRUTH[:4], np.full_like(TRUTH[:1], 2)])
    truth[2, 0, 0] = 0  # labelled in part: a few strokes may well be right
    interior = (truth == 2).astype(np.float32)
    interior[1, 3, 3] = 0.5
    assert equal_slices(SparseStack.of(interior), SparseStack.of(truth)) == [0, 3]


def test_slices_that_equal_the_labels_are_said_and_nothing_is_promised_of_them():
    found = FOUND.copy()
    found[2:4] = TRUTH[2:4]
    prediction = Prediction("p", found, "labels", {}, "recorded")
    pair = paired(prediction, TRUTH, EvaluationSettings())
    assert any(note.startswith(f"{EQUAL} 2-3") for note in pair.notes)
    assert not any(
        EQUAL in note for note in paired(prediction, TRUTH, EvaluationSettings(slices=(0, 2))).notes
    )


def test_of_equal_slices_the_report_promises_nothing(run):
    pair = scored(OTHER, run, kind="labels")
    assert honesty_of(pair, evaluate(**pair.job)).endswith("so their figures are honest.")
    doubted = pair.with_doubts(["Doubt."])
    assert honesty_of(doubted, evaluate(**pair.job)) == "Labels have no threshold of their own. Doubt."


def test_labels_that_were_predicted_tell_how_alike_two_predictions_are():
    assert doubts_of_record({}, True) == []
    assert doubts_of_record({"convention": "isbi", "slices": [1, 4]}, True) == []  # an export
    (said,) = doubts_of_record({"kind": "labels"}, False)
    assert "how alike both are, and not how good" in said
    with pytest.raises(UserError, match="equals them in every pixel, which proves nothing"):
        doubts_of_record({"kind": "probability"}, True)


@pytest.mark.parametrize(
    ("record", "chosen"),
    [
        ({"threshold": 0.3}, "threshold 0.3 instead of the run's 0.6"),
        (
            {"made_from": "labels", "predicted_by": {"threshold": 0.3}},
            "threshold 0.3 instead of the run's 0.6",
        ),
        ({"scale": 2.0, "threshold": 0.6}, "scale 2 instead of the run's own"),
        ({"predicted_by": {"scale": 2.0}}, "scale 2 instead of the run's own"),
        ({"orientations": 8}, "orientations 8 instead of 2"),
        ({"predicted_by": {"orientations": 1}}, "orientations 1 instead of 2"),
        ({"settings": {"merge_threshold": 0.5, "link": True}}, "'Merge threshold' 0.5 instead of 0.7"),
        ({"settings": {"join_below": 0.5}}, "'Merge threshold' 0.5 instead of 0.7"),  # its earlier name
    ],
)
def test_labels_made_with_a_choice_of_ones_own_are_honest_only_if_these_slices_did_not_choose_it(
    run, record, chosen
):
    pair = scored(OTHER, run, kind="labels", **record)
    said = honesty_of(pair, evaluate(**pair.job))
    assert f"p was made with {chosen}: its scores are honest only if" in said
    assert "so their figures are honest" not in said


@pytest.mark.parametrize(
    "record",
    [{"threshold": 0.6}, {"orientations": 2}, {"settings": {"merge_threshold": 0.7, "overlap": 0.4}}],
)
def test_labels_made_as_usual_are_not_doubted(run, record):
    pair = scored(OTHER, run, kind="labels", **record)
    assert honesty_of(pair, evaluate(**pair.job)).endswith("so their figures are honest.")
