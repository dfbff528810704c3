"""Choosers of layers that a step makes for itself, beside the workspace's image and labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import Signal

from emseg_napari.widgets.base.choice import Choice
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.layer_info import info_of


class LayerPicker(Choice):
    """Chooses one of some layers; offers the likeliest until the user chooses.

    Parameters
    ----------
    workspace : Workspace
    candidates : callable
        Returns the layers to choose from, likeliest first.
    likely : callable
        Says whether a layer may be chosen automatically.
    empty : str
        Shown while nothing is chosen.

    Signals
    -------
    picked
        Another layer is chosen.
    """

    picked = Signal()

    def __init__(
        self,
        workspace: Workspace,
        candidates: Callable[[], list[Layer]],
        likely: Callable[[Layer], bool],
        empty: str,
    ) -> None:
        super().__init__()
        self._candidates, self._likely, self._empty = candidates, likely, empty
        self._layers: list[Layer | None] = []
        self._chosen: Layer | None = None
        self._workspace = workspace
        self._chosen_by_user: tuple[Layer, Any] | None = None  # and the image beside which it was
        self.activated.connect(self._choose_index)
        workspace.layers_changed.connect(self.refresh)
        workspace.changed.connect(self.refresh)
        self.refresh()

    @property
    def layer(self) -> Any:
        """The chosen layer, or None."""
        return self._chosen

    def refresh(self) -> None:
        """Follow the layer list; the user's choice stays as long as its layer and the chosen image do."""
        found = self._candidates()
        before = self._chosen
        if before not in found or self._chosen_by_user != (before, self._workspace.image):
            self._chosen_by_user = None
            self._chosen = next((layer for layer in found if self._likely(layer)), None)
        self._layers = [*found] if self._chosen is not None else [None, *found]
        self.clear()
        self.addItems([self._empty if layer is None else layer.name for layer in self._layers])
        self.setCurrentIndex(self._layers.index(self._chosen))
        if self._chosen != before:
            self.picked.emit()

    def choose(self, layer: Layer) -> None:
        """Choose a layer, as the user does."""
        self._choose_index(self._layers.index(layer))

    def _choose_index(self, index: int) -> None:
        layer = self._layers[index]
        if layer is not None:
            changed, self._chosen = layer != self._chosen, layer
            self._chosen_by_user = layer, self._workspace.image
            self.refresh()
            if changed:
                self.picked.emit()

    def showPopup(self) -> None:
        """Show the present names: a renamed layer sends the list no event."""
        self.refresh()
        super().showPopup()


class PredictionPicker(LayerPicker):
    """Chooses a boundary probability or labels that were predicted."""

    def __init__(self, workspace: Workspace) -> None:
        def candidates() -> list[Layer]:
            layers = workspace.images + workspace.candidates("labels")
            return sorted(layers, key=lambda layer: _rank(layer, workspace))

        super().__init__(workspace, candidates, _is_proposal, "choose a prediction")
        self.setToolTip("What to score: a boundary probability (0 to 1; 8 bit: 0 to 255), or labels.")


class TruthPicker(LayerPicker):
    """Chooses the labels that count as true; never the prediction by itself."""

    def __init__(self, workspace: Workspace, prediction: PredictionPicker) -> None:
        def candidates() -> list[Layer]:
            layers = workspace.candidates("labels")
            return sorted(layers, key=lambda layer: (_is_predicted(layer), layer != workspace.labels))

        def is_likely(layer: Layer) -> bool:
            return layer != prediction.layer and not info_of(layer).is_cells

        super().__init__(workspace, candidates, is_likely, "choose the true labels")
        self.setToolTip(
            "Labels that are correct: those of experts, or yours. In layers made by emseg, only what you "
            "painted, loaded or confirmed counts."
        )
        prediction.picked.connect(self.refresh)


def _is_proposal(layer: Layer) -> bool:
    return info_of(layer).proposal_of is not None


def _is_predicted(layer: Layer) -> bool:
    return _is_proposal(layer) or info_of(layer).is_cells


def _rank(layer: Layer, workspace: Workspace) -> tuple[bool, ...]:
    """Probabilities of the chosen image first, then other proposals, other labels, other images."""
    of_image = workspace.image is not None and info_of(layer).proposal_of == workspace.image.unique_id
    return (
        not _is_proposal(layer),
        not of_image,
        isinstance(layer, Image) == (not _is_proposal(layer)),
        layer == workspace.image,
        isinstance(layer, Labels) and layer == workspace.labels,
    )
