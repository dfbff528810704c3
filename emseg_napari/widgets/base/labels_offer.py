"""Offer to use as labels what napari's own File > Open has opened as an image."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from emseg_napari.core.jobs import UserError
from emseg_napari.core.label_offer import label_words
from emseg_napari.io.sparse_stack import exchanged
from emseg_napari.widgets.base.step import StepWidget, WrappingLabel, in_row
from emseg_napari.widgets.base.threads import outcome_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import Ask, add_labels, dense, understood
from emseg_napari.widgets.layers.layer_pixels import fits, volume_of_layer

_MOST_PX = 2048  # of a slice of a large volume are looked at


class LabelsOffer(StepWidget):
    """A sentence and two buttons, hidden while no image layer looks like labels of another one.

    Attributes
    ----------
    layer : napari.layers.Image or None
        The offered one.
    """

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.layer: Any = None
        # By the unique_id of an image layer: what is seen in it, and what was made of it (None: not wanted).
        self._words: dict[Any, str | None] = {}
        self._made: dict[Any, Any] = {}
        self.sentence = WrappingLabel()
        self.use = self.button(
            "Use as labels", "Add a labels layer with these labels, and hide the image.", self._use
        )
        self.refuse = self.button("No", "It stays an image.", self._refuse)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.addWidget(self.sentence)
        self.rows.addLayout(in_row(self.use, self.refuse))
        self.workspace.layers_changed.connect(self._update)
        self._update()

    def _update(self) -> None:
        images = self.workspace.candidates("image")
        pairs = [layer for layer in images if self._image_of(layer) is not None]
        self.layer = next((layer for layer in pairs if self._is_open(layer)), None)
        if self.layer is not None:
            self.sentence.setText(f"{self.layer.name} {self._words[self.layer.unique_id]}: use it as labels?")
        self.setVisible(self.layer is not None)
        for layer in pairs:
            if layer.unique_id not in self._words:
                self._words[layer.unique_id] = None
                self.in_background(None, partial(_words_for, layer), partial(self._look, layer))

    def _is_open(self, layer: Image) -> bool:
        """Whether a layer looks like labels, and was not refused; once used, whether its labels are gone."""
        key = layer.unique_id
        is_answered = key in self._made and self._made[key] in (None, *self.viewer.layers)
        return bool(self._words.get(key)) and not is_answered

    def _look(self, layer: Image, words: str | None) -> None:
        self._words[layer.unique_id] = words
        self._update()

    def _image_of(self, layer: Image) -> Image | None:
        """Return the image of the same size to which a layer may belong, the chosen one first."""
        images = [self.workspace.image, *self.workspace.candidates("image")]
        shape = tuple(layer.data.shape)
        others = (one for one in images if one != layer and fits(one, shape))
        return next((one for one in others if not self._words.get(one.unique_id)), None)

    def _refuse(self) -> None:
        self._answer(self.layer, None)

    def _answer(self, layer: Image, made: Labels | None) -> None:
        self._made[layer.unique_id] = made
        self._update()

    def _use(self) -> None:
        layer = self.layer
        self.use.setEnabled(False)
        read = partial(outcome_of, partial(_labels_in, layer, self.ask_convention))
        self.in_background(f"Reading {layer.name}...", read, partial(self._show, layer))

    def _show(self, layer: Image, outcome: tuple[Any, Exception | None]) -> None:
        self.use.setEnabled(True)
        if outcome[1] is not None:
            raise outcome[1]
        labels, doubt = outcome[0]
        image = self._image_of(layer)
        if image is None:
            raise UserError(f"The image to which {layer.name} belongs was removed; open it again first.")
        added = add_labels(self.viewer, labels, f"{layer.name} (boundary labels)", image)
        layer.visible = False
        self.workspace.choose("image", image)
        self.workspace.choose("labels", added)
        self._answer(layer, added)
        self.say(f"{layer.name} is used as labels now. {doubt}".strip())


def _words_for(layer: Image) -> str | None:
    """Return what is seen in a layer that looks like labels; it reads, in any thread.

    What cannot be read is not offered, and that is not said: the user asked nothing.
    """
    if layer.rgb or layer.dtype.kind not in "biu":
        return None
    try:
        stack = volume_of_layer(layer)
        planes = (np.asarray(stack[z, :_MOST_PX, :_MOST_PX]) for z in range(len(stack)))
        return label_words(planes, stack.dtype)
    except Exception:  # a lazy layer may raise anything
        return None


def _labels_in(layer: Image, ask: Ask) -> tuple[np.ndarray, str]:
    """Return the labels, and a doubt about them; it reads, in any thread."""
    labels, _ = understood(layer, ask)
    pixels = dense(labels)
    return pixels[0] if layer.ndim == 2 else pixels, exchanged(labels, layer.name) or ""
