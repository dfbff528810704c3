"""Ctrl+Z and Ctrl+Shift+Z, and the labels layer that they change."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

from emseg_napari.widgets.base.keys import bind
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import history_of, is_managed


class UndoKeys(QObject):
    """Undo and redo of the chosen labels, whatever layer is selected.

    A labels layer that the user paints in has the keys while it is selected.

    Parameters
    ----------
    workspace : Workspace
    owner : QWidget
        Unless it is seen, the keys change the selected layer only.
    """

    def __init__(self, workspace: Workspace, owner: QWidget) -> None:
        super().__init__(owner)
        self._workspace, self._owner = workspace, owner
        self._actions = {"Control-Z": self._undo, "Control-Shift-Z": self._redo}
        bind(workspace.viewer, owner, self._actions)
        workspace.layers_changed.connect(self._bind_layers)
        self._bind_layers()

    def _bind_layers(self) -> None:
        """Take the place of napari's own keys, which a labels layer has."""
        for layer in self._workspace.viewer.layers:
            if isinstance(layer, Labels):
                for key, action in self._actions.items():
                    layer.bind_key(key, action, overwrite=True)

    def _undo(self, selected: Labels | None = None) -> None:
        for history in self._histories(selected):
            history.undo()

    def _redo(self, selected: Labels | None = None) -> None:
        for history in self._histories(selected):
            history.redo()

    def _histories(self, selected: Labels | None) -> list[Any]:
        """Return the history that is meant, if any: of a foreign layer its own, which napari keeps."""
        is_painted = selected is not None and selected.mode != "pan_zoom"
        is_meant = is_painted or not self._owner.isVisible()
        layer = selected if is_meant else self._workspace.labels
        return [] if layer is None else [history_of(layer) if is_managed(layer) else layer]
