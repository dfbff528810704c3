"""Keyboard focus: no control of the dock takes it from the canvas unasked, so that keys keep working."""

from __future__ import annotations

from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QApplication, QComboBox, QWidget

from emseg_napari.widgets.base.closing import main_window_of


class FocusReturn(QObject):
    """Gives the focus to the canvas when a control hides or is disabled while it has the focus.

    Qt would give it to the next control. Lists of choices, which take letters for themselves, have the focus
    only if it was brought to them by the key Tab.

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
        if before is None or not isalive(before) or not self._area.isAncestorOf(before):
            return
        window = main_window_of(self._area)
        is_gone = not (before.isVisible() and before.isEnabled())
        if is_gone and window is not None and window.isVisible():
            window.centralWidget().setFocus()
