"""Curves: which figures are drawn over what, and in which unit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from emseg_napari.core.jobs import EpochEnded
from emseg_napari.widgets.base.plots import HistoryPlot, ThresholdPlot

ROW = EpochEnded(1, 30, 12.0, 0.5, 0.91, 0.9, 1e-3, 0.875)


def curves(plot):
    return {
        name: [np.round(one, 6).tolist() for one in curve.getData()] for name, curve in plot._curves.items()
    }


@pytest.fixture
def plot(qtbot):
    plot = HistoryPlot()
    qtbot.addWidget(plot)
    return plot


def test_scores_are_in_per_cent_over_time_and_the_loss_is_not(plot):
    plot.add(ROW)
    plot.add(replace(ROW, seconds=24.0, loss=0.25, held_out_v_rand=None))
    assert curves(plot) == {
        "loss": [[12, 24], [0.5, 0.25]],
        "accuracy": [[12, 24], [91, 91]],
        "held_out_accuracy": [[12, 24], [90, 90]],
        "held_out_v_rand": [[12], [87.5]],
    }


def test_a_resumed_training_shows_its_own_rows_and_changes_no_other_list(plot):
    rows = [ROW]
    plot.add(replace(ROW, seconds=1.0))
    plot.show_rows(rows)
    plot.add(replace(ROW, seconds=24.0))
    assert curves(plot)["loss"][0] == [12, 24]
    assert rows == [ROW]


def test_the_runs_own_and_the_best_thresholds_are_marked_on_both_curves(qtbot):
    plot = ThresholdPlot()
    qtbot.addWidget(plot)
    scores = [SimpleNamespace(v_rand=r, v_info=i) for r, i in ((0.8, 0.7), (0.9, 0.75))]
    plot.show_evaluation(
        SimpleNamespace(
            thresholds=[0.25, 0.5],
            per_threshold=scores,
            threshold=0.25,
            at_threshold=scores[0],
            v_rand_threshold=0.5,
            v_rand=0.9,
            v_info_threshold=0.75,
            v_info=0.6,
        )
    )
    assert curves(plot) == {"v_rand": [[0.25, 0.5], [0.8, 0.9]], "v_info": [[0.25, 0.5], [0.7, 0.75]]}
    marks = {name: [one.tolist() for one in mark.getData()] for name, mark in plot._marks.items()}
    assert marks == {"own": [[0.25, 0.25], [0.8, 0.7]], "best": [[0.5, 0.75], [0.9, 0.6]]}
    assert plot._own.value() == 0.25
