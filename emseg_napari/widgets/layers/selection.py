"""The user's selected layer, and which labels layers are seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari.layers import Labels

from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits


@contextmanager
def selection_kept(viewer: Any) -> Iterator[None]:
    """Keep the selected layer while layers are added: napari selects each new one."""
    active = viewer.layers.selection.active
    yield
    if active is not None and active in viewer.layers and viewer.layers.selection.active != active:
        viewer.layers.selection.active = active


def hide_covered(viewer: Any, layer: Labels) -> None:
    """Hide the labels layers that lie where a layer lies, but for one that the user is painting in."""
    shape, active = tuple(layer.data.shape), viewer.layers.selection.active
    for other in viewer.layers:
        is_shown = isinstance(other, Labels) and other.visible and not info_of(other).is_aid
        is_in_hand = other == active and other.mode != "pan_zoom"
        if is_shown and other != layer and fits(other, shape) and not is_in_hand:
            other.visible = False


def show_alone(viewer: Any, layer: Labels) -> None:
    """Show a labels layer, and hide those that it covers."""
    layer.visible = True
    hide_covered(viewer, layer)
