"""Layer that shows a fast preview of a large slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from emseg_napari.core.jobs import QuickLookReady
from emseg_napari.io.layout import Block
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.placement import move_to, slice_transform
from emseg_napari.widgets.layers.selection import selection_kept


class QuickLookLayer:
    """An image layer of one slice, which comes with the first part of it; hidden between predictions.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._image: Any = None
        self._layer: Any = None
        self._z: int | None = None  # None while nothing is drawn

    def place_over(self, image: Image) -> None:
        """Hide it; what is drawn next lies over this image."""
        self.hide()
        self._image = image

    def show(self, event: QuickLookReady) -> None:
        """Draw a part of the slice; the selected layer stays."""
        if self._z is None:
            self._z = event.z
            self._put(np.zeros((1, *self._image.data.shape[-2:]), np.uint8))
        if self._layer in self._viewer.layers:
            self._layer.data[(0, *event.window)] = np.rint(255 * event.probability)
            self._layer.refresh()

    def clear(self, block: Block) -> None:
        """Clear a block whose prediction is there."""
        z, *window = block.window
        if self._z is not None and self._layer in self._viewer.layers and z.start <= self._z < z.stop:
            self._layer.data[(0, *window)] = 0
            self._layer.refresh()

    def hide(self) -> None:
        """Hide the layer: the prediction is there, or nothing more will come."""
        if self._layer in self._viewer.layers:
            self._layer.visible = False
        self._z = None

    def _put(self, pixels: np.ndarray) -> None:
        """Show pixels in the layer of the last look: layers that come and go end napari in Mesa."""
        place = slice_transform(self._image, self._z or 0)
        if self._layer not in self._viewer.layers:
            with selection_kept(self._viewer):
                self._layer = self._add(pixels, place)
            return
        self._layer.data = pixels
        move_to(self._layer, place)
        self._layer.visible = True

    def _add(self, pixels: np.ndarray, place: dict[str, Any]) -> Image:
        return self._viewer.add_image(
            pixels,
            name="first look",
            contrast_limits=(0, 255),
            colormap="yellow",  # as proposals are
            blending="additive",  # what is not there adds nothing
            opacity=0.6,
            metadata=LayerInfo(is_aid=True).as_metadata(),
            **place,
        )
