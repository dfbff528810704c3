"""Ctrl+Z and Ctrl+Shift+Z, and the labels layer that they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from emseg_napari.widgets.base.keys import bind
from emseg_napari.widgets.base.layer_keys import LayerKeys
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import history_of, is_managed
from emseg_napari.widgets.layers.selection import hide_covered


class UndoKeys(QObject):
    """Undo and redo of the chosen labels, whatever layer is selected.

    A labels layer that the user paints in has the keys while it is selected.

    Parameters
    ----------
    workspace : Workspace
    owner : QWidget
        Unless it is seen, the keys change the selected layer only.
    parent : QObject
        The keys end with it.

    Signals
    -------
    said : str
        What was undone or redone in a layer that the plugin does not manage.
    """

    said = Signal(str)

    def __init__(self, workspace: Workspace, owner: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        self._workspace, self._owner = workspace, owner
        actions = {"Control-Z": self._undo, "Control-Shift-Z": self._redo}
        bind(workspace.viewer, owner, actions)
        self._keys = LayerKeys(self, actions)
        workspace.layers_changed.connect(self._bind_layers)
        self._bind_layers()

    def _bind_layers(self) -> None:
        """Take the place of napari's own keys, which a labels layer has."""
        self._keys.follow(layer for layer in self._workspace.viewer.layers if isinstance(layer, Labels))

    def _undo(self, selected: Labels | None = None) -> None:
        layer = self._meant(selected)
        if is_managed(layer):
            history_of(layer).undo()
        elif layer is not None:
            self._replay(layer, layer.undo, "Undone")

    def _redo(self, selected: Labels | None = None) -> None:
        layer = self._meant(selected)
        if is_managed(layer):
            history_of(layer).redo()
        elif layer is not None:
            self._replay(layer, layer.redo, "Redone")

    def _meant(self, selected: Labels | None) -> Any:
        """Return the labels layer that is meant, if any."""
        is_painted = selected is not None and selected.mode != "pan_zoom"
        return selected if is_painted or not self._owner.isVisible() else self._workspace.labels

    def _replay(self, layer: Labels, replay: Callable[[], None], done: str) -> None:
        """Let napari undo or redo in a foreign layer; show it and say so if that did something."""
        drawn: list[Any] = []

        def note(event: Any) -> None:
            drawn.append(event)

        was_hidden = not layer.visible
        if was_hidden:
            layer.visible = True  # else napari draws nothing, and nothing tells whether there was a step
        layer.events.set_data.connect(note)
        replay()
        layer.events.set_data.disconnect(note)
        if drawn:
            if was_hidden:
                hide_covered(self._workspace.viewer, layer)
            self.said.emit(f"{done}: the last change in '{layer.name}'.")
        elif was_hidden:
            layer.visible = False
