"""Whether the canvas has drawn what was brought into view: keys that are pressed sooner come before that."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QOpenGLWidget, QWidget

from emseg_napari.widgets.base.closing import main_window_of


class DrawnFrame(QObject):
    """Knows whether the canvas of a window was drawn since it was asked to be.

    Parameters
    ----------
    owner : QWidget
        Lies in that window. Without a window that is seen nothing is awaited.
    """

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self._owner = owner
        self.is_awaited = False

    def request(self) -> None:
        """Let the canvas be drawn, and wait for that."""
        window = main_window_of(self._owner)
        for canvas in [] if window is None else window.centralWidget().findChildren(QOpenGLWidget):
            if canvas.isVisible():
                canvas.installEventFilter(self)  # a second call has no effect: Qt keeps one
                canvas.update()
                self.is_awaited = True

    def eventFilter(self, watched: QObject, event: Any) -> bool:
        """Note that the canvas is drawn."""
        if event.type() == QEvent.Type.Paint:
            self.is_awaited = False
        return False
