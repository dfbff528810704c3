"""What the steps share: which image, labels and run the user is working with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox, QWidget

from emseg_napari.sessions import Round
from emseg_napari.widgets.layers import is_ours, part_corrections, watch_strokes

_EMPTY = {"image": "no image layer", "labels": "no labels layer"}


class Workspace(QObject):
    """The chosen layers and run; follows the viewer's layer list.

    Signals
    -------
    changed
        Another image, labels layer or run is chosen, or the history of evaluations is another.
    layers_changed
        Layers came, went or were renamed.
    """

    changed = Signal()
    layers_changed = Signal()

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self._chosen: dict[str, Layer | None] = {"image": None, "labels": None}
        self._run: Path | None = None
        self.rounds: list[Round] = []  # evaluations so far, oldest first
        for event in (
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.events.reordered,
        ):
            event.connect(self._follow)
        self._follow()

    @property
    def image(self) -> Any:
        """The image layer to work on, or None."""
        return self._chosen["image"]

    @property
    def labels(self) -> Any:
        """The labels layer to work on, or None."""
        return self._chosen["labels"]

    @property
    def run(self) -> Path | None:
        """The run folder whose network predicts."""
        return self._run

    def choose(self, kind: str, layer: Layer | None) -> None:
        """Choose the "image" or "labels" layer."""
        if self._chosen[kind] != layer:  # not `is`: napari hands plugins a new proxy each time
            self._chosen[kind] = layer
            self.changed.emit()

    def choose_run(self, folder: Path | None) -> None:
        """Choose the run folder."""
        if folder != self._run:
            self._run = folder
            self.changed.emit()

    def set_rounds(self, rounds: list[Round]) -> None:
        """Set the history of evaluations, oldest first."""
        self.rounds = list(rounds)
        self.changed.emit()

    def candidates(self, kind: str) -> list[Layer]:
        """Return the layers that can be chosen as "image" or "labels"."""
        if kind == "labels":
            return [layer for layer in self.viewer.layers if isinstance(layer, Labels) and not _is_aid(layer)]
        return [layer for layer in self.viewer.layers if isinstance(layer, Image) and not _is_aid(layer)]

    def _follow(self, event: Any = None) -> None:
        part_corrections(self.candidates("labels"))
        for layer in self.candidates("labels"):
            watch_strokes(layer)
        for kind in self._chosen:
            found = self.candidates(kind)
            if self._chosen[kind] not in found:
                # A layer of ours first: what the user has just made or opened with us.
                best = [layer for layer in found if is_ours(layer)] or found
                self.choose(kind, best[0] if best else None)
        self.layers_changed.emit()


AID = "emseg aid"


def _is_aid(layer: Layer) -> bool:
    """Say whether a layer only shows something (live proposal, movie, overlay)."""
    return AID in layer.metadata


class LayerChoice(QComboBox):
    """Chooses the workspace's image or labels layer."""

    def __init__(self, workspace: Workspace, kind: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workspace, self._kind = workspace, kind
        self._layers: list[Layer] = []
        self.setToolTip(f"The {kind} layer that all steps work on.")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        workspace.layers_changed.connect(self._refresh)
        workspace.changed.connect(self._refresh)
        self.activated.connect(
            lambda index: workspace.choose(kind, self._layers[index]) if self._layers else None
        )
        self._refresh()

    def _refresh(self) -> None:
        self._layers = self._workspace.candidates(self._kind)
        self.clear()
        self.addItems([layer.name for layer in self._layers] or [_EMPTY[self._kind]])
        self.setEnabled(bool(self._layers))
        chosen = getattr(self._workspace, self._kind)
        if chosen in self._layers:
            self.setCurrentIndex(self._layers.index(chosen))

    def showPopup(self) -> None:
        """Show the present names: a renamed layer sends the list no event."""
        self._refresh()
        super().showPopup()
