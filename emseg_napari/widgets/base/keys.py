"""Keyboard shortcuts of the correction loop, and the page that lists them.

None of them means anything to napari while a labels layer is selected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

# What each does, in the order of a round; the names are those of napari's key bindings.
KEYS = {
    "N": "next place",
    "Shift-N": "previous place",
    "A": "accept: the place is right as it is",
    "S": "skip the place",
    "G": "tool: close a gap (click both ends, or drag)",
    "D": "tool: drop a false membrane (click on it)",
    "J": "tool: join two cells (click in both, or drag)",
    "K": "tool: split a cell (draw a stroke across it)",
    "I": "tool: remove an island or a speck (click on it)",
    "Q": "tool: copy the slice before (click into this one)",
    "W": "tool: copy the slice after (click into this one)",
    "U": "tool: interpolate between confirmed slices (click into this one)",
    "C": "confirm or unconfirm the slice",
    "T": "show or hide the labels",
    "O": "outlines or filled labels",
    ",": "previous slice",
    ".": "next slice",
    "Y": "live learning on or off",
    "F1": "this list",
}
NAPARI_KEYS = {
    "2 or P": "brush",
    "1 or E": "eraser",
    "4 or F": "fill",
    "3": "polygon",
    "6 or Z": "move the image",
    "[ and ]": "brush size",
    "Escape": "end the tool",
    "Ctrl+Z": "undo",
    "Ctrl+Shift+Z": "redo",
}


def bind(viewer: Any, owner: QWidget, actions: Mapping[str, Callable[[], Any]]) -> None:
    """Bind keys of `KEYS` in a viewer until the owner goes."""
    for key, action in actions.items():
        viewer.bind_key(key, lambda _, action=action: action(), overwrite=True)
    owner.destroyed.connect(lambda: _release(viewer, list(actions)))


def _release(viewer: Any, keys: list[str]) -> None:
    for key in keys:
        viewer.bind_key(key, None, overwrite=True)


class KeySheet(QDialog):
    """The keys on one page."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys for correcting")
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(_table("Correction", KEYS) + _table("Keys of napari", NAPARI_KEYS)))


def _table(title: str, keys: Mapping[str, str]) -> str:
    rows = (f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{text}</td></tr>" for key, text in keys.items())
    return f"<h3>{title}</h3><table>{''.join(rows)}</table>"
