"""How large a pixel of a layer is, as an area or a volume in one unit."""

from __future__ import annotations

import numpy as np
from napari.layers import Layer

from emseg_napari.io.units import in_one_unit, spelled
from emseg_napari.widgets.layers.placement import NO_UNIT, layer_transform, linear, voxel_of_layer

_ROUGH = 1e-9  # of the largest number in a matrix: what arithmetic leaves


def pixel_extent(layer: Layer, axes: int) -> tuple[float, str] | None:
    """Return how large a layer's pixel is in the world, and the unit of its edges; None if it is unknown.

    Parameters
    ----------
    layer : napari.layers.Layer
        Units of length that differ from axis to axis all become that of the last.
    axes : int
        2 for the area in the plane of the slices, 3 for the volume.
    """
    found = in_one_unit(*_edges(layer, axes))
    if found is None or (found[1] == NO_UNIT and voxel_of_layer(layer) is None):
        return None
    edges = np.stack(found[0])  # a column for each; the Gram determinant holds at any angle
    return float(f"{np.sqrt(np.linalg.det(edges.T @ edges)):.12g}"), found[1]


def differing_units(layer: Layer, axes: int) -> list[str]:
    """Return the units that leave a layer's pixel without an extent, as they cannot be converted to one."""
    edges, units = _edges(layer, axes)
    return [] if in_one_unit(edges, units) else list(dict.fromkeys(units))


def _edges(layer: Layer, axes: int) -> tuple[list[np.ndarray], list[str]]:
    """Return the last edges of a layer's pixel along the axes of the world, and their units."""
    along = linear(layer, 3)[:, -axes:]  # a row for each axis, a column for each edge
    reached = np.flatnonzero(np.abs(along).max(axis=1) > _ROUGH * np.abs(along).max())
    units = [spelled(unit) for unit in layer_transform(layer, 3)["units"]]
    return [along[axis] for axis in reached], [units[axis] for axis in reached]
