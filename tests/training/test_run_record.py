"""Whether a run is better than its start, and the sentences about it."""

import pytest

from emseg_napari.models.run import RunRecord
from emseg_napari.training.run_record import (
    comparison_sentence,
    floods,
    is_better_than_start,
    is_worse_than_start,
)


def record(**changes):
    about = {"image_shape": (9, 64, 64), "image_dtype": "uint8", "label_counts": {}}
    return RunRecord(
        **about
        | {"trained_slices": [0, 1], "held_out_slices": [2], "start": "starter", "viewed_slice": 4}
        | changes
    )


def scored(accuracy, start_accuracy, v_rand=None, start_v_rand=None, **changes):
    return record(
        kept_accuracy=accuracy,
        start_accuracy=start_accuracy,
        kept_v_rand=v_rand,
        start_v_rand=start_v_rand,
        **changes,
    )


@pytest.mark.parametrize(
    ("scores", "better"),
    [
        ((0.917, 0.902), True),
        ((0.902, 0.917), False),
        ((0.9, 0.9), False),
        ((0.9, 0.91, 0.95, 0.93), True),  # V_rand decides
        ((0.92, 0.91, 0.93, 0.95), False),
        ((0.92, 0.91, 0.945, 0.95), True),  # which here differs by chance
        ((0.92, 0.91, None, 0.95), True),
        ((None, None), None),
        ((0.9, None), None),
    ],
)
def test_v_rand_decides_where_it_differs_by_more_than_chance_else_accuracy(scores, better):
    assert is_better_than_start(scored(*scores)) is better
    assert is_worse_than_start(scored(*scores)) is (better is False)


@pytest.mark.parametrize(
    ("share", "before", "too_much"),
    [(0.7, 0.22, True), (0.35, 0.22, True), (0.32, 0.1, False), (0.5, 0.35, False), (0.7, None, False)],
)
def test_much_boundary_and_half_as_much_again_as_the_start_is_a_flood(share, before, too_much):
    found = scored(0.95, 0.9, boundary_share=share, start_boundary_share=before)
    assert floods(found) is is_worse_than_start(found) is too_much


def test_no_flood_is_what_labels_of_nearly_all_held_out_pixels_have_scored():
    found = scored(0.95, 0.7, 0.9, 0.8, boundary_share=0.45, start_boundary_share=0.22)
    assert not floods(found)


def test_the_scores_stand_beside_each_other():
    assert comparison_sentence(scored(0.917, 0.902)) == (
        "Better than 'starter' on what was held out: accuracy 91.7 % against 90.2 %."
    )
    assert comparison_sentence(scored(0.917, 0.902, 0.9, 0.95)) == (
        "NOT better than 'starter' on what was held out: accuracy 91.7 % against 90.2 %, "
        "V_rand 0.900 against 0.950."
    )


def test_a_flood_is_said_even_where_the_score_is_better():
    said = comparison_sentence(scored(0.917, 0.902, boundary_share=0.8, start_boundary_share=0.2))
    assert said == (
        "It floods slices with boundary: of slice 4 it proposes 80 % as boundary, 'starter' 20 %. "
        "Better than 'starter' on what was held out: accuracy 91.7 % against 90.2 %."
    )
    said = comparison_sentence(scored(0.917, 0.902, boundary_share=0.3, start_boundary_share=0.2))
    assert "slice 4" not in said


def test_what_could_not_be_scored_says_why_and_how_much_boundary_there_is():
    shares = {"boundary_share": 0.24, "start_boundary_share": 0.21}
    assert comparison_sentence(record(held_out_slices=[], **shares)) == (
        "It could not be scored beside 'starter': nothing was held out. Of slice 4 it proposes 24 % as "
        "boundary, 'starter' 21 %."
    )
    assert comparison_sentence(record(kept_accuracy=0.9)) == (
        "It could not be scored beside 'starter': 'starter' had been trained on held-out slices."
    )


@pytest.mark.parametrize("changes", [{"start": None}, {"viewed_slice": None, "kept_accuracy": 0.9}])
def test_a_run_without_a_start_or_of_an_earlier_version_says_nothing(changes):
    assert comparison_sentence(record(**changes)) == ""
