"""Colours that can be read on the dark and on the light theme, and told apart by colour-blind people.

Blue, vermillion and green are those of Okabe and Ito (https://jfly.uni-koeln.de/color/), some darker on a
light ground. Where two of them tell states apart, a word, a sign, a symbol or dashes do so as well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from qtpy.QtCore import QEvent
from qtpy.QtGui import QColor, QPalette
from qtpy.QtWidgets import QWidget


class ThemeColour(NamedTuple):
    """One meaning in two shades: on a light ground, and on a dark one."""

    on_light: str
    on_dark: str

    def on(self, widget: QWidget) -> QColor:
        """Return the shade for a widget's ground."""
        ground, text = QPalette.ColorRole.Window, QPalette.ColorRole.WindowText
        palette = widget.palette()
        is_dark = palette.color(ground).lightness() < palette.color(text).lightness()
        return QColor(self.on_dark if is_dark else self.on_light)


BLUE = ThemeColour("#0072B2", "#56B4E9")
VERMILLION = ThemeColour("#B34D00", "#D55E00")
RED = ThemeColour("#b3261e", "#ff8a80")
GREEN = ThemeColour("#007D5A", "#009E73")
GREY = ThemeColour("#5c5f64", "#9a9da3")


def text_colour(widget: QWidget) -> QColor:
    """Return the colour of texts in a widget."""
    return widget.palette().color(QPalette.ColorRole.WindowText)


def is_theme_change(event: Any) -> bool:
    """Whether an event of `changeEvent` says that a widget has other colours now."""
    return event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
