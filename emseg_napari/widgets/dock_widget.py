"""What napari's menu opens: it shows the dock of a viewer.

The dock's modules are imported in a thread the first time, since that takes seconds in which the window would
stand still.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt, QTimer, Signal
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QVBoxLayout, QWidget

from emseg_napari.widgets.base.closing import main_window_of

if TYPE_CHECKING:
    from emseg_napari.widgets.dock import Dock

_DOCK = "emseg_napari.widgets.dock"


class DockWidget(QWidget):
    """The frame around the dock of a viewer; the dock stays with its viewer when this is closed.

    Attributes
    ----------
    dock : Dock or None
        None while its modules are imported.

    Signals
    -------
    ready
        The dock is there.
    """

    ready = Signal()

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.dock: Dock | None = None
        self._viewer = napari_viewer
        self._window: QMainWindow | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._loading = QLabel("Loading...", alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self._layout.addWidget(self._loading)
        self.setMinimumWidth(400)
        if _DOCK in sys.modules:
            self._show_dock()
        else:
            self._worker = worker = create_worker(_import_dock, _start_thread=False)
            worker.returned.connect(self._show_imported)
            worker.start()

    def _show_imported(self, problem: str) -> None:
        if not isalive(self):
            return  # it was closed meanwhile
        if problem:
            self._loading.setText(f"The plugin cannot be loaded: {problem}. Try 'emseg info starter'.")
        else:
            self._show_dock()

    def _show_dock(self) -> None:
        dock = import_module(_DOCK).dock_of(self._viewer)
        before = dock.parentWidget()
        self._loading.hide()
        self._layout.addWidget(dock)
        dock.show()
        if isinstance(before, QDockWidget):  # in which it was put away
            before.deleteLater()
        self.dock = dock
        self.ready.emit()

    def showEvent(self, event: Any) -> None:
        """Learn in which window the dock lies."""
        super().showEvent(event)
        self._window = main_window_of(self) or self._window

    def changeEvent(self, event: Any) -> None:
        """Follow that napari takes this widget out of its dock."""
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
        if self._window is not None and self.dock is not None and self.dock.parentWidget() is self:
            self.dock.put_away(self._window)
        self.deleteLater()


def _import_dock() -> str:
    """Import the dock, and return what is wrong if that fails: an error would be shown as a traceback."""
    try:
        import_module(_DOCK)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
