"""Labels layers of napari, and those among them that the plugin manages.

A managed layer holds the project's label values, its confirmed slices and its history. Every other labels
layer is foreign: its values follow a convention that has to be recognised, or asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np
from napari.layers import Image, Labels, Layer

from emseg_napari.annotation.label_state import plain, trusted
from emseg_napari.annotation.session.scratch import new_labels, slices_in_use
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import (
    BOUNDARY,
    INTERIOR,
    PROPOSED_INTERIOR,
    AmbiguousLabels,
    Convention,
    UnknownLabels,
    normalise,
)
from emseg_napari.io.sparse_stack import SparseStack, normalised
from emseg_napari.io.volume import Volume
from emseg_napari.widgets.layers.label_colours import label_colours
from emseg_napari.widgets.layers.layer_info import LayerInfo, info_of, update_info
from emseg_napari.widgets.layers.layer_pixels import fits, volume_of_layer
from emseg_napari.widgets.layers.layer_sources import convention_of
from emseg_napari.widgets.layers.placement import layer_transform
from emseg_napari.widgets.layers.selection import hide_covered, hide_if_covered
from emseg_napari.widgets.layers.undo_history import UndoHistory

NO_LABELS = "No labels layer is chosen; press 'New' beside Labels, or 'Open labels...' in the Menu."
NO_LABELS_YET = "propose a slice, or press 'New' beside Labels"  # of a button that needs some
# The labelled slices of a foreign layer come into memory.
_MOST_FOREIGN_BYTES = 2**32

Ask = Callable[[UserError], Convention | None]


def stack_of(layer: Labels) -> np.ndarray:
    """Return the pixels (z, y, x) of a managed labels layer: what is written to them is in the layer."""
    return cast(np.ndarray, volume_of_layer(layer))


def labels_of(layer: Labels | None, convention: Convention | None = None) -> SparseStack:
    """Return a copy of a labels layer's pixels, uint8 (z, y, x): 0, 1, 2, proposals among them.

    It takes a while, and may be called in any thread.

    Parameters
    ----------
    layer : napari.layers.Labels
    convention : Convention, optional
        What the values of a foreign layer mean; as the record of its file states, or else recognised, when
        not given.

    Raises
    ------
    AmbiguousLabels, UnknownLabels
        If the values follow no convention or two; a managed layer may hold the number of a wrong brush.
    """
    if layer is None:
        raise UserError(NO_LABELS)
    if is_managed(layer) and convention is None:
        return _painted(layer).mapped(lambda plane: normalise(plain(plane), layer.name, "napari"))
    stack = volume_of_layer(layer)
    if isinstance(stack, Volume | np.memmap):
        _refuse_large(layer.name, stack.nbytes)
    return normalised(stack, layer.name, convention or convention_of(layer))


def understood(layer: Labels | None, ask: Ask) -> tuple[SparseStack, Convention | None]:
    """Return a layer's labels, and the convention that the user chose, if the values left it open.

    Parameters
    ----------
    layer : napari.layers.Labels
    ask : callable
        Asks for the convention, where the values leave it open; None gives up.

    Raises
    ------
    UserError
        As `labels_of`, if the user gives no answer.
    """
    try:
        return labels_of(layer), None
    except (AmbiguousLabels, UnknownLabels) as error:
        convention = ask(error)
        if convention is None:
            raise
    return labels_of(layer, convention), convention


def _painted(layer: Labels) -> SparseStack:
    """Return the slices of a managed layer that hold labels; they are views."""
    stack = stack_of(layer)
    return SparseStack.of(stack, slices_in_use(stack))


def _refuse_large(name: str, nbytes: int) -> None:
    if nbytes > _MOST_FOREIGN_BYTES:
        raise UserError(
            f"{name} ({nbytes / 2**30:.0f} GiB) is too large to be taken over at once; save "
            "the slices that have labels as a stack of their own, with the same slices of the image."
        )


def trusted_of(layer: Labels, labels: SparseStack, include_proposals: bool = False) -> SparseStack:
    """Return, of a layer's labels (`labels_of`), those that a person has made or confirmed."""
    if not is_managed(layer):
        return labels
    confirmed, painted = confirmed_in(layer), _painted(layer)
    planes = {
        z: trusted_plane(painted[z], z in confirmed or include_proposals) for z in painted.stored_slices
    }
    return SparseStack(painted.shape, np.uint8, {z: plane for z, plane in planes.items() if plane.any()})


def trusted_plane(plane: np.ndarray, with_proposals: bool) -> np.ndarray:
    """Return the trusted labels of one slice of a managed layer, uint8 (y, x), a copy: 0, 1, 2."""
    return trusted(plane[np.newaxis], {0} if with_proposals else ())[0]


def confirmed_planes(layer: Labels, slices: Iterable[int]) -> dict[int, np.ndarray]:
    """Return the labels of confirmed slices of a managed layer, uint8 (y, x) each, copies: 0, 1, 2."""
    return {z: trusted_plane(stack_of(layer)[z], True) for z in slices}


def dense(labels: SparseStack) -> np.ndarray:
    """Return labels as an array that can be painted on."""
    result = new_labels(labels.shape)
    for z in labels.stored_slices:
        result[z] = labels[z]
    return result


def is_paintable(layer: Labels) -> bool:
    """Say whether strokes and proposals can go right into the layer's pixels."""
    return isinstance(layer.data, np.ndarray) and layer.data.flags.writeable and layer.ndim <= 3


def is_managed(layer: Layer | None) -> bool:
    """Say whether the plugin manages a labels layer, which then holds the project's label values."""
    return layer is not None and info_of(layer).confirmed is not None


def confirmed_in(layer: Labels) -> set[int]:
    """Return the confirmed slices of a managed labels layer."""
    confirmed = info_of(layer).confirmed
    assert confirmed is not None  # else it is a foreign layer
    return confirmed


def refuse_confirmed(layer: Labels, z: int) -> None:
    """Raise `UserError` if a slice is confirmed: all its labels are the user's own."""
    if z in confirmed_in(layer):
        raise UserError(f"Slice {z} is confirmed, so all its labels are yours; unconfirm it first (C).")


def set_pixels(layer: Labels, z: int, y: np.ndarray, x: np.ndarray, values: Any) -> None:
    """Give pixels of a slice new labels, in one step that napari can undo."""
    layer.data_setitem((y, x) if layer.ndim == 2 else (np.full(len(y), z), y, x), values)


def history_of(layer: Labels) -> UndoHistory:
    """Return the history of a managed labels layer."""
    history = info_of(layer).history
    assert history is not None  # else it is a foreign layer
    return history


def adopt(layer: Labels) -> None:
    """Let the plugin manage a layer that holds 0 to 4: colours, brush, confirmed slices and history."""
    if not is_managed(layer):
        update_info(layer, confirmed=set())
    layer.colormap = label_colours()
    layer.opacity = 0.6
    _paint_own(layer)
    watch(layer)


def watch(layer: Labels) -> UndoHistory:
    """Follow what is done to a managed labels layer, however it came into the viewer.

    A duplicate gets confirmed slices and a history of its own: napari copies pixels, but shares metadata.
    """
    known = info_of(layer).history
    if known is not None and known.layer == layer:
        return known
    history = UndoHistory(layer)
    update_info(layer, confirmed=set(confirmed_in(layer)), history=history)
    layer.events.selected_label.connect(lambda event: _paint_own(layer))
    # napari's own would look through all pixels for the highest label
    layer.bind_key("M", _paint_boundary, overwrite=True)
    return history


def _paint_boundary(layer: Labels) -> None:
    layer.selected_label = BOUNDARY


def _paint_own(layer: Labels) -> None:
    """Replace the number of the brush by one that a user paints: proposals and unknown numbers are not."""
    if layer.selected_label > INTERIOR:
        layer.selected_label = INTERIOR if layer.selected_label == PROPOSED_INTERIOR else BOUNDARY


def add_labels(
    viewer: Any,
    labels: np.ndarray,
    name: str,
    like: Layer | None = None,
    confirmed: Iterable[int] = (),
    on_top: bool = True,
) -> Labels:
    """Add a managed labels layer, placed over the layer `like`.

    Parameters
    ----------
    viewer : napari.Viewer
    labels : numpy.ndarray
        uint8 (z, y, x) or (y, x), 0 to 4.
    name : str
    like : napari.layers.Layer, optional
    confirmed : iterable of int
        Slices.
    on_top : bool
        Whether it hides the labels that it covers; else it is hidden where there are some.
    """
    place = layer_transform(like, labels.ndim) if like else {}
    # Managed from the first moment, so that all who see the layer inserted follow its history.
    over = like.unique_id if isinstance(like, Image) else None
    metadata = LayerInfo(confirmed=set(confirmed), made_over=over).as_metadata()
    layer = viewer.add_labels(labels, name=name, metadata=metadata, **place)
    adopt(layer)
    layer.brush_size = 5
    (hide_covered if on_top else hide_if_covered)(viewer, layer)
    return layer


def add_empty_labels(viewer: Any, image: Image) -> Labels:
    """Add an empty managed labels layer over an image."""
    shape = volume_of_layer(image).shape[-image.ndim :]
    return add_labels(viewer, new_labels(shape), f"{image.name} labels", image)


def converted(viewer: Any, layer: Labels, labels: np.ndarray) -> Labels:
    """Add the labels (z, y, x) of a foreign layer as a managed layer; the foreign layer stays as it is."""
    shown = labels[0] if layer.ndim == 2 else labels
    return add_labels(viewer, shown, f"{layer.name} (boundary labels)", layer)


def proposals_of(viewer: Any, image: Image | None, kind: type[Layer]) -> Any:
    """Return the labels or image layer that predictions of an image layer wrote, or None."""
    if image is None:
        return None
    for layer in viewer.layers:
        of_image = isinstance(layer, kind) and info_of(layer).proposal_of == image.unique_id
        if of_image and fits(layer, tuple(image.data.shape)):
            return layer
    return None
