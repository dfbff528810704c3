"""Fields for numbers that mean the same in every language of the desktop.

Qt reads numbers by the language of the user: in German the point of 0.5 parts thousands, is dropped, and 5 is
left; in English the comma. Here comma and point both are the decimal sign, and what has two is refused.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QLocale
from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QSpinBox


class NumberBox(QDoubleSpinBox):
    """A spin box of decimal numbers, shown with a point."""

    def __init__(self, **properties: Any) -> None:
        super().__init__(**properties)
        self.setLocale(_plain())

    def validate(self, text: str, position: int) -> Any:
        """Say whether a text is a number, or may become one."""
        return super().validate(with_point(text), position)

    def valueFromText(self, text: str) -> float:
        """Return the number that a text stands for."""
        return super().valueFromText(with_point(text))


class CountBox(QSpinBox):
    """A spin box of whole numbers, in which no separator can be typed."""

    def __init__(self, **properties: Any) -> None:
        super().__init__(**properties)
        self.setLocale(_plain())

    def validate(self, text: str, position: int) -> Any:
        """Say whether a text is a number, or may become one."""
        if text != self.specialValueText() and not text.isdigit() and text:
            return QValidator.State.Invalid, text, position
        return super().validate(text, position)


def with_point(text: str) -> str:
    """Return the text of a decimal number with a point for its comma."""
    return text.replace(",", ".")


def _plain() -> QLocale:
    """Return a language without separators of thousands."""
    plain = QLocale.c()
    options = QLocale.NumberOption
    plain.setNumberOptions(options.OmitGroupSeparator | options.RejectGroupSeparator)
    return plain
