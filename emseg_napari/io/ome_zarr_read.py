"""What OME-Zarr of any version says of an image (https://ngff.openmicroscopy.org)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.units import voxel_of
from emseg_napari.io.volume import Voxel


class Multiscale:
    """A group that is one image in several resolutions.

    Parameters
    ----------
    attributes : mapping
        Of the group; those of version 0.5 lie under a name of their own.

    Attributes
    ----------
    paths : list of str
        Of the levels, the finest first; empty if the group is no such image.
    is_labels : bool
        Whether values are names and not grey values.
    """

    def __init__(self, attributes: Mapping[str, Any]) -> None:
        ome = attributes.get("ome", attributes)
        ome = ome if isinstance(ome, Mapping) else {}
        images = ome.get("multiscales")
        self._image: Mapping[str, Any] = images[0] if isinstance(images, list) and images else {}
        self._levels = {str(one["path"]).strip("/"): one for one in self._image.get("datasets", [])}
        self.paths = list(self._levels)
        self.is_labels = "image-label" in ome

    def voxel(self, path: str, name: str) -> Voxel | None:
        """Return the voxel of a level; None where scale or unit are not said.

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
        axes = self._image.get("axes") or []
        if not all(isinstance(axis, Mapping) for axis in axes):
            return None  # as versions before 0.4 have them
        names = [str(axis["name"]) for axis in axes]
        if names and names[-3:] != ["z", "y", "x"] and names != ["y", "x"]:
            raise UserError(f"{name} has the axes {', '.join(names)}; save it with z, y, x as the last.")
        if not names:
            return None
        scale = self._scale(path, len(names))
        units = [axis.get("unit") for axis in axes]
        return voxel_of([1.0, *scale][-3:], [units[-1], *units][-3:])

    def _scale(self, path: str, axes: int) -> list[float]:
        scale = np.ones(axes)
        for owner in (self._levels[path], self._image):
            for step in owner.get("coordinateTransformations", []):
                scale = scale * np.asarray(step.get("scale", 1.0), float)
        return scale.tolist()
