"""Strip of all slices with their state and estimated error."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import (
    QBrush,
    QColor,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPolygonF,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from emseg_napari.annotation.label_state import SliceSummary, summary
from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.widgets.layers.label_colours import GREEN, VERMILION, YELLOW
from emseg_napari.widgets.layers.labels_layer import confirmed_in, stack_of

# Of the states, in their order; raw has none. Told apart by their shapes as well.
COLOURS = {"raw": "", "proposed": YELLOW, "touched": VERMILION, "confirmed": GREEN}
_HATCH = "#33332a"
_OUTLINE = 0.5  # of the ink: that of the slice in view is full
_HEIGHT, _MARGIN, _ERRORS_HEIGHT = 44, 4, 12
_TICK_PX = 10.0  # narrower columns have no tick
_WIDE_PX = 4.0  # narrower columns have no outline, and leave no gap
_COUNT_MS = 20  # between two portions of counting,
_COUNT_SECONDS = 0.006  # each so short that a stroke does not wait


def state_of(found: SliceSummary) -> str:
    """Return the most that is known of a slice: a word of `COLOURS`."""
    if found.confirmed:
        return "confirmed"
    return "touched" if found.own else "proposed" if found.proposed else "raw"


class SliceStrip(QWidget):
    """A column for each slice; a click goes there.

    Raw slices are empty, proposed ones hatched, touched ones half full, confirmed ones full and ticked. The
    bars below are the estimated errors (expected 1 - V_rand), the full height being the largest.

    Signals
    -------
    clicked : int
        A slice.
    counted
        All slices are counted.
    """

    clicked = Signal(int)
    counted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._layer: Any = None
        self._slices = 0
        self._at: int | None = None
        self.found: dict[int, SliceSummary] = {}
        self._errors: dict[int, float] = {}
        self._waiting: dict[int, None] = {}  # in the order in which they came
        self._timer = QTimer(self, interval=_COUNT_MS)
        self._timer.timeout.connect(self._count)

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(300, _HEIGHT)

    def show_layer(self, layer: Any) -> None:
        """Show the slices of a managed labels layer, or nothing."""
        self._layer, self.found, self._errors = layer, {}, {}
        self._waiting = {}
        self._timer.stop()
        labels = None if layer is None else stack_of(layer)
        self._slices = 0 if labels is None else len(labels)
        if labels is not None:
            used = set(slices_in_use(labels))
            empty = SliceSummary(labels[0].size, 0, 0, False)
            self.found = {z: empty for z in range(self._slices) if z not in used}
            self.count(sorted(used | confirmed_in(layer)))

    def count(self, slices: Iterable[int]) -> None:
        """Count some slices again, soon."""
        if self._layer is not None:
            self._waiting.update(dict.fromkeys(slices))
        if self._waiting:
            self._timer.start()
        self.update()

    def show_errors(self, errors: Mapping[int, float]) -> None:
        """Show the estimated errors of some slices."""
        self._errors = dict(errors)
        self.update()

    def show_pixel(self, z: int | None) -> None:
        """Mark the slice in view."""
        if z != self._at:
            self._at = z
            self.update()

    def totals(self) -> dict[str, int]:
        """Return how many slices are in which state."""
        states = [state_of(found) for found in self.found.values()]
        return {state: states.count(state) for state in COLOURS}

    def _count(self) -> None:
        end = time.monotonic() + _COUNT_SECONDS
        labels = stack_of(self._layer)
        while self._waiting and time.monotonic() < end:
            z = next(iter(self._waiting))
            del self._waiting[z]
            self.found[z] = summary(labels[z], z in confirmed_in(self._layer))
        self.update()
        if not self._waiting:
            self._timer.stop()
            self.counted.emit()

    # -- drawing and clicking ---------------------------------------------------------------

    def _column(self, z: int) -> QRectF:
        """Return where the state of a slice is drawn: above the errors, if there are any."""
        width = self.width() / max(1, self._slices)
        gap = 1.0 if width > _WIDE_PX else 0.0
        below = _MARGIN + (_ERRORS_HEIGHT if self._errors_left() else 0)
        return QRectF(z * width, _MARGIN, max(1.0, width - gap), self.height() - _MARGIN - below)

    def _slice_at(self, x: float) -> int | None:
        z = int(x * self._slices / max(1, self.width()))
        return z if 0 <= z < self._slices else None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the columns in the colours of the theme and of the states."""
        painter = QPainter(self)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        for z in sorted(range(self._slices), key=self._rank):
            if z in self.found:
                _draw_state(painter, self._column(z), state_of(self.found[z]), ink)
        self._draw_errors(painter, ink)
        if self._at is not None and self._slices:
            column = self._column(self._at)
            painter.setPen(QPen(ink, 3))
            painter.drawRect(column.adjusted(-1, -2, 1, 2))
        painter.end()

    def _draw_errors(self, painter: QPainter, ink: QColor) -> None:
        """Draw the bars of the estimated errors below the columns."""
        errors = self._errors_left()
        highest = max(errors.values(), default=0.0) or 1.0
        for z, error in errors.items():
            column, height = self._column(z), (_ERRORS_HEIGHT - 2) * error / highest
            painter.fillRect(QRectF(column.left(), self.height() - height, column.width(), height), ink)

    def _errors_left(self) -> dict[int, float]:
        """Return the estimated errors of slices that are not confirmed."""
        confirmed = {z for z, found in self.found.items() if found.confirmed}
        return {z: error for z, error in self._errors.items() if z not in confirmed}

    def _rank(self, z: int) -> int:
        """Say what is drawn later: where columns are narrower than a pixel, done covers raw."""
        return list(COLOURS).index(state_of(self.found[z])) if z in self.found else 0

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to a slice."""
        z = self._slice_at(event.pos().x())
        if z is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(z)

    def event(self, event: QEvent) -> bool:
        """Say what is known of the slice under the cursor, and what the shapes mean."""
        if isinstance(event, QHelpEvent):
            z = self._slice_at(event.pos().x())
            text = "" if z is None else f"{self.sentence(z)}\n{self.toolTip()}"
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def sentence(self, z: int) -> str:
        """Return what is known of a slice in words and per cent."""
        found = self.found.get(z)
        errors = self._errors_left()
        error = f"; estimated error {errors[z]:.3f}" if z in errors else ""
        if found is None:  # not counted yet
            return f"Slice {z}{error}"
        total = found.unlabelled + found.proposed + found.own
        parts = (("unlabelled", found.unlabelled), ("proposed", found.proposed), ("yours", found.own))
        shares = ", ".join(f"{name} {100 * count / total:.1f} %" for name, count in parts)
        return f"Slice {z}: {shares}" + ("; confirmed" if found.confirmed else "") + error


def _draw_state(painter: QPainter, column: QRectF, state: str, ink: QColor) -> None:
    """Draw one column: the fuller it is, the more was done."""
    if state != "raw":
        filled = column.adjusted(0, column.height() / 2 if state == "touched" else 0, 0, 0)
        painter.fillRect(filled, QColor(COLOURS[state]))
    if state == "proposed":
        painter.fillRect(column, QBrush(QColor(_HATCH), Qt.BrushStyle.BDiagPattern))
    if column.width() >= _WIDE_PX:
        outline = QColor(ink)
        outline.setAlphaF(_OUTLINE)
        painter.setPen(QPen(outline, 1))
        painter.drawRect(column.adjusted(0, 0, -1, -1))
    if state == "confirmed" and column.width() >= _TICK_PX:
        _draw_tick(painter, column)


def _draw_tick(painter: QPainter, column: QRectF) -> None:
    middle, size = column.center(), _TICK_PX / 3
    painter.setPen(QPen(QColor("white"), 2))
    tick = ((-size, 0.0), (-size / 3, size), (size, -size))
    painter.drawPolyline(QPolygonF([middle + QPointF(x, y) for x, y in tick]))
