"""The preview of a repair: a layer over the labels that shows what a tool would change."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.placement import lies_at, move_to
from emseg_napari.widgets.layers.selection import selection_kept

_CLEAR = (0.0, 0.0, 0.0, 0.0)
_BOUNDARY, _INTERIOR = (1.0, 0.1, 0.9), (0.1, 1.0, 1.0)


class RepairPreview:
    """The layer, which is made when something is first to be seen, and hidden afterwards.

    It is not removed: layers that come and go end napari where Mesa draws.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None
        self._whole = False

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
        if self._layer not in self._viewer.layers:
            self._add(picture, place)
        elif not self._shows(picture, place):
            self._layer.data = picture
            move_to(self._layer, place)
        self._show_over_all(whole)

    def _add(self, picture: np.ndarray, place: dict[str, Any]) -> None:
        with selection_kept(self._viewer):
            self._layer = self._viewer.add_labels(
                picture,
                name="repair preview",
                metadata=LayerInfo(is_aid=True).as_metadata(),
                colormap=DirectLabelColormap(color_dict=_colours(self._whole)),
                opacity=0.9,
                **place,
            )

    def _show_over_all(self, whole: bool) -> None:
        """Show the layer above those that came after it, in the colours of such a picture."""
        layers = self._viewer.layers
        if layers[-1] != self._layer:
            layers.move(layers.index(self._layer), len(layers))
        if whole != self._whole:
            self._whole = whole
            self._layer.colormap = DirectLabelColormap(color_dict=_colours(whole))
        self._layer.visible = True

    def _shows(self, picture: np.ndarray, place: dict[str, Any]) -> bool:
        """Return whether the preview is this picture already: to draw it takes napari a while."""
        return np.array_equal(self._layer.data, picture) and lies_at(self._layer, place)

    def hide(self) -> None:
        """Show nothing for now."""
        if self._layer in self._viewer.layers:
            self._layer.visible = False


def _colours(whole: bool) -> dict[int | None, tuple[float, ...]]:
    """Return the preview's colours; one of a whole slice lets the image be seen through."""
    return {
        None: _CLEAR,
        0: _CLEAR,
        BOUNDARY: (*_BOUNDARY, 0.7 if whole else 1.0),
        INTERIOR: (*_INTERIOR, 0.1 if whole else 0.9),
    }
