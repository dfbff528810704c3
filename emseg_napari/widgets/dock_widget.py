"""What napari's menu opens: it shows the dock of a viewer.

The first time, the dock's modules are imported in a thread, since that takes seconds in which the window
would stand still; then the dock is built part by part.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt, QTimer, Signal
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QSizePolicy, QVBoxLayout, QWidget

from emseg_napari.widgets.base.closing import main_window_of
from emseg_napari.widgets.base.preferences import recall

if TYPE_CHECKING:
    from emseg_napari.widgets.dock import Dock

_DOCK = "emseg_napari.widgets.dock"


class DockWidget(QWidget):
    """The frame around the dock of a viewer; the dock stays with its viewer when this is closed.

    Attributes
    ----------
    dock : Dock or None
        None while its modules are imported and it is built.
    problem : str
        Why it cannot be loaded, in a sentence; empty if it can.

    Signals
    -------
    ready
        The dock is there.
    """

    ready = Signal()

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.dock: Dock | None = None
        self.problem = ""
        self._built: Dock | None = None
        self._has_ended = False
        self._viewer = napari_viewer
        self._window: QMainWindow | None = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._loading = QLabel("Loading...", alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self._layout.addWidget(self._loading)
        self.setMinimumWidth(400)
        # Expanding, or napari would leave a part of the dock empty.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        if _DOCK in sys.modules:
            self._build_dock()
        else:
            self._worker = worker = create_worker(_import_dock, _start_thread=False)
            worker.returned.connect(self._build_imported)
            worker.start()

    def _build_imported(self, problem: str) -> None:
        if not isalive(self) or self._has_ended:
            return  # it was closed meanwhile
        if problem:
            self._refuse(problem)
        else:
            self._build_dock()

    def _refuse(self, problem: str) -> None:
        self.problem = f"The plugin cannot be loaded: {problem}. Try 'emseg info starter'."
        self._loading.setText(self.problem)

    def _build_dock(self) -> None:
        self._built = dock = import_module(_DOCK).dock_of(self._viewer)
        before = dock.parentWidget()
        dock.hide()
        self._layout.addWidget(dock)
        if isinstance(before, QDockWidget):  # in which it was put away
            before.deleteLater()
        self._build_next()

    def _build_next(self) -> None:
        if not isalive(self) or self._built is None or self._has_ended:
            return
        try:
            is_more = self._built.build_next()
        except Exception as error:
            self._discard()
            self._refuse(_named(error))
            return
        if is_more:
            QTimer.singleShot(0, self._build_next)
            return
        self._loading.hide()
        self._built.show()
        self.dock = self._built
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
        self._has_ended = True
        if self._window is not None and self._built is not None and self._built.parentWidget() is self:
            try:
                self._built.put_away(self._window)
            except Exception:  # a part cannot be built: the next opening says so
                self._discard()
        self.deleteLater()

    def _discard(self) -> None:
        if self._built is not None:
            self._built.discard()
        self._built = None


def _import_dock() -> str:
    """Import the dock, and return what is wrong if that fails: an error would be shown as a traceback."""
    try:
        import_module(_DOCK)
        # Here, since napari reads the manifests of all plugins before its first answer.
        recall("folders")
    except Exception as error:
        return _named(error)
    return ""


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
