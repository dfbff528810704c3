"""Windows and docks: where a widget lies, whether the user has put it away, and what is asked at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from emseg_napari.widgets.base.dialogs import is_sure

if TYPE_CHECKING:
    from emseg_napari.widgets.base.step import StepWidget


class CloseQuestion(QObject):
    """Asks whether a window is closed although something would be lost.

    Where a program closes the viewer, nobody may be there to answer: the loss is logged.

    Parameters
    ----------
    step : StepWidget
        Lies in that window.
    loss : callable
        Returns what would be lost, in sentences; empty if nothing.
    """

    def __init__(self, step: StepWidget, loss: Callable[[], str]) -> None:
        super().__init__(step)
        self._step, self._loss = step, loss

    def watch(self) -> None:
        """Ask from now on."""
        window = main_window_of(self._step)
        if window is not None:
            window.installEventFilter(self)  # a second call has no effect: Qt keeps one

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the window open if the user says so."""
        loss = self._loss() if event.type() == QEvent.Type.Close else ""
        if not loss or self._may_close(event, loss):
            return False
        event.ignore()
        return True

    def _may_close(self, event: QEvent, loss: str) -> bool:
        # `Viewer.close` takes all layers out before; the menu of napari does not.
        if event.spontaneous() or self._step.viewer.layers:
            return is_sure(self._step, loss, "Close")
        logging.getLogger(__name__).error("the window was closed by a program: %s", loss)
        return True


def main_window_of(widget: QWidget) -> QMainWindow | None:
    """Return the main window that a widget lies in, also in a dock that floats; None if it lies in none."""
    above: QWidget | None = widget
    while above is not None and not isinstance(above, QMainWindow):
        above = above.parentWidget()
    return above


def is_put_away(widget: QWidget) -> bool:
    """Whether the user has hidden the dock that a widget lies in; one behind another tab is not hidden."""
    dock: Any = widget
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    explicit = Qt.WidgetAttribute.WA_WState_ExplicitShowHide  # else its window was not shown yet
    return dock is not None and dock.isHidden() and dock.testAttribute(explicit)
