"""Keyboard focus: no control takes keys from the canvas unasked, so that they keep working."""

from __future__ import annotations

from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractItemView, QApplication, QComboBox, QDockWidget, QWidget

from emseg_napari.widgets.base.closing import main_window_of


class FocusReturn(QObject):
    """Gives the focus to the canvas when a control hides or is disabled while it has the focus.

    Qt would give it to the next control. Lists of choices, which take letters for themselves, have the focus
    only if it was brought to them by the key Tab. In napari's list of layers, letters search no layer.

    Parameters
    ----------
    area : QWidget
        Whose controls are followed.
    """

    def __init__(self, area: QWidget) -> None:
        super().__init__(area)
        self._area = area
        application: Any = QApplication.instance()
        application.focusChanged.connect(self._follow)
        for choices in area.findChildren(QComboBox):
            choices.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def _follow(self, before: QWidget | None, now: QWidget | None) -> None:
        window = main_window_of(self._area)
        layers = None if window is None else window.findChild(QDockWidget, "layer list")
        if isinstance(now, QAbstractItemView) and layers is not None and layers.isAncestorOf(now):
            now.installEventFilter(self)  # a second call has no effect: Qt keeps one
        if before is None or not isalive(before) or not self._area.isAncestorOf(before):
            return
        is_gone = not (before.isVisible() and before.isEnabled())
        if is_gone and window is not None and window.isVisible():
            window.centralWidget().setFocus()

    def eventFilter(self, watched: QObject, event: Any) -> bool:
        """Pass letters that were typed in a list on to the window, where they are keys."""
        is_letter = event.type() == QEvent.Type.KeyPress and event.text().isprintable() and event.text() != ""
        if is_letter:
            event.ignore()
        return is_letter
