"""The user's selected layer, and which labels layers are seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari.layers import Image, Labels, Layer

from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits


@contextmanager
def selection_kept(viewer: Any) -> Iterator[None]:
    """Keep the selected layers, tool and sight while others are added: napari selects each new one."""
    selection = viewer.layers.selection
    chosen, active = set(selection), selection.active
    mode, visible = getattr(active, "mode", None), active is not None and active.visible
    in_hand = has_tool_in_hand(active)
    try:
        yield
    finally:
        _select(viewer, chosen)
        if active is not None and active in viewer.layers:
            # Set to what it is, napari would take up the tool that the layer had when it was hidden last.
            if in_hand and active.visible != visible:  # the user is painting in it
                active.visible = visible
            active.mode = mode


def has_tool_in_hand(layer: Layer | None) -> bool:
    """Say whether the mouse does more in a layer than move the view: by a tool of napari, or a repair."""
    return layer is not None and (layer.mode != "pan_zoom" or not layer.mouse_pan)


def _select(viewer: Any, chosen: set[Any]) -> None:
    selection, left = viewer.layers.selection, [layer for layer in viewer.layers if layer in chosen]
    if len(left) == 1:
        selection.active = left[0]
    elif set(selection) != set(left):
        selection.clear()
        selection.update(left)


def hide_covered(viewer: Any, layer: Layer) -> None:
    """Hide the labels layers that lie where a layer lies."""
    for other in _beside(viewer, layer):
        other.visible = False


def hide_if_covered(viewer: Any, layer: Labels) -> None:
    """Hide a layer that lies where another labels layer is seen."""
    if next(_beside(viewer, layer), None) is not None:
        layer.visible = False


def show_alone(viewer: Any, layer: Labels) -> None:
    """Show a labels layer above the images that cover it, and hide the labels that it covers."""
    if not layer.visible:  # else napari would take up the tool that it had before it was hidden last
        layer.visible = True
    hide_covered(viewer, layer)
    _raise(viewer, layer)


def show_stack(viewer: Any, image: Image) -> None:
    """Show an image, and hide the images and labels of other sizes: they belong to other stacks."""
    image.visible = True
    for other in viewer.layers:
        is_stack = isinstance(other, (Image, Labels)) and not info_of(other).is_aid
        if is_stack and other.visible and not fits(other, tuple(image.data.shape)):
            other.visible = False


def show_if_hidden(viewer: Any, layer: Labels) -> None:
    """Show a labels layer that is about to be changed, so that the change is seen."""
    if not layer.visible:
        show_alone(viewer, layer)
    else:
        _raise(viewer, layer)


def _raise(viewer: Any, layer: Labels) -> None:
    """Move a layer that is there above the images that let nothing of it be seen."""
    if layer not in viewer.layers:
        return
    index, shape = viewer.layers.index(layer), tuple(layer.data.shape)
    covering = [i for i, other in enumerate(viewer.layers) if i > index and _covers(other, shape)]
    if covering:
        viewer.layers.move(index, covering[-1] + 1)


def _covers(layer: Layer, shape: tuple[int, ...]) -> bool:
    """Whether nothing is seen through a layer, where others of a shape lie."""
    is_opaque = layer.opacity == 1 and layer.blending in ("opaque", "translucent", "translucent_no_depth")
    is_image = isinstance(layer, Image) and not info_of(layer).is_aid
    return is_image and layer.visible and is_opaque and fits(layer, shape)


def _beside(viewer: Any, layer: Layer) -> Iterator[Labels]:
    """Yield the other labels layers that are seen where a layer lies."""
    shape = tuple(layer.data.shape)
    for other in viewer.layers:
        is_seen = isinstance(other, Labels) and other.visible and not info_of(other).is_aid
        if is_seen and other != layer and fits(other, shape):
            yield other
