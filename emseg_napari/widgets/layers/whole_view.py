"""A whole slice of a layer in view, whatever else the viewer holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Layer

from emseg_napari.widgets.layers.placement import show_slice, shows_slices


def show_whole_slice(viewer: Any, layer: Layer) -> None:
    """Fit a layer into the view; where none of its slices is in view, the nearest one comes there."""
    show_nearest_slice(viewer, layer)
    viewer.reset_view(layers=[layer])  # else napari fits all stacks, hidden ones, too


def show_nearest_slice(viewer: Any, layer: Layer) -> None:
    """Show the nearest slice of a layer, unless one is in view."""
    if layer.ndim < 3 or not shows_slices(viewer):
        return
    z = round(layer.world_to_data(viewer.dims.point)[-3])
    nearest = min(max(z, 0), layer.data.shape[-3] - 1)
    if z != nearest:
        show_slice(viewer, layer, nearest)


def is_in_view(viewer: Any, layer: Layer) -> bool:
    """Whether the canvas shows some part of a layer, as far as rows and columns tell."""
    camera, axes = viewer.scene.camera, [axis - viewer.dims.ndim for axis in viewer.dims.displayed[-2:]]
    first, last = layer.extent.world[:, axes]
    middle, half = np.array(camera.center[-2:]), np.array(viewer.canvas.size) / camera.zoom / 2
    return bool(np.all(first < middle + half) and np.all(last > middle - half))
