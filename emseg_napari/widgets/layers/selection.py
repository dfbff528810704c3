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
    """Keep the selected layer and its tool while layers are added: napari selects each new one."""
    active = viewer.layers.selection.active
    mode, visible = getattr(active, "mode", None), active is not None and active.visible
    yield
    if active is None or active not in viewer.layers or viewer.layers.selection.active == active:
        return
    viewer.layers.selection.active = active
    if mode != "pan_zoom":  # the user is painting in it
        active.visible = visible
    active.mode = mode


def hide_covered(viewer: Any, layer: Labels) -> None:
    """Hide the labels layers that lie where a layer lies."""
    shape = tuple(layer.data.shape)
    for other in viewer.layers:
        is_shown = isinstance(other, Labels) and other.visible and not info_of(other).is_aid
        if is_shown and other != layer and fits(other, shape):
            other.visible = False


def show_alone(viewer: Any, layer: Labels) -> None:
    """Show a labels layer, and hide those that it covers."""
    layer.visible = True
    hide_covered(viewer, layer)
