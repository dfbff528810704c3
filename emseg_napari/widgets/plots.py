"""Curves that grow while a network trains."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from emseg_napari.jobs import EpochEnded


class HistoryPlot(QWidget):
    """Loss, and accuracy on training and held-out slices, over training time."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[EpochEnded] = []
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._loss = _plot("loss", None)
        self._accuracy = _plot("accuracy (%)", "training time (s)")
        for plot in (self._loss, self._accuracy):
            plot.setFixedHeight(120)
            # Ignored: pyqtgraph would ask for a dock of 640 pixels.
            plot.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            layout.addWidget(plot)
        self._curves = {
            "loss": self._loss.plot(pen=pg.mkPen("#e0e0e0", width=2)),
            "accuracy": self._accuracy.plot(pen=pg.mkPen("#5aa0ff", width=2), name="trained slices"),
            "held_out_accuracy": self._accuracy.plot(
                pen=pg.mkPen("#ff7a3c", width=2), name="held-out slices"
            ),
        }

    def clear(self) -> None:
        """Forget the last training."""
        self.rows = []
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


def _plot(left: str, bottom: str | None) -> pg.PlotWidget:
    plot = pg.PlotWidget(background=None)
    plot.setLabel("left", left)
    if bottom:
        plot.setLabel("bottom", bottom)
        plot.addLegend(offset=(-10, -10), labelTextSize="8pt")
    for axis in ("left", "bottom"):
        plot.getAxis(axis).enableAutoSIPrefix(False)
    plot.setMouseEnabled(x=False, y=False)
    plot.setMenuEnabled(False)
    plot.hideButtons()
    return plot
