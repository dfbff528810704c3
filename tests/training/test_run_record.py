"""Whether a run is better than its start, and the sentences about it."""

import pytest

from emseg_napari.models.imported import Imported
from emseg_napari.models.run import RunRecord
from emseg_napari.training.run_record import (
    compared_with_start,
    comparison_clause,
    comparison_sentence,
    floods,
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
    ("scores", "compared"),
    [
        ((0.917, 0.902), "better"),
        ((0.902, 0.917), "worse"),
        ((0.9, 0.9), "no different"),
        ((0.917, 0.91704), "no different"),
        ((0.9185, 0.917), "no different"),
        ((0.9, 0.91, 0.95, 0.93), "better"),  # V_rand decides
        ((0.92, 0.91, 0.93, 0.95), "worse"),
        ((0.92, 0.91, 0.945, 0.95), "better"),  # which here differs by chance
        ((0.91, 0.91, 0.945, 0.95), "no different"),
        ((0.92, 0.91, None, 0.95), "better"),
        ((None, None), None),
        ((0.9, None), None),
        ((0.9999, 0.9996, 0.995, 0.93), "better"),  # nearly all pixels are right, and yet cells were not
        ((0.9990, 0.9996, 0.90, 0.93), "worse"),
    ],
)
def test_v_rand_decides_where_it_differs_by_more_than_chance_else_accuracy(scores, compared):
    assert compared_with_start(scored(*scores)) == compared
    assert is_worse_than_start(scored(*scores)) is (compared == "worse")


def test_of_a_run_that_kept_nothing_no_score_is_compared_unless_it_has_another_scale():
    found = scored(0.917, 0.902, kept_share=0.0, boundary_share=0.8, start_boundary_share=0.2)
    assert (compared_with_start(found), floods(found)) == ("no different", False)
    assert comparison_sentence(found) == ""
    other = scored(0.917, 0.902, kept_share=0.0, start_scale=(2.0, 2.0))
    assert compared_with_start(other) == "better"


@pytest.mark.parametrize(
    ("scores", "figures"),
    [
        ((0.988, 1.0, 0.993, 1.0), " (accuracy 98.8 % against 100.0 %, V_rand 0.993 against 1.000)"),
        ((0.9996, 0.9996, 0.99, 0.99), " (accuracy 100.0 % against 100.0 %, V_rand 0.990 against 0.990)"),
        ((0.915, 1.0, 0.94, 1.0), " (accuracy 91.5 % against 100.0 %, V_rand 0.940 against 1.000)"),
        ((None, 1.0, None, 1.0), ""),
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_where_the_start_agrees_with_nearly_all_held_out_labels_nothing_is_ranked_and_that_is_said(
    scores, figures, share
):
    found = scored(*scores, kept_share=share)
    assert (compared_with_start(found), is_worse_than_start(found)) == ("nothing to gain", False)
    assert comparison_sentence(found) == (
        f"'starter' matches nearly all held-out labels, so nothing is left to gain there{figures}: hold out "
        "a slice that was corrected, or look at what the new run proposes."
    )


@pytest.mark.parametrize("scores", [(0.8, 0.9999, 0.5, 0.999), (0.84, 1.0, 0.95, 1.0), (0.9, 1.0, 0.84, 1.0)])
def test_far_less_of_labels_of_which_the_start_has_nearly_all_is_worse(scores):
    found = scored(*scores)
    assert (compared_with_start(found), is_worse_than_start(found)) == ("worse", True)
    assert comparison_sentence(found).startswith("Worse than 'starter' on what was held out")


@pytest.mark.parametrize(("accuracy", "compared"), [(0.995, "nothing to gain"), (0.84, "worse")])
def test_in_a_corner_cells_are_too_few_to_say_that_a_run_is_far_worse_and_pixels_are_not(accuracy, compared):
    corner = {"held_out_slices": [], "held_out_tile": (0, 136, 0, 136)}
    assert compared_with_start(scored(accuracy, 1.0, 0.8, 1.0, **corner)) == compared


@pytest.mark.parametrize("scores", [(0.988, 0.9994, 0.9, 0.99), (0.98, 1.0), (0.98, 1.0, 0.97, None)])
def test_few_strokes_that_a_start_gets_right_and_labels_that_were_corrected_do_compare(scores):
    assert compared_with_start(scored(*scores)) == "worse"


def test_in_short_a_flood_goes_first_and_the_start_is_called_as_asked():
    assert comparison_clause(scored(0.9, 0.95), "mine") == "worse than 'mine' on what was held out"
    flood = scored(0.9, 0.95, boundary_share=0.8, start_boundary_share=0.2)
    assert comparison_clause(flood, "mine") == "it floods slices with boundary"
    kept_nothing = scored(0.9, 0.9, kept_share=0.0)
    assert comparison_clause(kept_nothing, "mine") == "nothing of what was learned is kept"
    assert comparison_clause(record(held_out_slices=[]), "mine") == ""


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
        "Better than 'starter' on what was held out (which also chose it): accuracy 91.7 % against 90.2 %."
    )
    assert comparison_sentence(scored(0.917, 0.902, 0.9, 0.95)) == (
        "Worse than 'starter' on what was held out (which also chose it): accuracy 91.7 % against 90.2 %, "
        "V_rand 0.900 against 0.950."
    )
    assert comparison_sentence(scored(0.917, 0.9174)).startswith("No different from 'starter' on what was")


def test_a_flood_is_said_even_where_the_score_is_better():
    said = comparison_sentence(scored(0.917, 0.902, boundary_share=0.8, start_boundary_share=0.2))
    assert said == (
        "It floods slices with boundary: of slice 4 it proposes 80 % as boundary, 'starter' 20 %. "
        "Better than 'starter' on what was held out (which also chose it): accuracy 91.7 % against 90.2 %."
    )
    said = comparison_sentence(scored(0.917, 0.902, boundary_share=0.3, start_boundary_share=0.2))
    assert "slice 4" not in said


def test_what_could_not_be_scored_says_why_and_how_much_boundary_there_is():
    shares = {"boundary_share": 0.24, "start_boundary_share": 0.21}
    assert comparison_sentence(record(held_out_slices=[], **shares)) == (
        "It could not be scored beside 'starter': nothing was held out. Of slice 4 it proposes 24 % as "
        "boundary, 'starter' 21 %."
    )
    assert comparison_sentence(record(kept_accuracy=0.9, start_slices=[2])) == (
        "It could not be scored beside 'starter': 'starter' had been trained on held-out slices."
    )
    erased = "It could not be scored beside 'starter': the held-out labels were erased."
    assert comparison_sentence(record(start_slices=[1])) == erased


@pytest.mark.parametrize("changes", [{"start": None}, {"viewed_slice": None, "kept_accuracy": 0.9}])
def test_a_run_without_a_start_or_of_an_earlier_version_says_nothing(changes):
    assert comparison_sentence(record(**changes)) == ""


def test_of_a_start_that_was_trained_elsewhere_it_is_said_that_its_slices_are_not_known():
    foreign = Imported(file="net.keras", sha256="0", name="net", weights="keras_v3")
    doubt = "It is not known on which slices 'starter' was trained"
    assert doubt in comparison_sentence(scored(0.917, 0.902, imported=foreign))
    own = foreign.model_copy(update={"trained_by_emseg": True})
    assert doubt not in comparison_sentence(scored(0.917, 0.902, imported=own))
