"""Placement of layers in the world, and which slice of them is in view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from napari.layers import Layer
from napari.utils.transforms import Affine, CompositeAffine

from emseg_napari.annotation.session.contents import Placement
from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import NOWHERE, Point
from emseg_napari.io.volume import Voxel

NO_UNIT = "pixel"
_FIELD_PX = 400.0  # on the screen, into which what is shown must fit
_ROUGH = 1e-9  # of the largest number in a matrix: what arithmetic leaves

# -- which slice is in view -----------------------------------------------------------------


def shown_slice(viewer: Any, layer: Layer) -> int:
    """Return the index of the slice of `layer` that the viewer shows.

    Raises
    ------
    UserError
        If it shows none, or no slices at all: in 3-D, with its axes in another order, or since the layer is
        tilted. What acts on the slice in view would else act on a slice that nobody sees.
    """
    if not shows_slices(viewer):
        raise UserError(
            "This needs the slice view: turn 3-D off and restore the order of the axes (the buttons below "
            "the layer list)."
        )
    if layer.ndim < 3:
        return 0
    if _is_tilted(layer):
        raise UserError(
            f"{layer.name} is tilted, and the viewer does not show its slices as they lie; remove the "
            "rotation or shear out of the slices' plane first."
        )
    z = round(layer.world_to_data(viewer.dims.point)[-3])
    if not 0 <= z < layer.data.shape[-3]:
        raise UserError(f"The viewer shows no slice of {layer.name}; move the slider to one.")
    return z


def slice_in_view(viewer: Any, layer: Layer | None) -> int | None:
    """Return `shown_slice`; None if there is none."""
    if layer is None:
        return None
    try:
        return shown_slice(viewer, layer)
    except UserError:
        return None


def view_events(viewer: Any) -> tuple[Any, Any, Any]:
    """Return the events after which another slice may be in view, or none."""
    return viewer.dims.events.current_step, viewer.dims.events.order, viewer.dims.events.ndisplay


def _is_tilted(layer: Layer) -> bool:
    """Whether y and x depend on z or z on them: napari shows that wrongly, a click would go astray."""
    matrix = np.abs(linear(layer, 3))
    return bool(max(matrix[0, 1:].max(), matrix[1:, 0].max()) > _ROUGH * matrix.max())


def shows_slices(viewer: Any) -> bool:
    """Whether the two axes on the screen are those of the slices, whichever runs down."""
    dims = viewer.dims
    return set(dims.displayed) == {dims.ndim - 2, dims.ndim - 1}


def _show_slices(viewer: Any) -> None:
    if not shows_slices(viewer):
        viewer.dims.ndisplay = 2
        viewer.dims.order = tuple(range(viewer.dims.ndim))


def show_pixel(viewer: Any, layer: Layer, place: tuple[int, int, int]) -> None:
    """Show the slice of a pixel (z, y, x), with the pixel in the middle."""
    _show_slices(viewer)
    world = layer.data_to_world(place[-layer.ndim :])
    offset = viewer.dims.ndim - len(world)  # other layers may have more axes
    for axis, value in enumerate(world):
        viewer.dims.set_point(axis + offset, value)
    shown = [float(world[axis - offset]) for axis in viewer.dims.displayed if axis >= offset]
    camera = viewer.scene.camera
    camera.center = (*camera.center[: 3 - len(shown)], *shown)


def zoom_to(viewer: Any, layer: Layer, extent_px: float, most: float) -> None:
    """Zoom so that `extent_px` pixels of a layer fit, at most to `most` screen pixels for one of them."""
    viewer.scene.camera.zoom = min(most, _FIELD_PX / extent_px) / _pixel_size(layer)[-1]


def fits_the_view(viewer: Any, layer: Layer, extent_px: float, least: float) -> bool:
    """Whether `extent_px` pixels of a layer fit, each at least `least` screen pixels wide."""
    width = viewer.scene.camera.zoom * _pixel_size(layer)[-1]
    return bool(width >= least and width * extent_px <= 1.5 * _FIELD_PX)  # most canvases are that large


def show_slice(viewer: Any, layer: Layer, z: int) -> None:
    """Show a slice of a layer; the camera stays where it is."""
    _show_slices(viewer)
    if layer.ndim < 3:
        return
    place = (*(0,) * (layer.ndim - 3), z, 0, 0)
    viewer.dims.set_point(viewer.dims.ndim - 3, layer.data_to_world(place)[-3])


def shows_other_slice(viewer: Any, layer: Layer, slices: set[int]) -> bool:
    """Whether the viewer shows slices, and of a layer none of these."""
    return bool(slices) and shows_slices(viewer) and slice_in_view(viewer, layer) not in slices


# -- where a layer lies ---------------------------------------------------------------------


def layer_transform(layer: Layer, ndim: int, pixel: Sequence[float] = ()) -> dict[str, Any]:
    """Return what puts another layer over `layer`, by any affine transformation that this one has.

    Parameters
    ----------
    layer : napari.layers.Layer
    ndim : int
        Axes of the other layer: the last ones are the same.
    pixel : sequence of float, optional
        Pixel of `layer`, along its last axes, on which the other's first one lies; the first by default.

    Returns
    -------
    dict
        As arguments of a new layer, and for `move_to`.
    """
    physical = _with_axes(_physical(layer), ndim)
    first = np.array([*(0.0,) * (ndim - len(pixel)), *pixel])
    names = [f"axis {axis}" for axis in range(-ndim, -layer.ndim)]
    return {
        "scale": physical.scale,
        "translate": physical(first),
        "rotate": physical.rotate,
        "shear": physical.shear,
        "affine": _with_axes(layer.affine, ndim).affine_matrix,
        "units": (*(layer.units[0],) * (ndim - layer.ndim), *layer.units)[-ndim:],
        "axis_labels": (*names, *layer.axis_labels)[-ndim:],
    }


def slice_transform(layer: Layer, z: int, y: int = 0, x: int = 0) -> dict[str, Any]:
    """Return what puts a (1, y, x) picture on slice z of `layer`, its first pixel on pixel (y, x)."""
    return layer_transform(layer, 3, (z, y, x))


def move_to(layer: Layer, transform: Mapping[str, Any]) -> None:
    """Move a layer to where `layer_transform` says; what is right already sends no event."""
    for name, value in transform.items():
        if not _has(layer, name, value):
            setattr(layer, name, value)


def lies_at(layer: Layer, transform: Mapping[str, Any]) -> bool:
    """Whether a layer lies where `layer_transform` says."""
    return all(_has(layer, name, value) for name, value in transform.items())


def lie_together(layer: Layer, other: Layer) -> bool:
    """Whether the pixels of two layers lie on each other, but for rounding."""
    ndim = min(layer.ndim, other.ndim)
    one, two = _to_world(layer, ndim), _to_world(other, ndim)
    is_near = np.allclose(one, two, rtol=_ROUGH, atol=_ROUGH * np.abs(one).max())
    return have_same_units(layer, other) and is_near


def have_same_units(layer: Layer, other: Layer) -> bool:
    """Whether the axes that two layers share have the same units."""
    ndim = min(layer.ndim, other.ndim)
    return bool(layer.units[-ndim:] == other.units[-ndim:])


def _has(layer: Layer, name: str, value: Any) -> bool:
    present = getattr(layer, name)
    return bool(present == value if isinstance(value, tuple) else np.array_equal(np.asarray(present), value))


def _physical(layer: Layer) -> CompositeAffine:
    return CompositeAffine(
        layer.scale, layer.translate, rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim
    )


def _with_axes(transform: Affine, ndim: int) -> Affine:
    """Return a transformation of the last axes, or with as many more before them."""
    more = ndim - transform.ndim
    return (
        transform.expand_dims(range(more)) if more > 0 else transform.set_slice(range(-more, transform.ndim))
    )


def linear(layer: Layer, ndim: int) -> np.ndarray:
    """Return the matrix from the last axes of a layer to those of the world; the origin aside."""
    return _to_world(layer, ndim)[:-1, :-1]


def _to_world(layer: Layer, ndim: int) -> np.ndarray:
    """Return the matrix, with the origin in the last column, from the last axes of a layer to the world's."""
    further, physical = _with_axes(layer.affine, ndim), _with_axes(_physical(layer), ndim)
    return cast(np.ndarray, further.affine_matrix @ physical.affine_matrix)


def _pixel_size(layer: Layer) -> list[float]:
    """Return how long a pixel's edges are in the world, along z, y, x."""
    return [float(f"{length:.12g}") for length in np.linalg.norm(linear(layer, 3), axis=0)]


def voxel_of_layer(layer: Layer) -> Voxel | None:
    """Return the size of a layer's voxel; None if it is unknown."""
    z, y, x = _pixel_size(layer)
    unit = _unit_of(layer)
    known = unit != NO_UNIT or {z, y, x} != {1.0}
    return Voxel((z, y, x), unit) if known else None


def _unit_of(layer: Layer) -> str:
    """Return the unit of a layer's last axes; of units that differ from axis to axis, none."""
    names = {str(unit) for unit in layer.units[-3:]}
    return names.pop() if len(names) == 1 else NO_UNIT


# -- in a session ---------------------------------------------------------------------------


def placement_of(layer: Layer) -> Placement:
    """Return where a layer lies, as a session stores it."""
    place = layer_transform(layer, 3)
    return Placement(
        scale=_row(place["scale"]),
        translate=_row(place["translate"]),
        unit=_unit_of(layer),
        rotate=_unless(np.eye(3), place["rotate"]),
        shear=_unless(np.zeros(3), place["shear"]),
        affine=_unless(np.eye(4), place["affine"]),
    )


def transform_of_voxel(voxel: Voxel | None, origin: Point = NOWHERE) -> dict[str, Any]:
    """Return what puts a new layer (z, y, x) where a file says; where it says nothing, nothing."""
    place: dict[str, Any] = {} if voxel is None else {"scale": voxel.size, "units": (voxel.unit,) * 3}
    return place | ({"translate": origin} if any(origin) else {})


def transform_at(place: Placement | None) -> dict[str, Any]:
    """Return what puts a new layer (z, y, x) at a stored placement."""
    if place is None:
        return {}
    further = {name: getattr(place, name) for name in ("rotate", "shear", "affine")}
    known = {name: np.array(value) for name, value in further.items() if value is not None}
    return {"scale": place.scale, "translate": place.translate, "units": (place.unit,) * 3} | known


def _row(values: np.ndarray) -> tuple[float, float, float]:
    z, y, x = map(float, values)
    return z, y, x


def _unless(nothing: np.ndarray, values: np.ndarray) -> Any:
    """Return numbers in tuples, None if they change nothing."""
    if np.array_equal(values, nothing):
        return None
    return tuple(map(float, values)) if values.ndim == 1 else tuple(tuple(map(float, row)) for row in values)
