"""Whether the user can have seen what was brought into view: keys that were pressed sooner do not mean it."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QOpenGLWidget, QWidget

from emseg_napari.widgets.base.closing import main_window_of

# Keys that were pressed while the frame was drawn come after it, and no user judges sooner.
_SEEN_MS = 250


class DrawnFrame(QObject):
    """Knows whether the canvas of a window was drawn, and could be seen, since it was asked to be.

    Parameters
    ----------
    owner : QWidget
        Lies in that window. Without a window that is seen nothing is awaited.
    """

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self._owner = owner
        self._watched: WeakSet[QWidget] = WeakSet()
        self._is_painted = False
        self._seen = QTimer(self, singleShot=True, interval=_SEEN_MS)
        self._seen.timeout.connect(self._end)
        self.is_awaited = False

    def request(self) -> None:
        """Let the canvas be drawn, and wait until that could be seen."""
        window = main_window_of(self._owner)
        self._seen.stop()
        self._is_painted = False
        for canvas in [] if window is None else window.centralWidget().findChildren(QOpenGLWidget):
            if canvas.isVisible():
                self._watch(canvas)
                canvas.update()
                self.is_awaited = True

    def _watch(self, canvas: QOpenGLWidget) -> None:
        if canvas not in self._watched:
            self._watched.add(canvas)
            canvas.installEventFilter(self)
            canvas.frameSwapped.connect(self._follow_swap)

    def eventFilter(self, watched: QObject, event: Any) -> bool:
        """Note that the canvas is being drawn."""
        if event.type() == QEvent.Type.Paint:
            self._is_painted = True
        return False

    def _follow_swap(self) -> None:
        """Note that a frame has come to the screen."""
        if self.is_awaited and self._is_painted and not self._seen.isActive():
            self._seen.start()

    def _end(self) -> None:
        self.is_awaited = False
