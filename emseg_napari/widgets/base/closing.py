"""Widgets that end when they are closed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt, QTimer, Signal
from qtpy.QtWidgets import QDockWidget, QWidget


class ClosedForGood(QWidget):
    """Base of a widget of napari's menu, which is destroyed when the user closes it.

    napari only takes a closed widget out of the window: it would live on, and act unseen on keys and layers.

    Signals
    -------
    closing
        It is closed and about to be destroyed: what it has in the viewer has to go.
    """

    closing = Signal()

    def changeEvent(self, event: Any) -> None:
        """Follow that napari takes the widget out of its dock."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            QTimer.singleShot(0, self._end_unless_moved)

    def closeEvent(self, event: Any) -> None:
        """End with a window of its own."""
        super().closeEvent(event)
        QTimer.singleShot(0, self._end)

    def _end_unless_moved(self) -> None:
        if self.parent() is None:  # else it was put into another dock
            self._end()

    def _end(self) -> None:
        self.closing.emit()
        self.deleteLater()


def is_put_away(widget: QWidget) -> bool:
    """Whether the user has hidden the dock that a widget lies in; one behind another tab is not hidden."""
    dock: Any = widget
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    explicit = Qt.WidgetAttribute.WA_WState_ExplicitShowHide  # else its window was not shown yet
    return dock is not None and dock.isHidden() and dock.testAttribute(explicit)
