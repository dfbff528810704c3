"""Lists of which one entry is chosen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter, QToolTip

_LETTERS = 12  # that are seen of an entry at least, beside a title
_MARGIN_PX = 8  # that styles leave around the entry


class Choice(QComboBox):
    """A list of which one entry is chosen; an entry that has no room ends with dots.

    The whole name is then in the tooltip.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(_LETTERS)

    def shown_text(self) -> str:
        """Return the chosen entry as it is drawn."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        edit = QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, edit, self).width()
        dots = Qt.TextElideMode.ElideRight  # what tells entries apart stands first
        return self.fontMetrics().elidedText(option.currentText, dots, room - _MARGIN_PX)

    def about(self) -> str:
        """Return the tooltip, with the whole name of an entry that is cut."""
        name, about = self.currentText(), self.toolTip()
        is_cut = self.shown_text() != name and not about.startswith(name)
        return f"{name}\n\n{about}".rstrip() if is_cut else about

    def paintEvent(self, event: Any) -> None:
        """Draw the entry as it has room."""
        option, painter = QStyleOptionComboBox(), QStylePainter(self)
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        option.currentText = self.shown_text()
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def event(self, event: QEvent) -> bool:
        """Show the tooltip."""
        if event.type() != QEvent.Type.ToolTip:
            return bool(super().event(event))
        QToolTip.showText(event.globalPos(), self.about(), self)
        return True

    def showPopup(self) -> None:
        """Show the list, whose entries have their whole names as tooltips."""
        for index in range(self.count()):
            if not self.itemData(index, Qt.ItemDataRole.ToolTipRole):
                self.setItemData(index, self.itemText(index), Qt.ItemDataRole.ToolTipRole)
        super().showPopup()
