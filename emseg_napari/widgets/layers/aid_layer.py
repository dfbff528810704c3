"""Layer of the plugin's own that shows something over the user's layers."""

from __future__ import annotations

from typing import Any

from napari.layers import Image, Layer

from emseg_napari.widgets.layers.layer_info import LayerInfo, info_of
from emseg_napari.widgets.layers.placement import move_to
from emseg_napari.widgets.layers.selection import selection_kept


class AidLayer:
    """A layer that is made when it is first to be seen, and hidden and used again from then on.

    It is not removed: layers that come and go end napari where Mesa draws. The selected layer stays selected.
    Shown, it lies over the user's layers, also over those that came after it.

    Parameters
    ----------
    viewer : napari.Viewer
    kind : str
        "image", "labels" or "points". An image lies below the others, which are marks.
    **look
        What a new layer is made with, its name among it.

    Attributes
    ----------
    is_hidden : bool
        The plugin has hidden it, and not the user: `show_again` may show it.
    """

    def __init__(self, viewer: Any, kind: str, **look: Any) -> None:
        self._viewer, self._kind, self._look = viewer, kind, look
        self._layer: Any = None
        self.is_hidden = True

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
        self.reveal()
        return layer

    def reveal(self) -> None:
        """Show the layer as it is, over the user's layers."""
        self.is_hidden = False
        if self.layer is not None:
            self.move_up()
            if not self.layer.visible:  # else napari would draw it again
                self.layer.visible = True

    def hide(self) -> None:
        """Show nothing for now."""
        if self.layer is not None and self.layer.visible:
            self.layer.visible = False
            self.is_hidden = True

    def show_again(self) -> None:
        """Show the layer if `hide` has hidden it: what the user has hidden stays so."""
        if self.is_hidden:
            self.reveal()

    def move_up(self) -> None:
        """Lay it over all other layers; an image stays below the marks that lie there."""
        layers = self._viewer.layers
        if self.layer is None:
            return
        others, here = [one for one in layers if one != self.layer], layers.index(self.layer)
        end = len(others)
        while self._kind == "image" and end and _is_mark(others[end - 1]):
            end -= 1
        if here != end:
            layers.move(here, end + (here < end))  # napari counts places before the layer is taken out

    def _add(self, data: Any, place: dict[str, Any]) -> Any:
        known = {"metadata": LayerInfo(is_aid=True).as_metadata(), **self._look, **place}
        with selection_kept(self._viewer):
            self._layer = self._viewer.add_layer(Layer.create(data, known, self._kind))
        return self._layer


def _is_mark(layer: Layer) -> bool:
    return info_of(layer).is_aid and not isinstance(layer, Image)
