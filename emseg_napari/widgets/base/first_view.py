"""First view of an image: all of it, in a window that has its size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from emseg_napari.widgets.layers.destruction import connect_while
from emseg_napari.widgets.layers.whole_view import lie_alike, show_whole_slice

_SETTLED_MS = 300  # without another size of the canvas


class FirstView(QObject):
    """Fits an image of another stack into the view; the first once the canvas has kept its size for a moment.

    napari fits the first when it comes: before sliders, docks and window have taken their room.

    Parameters
    ----------
    viewer : napari.Viewer
    parent : QObject
    """

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._image: Any = None  # that is chosen
        self._has_moved = False
        self._settled = QTimer(self, singleShot=True, interval=_SETTLED_MS)
        self._settled.timeout.connect(self._fit)
        connect_while(self, viewer.canvas.events.size, self._wait_on)

    @property
    def is_awaited(self) -> bool:
        """Whether the image is still to be fitted."""
        return self._settled.isActive()

    def follow(self, image: Any) -> None:
        """Fit the chosen image if it is of another stack than the one before."""
        before, self._image = self._image, image
        if None not in (image, before) and image != before and not lie_alike(image, before):
            show_whole_slice(self._viewer, image)

    @contextmanager
    def of_new_layers(self) -> Iterator[None]:
        """Fit what is added in the body, if no image was there before."""
        is_first = not any(isinstance(layer, Image) for layer in self._viewer.layers)
        yield
        if is_first and not self.is_awaited:
            self._has_moved = False
            for callbacks in self._mouse():
                callbacks.append(self._note_move)
            self._settled.start()

    def _mouse(self) -> tuple[list[Any], list[Any]]:
        """Return what napari calls when the user moves the picture."""
        return self._viewer.mouse_drag_callbacks, self._viewer.mouse_wheel_callbacks

    def _wait_on(self, *_: Any) -> None:
        if self.is_awaited:
            self._settled.start()

    def _note_move(self, *_: Any) -> None:
        # The camera itself does not tell: its zoom follows the size of the canvas, too.
        self._has_moved = True

    def _fit(self) -> None:
        for callbacks in self._mouse():
            callbacks.remove(self._note_move)
        if not self._has_moved:
            self._viewer.reset_view()
