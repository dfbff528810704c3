"""The preview of a repair: a layer over the labels that shows what a tool would change."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.widgets.layers.aid_layer import AidLayer
from emseg_napari.widgets.layers.placement import lies_at

_CLEAR = (0.0, 0.0, 0.0, 0.0)
_BOUNDARY, _INTERIOR = (1.0, 0.1, 0.9), (0.1, 1.0, 1.0)


class RepairPreview:
    """The layer over all others.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._aid = AidLayer(viewer, "labels", name="repair preview", opacity=0.9)
        self._coloured: tuple[Any, bool] | None = None  # the layer, and whether for a whole slice

    def show(self, picture: np.ndarray, place: dict[str, Any], whole: bool = False) -> None:
        """Show a picture, and leave the selected layer selected.

        Parameters
        ----------
        picture : numpy.ndarray
            uint8 (1, y, x): 0 nothing, 1 boundary, 2 interior.
        place : dict
            As of `placement.slice_transform`.
        whole : bool
            It is that of a whole slice, through which the image is to be seen.
        """
        layer = self._aid.layer
        # To draw what is shown already takes napari a while.
        if layer is None or not (np.array_equal(layer.data, picture) and lies_at(layer, place)):
            layer = self._aid.put(picture, place)
        if self._coloured != (layer, whole):
            self._coloured = layer, whole
            layer.colormap = DirectLabelColormap(color_dict=_colours(whole))
        self._aid.reveal()

    def hide(self) -> None:
        """Show nothing for now."""
        self._aid.hide()


def _colours(whole: bool) -> dict[int | None, tuple[float, ...]]:
    """Return the preview's colours; one of a whole slice lets the image be seen through."""
    return {
        None: _CLEAR,
        0: _CLEAR,
        BOUNDARY: (*_BOUNDARY, 0.7 if whole else 1.0),
        INTERIOR: (*_INTERIOR, 0.1 if whole else 0.9),
    }
