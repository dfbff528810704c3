"""Curves: those that grow while a network trains, and scores over thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from emseg_napari.core.jobs import EpochEnded
from emseg_napari.evaluation.evaluation import Evaluation
from emseg_napari.evaluation.predictions import boundary_threshold
from emseg_napari.widgets.base.fold import Fold
from emseg_napari.widgets.base.theme_colours import (
    BLUE,
    GREEN,
    VERMILLION,
    ThemeColour,
    is_theme_change,
    text_colour,
)

_SCORES_PX, _LOSS_PX = 190, 120
# pyqtgraph puts titles 5 pixels outside of their axes, and half a number above the upper end.
_MARGINS_PX = (5, 9, 1, 5)
_ROOM = 1.05  # right of the last symbol
_THRESHOLD = "threshold of the boundary probability"


@dataclass(frozen=True)
class _Look:
    """How a curve is told from the others: by its colour, its symbol and its dashes."""

    title: str
    colour: ThemeColour
    symbol: str
    glyph: str
    dash: Qt.PenStyle = Qt.PenStyle.SolidLine

    def draw(self, curve: pg.PlotDataItem, plot: QWidget) -> None:
        """Draw a curve so on the ground of its plot."""
        colour = self.colour.on(plot)
        curve.setPen(pg.mkPen(colour, width=2, style=self.dash))
        curve.setSymbol(self.symbol)
        curve.setSymbolSize(6)
        curve.setSymbolPen(colour)
        curve.setSymbolBrush(colour)


_LOSS = _Look("loss", BLUE, "o", "\u25cf")
_SCORES = {
    "accuracy": _Look("accuracy, trained", BLUE, "o", "\u25cf", Qt.PenStyle.DotLine),
    "held_out_accuracy": _Look("accuracy, held out", VERMILLION, "s", "\u25a0"),
    # Closing the gaps of each epoch would take 0.3 to 3 s of its 8 to 60 (0.25 s for 512 x 512 pixels).
    "held_out_v_rand": _Look(
        "V_rand, held out, before gaps are closed", GREEN, "t1", "\u25b2", Qt.PenStyle.DashLine
    ),
}
_MEASURES = {
    "v_rand": _Look("V_rand", VERMILLION, "o", "\u25cf"),
    "v_info": _Look("V_info", BLUE, "s", "\u25a0", Qt.PenStyle.DashLine),
}


class _Plot(pg.PlotWidget):
    """A plot in the colours of the theme.

    Parameters
    ----------
    left, bottom : str
        Labels of the axes.
    recolour : callable
        Colours the curves anew; called with the plot when it is shown in another theme.
    """

    def __init__(self, left: str, bottom: str, recolour: Callable[[_Plot], None]) -> None:
        self._recolour: Callable[[_Plot], None] | None = None  # Qt sends changes while this is made
        super().__init__(background=None)
        self.setLabel("left", left)
        self.setLabel("bottom", bottom)
        for axis in ("left", "bottom"):
            self.getAxis(axis).enableAutoSIPrefix(False)
        self.plotItem.layout.setContentsMargins(*_MARGINS_PX)
        self.setMouseEnabled(x=False, y=False)
        self.setMenuEnabled(False)
        self.hideButtons()
        self._recolour = recolour

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if is_theme_change(event):
            self.recolour()

    def recolour(self) -> None:
        """Give axes, legend and curves the colours of the theme."""
        if self._recolour is None:
            return
        text = text_colour(self)
        for name in ("left", "bottom"):
            axis = self.getAxis(name)
            axis.setPen(text)
            axis.setTextPen(text)
        for _, label in self.plotItem.legend.items if self.plotItem.legend else ():
            label.setText(label.text, color=text)
        self.resetCachedContent()  # the ground
        self._recolour(self)


class HistoryPlot(QWidget):
    """Accuracy on trained slices and on what is held out, V_rand there, and the loss, over training time."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[EpochEnded] = []
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._scores = _Plot("score (%)", "training time (s)", self._draw_scores)
        self._loss = _Plot("loss", "training time (s)", self._draw_loss)
        self._curves = {name: self._scores.plot() for name in _SCORES} | {"loss": self._loss.plot()}
        # Above the plot: within, it would lie on the curves.
        self._key = QLabel()
        self._key.setStyleSheet("font-size: 8pt;")
        self.loss = Fold("Loss", self._loss)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for plot, height in ((self._scores, _SCORES_PX), (self._loss, _LOSS_PX)):
            plot.setFixedHeight(height)
            plot.recolour()
        for widget in (self._key, self._scores, self._loss):
            # Ignored: pyqtgraph would ask for a dock of 640 pixels.
            widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for widget in (self._key, self._scores, self.loss):
            layout.addWidget(widget)

    def _draw_scores(self, plot: _Plot) -> None:
        entries = []
        for name, look in _SCORES.items():
            look.draw(self._curves[name], plot)
            entries.append(f"<font color={look.colour.on(plot).name()}>{look.glyph}</font> {look.title}")
        *accuracies, v_rand = entries  # the longest name gets a line of its own
        self._key.setText(f"{' &nbsp;'.join(accuracies)}<br>{v_rand}")

    def _draw_loss(self, plot: _Plot) -> None:
        _LOSS.draw(self._curves["loss"], plot)

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
            curve.setData([row.seconds for row in rows], [unit * getattr(row, name) for row in rows])
        last = max((row.seconds for row in self.rows), default=0) or 1
        for plot in (self._scores, self._loss):
            plot.setXRange(0, _ROOM * last, padding=0)  # by itself, that of one point would begin below 0


class ThresholdPlot(QWidget):
    """V_rand and V_info over the official thresholds; marks where the run's own and the best ones lie."""

    def __init__(self) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        plot = _Plot("score", _THRESHOLD, self._recolour)
        plot.addLegend(offset=(-10, -10), labelTextSize="8pt")
        plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        plot.setXRange(0, 1)
        layout.addWidget(plot)
        self._own = pg.InfiniteLine(angle=90)
        plot.addItem(self._own)
        self._curves = {name: plot.plot(name=look.title) for name, look in _MEASURES.items()}
        self._marks = {
            kind: plot.plot(pen=None, symbol=symbol, symbolSize=size, name=title)
            for kind, symbol, size, title in (("own", "d", 10, "run's own"), ("best", "star", 13, "best"))
        }
        plot.recolour()

    def _recolour(self, plot: _Plot) -> None:
        text = text_colour(plot)
        self._own.setPen(pg.mkPen(text, style=Qt.PenStyle.DashLine))
        for name, look in _MEASURES.items():
            look.draw(self._curves[name], plot)
        for mark in self._marks.values():
            mark.setSymbolPen(text)
            mark.setSymbolBrush(text)

    def show_evaluation(self, evaluation: Evaluation) -> None:
        """Draw the curves of an evaluation."""
        at = [boundary_threshold(one) for one in evaluation.thresholds]
        for name, curve in self._curves.items():
            curve.setData(at, [getattr(one, name) for one in evaluation.per_threshold])
        chosen = boundary_threshold(evaluation.threshold)
        self._own.setValue(chosen)
        own = [getattr(evaluation.at_threshold, name) for name in self._curves]
        self._marks["own"].setData([chosen] * 2, own)
        best = [
            (evaluation.v_rand_threshold, evaluation.v_rand),
            (evaluation.v_info_threshold, evaluation.v_info),
        ]
        self._marks["best"].setData([boundary_threshold(x) for x, _ in best], [y for _, y in best])
