"""The metadata of OME-Zarr 0.4 and 0.5, written and read.

Specifications: https://ngff.openmicroscopy.org/0.4 and https://ngff.openmicroscopy.org/0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, Voxel
from emseg_napari.io.layout import Layout, OutputType, Version
from emseg_napari.io.units import voxel_of

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
    finest, unit = image.paths[0], image.units[0]
    scale, shift = image.scale(finest), image.translation(finest)
    return Layout(
        shape=cast(Size, array.shape),
        dtype=cast(OutputType, array.dtype.name),
        chunk=cast(Size, array.chunks),
        shard=cast("Size | None", array.shards),
        voxel=Voxel(cast("tuple[float, float, float]", tuple(scale)), unit) if unit else None,
        version=cast(Version, image.version),
        labels=image.is_labels,
        first=round(shift[0] / scale[0]),
    )


class Multiscale:
    """The attributes of a group that is one image in several resolutions, in any version of OME-Zarr.

    Parameters
    ----------
    attributes : mapping
        Of the group; those of version 0.5 lie under the name "ome".

    Attributes
    ----------
    paths : list of str
        Of the levels, the finest first; empty if the group is not such an image.
    is_labels : bool
        Whether values are names and not grey values.
    """

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        ome = attributes.get("ome", attributes)
        self._ome: Mapping[str, Any] = ome if isinstance(ome, Mapping) else {}
        images = self._ome.get("multiscales")
        self._image: Mapping[str, Any] = images[0] if isinstance(images, list) and images else {}
        self._levels = {str(one["path"]).strip("/"): one for one in self._image.get("datasets", [])}
        self.paths = list(self._levels)
        self.is_labels = "image-label" in self._ome

    @property
    def version(self) -> str:
        """Of OME-Zarr, which 0.5 states once and 0.4 with each image."""
        return self._ome["version"] if "version" in self._ome else self._image["version"]

    @property
    def units(self) -> list[str | None]:
        """Of each axis, as the file spells them."""
        return [axis.get("unit") for axis in self._axes()]

    def voxel(self, path: str, name: str) -> Voxel | None:
        """Return the size of a voxel of a level; None where scale or unit are not stated.

        Parameters
        ----------
        path : str
            One of `paths`.
        name : str
            What the user calls the level.

        Raises
        ------
        UserError
            If the last axes are not z, y, x.
        """
        axes = [str(axis["name"]) for axis in self._axes()]
        if axes and axes[-3:] != ["z", "y", "x"] and axes != ["y", "x"]:
            raise UserError(f"{name} has the axes {', '.join(axes)}; save it with z, y, x as the last.")
        if not axes:
            return None
        units = self.units
        return voxel_of([1.0, *self.scale(path)][-3:], [units[-1], *units][-3:])

    def scale(self, path: str) -> list[float]:
        """Return the size of a voxel of a level along each axis, in `units`."""
        scale = np.ones(len(self._axes()))
        for owner in (self._levels[path], self._image):
            for step in owner.get("coordinateTransformations", []):
                scale = scale * np.asarray(step.get("scale", 1.0), float)
        return scale.tolist()

    def translation(self, path: str) -> list[float]:
        """Return where a level itself places its first voxel along each axis, in `units`."""
        shift = np.zeros(len(self._axes()))
        for step in self._levels[path].get("coordinateTransformations", []):
            shift = shift + np.asarray(step.get("translation", 0.0), float)
        return shift.tolist()

    def _axes(self) -> list[Mapping[str, Any]]:
        """Return the axes; none in versions before 0.4, which list names only."""
        axes = self._image.get("axes") or []
        return axes if all(isinstance(axis, Mapping) for axis in axes) else []


def _multiscale(layout: Layout, factors: Sequence[Size], name: str) -> dict[str, Any]:
    unit = {"unit": layout.voxel.unit} if layout.voxel else {}
    size = layout.voxel.size if layout.voxel else (1.0, 1.0, 1.0)
    multiscale: dict[str, Any] = {
        "name": name,
        "axes": [{"name": axis, "type": "space", **unit} for axis in "zyx"],
        "datasets": [_dataset(level, size, factor, layout.first) for level, factor in enumerate(factors)],
        "type": "mode" if layout.labels else "mean",
    }
    return {"version": "0.4", **multiscale} if layout.version == "0.4" else multiscale


def _dataset(level: int, size: Sequence[float], factor: Size, first: int) -> dict[str, Any]:
    """Place the centre of a level's first voxel in the middle of those that it stands for."""
    scale = [float(s * f) for s, f in zip(size, factor, strict=True)]
    shift = [float(s * (f - 1) / 2) for s, f in zip(size, factor, strict=True)]
    shift[0] += float(size[0] * first)
    transformations: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(shift):
        transformations.append({"type": "translation", "translation": shift})
    return {"path": str(level), "coordinateTransformations": transformations}


def _shown(white: float, name: str) -> dict[str, Any]:
    window = {"min": 0.0, "start": 0.0, "end": white, "max": white}
    channel = {"label": name, "color": "FFFFFF", "active": True, "window": window}
    return {"channels": [channel], "rdefs": {"model": "greyscale"}}
