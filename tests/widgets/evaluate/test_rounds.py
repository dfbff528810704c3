"""The history of evaluations on the page and in a session."""

import json
from dataclasses import replace

import numpy as np
import pytest

from emseg_napari.annotation.label_state import proposed
from emseg_napari.annotation.session.store import Round, Session, load_session, save_session
from emseg_napari.core.jobs import UserError
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.widgets.base.theme_colours import GREY
from emseg_napari.widgets.evaluate.rounds_table import with_round
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in
from helpers.evaluations import IMAGE, PREDICTED, TRUTH, V_RAND, answer, column, layer_of
from helpers.reviews import a_review
from helpers.window import wait_for, wait_until_left


def a_round(v_rand, slices=(1, 2), when="2026-01-02T10:00:00", **changes):
    return replace(Round(when, "first", 1, 0, slices, v_rand, 0.9, 0.95), **changes)


def test_a_round_shows_the_difference_to_the_last_one_on_the_same_slices(step):
    rounds = [a_round(0.8), a_round(0.5, slices=(3,)), a_round(0.85, run="second", accuracy=0.94)]
    step.workspace.set_rounds(rounds)
    table = step.results.rounds
    assert [text.split("\n")[1:] for text in column(table, 0)] == [
        ["second", "slices 1-2"],
        ["first", "slice 3"],
        ["first", "slices 1-2"],
    ]
    assert column(table, 2) == ["0.8500\n+0.0500", "0.5000", "0.8000"]
    assert column(table, 4)[0] == "94.00\n-1.00"
    others = [a_round(0.9, image="another"), a_round(0.9, truth="another"), a_round(0.95, image="another")]
    step.workspace.set_rounds([*rounds, *others])
    assert column(table, 2)[:3] == ["0.9500\n+0.0500", "0.9000", "0.9000"]  # of other pixels or labels
    step.workspace.set_rounds([a_round(0.8), a_round(0.99, trained=(1, 2))])
    assert column(table, 2) == ["0.9900", "0.8000"]  # no progress where the run was trained on them since
    assert column(table, 0)[0].endswith("slices 1-2\ntrained on")
    assert table.item(0, 2).foreground().color() == GREY.on(table)
    step.workspace.set_rounds([a_round(0.8, slices=(1, 4, 6, 8, 10), run="stack-compact-20260102-100000")])
    _, run, slices = column(table, 0)[0].split("\n")
    assert (run, slices) == ("stack-c\u2026000", "5 slices")
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


def test_painted_and_confirmed_slices_are_counted_in_the_chosen_labels_and_not_in_the_truth(evaluated):
    viewer, labels = evaluated.viewer, np.zeros_like(TRUTH)
    labels[2, :4] = 1
    mine = add_labels(viewer, labels, "mine", layer_of(evaluated, "cells"))
    evaluated.workspace.choose("labels", mine)
    evaluated.truth.choose(layer_of(evaluated, "truth"))
    confirmed_in(layer_of(evaluated, "truth")).update([0, 1, 2])
    confirmed_in(mine).add(3)
    evaluated.evaluate.click()
    answer(evaluated, a_review(TRUTH, PREDICTED, V_RAND))
    latest = evaluated.workspace.rounds[-1]
    assert (latest.truth, latest.image_name) == ("truth", "cells")
    assert (latest.corrected, latest.confirmed) == (1, 1)


def test_rounds_of_several_images_name_their_image(step):
    table, first = step.results.rounds, a_round(0.8, image="1", image_name="first image")
    step.workspace.set_rounds([first, a_round(0.85, image="1", image_name="first image")])
    assert "first image" not in column(table, 0)[0]
    assert "first image" in table.item(0, 0).toolTip()
    step.workspace.set_rounds([first, a_round(0.9, image="2", image_name="second"), a_round(0.7)])
    assert [text.split("\n")[1] for text in column(table, 0)] == ["image ?", "second", "first image"]


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
