"""Curves: which figures are drawn over what, and in which unit."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyqtgraph as pg
import pytest
from napari.utils.theme import get_theme
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication

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


def test_time_begins_at_nothing_however_few_epochs_there_are(plot):
    for row in (ROW, replace(ROW, seconds=24.0)):
        plot.add(row)
        for one in (plot._scores, plot._loss):
            (first, last), _ = one.viewRange()
            assert first == 0
            assert row.seconds < last < 1.2 * row.seconds


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
    assert curves(plot) == {"v_rand": [[0.75, 0.5], [0.8, 0.9]], "v_info": [[0.75, 0.5], [0.7, 0.75]]}
    marks = {name: [one.tolist() for one in mark.getData()] for name, mark in plot._marks.items()}
    assert marks == {"own": [[0.75, 0.75], [0.8, 0.7]], "best": [[0.5, 0.25], [0.9, 0.6]]}
    assert plot._own.value() == 0.75


def test_the_scores_come_first_and_the_loss_is_folded_below(plot):
    plot.resize(380, 500)
    plot.show()
    assert not plot.loss.is_open
    assert plot._loss.viewport().visibleRegion().isEmpty()
    plot.loss.set_open(True)
    QApplication.processEvents()
    scores, loss = (part.mapTo(plot, part.rect().topLeft()).y() for part in (plot._scores, plot._loss))
    assert scores < loss
    assert not plot._loss.viewport().visibleRegion().isEmpty()
    assert plot._scores.height() > plot._loss.height()


@pytest.mark.parametrize("kind", [HistoryPlot, ThresholdPlot])
def test_titles_and_numbers_of_the_axes_are_not_cut(qtbot, kind):
    plot = kind()
    qtbot.addWidget(plot)
    plot.resize(380, 400)
    plot.show()
    QApplication.processEvents()
    shown = plot.findChild(pg.PlotWidget)
    digit_px = shown.fontMetrics().height()
    for name in ("left", "bottom"):
        title = shown.getAxis(name).label
        assert shown.sceneRect().contains(title.mapRectToScene(title.boundingRect()))
    assert shown.getViewBox().sceneBoundingRect().top() >= digit_px / 2  # a number may stand at its end


def looks(plot):
    """How each curve is drawn: dashes, symbol and colour."""
    options = [curve.opts for curve in plot._curves.values()]
    return [(one["pen"].style(), one["symbol"], one["pen"].color().name()) for one in options]


@pytest.mark.parametrize("kind", [HistoryPlot, ThresholdPlot])
def test_curves_of_one_plot_differ_by_dashes_and_symbol_and_colour(qtbot, kind):
    plot = kind()
    qtbot.addWidget(plot)
    found = [look for name, look in zip(plot._curves, looks(plot), strict=True) if name != "loss"]
    for each in zip(*found, strict=True):
        assert len(set(each)) == len(found)


def contrast(colour, ground):
    """The contrast of WCAG 2: 3 is enough for lines, 4.5 for text."""
    light = sorted((luminance(QColor(one)) for one in (colour, ground)), reverse=True)
    return (light[0] + 0.05) / (light[1] + 0.05)


def luminance(colour):
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.getRgbF()[:3]
    ]
    return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("kind", [HistoryPlot, ThresholdPlot])
def test_lines_and_texts_can_be_read_on_both_themes_and_follow_a_change(make_napari_viewer_proxy, kind):
    viewer = make_napari_viewer_proxy(show=True)
    plot = kind()
    viewer.window.add_dock_widget(plot)
    for theme in ("light", "dark", "light"):
        viewer.theme = theme
        QApplication.processEvents()
        ground = get_theme(theme).background.as_hex()
        shown = plot.findChild(pg.PlotWidget)
        assert shown.grab().toImage().pixelColor(2, 2).name() == ground
        axis, legend = shown.getAxis("left"), shown.plotItem.legend
        texts = (
            [QColor(label.item.toHtml().split("color:")[1][:7]) for _, label in legend.items]
            if legend
            else []
        )
        for colour in (axis.pen().color(), axis.textPen().color(), *texts):
            assert contrast(colour, ground) > 4.5
        for _, _, colour in looks(plot):
            assert contrast(colour, ground) > 3
