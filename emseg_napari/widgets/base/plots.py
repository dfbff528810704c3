"""Curves: those that grow while a network trains, and scores over thresholds."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from emseg_napari.core.jobs import EpochEnded
from emseg_napari.evaluation.evaluation import Evaluation

_SCORES = {
    "accuracy": ("#5aa0ff", "accuracy, trained"),
    "held_out_accuracy": ("#ff7a3c", "accuracy, held out"),
    "held_out_v_rand": ("#7ed957", "V_rand, held out"),
}


class HistoryPlot(QWidget):
    """Loss, accuracy on trained slices and on what is held out, and V_rand there, over training time."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[EpochEnded] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._loss = _plot("loss", None)
        self._scores = _plot("score (%)", "training time (s)", legend=False)
        # Above the plot: within, it would lie on the curves.
        entries = (f"<font color={colour}>\u2501 {name}</font>" for colour, name in _SCORES.values())
        key = QLabel(" &nbsp;".join(entries))
        key.setStyleSheet("font-size: 8pt;")
        for plot, height in ((self._loss, 110), (self._scores, 170)):
            plot.setFixedHeight(height)
        for widget in (self._loss, key, self._scores):
            # Ignored: pyqtgraph would ask for a dock of 640 pixels.
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            layout.addWidget(widget)
        self._curves = {"loss": self._loss.plot(pen=pg.mkPen("#e0e0e0", width=2))} | {
            name: self._scores.plot(pen=pg.mkPen(colour, width=2)) for name, (colour, _) in _SCORES.items()
        }

    def show_rows(self, rows: list[EpochEnded]) -> None:
        """Show these epochs instead of the last training's."""
        self.rows = list(rows)
        self._draw()

    def add(self, row: EpochEnded) -> None:
        """Add an epoch."""
        self.rows.append(row)
        self._draw()

    def _draw(self) -> None:
        for name, curve in self._curves.items():
            unit = 1 if name == "loss" else 100
            rows = [row for row in self.rows if getattr(row, name) is not None]
            values = [unit * getattr(row, name) for row in rows]
            curve.setData([row.seconds for row in rows], values, symbol="o", symbolSize=4)


class ThresholdPlot(QWidget):
    """V_rand and V_info over the official thresholds; marks where the run's own and the best ones lie."""

    def __init__(self) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        plot = _plot("score", "threshold of the interior probability")
        plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        plot.setXRange(0, 1)
        layout.addWidget(plot)
        self._own = pg.InfiniteLine(angle=90, pen=pg.mkPen("#a0a0a0", style=Qt.PenStyle.DashLine))
        plot.addItem(self._own)
        colours = {"v_rand": "#ff7a3c", "v_info": "#5aa0ff"}
        titles = {"v_rand": "V_rand", "v_info": "V_info"}
        self._curves = {
            name: plot.plot(
                pen=pg.mkPen(c, width=2), symbol="o", symbolSize=4, symbolBrush=c, name=titles[name]
            )
            for name, c in colours.items()
        }
        self._marks = {
            kind: plot.plot(pen=None, symbol=symbol, symbolSize=size, symbolBrush="#ffffff", name=title)
            for kind, symbol, size, title in (("own", "d", 10, "run's own"), ("best", "star", 13, "best"))
        }

    def show_evaluation(self, evaluation: Evaluation) -> None:
        """Draw the curves of an evaluation."""
        for name, curve in self._curves.items():
            curve.setData(evaluation.thresholds, [getattr(one, name) for one in evaluation.per_threshold])
        self._own.setValue(evaluation.threshold)
        own = [getattr(evaluation.at_threshold, name) for name in self._curves]
        self._marks["own"].setData([evaluation.threshold] * 2, own)
        best = [
            (evaluation.v_rand_threshold, evaluation.v_rand),
            (evaluation.v_info_threshold, evaluation.v_info),
        ]
        self._marks["best"].setData([x for x, _ in best], [y for _, y in best])


def _plot(left: str, bottom: str | None, legend: bool = True) -> pg.PlotWidget:
    plot = pg.PlotWidget(background=None)
    plot.setLabel("left", left)
    if bottom:
        plot.setLabel("bottom", bottom)
    if bottom and legend:
        plot.addLegend(offset=(-10, -10), labelTextSize="8pt")
    for axis in ("left", "bottom"):
        plot.getAxis(axis).enableAutoSIPrefix(False)
    plot.setMouseEnabled(x=False, y=False)
    plot.setMenuEnabled(False)
    plot.hideButtons()
    return plot
