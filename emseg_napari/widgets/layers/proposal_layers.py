"""The layers of one prediction: proposed labels, and the boundary probability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from emseg_napari.annotation import label_state
from emseg_napari.annotation.session.scratch import new_labels
from emseg_napari.annotation.session.store import Origin
from emseg_napari.core.jobs import SlicePredicted, UserError
from emseg_napari.core.labels import from_probability
from emseg_napari.widgets.layers.labels_layer import (
    add_empty_labels,
    add_labels,
    confirmed_in,
    history_of,
    proposals_of,
    stack_of,
)
from emseg_napari.widgets.layers.layer_info import LayerInfo, exchange_origin, update_info
from emseg_napari.widgets.layers.placement import layer_transform, move_to, slice_transform
from emseg_napari.widgets.layers.selection import selection_kept
from emseg_napari.widgets.layers.undo_history import Filled


@dataclass(frozen=True)
class PredictionSource:
    """Image and run of a prediction.

    Attributes
    ----------
    image : napari.layers.Image
    shape : tuple of int
        Of the image as a stack, (z, y, x).
    run : Path
    threshold : float
        Boundary probability from which a pixel is boundary.
    choices : mapping
        As of `Origin`.
    """

    image: Image
    shape: tuple[int, ...]
    run: Path
    threshold: float
    choices: Mapping[str, float] = field(default_factory=dict)


class ProposalLayers:
    """Where the slices of one prediction go.

    New layers come with the first slice: a prediction that fails leaves none.

    Parameters
    ----------
    viewer : napari.Viewer
    source : PredictionSource
    target : napari.layers.Labels or None
        Managed labels to fill; None for those that are chosen when the first slice comes, or new ones.
    wants_probability : bool
        Whether the probability is kept, too.
    own_layer : bool
        Whether proposals go to the layer of earlier ones, or a new one, and not to the user's labels.
    chosen : callable
        Returns the labels that the user has chosen meanwhile, if they can be filled.

    Attributes
    ----------
    target : napari.layers.Labels or None
        None before the first slice if it is a new layer.
    confirmed : set of int
        Slices that were predicted and not filled, since the user has confirmed them.
    own : set of int
        Slices that were predicted and not filled, since all pixels have labels of the user.
    pixels : int
        How many pixels have got a proposal.
    """

    def __init__(
        self,
        viewer: Any,
        source: PredictionSource,
        target: Labels | None,
        wants_probability: bool,
        own_layer: bool = False,
        chosen: Callable[[], Labels | None] = lambda: None,
    ) -> None:
        self.target: Any = target
        self._chosen = chosen
        # They stay as they are even if the user unconfirms one meanwhile: undo would mix both up.
        self._left_out = set() if target is None else set(confirmed_in(target))
        self.confirmed: set[int] = set()
        self.own: set[int] = set()
        self.pixels = 0
        self._viewer, self._source, self._wants_probability = viewer, source, wants_probability
        self._own_layer = own_layer
        self._probability: Any = None
        self._filled: Filled | None = None
        self._slices: set[int] = set()  # of all fillings: the history may have forgotten some

    def show(self, event: SlicePredicted) -> None:
        """Show a predicted slice; the selected layer and the tool in hand stay."""
        with selection_kept(self._viewer):
            if self.target is None:
                self.target = self._new_target()
            if self._wants_probability:
                self._keep(event)
        if self.target in self._viewer.layers:
            self._fill(event)

    def _new_target(self) -> Any:
        if not self._own_layer:
            return self._chosen() or add_empty_labels(self._viewer, self._source.image)
        return self._found(Labels) or self._signed(self._add_labels())

    def end(self) -> None:
        """Close the prediction: it is one entry of the history, however many slices it filled."""
        if self._slices and self.target in self._viewer.layers:
            history_of(self.target).changed.emit(self._slices)
        self._filled, self._slices = None, set()

    def _keep(self, event: SlicePredicted) -> None:
        if self._probability is None:
            known = proposals_of(self._viewer, self._source.image, Image)
            if known is not None and not isinstance(known.data, np.ndarray):
                return  # the whole stack is on disk
            self._probability = self._found(Image) or self._signed(self._add_probability())
        if self._probability in self._viewer.layers:
            self._probability.data[event.z] = event.probability
            exchange_origin(self._probability, event.z, self._origin(event))
            self._probability.refresh()

    def _found(self, kind: type[Layer]) -> Any:
        """Return the layer of earlier predictions, where the image lies now, or None."""
        layer = proposals_of(self._viewer, self._source.image, kind)
        if layer is None:
            return None
        move_to(layer, layer_transform(self._source.image, layer.ndim))
        return self._signed(layer)

    def _origin(self, event: SlicePredicted) -> Origin:
        return Origin(self._source.run, event.fingerprint, self._source.choices)

    def _fill(self, event: SlicePredicted) -> None:
        target, history = self.target, history_of(self.target)
        if event.z in self._left_out or event.z in confirmed_in(target):
            self.confirmed.add(event.z)
            return
        if label_state.is_own(stack_of(target)[event.z]).all():
            self.own.add(event.z)  # nothing to undo, and nothing to autosave
            return
        # Added now, so that what is done meanwhile comes after it; once it is undone, the rest is another.
        if self._filled is None or not history.holds(self._filled):
            origins = partial(exchange_origin, target)
            self._filled = Filled(lambda: stack_of(target), confirmed_in(target), origins)
            history.add(self._filled)
        self._filled.remember(event.z, self._origin(event))
        self._slices.add(event.z)
        proposed = from_probability(event.probability, self._source.threshold)
        self.pixels += fill(target, event.z, proposed)

    def _add_labels(self) -> Labels:
        image = self._source.image
        empty = new_labels(self._source.shape[-image.ndim :])
        layer = add_labels(self._viewer, empty, f"{image.name} proposal", image, on_top=False)
        update_info(layer, proposal_of=image.unique_id)
        return layer

    def _add_probability(self) -> Image:
        return self._viewer.add_image(
            new_labels(self._source.shape, np.float32),
            name=f"{self._source.image.name} boundary probability",
            contrast_limits=(0, 1),
            colormap="magma",
            opacity=0.7,
            visible=False,
            metadata=LayerInfo(proposal_of=self._source.image.unique_id).as_metadata(),
            **slice_transform(self._source.image, 0),
        )

    def _signed(self, layer: Any) -> Any:
        update_info(layer, run=self._source.run)
        return layer


def fill(layer: Labels, z: int, proposed: np.ndarray) -> int:
    """Write a proposal for one slice into a managed labels layer, and return for how many pixels.

    Those of confirmed slices, and those where the user has labels, stay. Not by `data_setitem`: a hundred
    filled slices would push the strokes out of napari's history.
    """
    if z in confirmed_in(layer):
        return 0
    pixels = label_state.fill(stack_of(layer)[z], proposed)
    layer.refresh()
    return pixels


def check_fits(layer: Labels, image_name: str, shape: tuple[int, ...]) -> None:
    """Raise `UserError` unless a managed labels layer has the shape (z, y, x) of the image to predict."""
    if stack_of(layer).shape != shape:
        raise UserError(
            f"{layer.name} and {image_name} differ in size; choose labels of this image, or press 'New'."
        )
