"""Details that fold away under a title."""

from __future__ import annotations

from qtpy.QtWidgets import QVBoxLayout, QWidget
from superqt import QCollapsible


def folded(title: str, *widgets: QWidget) -> QCollapsible:
    """Put widgets below a title that opens them; they are closed at first.

    Parameters
    ----------
    title : str
    *widgets : QWidget
    """
    content = QWidget()  # a widget of fixed height would not close
    column = QVBoxLayout(content)
    column.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        column.addWidget(widget)
    fold = QCollapsible(title)
    fold.layout().setContentsMargins(0, 0, 0, 0)
    fold.setContent(content)
    fold.collapse(animate=False)
    return fold
