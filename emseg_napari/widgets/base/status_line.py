"""The one line in which all steps say what they do and what is wrong."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QPalette

from emseg_napari.widgets.base.step import WrappingLabel

_WRONG = {True: "#ff8a80", False: "#b3261e"}  # on a dark theme, on a light one


class StatusLine(WrappingLabel):
    """Shows the last sentence; one that something is wrong has a sign and a colour of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._sentence = ""
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def show_sentence(self, sentence: str, wrong: bool) -> None:
        """Show a sentence instead of the last one."""
        is_dark = self.palette().color(QPalette.ColorRole.Window).lightness() < 128
        self.setStyleSheet(f"color: {_WRONG[is_dark]};" if wrong else "")
        self._sentence = sentence
        self.setText(f"\u26a0 {sentence}" if wrong else sentence)

    def drop(self, sentence: str) -> None:
        """Show nothing, if a sentence is still the last one."""
        if sentence == self._sentence:
            self.show_sentence("", wrong=False)
