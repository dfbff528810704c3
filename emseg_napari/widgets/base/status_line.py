"""The one line in which all steps say what they do and what is wrong."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt

from emseg_napari.widgets.base.step import WrappingLabel
from emseg_napari.widgets.base.theme_colours import RED, is_theme_change


class StatusLine(WrappingLabel):
    """Shows the last sentence; one that something is wrong has a sign and a colour of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._sentence, self._is_wrong = "", False
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def show_sentence(self, sentence: str, wrong: bool) -> None:
        """Show a sentence instead of the last one."""
        self._sentence, self._is_wrong = sentence, wrong
        self._recolour()
        self.setText(f"\u26a0 {sentence}" if wrong else sentence)

    def drop(self, sentence: str) -> None:
        """Show nothing, if a sentence is still the last one."""
        if sentence == self._sentence:
            self.show_sentence("", wrong=False)

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if is_theme_change(event):
            self._recolour()

    def _recolour(self) -> None:
        look = f"color: {RED.on(self).name()};" if self._is_wrong else ""
        if look != self.styleSheet():  # else the change of the style would never end
            self.setStyleSheet(look)
