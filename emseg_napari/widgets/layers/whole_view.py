"""A whole slice of a layer in view, whatever else the viewer holds."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Layer

from emseg_napari.widgets.layers.placement import show_slice, shows_slices

_ALIKE = 0.02  # of the length along an axis


def show_whole_slice(viewer: Any, layer: Layer) -> None:
    """Fit a layer into the view; where none of its slices is in view, the nearest one comes there."""
    _show_nearest_slice(viewer, layer)
    viewer.reset_view(layers=[layer])  # else napari fits all stacks, hidden ones, too


def _show_nearest_slice(viewer: Any, layer: Layer) -> None:
    """Show the nearest slice of a layer, unless one is in view."""
    if layer.ndim < 3 or not shows_slices(viewer):
        return
    z = round(layer.world_to_data(viewer.dims.point)[-3])
    nearest = min(max(z, 0), layer.data.shape[-3] - 1)
    if z != nearest:
        show_slice(viewer, layer, nearest)


def lie_alike(layer: Layer, other: Layer) -> bool:
    """Whether two layers fill the same part of the world, but for a few pixels of a coarser one."""
    ndim = min(layer.ndim, other.ndim)
    one, two = (each.extent.world[:, -ndim:] for each in (layer, other))
    return bool(np.all(np.abs(one - two) <= _ALIKE * np.ptp(one, axis=0)))
