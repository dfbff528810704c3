"""The ring around the place to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels

from emseg_napari.annotation.suggest import Place
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.placement import layer_transform, move_to
from emseg_napari.widgets.layers.selection import selection_kept


class PlaceRing:
    """A points layer with one ring, which is hidden and used again: adding a layer takes napari a moment.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._ring: Any = None

    def show(self, layer: Labels, place: Place) -> None:
        """Draw the ring around a place of a layer; the selected layer stays."""
        where = np.array([(place.z, place.y, place.x)[-layer.ndim :]], float)
        transform = layer_transform(layer, layer.ndim)
        if self._ring in self._viewer.layers and self._ring.ndim == layer.ndim:
            self._ring.data = where
            move_to(self._ring, transform)
            self._ring.size = 2 * place.radius_px
            self._ring.visible = True
            return
        with selection_kept(self._viewer):
            self._ring = self._viewer.add_points(
                where,
                name="place to look at",
                metadata=LayerInfo(is_aid=True).as_metadata(),
                size=2 * place.radius_px,
                face_color="transparent",
                border_color="white",
                border_width=0.012,
                **transform,
            )

    def hide(self) -> None:
        """Show no ring for now."""
        if self._ring in self._viewer.layers:
            self._ring.visible = False
