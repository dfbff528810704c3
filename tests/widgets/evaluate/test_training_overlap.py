"""Which slices are scored, and which of them prove nothing since a network has seen them."""

import numpy as np
import pytest

from emseg_napari.annotation.label_state import proposed
from emseg_napari.widgets.base.theme_colours import GREY
from emseg_napari.widgets.layers.labels_layer import confirmed_in
from helpers.evaluations import IMAGE, PREDICTED, TRUTH, V_RAND, a_run, answer, column, layer_of
from helpers.reviews import a_review
from helpers.window import wait_for


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
    warning = "over slices 0-1, 3-4; those of slices 2, 5, on which the run was trained, do not count."
    assert warning in headline.warning.text()
    (one,) = step.workspace.rounds
    assert (one.slices, one.trained) == ((0, 1, 3, 4), ())
    assert step.status.text().startswith(
        "Scored slices 0-5. The run was trained on slices 2, 5: scores there"
    )


def test_means_over_the_held_out_slices_alone_are_said_to_be_too_high(step, started, tmp_path):
    run = a_run(tmp_path / "run", trained=(1, 2, 4), held_out=(5,), image=IMAGE)
    step.workspace.choose_run(run)
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND, trained=(1, 2, 4)))
    warning = "By slice 5 the run chose its threshold and weights: the means are too high."
    assert warning in step.results.headline.warning.text()
    (one,) = step.workspace.rounds
    assert (one.slices, one.trained, one.held_out, one.unknown) == ((5,), (), (5,), ())
    assert column(step.results.rounds, 0)[0].endswith("slice 5\nheld out")


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
