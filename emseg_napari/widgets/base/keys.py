"""Keyboard shortcuts of the correction loop, and the page that lists them.

None of them means anything to napari while a labels layer is selected. Some do while an image is selected;
what binds them here comes first, as long as the user sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from inspect import isgenerator
from typing import Any, cast

from napari.layers import Image
from napari.utils.key_bindings import coerce_keybinding
from qtpy.compat import isalive
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

# What each does, in the order of a round; the names are those of napari's key bindings.
KEYS = {
    "N": "next place; on page Check the next error",
    "Shift+N": "previous place or error",
    "A": "accept: the place is right as it is",
    "S": "skip the place",
    "H": "back to the whole slice",
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
    "Ctrl+Z": "undo the last change of the labels chosen at the top, or of others while you paint in them",
    "Ctrl+Shift+Z": "redo it",
}


def bind(viewer: Any, owner: QWidget, actions: Mapping[str, Callable[[], Any]]) -> None:
    """Let keys of `KEYS` do something for a widget while the user sees it.

    Of several widgets that bind a key, the visible one has it: keys belong to the page in view. While none
    is visible, and after the last is gone, a key does what it did before.
    """
    for key, action in actions.items():
        shortcut = _shortcut(viewer, key)
        shortcut.claim(owner, action)
        # Qt holds a bound method weakly; a lambda would keep alive all that it names.
        owner.destroyed.connect(shortcut.release)


def with_key(text: str, key: str) -> str:
    """Return a text with the key that does the same, both as they are shown: "Back (Shift+N)"."""
    return f"{text} ({key})"


class _Shortcut:
    """What a key does: the action of that of its owners which the user sees."""

    def __init__(self, viewer: Any, key: str, before: Any) -> None:
        self.__name__ = type(self).__name__  # napari asks every function for its name
        self._viewer, self._key, self._before = viewer, key, before
        self._claims: list[tuple[QWidget, Callable[[], Any]]] = []
        self._of_images = Image.class_keymap.get(coerce_keybinding(key))
        viewer.layers.events.inserted.connect(self._bind_images)
        self._bind_images()

    def __call__(self, viewer: Any) -> Any:
        if self._act():
            return None
        return self._before(viewer) if callable(self._before) else None

    def _act(self) -> bool:
        """Do the action of the owner in view; return whether there is one."""
        for owner, action in reversed(self._claims):
            if owner.isVisible():
                action()
                return True
        return False

    def _act_on_image(self, image: Image) -> Iterator[None]:
        """Do it while an image is selected, or else what napari does, as long as the key is held."""
        if not self._act():
            held = self._of_images(image)
            yield from cast("Iterator[None]", held) if isgenerator(held) else ()

    def _bind_images(self, *_: Any) -> None:
        """Take the place of what images have: napari asks the selected layer before the viewer."""
        for layer in self._images():
            layer.bind_key(self._key, self._act_on_image, overwrite=True)

    def _images(self) -> list[Image]:
        if self._of_images is None:
            return []
        return [layer for layer in self._viewer.layers if isinstance(layer, Image)]

    def claim(self, owner: QWidget, action: Callable[[], Any]) -> None:
        """Do this from now on while an owner is visible."""
        self._claims.append((owner, action))

    def release(self, *_: Any) -> None:
        """Forget owners that are destroyed, and with the last one give the key its former binding again."""
        self._claims = [claim for claim in self._claims if isalive(claim[0])]
        bound = self._viewer.bind_key(self._key, None, overwrite=True)
        left = self._before if bound is self and not self._claims else bound
        if left is not None:
            self._viewer.bind_key(self._key, left, overwrite=True)
        if not self._claims:
            self._viewer.layers.events.inserted.disconnect(self._bind_images)
            for layer in self._images():
                layer.bind_key(self._key, None)


def _shortcut(viewer: Any, key: str) -> _Shortcut:
    """Return what is bound to a key, if it is of this plugin, else what is bound from now on."""
    bound = viewer.bind_key(key, None, overwrite=True)
    shortcut = bound if isinstance(bound, _Shortcut) else _Shortcut(viewer, key, bound)
    viewer.bind_key(key, shortcut, overwrite=True)
    return shortcut


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
