"""Repairs with a click or a stroke on the canvas, each shown before it is done and undone in one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from emseg_napari.annotation.repair.edit import Edit, Point
from emseg_napari.core.jobs import UserError
from emseg_napari.io.volume import BrokenChunk, Volume
from emseg_napari.widgets.base.threads import sentence_of
from emseg_napari.widgets.correct.repair_preview import RepairPreview
from emseg_napari.widgets.correct.repair_tools import Scene, Tool
from emseg_napari.widgets.correct.whole_slice_tools import WholeSliceTool, free_in, redraw
from emseg_napari.widgets.layers.destruction import connect_while
from emseg_napari.widgets.layers.labels_layer import history_of, set_pixels, stack_of
from emseg_napari.widgets.layers.placement import shown_slice, slice_transform, view_events
from emseg_napari.widgets.layers.selection import show_if_hidden

_DRAG_PX = 3.0  # a hand that clicks trembles less
_PREVIEW_MS = 30


class RepairController(QObject):
    """The active tool, if any, on one labels layer.

    Parameters
    ----------
    viewer : napari.Viewer
    probability : callable
        Returns the boundary probability (z, y, x) that belongs to the labels, or None.
    image_plane : callable
        Returns a slice of the image, (y, x).

    Signals
    -------
    changed
        Another tool, or none, is active.
    message : str, bool
        A sentence, and whether it says that something was wrong.
    over : str
        A sentence about what is over.
    repaired : int, numpy.ndarray, numpy.ndarray
        Slice, rows and columns that a repair at one place has changed.
    """

    changed = Signal()
    message = Signal(str, bool)
    over = Signal(str)
    repaired = Signal(int, object, object)

    def __init__(
        self,
        viewer: Any,
        probability: Callable[[], np.ndarray | Volume | None],
        image_plane: Callable[[int], np.ndarray],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._probability, self._image_plane = viewer, probability, image_plane
        self.tool: Tool | WholeSliceTool | None = None
        self._layer: Any = None
        self._preview = RepairPreview(viewer)
        self._first: Point | None = None
        self._preview_points: list[Point] = []
        self._plane: tuple[Any, int, np.ndarray] | None = None
        self._soon = QTimer(self, singleShot=True, interval=_PREVIEW_MS)
        self._soon.timeout.connect(self._show_preview)
        for event in view_events(viewer):
            connect_while(self, event, self.forget_first)

    @property
    def layer(self) -> Any:
        """The layer that the active tool works on, or None."""
        return self._layer

    # -- activating and deactivating ----------------------------------------------------------

    def activate(self, tool: Tool | WholeSliceTool, layer: Labels) -> None:
        """Activate a tool on a layer, in place of the active one."""
        self.deactivate()
        self.tool, self._layer = tool, layer
        show_if_hidden(self._viewer, layer)
        self._viewer.layers.selection.active = layer
        layer.mode = "pan_zoom"
        layer.mouse_pan = False
        layer.cursor = "crosshair"
        layer.mouse_drag_callbacks.append(self._drag)
        layer.mouse_move_callbacks.append(self._hover)
        layer.events.mode.connect(self.deactivate)
        self.changed.emit()
        if isinstance(tool, WholeSliceTool):
            self._request_preview([])

    def deactivate(self, event: Any = None) -> None:
        """Deactivate the tool, if one is active, and give the mouse back to napari."""
        if self.tool is None:
            return
        layer, name = self._layer, self.tool.name
        self._let_go()
        self._soon.stop()
        if layer.mode == "pan_zoom":  # else napari has set both for its own tool
            layer.mouse_pan = True
            layer.cursor = "standard"
        self._preview.hide()
        self.over.emit(f"{name} is put away.")
        self.changed.emit()

    def _let_go(self) -> None:
        """Leave the mouse to the layer."""
        layer, self._layer, self.tool, self._first = self._layer, None, None, None
        self._plane = None
        if layer is not None:
            layer.events.mode.disconnect(self.deactivate)
            layer.mouse_drag_callbacks.remove(self._drag)
            layer.mouse_move_callbacks.remove(self._hover)

    def forget_first(self, *_: Any) -> bool:
        """Begin again: the first point was clicked in another slice, or it was a mistake.

        Returns whether there was one.
        """
        had_first, self._first = self._first is not None, None
        self._soon.stop()
        self._preview.hide()
        if self.tool is not None and had_first:
            self.message.emit(self.tool.about, False)
        return had_first

    # -- the mouse --------------------------------------------------------------------------

    def _drag(self, layer: Labels, event: Any) -> Iterator[None]:
        if event.button != 1 or self.tool is None:
            return
        track = [self._point(event)]
        yield
        while event.type == "mouse_move":
            if self.tool is None:  # deactivated while the button is down
                return
            track.append(self._point(event))
            self._request_preview(track if self.tool.points != 1 else track[-1:])
            yield
        if self.tool is None:
            return
        with_drag = np.hypot(*np.subtract(track[-1], track[0])) > _DRAG_PX
        self._released(track, bool(with_drag))

    def _released(self, track: list[Point], dragged: bool) -> None:
        assert self.tool is not None
        if self.tool.points == 1:
            self._apply(track[-1:])
        elif dragged:
            self._apply(track)
        elif self.tool.points == 0:
            self.message.emit("Draw a stroke across the cell with the button held down.", True)
        elif self._first is None:
            self._first = track[0]
            self.message.emit("Now click the other one (Escape to start again).", False)
        else:
            self._apply([self._first, track[-1]])

    def _hover(self, layer: Labels, event: Any) -> None:
        if self.tool is None or self.tool.points == 0 or (self.tool.points == 2 and self._first is None):
            return
        first = [] if self._first is None else [self._first]
        self._request_preview([*first, self._point(event)])

    def _point(self, event: Any) -> Point:
        y, x = self._layer.world_to_data(event.position)[-2:]
        return float(y), float(x)

    # -- what it does -----------------------------------------------------------------------

    def _slice(self) -> int:
        return shown_slice(self._viewer, self._layer)

    def _scene(self) -> tuple[Scene, int]:
        z = self._slice()
        labels = np.asarray(stack_of(self._layer)[z], np.uint8)
        return Scene(labels, self._probability_plane(z), lambda: np.asarray(self._image_plane(z))), z

    def _probability_plane(self, z: int) -> np.ndarray | None:
        """Return a slice of the probability, which is read once; None if it was not predicted yet."""
        stack = self._probability()
        if not isinstance(stack, Volume):
            return _as_probability(stack[z]) if stack is not None and stack[z].any() else None
        behind = getattr(stack.pixels, "array", stack.pixels)  # one object as long as the layer's data is
        if self._plane is None or self._plane[0] is not behind or self._plane[1] != z:
            try:
                self._plane = behind, z, _as_probability(stack[z])
            except BrokenChunk:
                return None
        return self._plane[2]

    def _apply(self, points: list[Point]) -> None:
        assert self.tool is not None
        self._soon.stop()
        self._first = None
        self._preview.hide()
        show_if_hidden(self._viewer, self._layer)
        try:
            if isinstance(self.tool, WholeSliceTool):
                self._redraw(self.tool)
                return
            scene, z = self._scene()
            edit = self.tool.change(scene, points)
        except UserError as error:
            self.message.emit(sentence_of(error), True)
            return
        with history_of(self._layer).named(self.tool.name.lower()):
            set_pixels(self._layer, z, edit.y, edit.x, edit.values)
        self.message.emit(f"{self.tool.name}: {len(edit.y)} pixels changed (Ctrl+Z undoes it).", False)
        if len(edit.y):
            self.repaired.emit(z, edit.y, edit.x)

    def _redraw(self, tool: WholeSliceTool) -> None:
        z = self._slice()
        drawn, sentence = tool.draw(self._layer, z)
        count = redraw(self._layer, z, drawn, tool.name.lower())
        self.message.emit(f"{sentence} {count} pixels (Ctrl+Z undoes it).", False)

    # -- what it would do -------------------------------------------------------------------

    def _request_preview(self, points: list[Point]) -> None:
        """Ask for a preview; it is made when the event loop is free, of the newest points."""
        self._preview_points = list(points)
        if not self._soon.isActive():
            self._soon.start()

    def _show_preview(self) -> None:
        if self.tool is None:
            return
        try:
            if isinstance(self.tool, WholeSliceTool):
                self._show_redrawn(self.tool)
                return
            scene, z = self._scene()
            edit = self.tool.change(scene, self._preview_points)
        except UserError:
            self._preview.hide()
            return
        if len(edit.y):
            self._show_edit(edit, z)
        else:
            self._preview.hide()

    def _show_edit(self, edit: Edit, z: int) -> None:
        top, left = int(edit.y.min()), int(edit.x.min())
        picture = np.zeros((1, int(edit.y.max()) - top + 1, int(edit.x.max()) - left + 1), np.uint8)
        picture[0, edit.y - top, edit.x - left] = edit.values
        self._preview.show(picture, slice_transform(self._layer, z, top, left))

    def _show_redrawn(self, tool: WholeSliceTool) -> None:
        """Show what would become of the slice; it is the same wherever the cursor is in it."""
        z = self._slice()
        drawn, _ = tool.draw(self._layer, z)
        picture = np.where(free_in(stack_of(self._layer)[z]), drawn, np.uint8(0))[np.newaxis]
        if not picture.any():
            self._preview.hide()
        else:
            self._preview.show(picture, slice_transform(self._layer, z), whole=True)


def _as_probability(plane: np.ndarray) -> np.ndarray:
    """Return a slice as 0 to 1: predictions on disk are 0 to 255."""
    return plane / np.float32(255) if plane.dtype == np.uint8 else np.asarray(plane)
