"""The buttons of napari's own tools: brush, eraser, fill and polygon, each with the right label."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.layers import Labels
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.widgets.base.keys import bind, with_key
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.layer_keys import LayerKeys
from emseg_napari.widgets.base.step import enable, in_columns
from emseg_napari.widgets.layers.label_colours import label_colours
from emseg_napari.widgets.layers.selection import show_if_hidden

_SIZE = "[ and ] change the size of the brush."
_TOOLS = (
    ("Boundary", BOUNDARY, "paint", f"Paint boundary with the brush. {_SIZE}"),
    ("Interior", INTERIOR, "paint", f"Paint interior with the brush. {_SIZE}"),
    (with_key("Erase", "1"), None, "erase", f"Make pixels unlabelled again. {_SIZE}"),
    (with_key("Fill interior", "4"), INTERIOR, "fill", "Click in an area to make all of it interior."),
    (with_key("Polygon", "3"), INTERIOR, "polygon", "Draw around an area to make it interior; Enter ends."),
)
_SWATCH_PX = 10


class BrushPanel(QWidget):
    """Brushes of the chosen labels layer.

    Parameters
    ----------
    step : LabelsStep
        Knows the layer and says the sentences.
    put_away : callable
        Leaves no tool in hand.
    """

    def __init__(self, step: LabelsStep, put_away: Callable[[], None]) -> None:
        super().__init__()
        self._step, self._put_away = step, put_away
        self._watched: Any = None
        self.buttons = [self._button(*tool) for tool in _TOOLS]
        in_columns(self.buttons, QGridLayout(self))
        _, _, erase, fill, polygon = self.buttons
        bind(step.viewer, self, {"1": erase.click, "4": fill.click, "3": polygon.click})
        # While labels are selected, napari's own keys would fill with the label in hand.
        fills = {"4": self._take_fill, "F": self._take_fill, "3": self._take_polygon}
        self._keys = LayerKeys(self, fills)
        step.workspace.changed.connect(self._follow)
        self._follow()

    def _button(self, text: str, label: int | None, mode: str, tooltip: str) -> QPushButton:
        button = self._step.button(text, tooltip, partial(self.use, label, mode))
        button.setCheckable(True)
        if mode == "paint":
            button.setIcon(_swatch(label))
        return button

    def set_obstacle(self, obstacle: str | None) -> None:
        """Enable the brushes, or say what prevents them."""
        for button in self.buttons:
            enable(button, obstacle)

    def use(self, label: int | None, mode: str) -> None:
        """Select a napari tool with the right label; one that is refused leaves none in hand."""
        self._put_away()
        self._show_tool()  # Qt has toggled the button already
        layer = self._step.managed_layer()
        self._step.slice_of(layer)  # in another view a stroke would go through all slices
        show_if_hidden(self._step.viewer, layer)  # napari gives a hidden layer no tool
        self._step.viewer.layers.selection.active = layer
        layer.n_edit_dimensions = 2
        layer.contiguous = True
        if label is not None:
            layer.selected_label = label
        layer.mode = mode

    def _take_fill(self, _: Labels) -> None:
        self.buttons[3].click()

    def _take_polygon(self, _: Labels) -> None:
        self.buttons[4].click()

    def put_down(self) -> None:
        """Leave no brush in hand, where nothing is painted."""
        layer = self._step.workspace.labels
        if layer is not None and layer.mode in {mode for _, _, mode, _ in _TOOLS}:
            layer.mode = "pan_zoom"

    def _follow(self) -> None:
        layer = self._step.workspace.labels
        if layer == self._watched:
            return
        for event in _tool_events(self._watched):
            event.disconnect(self._show_tool)
        for event in _tool_events(layer):
            event.connect(self._show_tool)
        self._watched = layer
        self._keys.follow([] if layer is None else [layer])
        self._show_tool()

    def _show_tool(self, event: Any = None) -> None:
        """Show which of the brushes is in hand."""
        layer = self._step.workspace.labels
        for button, (_, label, mode, _) in zip(self.buttons, _TOOLS, strict=True):
            right_tool = layer is not None and layer.mode == mode
            button.setChecked(right_tool and label in (None, layer.selected_label))


def _tool_events(layer: Labels | None) -> tuple[Any, ...]:
    return () if layer is None else (layer.events.mode, layer.events.selected_label)


def _swatch(label: int | None) -> QIcon:
    """Return an icon in the colour of a label."""
    pixmap = QPixmap(_SWATCH_PX, _SWATCH_PX)
    pixmap.fill(QColor.fromRgbF(*map(float, label_colours().color_dict[label][:3])))
    return QIcon(pixmap)
