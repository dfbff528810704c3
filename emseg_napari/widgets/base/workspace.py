"""What the steps share: which image, labels, run and scale the user is working with."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from napari.components.overlays import BrushCircleOverlay, TextOverlay
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, Signal

from emseg_napari.annotation.session.store import Round
from emseg_napari.models.run_list import usual_runs_folder
from emseg_napari.widgets.base.choice import Choice
from emseg_napari.widgets.base.preferences import recall_folder
from emseg_napari.widgets.layers.destruction import connect_while
from emseg_napari.widgets.layers.labels_layer import is_managed, watch
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pairs import images_of, labels_of_image, may_go_together
from emseg_napari.widgets.layers.layer_pixels import fits
from emseg_napari.widgets.layers.selection import has_tool_in_hand, hide_covered, show_alone, show_stack
from emseg_napari.widgets.layers.undo_history import UndoHistory

_EMPTY = {"image": "no image layer", "labels": "no labels layer"}


class Workspace(QObject):
    """The chosen layers, run and scale; follows the viewer's layer list.

    Signals
    -------
    changed
        Another image, labels layer, run or scale is chosen, or the history of evaluations is another.
    layers_changed
        Layers came, went or were renamed.
    managed_changed
        Labels layers that the plugin manages came or went.
    edited : napari.layers.Labels, set of int
        Labels or confirmation of these slices of a managed layer changed.
    replayed : napari.layers.Labels, set of int
        The same by undo or redo, perhaps out of view.
    """

    changed = Signal()
    layers_changed = Signal()
    managed_changed = Signal()
    edited = Signal(object, object)
    replayed = Signal(object, object)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        _survive_mesa(viewer)
        _clear_brush(viewer)
        self.viewer = viewer
        self._chosen: dict[str, Layer | None] = {"image": None, "labels": None}
        self._shape: tuple[int, ...] | None = None  # of the image that was chosen last
        self._accepted: set[tuple[Any, Any]] = set()  # ids of images and labels that were chosen together
        self._run: Path | None = None
        self._scale: float | None = None
        self._histories: list[UndoHistory] = []
        self.runs_folder = recall_folder("runs", usual_runs_folder())  # where new ones are written
        self.rounds: list[Round] = []  # evaluations so far, oldest first
        for event in (
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.events.reordered,
        ):
            connect_while(self, event, self.follow)
        self.follow()

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
        """Choose the "image" or "labels" layer; the other follows to another stack, which is shown.

        An image does not keep labels of another file's image, unless these were once chosen beside it.
        """
        if self._chosen[kind] != layer:  # not `is`: napari hands plugins a new proxy each time
            before = dict(self._chosen)
            self._chosen[kind] = layer
            other = "labels" if kind == "image" else "image"
            if None not in (self.image, layer) and not self._goes_with_other(kind):
                self._chosen[other] = self._best(other)
            elif kind == "labels":
                self._accepted.add(self._ids())
            self._show_other_stack(before)
            self.changed.emit()

    def _goes_with_other(self, kind: str) -> bool:
        """Whether what was chosen now stays beside the layer of the other kind."""
        is_unasked = kind == "image" and self._ids() not in self._accepted
        others = self.candidates("image") if is_unasked else []
        return may_go_together(self.image, self.labels, self.candidates("labels"), others)

    def _ids(self) -> tuple[Any, Any]:
        return getattr(self.image, "unique_id", None), getattr(self.labels, "unique_id", None)

    def _show_other_stack(self, before: dict[str, Any]) -> None:
        """Show the chosen image if it is one of another stack, and hide the images and labels of others."""
        image, shape = self.image, self._shape
        if image is None:
            return
        self._shape = tuple(image.data.shape)
        if shape is not None and not fits(image, shape):
            show_stack(self.viewer, image)
        elif before["image"] is not None and all(now != before[kind] for kind, now in self._chosen.items()):
            before["image"].visible = False  # they have one size, and one covers the other
            image.visible = True
        else:
            return
        if self.labels is not None:
            show_alone(self.viewer, self.labels)
        else:
            hide_covered(self.viewer, image)

    def choose_run(self, folder: Path | None) -> None:
        """Choose the run folder."""
        if folder != self._run:
            self._run = folder
            self.changed.emit()

    @property
    def scale(self) -> float | None:
        """The scale at which that network predicts, on all pages; None for the run's own."""
        return self._scale

    def choose_scale(self, scale: float | None) -> None:
        """Choose the scale of predictions."""
        if scale != self._scale:
            self._scale = scale
            self.changed.emit()

    def new_run_folder(self, kind: str) -> Path:
        """Name the folder of a run that starts now on the chosen image."""
        name = re.sub(r"[^\w-]+", "-", self.image.name).strip("-") or "image"
        return self.runs_folder / f"{name}-{kind}-{time.strftime('%Y%m%d-%H%M%S')}"

    def set_rounds(self, rounds: list[Round]) -> None:
        """Set the history of evaluations, oldest first."""
        self.rounds = list(rounds)
        self.changed.emit()

    def add_rounds(self, rounds: Iterable[Round]) -> None:
        """Add the rounds of another session to the history: what was evaluated before stays in it."""
        self.set_rounds(sorted({*self.rounds, *rounds}, key=lambda one: one.when))

    @property
    def managed_labels(self) -> list[Labels]:
        """The labels layers that the plugin manages."""
        return [history.layer for history in self._histories]

    def candidates(self, kind: str) -> list[Layer]:
        """Return the layers that can be chosen as "image" or "labels"."""
        if kind == "labels":
            return [layer for layer in self.viewer.layers if isinstance(layer, Labels) and not _is_aid(layer)]
        return [layer for layer in self.images if info_of(layer).proposal_of is None]

    @property
    def images(self) -> list[Image]:
        """The images that the user may look at, probabilities that were predicted among them."""
        return [layer for layer in self.viewer.layers if isinstance(layer, Image) and not _is_aid(layer)]

    def _best(self, kind: str) -> Layer | None:
        """Return what is chosen beside the other layer while the user chooses nothing."""
        images = sorted(self.candidates("image"), key=lambda one: one != self.image)
        if kind == "labels":
            return labels_of_image(self.image, self.candidates("labels"), images)
        of_labels = [] if self.labels is None else images_of(self.labels, images)
        return next(iter(of_labels), self.image if self.image in images else next(iter(images), None))

    def follow(self, event: Any = None) -> None:
        """Follow layers that came, went, or are managed now."""
        histories = [watch(layer) for layer in filter(is_managed, self.candidates("labels"))]
        # Bound methods, which Qt disconnects with this object: a history lives as long as its layer.
        for history in set(histories).difference(self._histories):
            history.changed.connect(self._emit_edited)
            history.replayed.connect(self._emit_replayed)
        for history in set(self._histories).difference(histories):
            history.changed.disconnect(self._emit_edited)
            history.replayed.disconnect(self._emit_replayed)
        self._histories = histories
        self.managed_changed.emit()
        for kind in self._chosen:
            if self._chosen[kind] not in self.candidates(kind):
                self.choose(kind, self._best(kind))
        if event is not None and event.type == "inserted":
            self._follow_opened(event.value)
        self.layers_changed.emit()

    def _follow_opened(self, layer: Layer) -> None:
        """Choose an image that the user opened if it is one of another stack, unless a tool is in hand."""
        is_painting = self.labels is not None and self.labels.mode != "pan_zoom"
        is_image = layer in self.candidates("image") and not layer.rgb
        is_opened = layer.source.path or layer.source.sample
        if is_image and is_opened and not is_painting and not _as_wide(layer, self.image):
            self.choose("image", layer)

    def _emit_edited(self, slices: set[int]) -> None:
        self.edited.emit(cast(UndoHistory, self.sender()).layer, slices)

    def _emit_replayed(self, slices: set[int]) -> None:
        self.replayed.emit(cast(UndoHistory, self.sender()).layer, slices)


def _survive_mesa(viewer: Any) -> None:
    """Let the viewer draw a box that adds nothing to what is below it.

    Mesa's software OpenGL ends the process when a layer is removed and the next frame begins with the program
    that drew last. The box of a text is drawn last, by a program that stays.
    """
    box = {"box_color": "transparent", "blending": "additive", "position": "bottom_center"}
    viewer.canvas.overlays["emseg"] = TextOverlay(text=" ", visible=True, **box)


def _clear_brush(viewer: Any) -> None:
    """Let the viewer draw no box behind the brush: napari leaves it on the canvas without the brush."""
    for overlay in viewer.canvas.overlays.values():
        if isinstance(overlay, BrushCircleOverlay):
            overlay.box = False


def _as_wide(layer: Image, other: Image) -> bool:
    return bool(layer.data.shape[-2:] == other.data.shape[-2:])


def _is_aid(layer: Layer) -> bool:
    return info_of(layer).is_aid


class LayerChoice(Choice):
    """Chooses the workspace's image or labels layer."""

    def __init__(self, workspace: Workspace, kind: str) -> None:
        super().__init__()
        self._workspace, self._kind = workspace, kind
        self._layers: list[Layer] = []
        self.setToolTip(f"The {kind} layer that all pages work on.")
        self.setPlaceholderText(_EMPTY[kind])
        workspace.layers_changed.connect(self._refresh)
        workspace.changed.connect(self._refresh)
        self.activated.connect(self._choose)
        self._refresh()

    def _choose(self, index: int) -> None:
        """Choose a layer; labels are shown, and what they cover is hidden.

        They are selected; those of an image only if no tool is in hand.
        """
        if not self._layers:
            return
        layer, workspace = self._layers[index], self._workspace
        workspace.choose(self._kind, layer)
        selection = workspace.viewer.layers.selection
        if isinstance(layer, Labels):
            show_alone(workspace.viewer, layer)
            selection.active = layer
        elif not has_tool_in_hand(selection.active):
            selection.active = workspace.labels or layer

    def _refresh(self) -> None:
        self._layers = self._workspace.candidates(self._kind)
        self.clear()
        self.addItems([layer.name for layer in self._layers] or [_EMPTY[self._kind]])
        self.setEnabled(bool(self._layers))
        chosen = getattr(self._workspace, self._kind)
        # -1 shows that none is chosen.
        none = -1 if self._layers else 0
        self.setCurrentIndex(self._layers.index(chosen) if chosen in self._layers else none)

    def showPopup(self) -> None:
        """Show the present names: a renamed layer sends the list no event."""
        self._refresh()
        super().showPopup()
