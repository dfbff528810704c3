"""The mouse wheel scrolls a page, and changes no list that the pointer happens to pass."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QComboBox, QWidget


class _WheelGuard(QObject):
    """Leaves the wheel over a list to the page."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ignore a wheel event, so that Qt gives it to the page."""
        if event.type() != QEvent.Type.Wheel:
            return False
        event.ignore()
        return True


def leave_wheel_to_page(page: QWidget) -> None:
    """Let the lists in a widget ignore the wheel, of which they would take their next entry."""
    guard = _WheelGuard(page)
    for one in page.findChildren(QComboBox):
        one.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # else the wheel gives it the focus
        one.installEventFilter(guard)
