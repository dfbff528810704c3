"""Layer that shows a fast preview of a large slice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Image

from emseg_napari.core.jobs import QuickLookReady
from emseg_napari.io.layout import Block
from emseg_napari.widgets.layers.aid_layer import AidLayer
from emseg_napari.widgets.layers.label_colours import proposal_look
from emseg_napari.widgets.layers.placement import slice_transform


class QuickLookLayer:
    """An image layer of one slice, which comes with the first part of it; hidden between predictions.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        look = {"name": "first look", "contrast_limits": (0, 255), "opacity": 0.6, **proposal_look()}
        self._aid = AidLayer(viewer, "image", **look)
        self._image: Any = None
        self._z: int | None = None  # None while nothing is drawn

    def place_over(self, image: Image) -> None:
        """Hide it; what is drawn next lies over this image."""
        self.hide()
        self._image = image

    def show(self, event: QuickLookReady) -> None:
        """Draw a part of the slice; the selected layer stays."""
        if self._z is None:
            self._z = event.z
            empty = np.zeros((1, *self._image.data.shape[-2:]), np.uint8)
            self._aid.show(empty, slice_transform(self._image, event.z))
        self._draw(event.window, np.rint(255 * event.probability))

    def clear(self, block: Block) -> None:
        """Clear a block whose prediction is there."""
        z, *window = block.window
        if self._z is not None and z.start <= self._z < z.stop:
            self._draw(window, 0)

    def hide(self) -> None:
        """Hide the layer: the prediction is there, or nothing more will come."""
        self._aid.hide()
        self._z = None

    def end(self) -> None:
        """Hide it, and forget the image."""
        self.hide()
        self._image = None

    def _draw(self, window: Iterable[slice], values: Any) -> None:
        layer = self._aid.layer
        if layer is not None:
            layer.data[(0, *window)] = values
            layer.refresh()
