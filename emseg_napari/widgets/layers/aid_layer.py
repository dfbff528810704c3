"""Layer of the plugin's own that shows something over the user's layers."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer

from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.placement import move_to
from emseg_napari.widgets.layers.selection import selection_kept


class AidLayer:
    """A layer that is made when it is first to be seen, and hidden and used again from then on.

    It is not removed: layers that come and go end napari where Mesa draws. The selected layer stays selected.

    Parameters
    ----------
    viewer : napari.Viewer
    kind : str
        "image", "labels" or "points".
    **look
        What a new layer is made with, its name among it.
    """

    def __init__(self, viewer: Any, kind: str, **look: Any) -> None:
        self._viewer, self._kind, self._look = viewer, kind, look
        self._layer: Any = None

    @property
    def layer(self) -> Any:
        """The layer; None before it is made, and once the user has removed it."""
        return self._layer if self._layer in self._viewer.layers else None

    def put(self, data: Any, place: dict[str, Any]) -> Any:
        """Give the layer other data and another place, as of `layer_transform`, and return it."""
        layer = self.layer
        if layer is None or layer.ndim != len(place["scale"]):
            self.hide()
            return self._add(data, place)
        layer.data = data
        move_to(layer, place)
        return layer

    def show(self, data: Any, place: dict[str, Any]) -> Any:
        """Do the same, and show the layer."""
        layer = self.put(data, place)
        layer.visible = True
        return layer

    def hide(self) -> None:
        """Show nothing for now."""
        if self.layer is not None:
            self.layer.visible = False

    def _add(self, data: Any, place: dict[str, Any]) -> Any:
        known = {"metadata": LayerInfo(is_aid=True).as_metadata(), **self._look, **place}
        with selection_kept(self._viewer):
            self._layer = self._viewer.add_layer(Layer.create(data, known, self._kind))
        return self._layer
