"""Sizes of voxels and places in space, as files of all formats state them for each axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emseg_napari.io.axes import NOWHERE, Point, Voxel
from emseg_napari.io.description import FileDescription, StackAxes
from emseg_napari.io.stated_axes import axis_sizes
from emseg_napari.io.units import stated_voxel


def along_zyx(axes: StackAxes, values: Sequence[Any], missing: Any) -> list[Any]:
    """Return what belongs to z, y, x of values of all axes; `missing` for z of a single slice."""
    return [missing if axis is None else values[axis] for axis in axes.order]


def placed(
    file: FileDescription,
    sizes: Sequence[Any],
    units: str | Sequence[Any] | None,
    shifts: Sequence[Any] | None = None,
) -> FileDescription:
    """Return a description with voxel, origin, and notes on what was not understood of them.

    Parameters
    ----------
    file : FileDescription
    sizes : sequence of float
        Of a voxel along z, y, x.
    units : str or sequence of str
        Of sizes and shifts, of all or of each.
    shifts : sequence of float, optional
        The centre of the first voxel along z, y, x.
    """
    voxel, notes = stated_voxel(sizes, units)
    file = replace(file, voxel=voxel, notes=file.notes + notes)
    if shifts is None:
        return file
    try:
        # in the unit of the voxel, into which sizes and shifts of each axis are converted alike
        target = voxel.size if voxel else (1.0, 1.0, 1.0)
        z, y, x = (
            float(shift) if float(size) == to else float(shift) / float(size) * to
            for shift, size, to in zip(shifts, sizes, target, strict=True)
        )
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        z = y = x = math.nan
    if all(math.isfinite(one) for one in (z, y, x)):
        return replace(file, origin=(z, y, x))
    note = "its place in space was not understood, so it begins at 0"
    return replace(file, notes=(*file.notes, note))


def recorded_origin(record: Mapping[str, Any], voxel: Voxel | None) -> Point:
    """Return where a TIFF file of this package lies by its record; older ones only state their slices."""
    stated, slices = _numbers(record.get("origin")), _numbers(record.get("slices"))
    if len(stated) == 3:
        z, y, x = stated
        return z, y, x
    return shifted(NOWHERE, int(slices[0]), voxel) if len(slices) == 2 else NOWHERE


def shifted(origin: Point, slices: int, voxel: Voxel | None) -> Point:
    """Return where the slice lies that comes so many after the one at `origin`."""
    z, y, x = origin
    return z + slices * (voxel.size[0] if voxel else 1.0), y, x


def _numbers(stated: Any) -> list[float]:
    """Return the numbers that are listed, none if there is anything else among them."""
    finite = isinstance(stated, list) and all(isinstance(n, int | float) and math.isfinite(n) for n in stated)
    return [float(n) for n in stated] if finite else []


def plain_place(file: FileDescription, axes: StackAxes, attributes: Mapping[str, Any]) -> FileDescription:
    """Add what attributes of a dataset say of size and place; all of them list z, y, x, or all axes.

    They are `resolution` and `offset` of CREMI in nm, funlib's `voxel_size` with `units`, `element_size_um`
    of Fiji, and ilastik's `axistags`.
    """
    unit_of = {"resolution": "nanometer", "element_size_um": "micrometer"}
    if "units" in attributes or "axistags" not in attributes:
        unit_of["voxel_size"] = attributes.get("units", "")
    for key, unit in unit_of.items():
        if key in attributes:
            sizes = _zyx(axes, attributes[key], 1.0)
            shifts = _zyx(axes, attributes["offset"], 0.0) if "offset" in attributes else None
            return placed(
                file, sizes, unit if isinstance(unit, str) else _zyx(axes, unit, "nanometer"), shifts
            )
    stated = axis_sizes(attributes)
    if stated is None or len(stated[0]) != axes.ndim:
        return file
    sizes, units = stated
    return placed(file, along_zyx(axes, sizes, 1.0), along_zyx(axes, units, units[axes.order[2]]))


def _zyx(axes: StackAxes, stated: Any, missing: Any) -> list[Any]:
    """Return what belongs to z, y, x; what is malformed as it is, which `placed` says."""
    values = list(stated) if isinstance(stated, list | tuple | np.ndarray) else [stated]
    return along_zyx(axes, values, missing) if len(values) == axes.ndim else values
