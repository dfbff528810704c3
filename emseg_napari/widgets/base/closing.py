"""Windows and docks: in which window a widget lies, and whether the user has put its dock away."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


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
