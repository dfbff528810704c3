"""Layer that shows a fast preview of a large slice."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from emseg_napari.core.jobs import QuickLookReady
from emseg_napari.io.layout import Block
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.placement import slice_transform


class QuickLookLayer:
    """An image layer of one slice, which comes with the first part of it.

    Parameters
    ----------
    viewer : napari.Viewer
    image : napari.layers.Image
        What is predicted.
    """

    def __init__(self, viewer: Any, image: Image) -> None:
        self._viewer, self._image = viewer, image
        self._layer: Any = None
        self._z = 0

    def show(self, event: QuickLookReady) -> None:
        """Draw a part of the slice."""
        if self._layer is None:
            self._layer, self._z = self._add(event.z), event.z
        if self._layer in self._viewer.layers:
            self._layer.data[(0, *event.window)] = np.rint(255 * event.probability)
            self._layer.refresh()

    def clear(self, block: Block) -> None:
        """Clear a block whose prediction is there."""
        z, *window = block.window
        if self._layer in self._viewer.layers and z.start <= self._z < z.stop:
            self._layer.data[(0, *window)] = 0
            self._layer.refresh()

    def remove(self) -> None:
        """Remove the layer: the prediction is there, or nothing more will come."""
        if self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None

    def _add(self, z: int) -> Image:
        return self._viewer.add_image(
            np.zeros((1, *self._image.data.shape[-2:]), np.uint8),
            name=f"{self._image.name} first look",
            contrast_limits=(0, 255),
            colormap="yellow",  # as proposals are
            blending="additive",  # what is not there adds nothing
            opacity=0.6,
            metadata=LayerInfo(is_aid=True).as_metadata(),
            **slice_transform(self._image, z),
        )
