"""Placement of layers in the world, and which slice of them is in view."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Layer

from emseg_napari.annotation.session.contents import Placement
from emseg_napari.io.axes import NOWHERE, Point
from emseg_napari.io.volume import Voxel

_NO_UNIT = "pixel"

_FIELD_PX = 400.0  # on the screen, into which what is shown must fit


def slice_in_view(viewer: Any, layer: Layer | None) -> int | None:
    """Return the index of the slice of `layer` that the viewer shows; None if none of it."""
    if layer is None:
        return None
    if layer.ndim < 3:
        return 0
    z = round(layer.world_to_data(viewer.dims.point)[-3])
    return z if 0 <= z < layer.data.shape[-3] else None


def show_pixel(viewer: Any, layer: Layer, place: tuple[int, int, int]) -> None:
    """Show the slice of a pixel (z, y, x), with the pixel in the middle."""
    world = layer.data_to_world(place[-layer.ndim :])
    offset = viewer.dims.ndim - len(world)  # other layers may have more axes
    for axis, value in enumerate(world):
        viewer.dims.set_point(axis + offset, value)
    shown = [float(world[axis - offset]) for axis in viewer.dims.displayed if axis >= offset]
    camera = viewer.scene.camera
    camera.center = (*camera.center[: 3 - len(shown)], *shown)


def zoom_to(viewer: Any, layer: Layer, extent_px: float, most: float) -> None:
    """Zoom so that `extent_px` pixels of a layer fit, at most to `most` screen pixels for one of them."""
    viewer.scene.camera.zoom = min(most, _FIELD_PX / extent_px) / float(layer.scale[-1])


def show_slice(viewer: Any, layer: Layer, z: int) -> None:
    """Show a slice of a layer and leave the camera where it is."""
    if layer.ndim < 3:
        return
    place = (*(0,) * (layer.ndim - 3), z, 0, 0)
    viewer.dims.set_point(viewer.dims.ndim - 3, layer.data_to_world(place)[-3])


def layer_transform(layer: Layer, ndim: int) -> dict[str, Any]:
    """Return scale, translate and units of the last axes of a layer, for another one that lies over it."""
    return {name: getattr(layer, name)[-ndim:] for name in ("scale", "translate", "units")}


def slice_transform(layer: Layer, z: int) -> dict[str, Any]:
    """Return scale, translate and units that put a (1, y, x) picture on slice z of `layer`."""
    if layer.ndim == 2:
        units = (layer.units[0], *layer.units)
        return {"scale": (1, *layer.scale), "translate": (0, *layer.translate), "units": units}
    place = layer_transform(layer, 3)
    return place | {"translate": np.array(place["translate"]) + np.array(place["scale"]) * (z, 0, 0)}


def placement_of(layer: Layer) -> Placement:
    """Return where a layer lies; of units that differ from axis to axis, none."""
    names = {str(unit) for unit in layer.units[-3:]}
    scale, translate = _last_three(layer.scale, 1.0), _last_three(layer.translate, 0.0)
    return Placement(scale, translate, names.pop() if len(names) == 1 else _NO_UNIT)


def _last_three(values: Iterable[float], missing: float) -> tuple[float, float, float]:
    z, y, x = [*(missing,) * 3, *map(float, values)][-3:]
    return z, y, x


def voxel_of_layer(layer: Layer) -> Voxel | None:
    """Return the size of a layer's voxel; None if it is unknown."""
    place = placement_of(layer)
    known = place.unit != _NO_UNIT or set(place.scale) != {1.0}
    return Voxel(place.scale, place.unit) if known else None


def transform_of_voxel(voxel: Voxel | None, origin: Point = NOWHERE) -> dict[str, Any]:
    """Return what puts a new layer (z, y, x) where a file says; where it says nothing, nothing."""
    place: dict[str, Any] = {} if voxel is None else {"scale": voxel.size, "units": (voxel.unit,) * 3}
    return place | ({"translate": origin} if any(origin) else {})


def transform_at(place: Placement | None) -> dict[str, Any]:
    """Return what puts a new layer (z, y, x) at a stored placement."""
    if place is None:
        return {}
    return {"scale": place.scale, "translate": place.translate, "units": (place.unit,) * 3}
