"""The pixels of any napari layer as a stack (z, y, x)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Layer

from emseg_napari.core.jobs import UserError
from emseg_napari.io.stacks import as_stack
from emseg_napari.io.volume import Volume, volume_of, with_fill_value
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.placement import placement_of, voxel_of_layer
from emseg_napari.widgets.layers.remote_array import RemoteArray


def volume_of_layer(layer: Layer | None) -> np.ndarray | Volume:
    """Return a layer's pixels as a (z, y, x) stack from which slices are taken; nothing is read yet.

    Of pixels in memory it is a view; of others, such as a dask array, a volume; of a multiscale layer the
    finest level.

    Raises
    ------
    UserError
        If there is no layer, or it is RGB or has more than three axes.
    """
    if layer is None:
        raise UserError("No image layer is chosen; open an image stack first.")
    if getattr(layer, "rgb", False):
        raise UserError(f"{layer.name} is a colour image; convert it to one grey channel first.")
    data: Any = finest(layer)
    if any(length != 1 for length in data.shape[:-3]):
        raise UserError(
            f"{layer.name} has {len(data.shape)} axes; emseg needs a stack (z, y, x) or a single image "
            "(y, x): split the layer first."
        )
    if isinstance(data, np.ndarray):
        return as_stack(data[(0,) * (data.ndim - 3)] if data.ndim > 3 else data)
    behind = info_of(layer).volume
    if behind and behind[0] is data:
        known = behind[1]
    elif isinstance(data, RemoteArray):  # which gives 0 in the window's thread for what has not come yet
        known = with_fill_value(data.volume, data.volume.is_labels)
    else:
        known = volume_of(data, layer.name)
    return replace(known, name=layer.name, voxel=voxel_of_layer(layer), origin=placement_of(layer).translate)


def placed_volume(layer: Layer) -> Volume:
    """Return a layer's pixels as a volume that lies where the layer lies; nothing is read yet.

    Raises
    ------
    UserError
        As `volume_of_layer`.
    """
    return volume_of(volume_of_layer(layer), layer.name, voxel_of_layer(layer), placement_of(layer).translate)


def finest(layer: Layer) -> Any:
    """Return a layer's own array, of a multiscale layer the finest."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def fits(layer: Layer | None, shape: tuple[int, ...]) -> bool:
    """Say whether a layer has the shape (z, y, x) as a stack, without reading its pixels."""
    own = () if layer is None else tuple(layer.data.shape)
    while own[:1] == (1,):
        own = own[1:]
    while shape[:1] == (1,):
        shape = shape[1:]
    return layer is not None and own == shape
