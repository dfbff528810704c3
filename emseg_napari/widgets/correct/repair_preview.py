"""The preview of a repair: a layer over the labels that shows what a tool would change."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.placement import lies_at, move_to

_CLEAR = (0.0, 0.0, 0.0, 0.0)
_BOUNDARY, _INTERIOR = (1.0, 0.1, 0.9), (0.1, 1.0, 1.0)


class RepairPreview:
    """The layer, which is made when something is first to be seen.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layer: Any = None

    def show(self, picture: np.ndarray, place: dict[str, Any], over: Labels, whole: bool = False) -> None:
        """Show a picture, and leave the labels that it lies over selected.

        Parameters
        ----------
        picture : numpy.ndarray
            uint8 (1, y, x): 0 nothing, 1 boundary, 2 interior.
        place : dict
            As of `placement.slice_transform`.
        over : napari.layers.Labels
        whole : bool
            It is that of a whole slice, through which the image is to be seen.
        """
        if self._layer is None or self._layer not in self._viewer.layers:
            self._add(picture, place, over, whole)
        elif not self._shows(picture, place):
            self._layer.data = picture
            move_to(self._layer, place)
            self._layer.visible = True

    def _add(self, picture: np.ndarray, place: dict[str, Any], over: Labels, whole: bool) -> None:
        self._layer = self._viewer.add_labels(
            picture,
            name="repair preview",
            metadata=LayerInfo(is_aid=True).as_metadata(),
            colormap=DirectLabelColormap(color_dict=_colours(whole)),
            opacity=0.9,
            **place,
        )
        self._viewer.layers.selection.active = over

    def _shows(self, picture: np.ndarray, place: dict[str, Any]) -> bool:
        """Return whether the preview is this picture already: to draw it takes napari a while."""
        shown = self._layer.visible and np.array_equal(self._layer.data, picture)
        return bool(shown and lies_at(self._layer, place))

    def hide(self) -> None:
        """Show nothing for now."""
        if self._layer is not None:
            self._layer.visible = False

    def remove(self) -> None:
        """Take the layer out of the viewer."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = None


def _colours(whole: bool) -> dict[int | None, tuple[float, ...]]:
    """Return the preview's colours; one of a whole slice lets the image be seen through."""
    return {
        None: _CLEAR,
        0: _CLEAR,
        BOUNDARY: (*_BOUNDARY, 0.7 if whole else 1.0),
        INTERIOR: (*_INTERIOR, 0.1 if whole else 0.9),
    }
