"""The buttons of the repair tools, and of what repairs a whole slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from emseg_napari.io.volume import Volume
from emseg_napari.widgets.base.fold import Fold
from emseg_napari.widgets.base.keys import bind, with_key
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.step import enable, in_columns
from emseg_napari.widgets.correct.repair_controller import RepairController
from emseg_napari.widgets.correct.repair_tools import TOOLS, Tool
from emseg_napari.widgets.correct.whole_slice_tools import WholeSliceTool, redraws
from emseg_napari.widgets.layers.labels_layer import proposals_of, refuse_confirmed
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.placement import slice_in_view


class RepairPanel(QWidget):
    """Tools that repair the labels of the slice in view.

    Parameters
    ----------
    step : LabelsStep
        Knows the layer and says the sentences.
    """

    def __init__(self, step: LabelsStep) -> None:
        super().__init__()
        self._step = step
        self._awaited: WholeSliceTool | None = None  # that is in hand once its preview is drawn
        self._escaping: Labels | None = None  # the layer whose Escape key ends tools
        self.repair = RepairController(step.viewer, self._probability, step.image_plane, self)
        self.repair.changed.connect(self._show_tool)
        self.repair.message.connect(lambda text, wrong: (step.complain if wrong else step.say)(text))
        self.repair.over.connect(step.say_for_now)
        self.redraws = redraws(step)
        self.tools = {tool.name: self._button(tool, partial(self.activate, tool)) for tool in TOOLS}
        *self.copies, self.interpolate = [
            self._button(tool, partial(self.activate_redraw, tool)) for tool in self.redraws
        ]
        self._lay_out()
        actions = {tool.key: partial(self._by_key, tool) for tool in TOOLS}
        actions |= {tool.key: partial(self._redraw_by_key, tool) for tool in self.redraws}
        bind(step.viewer, self, actions)
        step.workspace.changed.connect(self._follow)
        step.closing.connect(self.repair.deactivate)
        self._follow()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(_grid([*self.tools.values()]))
        layout.addWidget(Fold("From neighbours", _grid([*self.copies, self.interpolate])))

    def _button(self, tool: Tool | WholeSliceTool, action: Callable[[], None]) -> QPushButton:
        button = self._step.button(with_key(tool.name, tool.key), tool.about, action)
        button.setCheckable(True)
        return button

    @property
    def buttons(self) -> list[QPushButton]:
        """All of them."""
        return [*self.tools.values(), *self.copies, self.interpolate]

    def set_obstacle(self, obstacle: str | None) -> None:
        """Enable the tools, or say what prevents them."""
        for button in self.buttons:
            enable(button, obstacle)

    def activate(self, tool: Tool) -> None:
        """Activate a tool, or deactivate it; a tool that is refused leaves none in hand."""
        again = self.repair.tool == tool
        self.put_away()
        if again:
            return
        layer, _ = self._layer_and_slice()
        self.repair.activate(tool, layer)
        self._step.say(tool.about)

    def activate_redraw(self, tool: WholeSliceTool) -> None:
        """Activate a tool that draws the whole slice once its preview is there, or deactivate it."""
        again = self.repair.tool == tool
        self.put_away()
        if again:
            return
        layer, z = self._layer_and_slice()
        refuse_confirmed(layer, z)
        self._awaited, sentence = tool, f"Drawing slice {z}..."

        def take(drawn: tuple[np.ndarray, str]) -> None:
            self._step.take_back(sentence)
            if tool == self._awaited and self._is_wanted(layer, z):  # it took a while
                self.repair.activate(tool, layer)
                self._step.say(tool.about)

        self._step.in_background(sentence, partial(tool.draw, layer, z), take)

    def _is_wanted(self, layer: Labels, z: int) -> bool:
        """Whether the user still looks at a slice, with no other tool in hand."""
        is_free = self.repair.tool is None and layer.mode == "pan_zoom"
        is_chosen = layer == self._step.workspace.labels
        return is_free and is_chosen and self.isVisible() and slice_in_view(self._step.viewer, layer) == z

    def put_away(self) -> None:
        """Leave no tool in hand, neither a repair nor a brush, and wait for none."""
        self._awaited = None
        self.repair.deactivate()
        self._show_tool()  # Qt has toggled the button already
        if self._step.workspace.labels is not None:
            self._step.workspace.labels.mode = "pan_zoom"
            _drop_polygon(self._step.workspace.labels)

    def hideEvent(self, event: Any) -> None:
        """Put the repair tool away when another page is opened, where its button is not seen."""
        super().hideEvent(event)
        if not event.spontaneous():  # else the window is minimised
            self._awaited = None
            self.repair.deactivate()

    def _layer_and_slice(self) -> tuple[Labels, int]:
        """Return what a tool works on, or raise the reason why it cannot."""
        self._step.image()
        layer = self._step.managed_layer()
        return layer, self._step.slice_of(layer)

    def _probability(self) -> np.ndarray | Volume | None:
        layer = proposals_of(self._step.viewer, self._step.workspace.image, Image)
        return None if layer is None else volume_of_layer(layer)

    def _by_key(self, tool: Tool) -> None:
        if self.tools[tool.name].isEnabled():
            self._step.guarded(partial(self.activate, tool))

    def _redraw_by_key(self, tool: WholeSliceTool) -> None:
        if self.interpolate.isEnabled():
            self._step.guarded(partial(self.activate_redraw, tool))

    def _show_tool(self) -> None:
        whole = zip(self.redraws, (*self.copies, self.interpolate), strict=True)
        for name, button in (*self.tools.items(), *((tool.name, button) for tool, button in whole)):
            button.setChecked(self.repair.tool is not None and self.repair.tool.name == name)

    def _follow(self, *_: Any) -> None:
        layer = self._step.workspace.labels
        if self.repair.layer is not None and self.repair.layer != layer:
            self.repair.deactivate()
        if self._escaping is not None:
            self._escaping.bind_key("Escape", None)
        self._escaping = layer
        if layer is not None:
            layer.bind_key("Escape", self._escape, overwrite=True)

    def _escape(self, *_: Any) -> None:
        """Forget the first point of the tool in hand, or put the tool away: a brush, too."""
        if not self.repair.forget_first():
            self.put_away()


def _drop_polygon(layer: Labels) -> None:
    """Forget a polygon that is not complete: napari leaves it on the canvas without its tool."""
    for action in layer.class_keymap.values():
        if action.__name__ == "reset_polygon":
            action(layer)


def _grid(buttons: Sequence[QPushButton]) -> QWidget:
    widget = QWidget()
    in_columns(buttons, QGridLayout(widget))
    return widget
