"""The metadata of OME-Zarr 0.4 and 0.5, as they are written.

Specifications: https://ngff.openmicroscopy.org/0.4 and https://ngff.openmicroscopy.org/0.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import zarr

from emseg_napari.io.axes import Point, Size, Voxel
from emseg_napari.io.layout import Layout, OutputType, Version
from emseg_napari.io.multiscale import Multiscale

# White, where black is 0; other types are left to the viewer.
_WHITE: dict[str, float] = {"uint8": 255.0, "float32": 1.0}


def attributes(layout: Layout, factors: Sequence[Size], name: str) -> dict[str, Any]:
    """Return the attributes of an OME-Zarr group.

    Parameters
    ----------
    layout : Layout
        Of level 0.
    factors : sequence of (int, int, int)
        How many voxels of level 0 make one of each level along z, y, x; the first is (1, 1, 1).
    name : str
        What viewers call the image.
    """
    content: dict[str, Any] = {"multiscales": [_multiscale(layout, factors, name)]}
    if layout.labels:
        content["image-label"] = {"version": layout.version}
    elif layout.dtype in _WHITE:
        content["omero"] = _shown(_WHITE[layout.dtype], name)
    if layout.version == "0.4":
        return content
    return {"ome": {"version": layout.version, **content}}


def layout_of(group: zarr.Group, array: zarr.Array) -> Layout:
    """Return the layout of an output from its group and its level 0.

    Raises
    ------
    KeyError, IndexError, TypeError, ValueError, UserError
        If the metadata was not written by `attributes`.
    """
    image = Multiscale(group.attrs.asdict())
    unit, place = image.units(3)[0], image.placement(image.paths[0], 3)
    return Layout(
        shape=cast(Size, array.shape),
        dtype=cast(OutputType, array.dtype.name),
        chunk=cast(Size, array.chunks),
        shard=cast("Size | None", array.shards),
        voxel=Voxel(cast(Point, tuple(place.scale)), unit) if unit else None,
        version=cast(Version, image.version),
        labels=image.is_labels,
        origin=cast(Point, tuple(place.translation)),
    )


def _multiscale(layout: Layout, factors: Sequence[Size], name: str) -> dict[str, Any]:
    unit = {"unit": layout.voxel.unit} if layout.voxel else {}
    size = layout.voxel.size if layout.voxel else (1.0, 1.0, 1.0)
    multiscale: dict[str, Any] = {
        "name": name,
        "axes": [{"name": axis, "type": "space", **unit} for axis in "zyx"],
        "datasets": [_dataset(level, size, factor, layout.origin) for level, factor in enumerate(factors)],
        "type": "mode" if layout.labels else "mean",
    }
    return {"version": "0.4", **multiscale} if layout.version == "0.4" else multiscale


def _dataset(level: int, size: Sequence[float], factor: Size, origin: Point) -> dict[str, Any]:
    """Place the centre of a level's first voxel in the middle of those that it stands for."""
    scale = [float(s * f) for s, f in zip(size, factor, strict=True)]
    shift = [float(o + s * (f - 1) / 2) for o, s, f in zip(origin, size, factor, strict=True)]
    transformations: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(shift):
        transformations.append({"type": "translation", "translation": shift})
    return {"path": str(level), "coordinateTransformations": transformations}


def _shown(white: float, name: str) -> dict[str, Any]:
    window = {"min": 0.0, "start": 0.0, "end": white, "max": white}
    channel = {"label": name, "color": "FFFFFF", "active": True, "window": window}
    return {"channels": [channel], "rdefs": {"model": "greyscale"}}
