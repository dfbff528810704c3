"""Strip of all slices with their state and estimated error."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from qtpy.QtCore import QEvent, QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from emseg_napari.annotation.label_state import SliceSummary, summary
from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.widgets.layers.labels_layer import confirmed_in, stack_of

COLOURS = {"raw": "#50545c", "proposed": "#e6c229", "touched": "#f2703a", "confirmed": "#3fae6a"}
_HEIGHT = 44
_COUNT_MS = 20  # between two portions of counting,
_COUNT_SECONDS = 0.006  # each so short that a stroke does not wait


def state_of(found: SliceSummary) -> str:
    """Return the most that is known of a slice: a word of `COLOURS`."""
    if found.confirmed:
        return "confirmed"
    return "touched" if found.own else "proposed" if found.proposed else "raw"


class SliceStrip(QWidget):
    """A column for each slice; a click goes there.

    The colour is the state; the line is the estimated error (expected 1 - V_rand), the full height
    being the largest.

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
        width = self.width() / max(1, self._slices)
        gap = 1.0 if width > 4 else 0.0
        return QRectF(z * width, 4, max(1.0, width - gap), self.height() - 8)

    def _slice_at(self, x: float) -> int | None:
        z = int(x * self._slices / max(1, self.width()))
        return z if 0 <= z < self._slices else None

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the columns."""
        painter = QPainter(self)
        highest = max(self._errors.values(), default=0.0) or 1.0
        for z in sorted(range(self._slices), key=self._rank):
            column, found = self._column(z), self.found.get(z)
            painter.fillRect(column, QColor(COLOURS[state_of(found)] if found else "#303338"))
            if z in self._errors:
                height = column.height() * self._errors[z] / highest
                bar = QRectF(column.left(), column.bottom() - height, column.width() / 3, height)
                painter.fillRect(bar, QColor("#101114"))
        if self._at is not None and self._slices:
            painter.setPen(QPen(QColor("white"), 2))
            painter.drawRect(self._column(self._at).adjusted(0, -2, 0, 2))
        painter.end()

    def _rank(self, z: int) -> int:
        """Say what is drawn later: where columns are narrower than a pixel, done covers raw."""
        return list(COLOURS).index(state_of(self.found[z])) if z in self.found else 0

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to a slice."""
        z = self._slice_at(event.pos().x())
        if z is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(z)

    def event(self, event: QEvent) -> bool:
        """Say of the slice under the cursor what is known."""
        if isinstance(event, QHelpEvent):
            z = self._slice_at(event.pos().x())
            QToolTip.showText(event.globalPos(), "" if z is None else self.sentence(z), self)
            return True
        return super().event(event)

    def sentence(self, z: int) -> str:
        """Return what is known of a slice in words and per cent."""
        found = self.found.get(z)
        error = f"; estimated error {self._errors[z]:.3f}" if z in self._errors else ""
        if found is None:  # not counted yet
            return f"Slice {z}{error}"
        total = found.unlabelled + found.proposed + found.own
        parts = (("unlabelled", found.unlabelled), ("proposed", found.proposed), ("yours", found.own))
        shares = ", ".join(f"{name} {100 * count / total:.1f} %" for name, count in parts)
        return f"Slice {z}: {shares}" + ("; confirmed" if found.confirmed else "") + error
