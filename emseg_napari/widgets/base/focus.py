"""Keyboard focus: the canvas gets it when a control of the dock goes, so that keys keep working."""

from __future__ import annotations

from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QWidget

from emseg_napari.widgets.base.closing import main_window_of


class FocusReturn(QObject):
    """Gives the focus to the canvas when a control hides or is disabled while it has the focus.

    Qt would give it to the next control, often a list of choices, which takes letters for itself.

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

    def _follow(self, before: QWidget | None, now: QWidget | None) -> None:
        if before is None or not isalive(before) or not self._area.isAncestorOf(before):
            return
        window = main_window_of(self._area)
        is_gone = not (before.isVisible() and before.isEnabled())
        if is_gone and window is not None and window.isVisible():
            window.centralWidget().setFocus()
