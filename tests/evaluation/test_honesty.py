"""What a report says of its own figures is true in every case."""

import numpy as np
import pytest

from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.evaluation.honesty import about_mean, honesty_of
from emseg_napari.evaluation.report import EvaluationReport
from emseg_napari.evaluation.report_html import report_html
from emseg_napari.evaluation.review import Review
from emseg_napari.evaluation.training_overlap import Overlap
from emseg_napari.settings import EvaluationSettings
from helpers.seen_runs import IMAGE, OTHER, a_run, scored

UNKNOWN = "Not known is which run predicted slices"


@pytest.fixture
def run(tmp_path):
    """A run that was trained on slices 0 and 1, and held 5 out; its threshold is 0.6."""
    return a_run(tmp_path / "run", [0, 1], [5])


def said(pair, wanted=None) -> str:
    job = pair.job
    if wanted:
        job["settings"] = job["settings"].model_copy(update={"slices": wanted})
    return honesty_of(pair, evaluate(**job))


def test_of_new_slices_the_figures_at_the_runs_threshold_are_the_honest_ones(run):
    sentence = (
        "The threshold 0.60 is the run's own, chosen without these slices: the figures at it are the "
        "honest ones."
    )
    assert said(scored(OTHER, run)) == sentence
    assert said(scored(IMAGE[2:5], run, [2, 3, 4])) == sentence


@pytest.mark.parametrize(
    ("trained", "averaged", "sentence"),
    [
        ([], [0, 1, 2], ""),
        (
            [0, 1],
            [2],
            "The means are over slice 2; those of slices 0-1, on which the run was trained, do not count.",
        ),
        ([0, 1, 2], [0, 1, 2], "All scored slices were trained on: these figures prove nothing."),
        ([1], [0, 1, 2], "The means include slice 1, on which the run was trained: they prove nothing."),
    ],
)
def test_what_means_are_worth_is_said_where_trained_slices_are_scored(trained, averaged, sentence):
    with_them = set(trained) <= set(averaged)
    found = evaluate(
        np.ones((3, 4, 4), np.float32),
        np.full((3, 4, 4), 2, np.uint8),
        EvaluationSettings(slices=(0, 3)),
        trained_slices=trained,
        with_trained=not with_them,
    )
    assert found.averaged == tuple(averaged)
    assert about_mean(found, Overlap()) == sentence


def test_means_over_slices_that_chose_the_threshold_or_of_an_unknown_run_are_doubted(run):
    pair = scored(IMAGE, run)
    found = evaluate(**pair.job, with_trained=True)
    assert about_mean(found, pair.overlap) == (
        "The means are over slices 2-5; those of slices 0-1, on which the run was trained, do not count. By "
        "slice 5 the run chose its threshold and weights: the means are too high."
    )
    pair = scored(IMAGE, None)
    assert about_mean(evaluate(**pair.job), pair.overlap) == (
        "Not known is which run predicted slices 0-5: the means may prove nothing."
    )


def test_where_only_numbers_tell_that_is_said(run):
    run.update(trained_slices=[9], held_out_slices=[], image_shape=(12, 32, 32))
    assert "without these slices, as far as the numbers of the slices tell: the" in said(scored(None, run))


def test_slices_that_chose_the_threshold_or_were_trained_on_are_named(run):
    found = said(scored(IMAGE, run))  # trained ones are left out
    assert found == (
        "The threshold 0.60 is the run's own. By slice 5 it chose its threshold and weights: figures there "
        "are too high. Only the figures of slices 2-4 tell of new ones."
    )
    found = said(scored(IMAGE, run), (0, 6))
    assert "The run was trained on slices 0-1: figures there prove nothing." in found
    assert "By slice 5 it chose" in found
    assert "chosen without" not in found
    found = said(scored(IMAGE[:2], run, [0, 1]))
    assert found.endswith("The run was trained on slices 0-1: figures there prove nothing.")


def test_of_an_unknown_run_nothing_is_promised():
    for pair in (scored(IMAGE, None), scored(IMAGE, None, wanted=0.3), scored(IMAGE, None, kind="labels")):
        found = said(pair)
        assert UNKNOWN in found
        assert "honest ones" not in found
        assert "chosen without these slices:" not in found


def test_a_threshold_that_was_given_is_honest_only_if_these_slices_did_not_choose_it(run):
    sentence = "was given: the figures at it are honest only if it was chosen without these slices."
    assert said(scored(OTHER, run, wanted=0.3)) == f"The threshold 0.70 {sentence}"
    pair = scored(OTHER, run, runs={0: str(run.folder)}, run_folder=str(run.folder))
    assert "is the run's own, chosen without" in said(pair)
    recorded = {"run_folder": str(run.folder), "threshold": 0.8}  # as was asked for when it was predicted
    assert said(scored(OTHER, run, runs={0: str(run.folder)}, **recorded)) == f"The threshold 0.80 {sentence}"


def test_labels_have_no_threshold(run):
    assert said(scored(OTHER, run, kind="labels")) == (
        "The run has not seen these slices, so their figures are honest."
    )
    assert said(scored(IMAGE, run, kind="labels")).startswith("Labels have no threshold of their own. By")


def test_the_page_says_it_and_promises_nothing_by_itself(run):
    pair = scored(IMAGE, run)
    review = Review(evaluate(**pair.job), [])
    page = report_html(EvaluationReport("t", review, {}, honesty=honesty_of(pair, review.evaluation)))
    assert "By slice 5 it chose its threshold and weights" in page
    assert "is the honest one" not in page
    assert np.isfinite(review.evaluation.v_rand)
