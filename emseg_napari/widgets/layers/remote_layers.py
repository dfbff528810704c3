"""Layers of a viewer whose pixels lie at an address: they are drawn again when more of them is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import unwrap
from threading import Thread
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from napari import current_viewer
from napari.layers import Layer
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject, QThread, Signal
from superqt.utils import ensure_main_thread

from emseg_napari.core.jobs import UserError
from emseg_napari.widgets.layers.layer_info import LayerData
from emseg_napari.widgets.layers.remote_array import RemoteArray

_OF_VIEWERS: WeakKeyDictionary[Any, RemoteLayers] = WeakKeyDictionary()


class RemoteLayers(QObject):
    """Draws the layers of a viewer that are read in the background.

    Signals
    -------
    changed
        Something is read now, or all is there.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._layers: WeakSet[Layer] = WeakSet()
        viewer.layers.events.inserted.connect(self._follow)
        viewer.layers.events.removed.connect(self._forget)
        for layer in viewer.layers:
            self._watch(layer)

    @property
    def names(self) -> list[str]:
        """Names of the visible layers of which something is still to come."""
        return [
            layer.name
            for layer in self._layers
            if layer.visible and any(array.is_reading for array in arrays_of(layer))
        ]

    def _follow(self, event: Any) -> None:
        self._watch(event.value)

    def _forget(self, event: Any) -> None:
        self._layers.discard(unwrap(event.value))
        self.changed.emit()

    def _watch(self, layer: Any) -> None:
        arrays = arrays_of(layer)
        for array in arrays:
            array.watch(self)
        if arrays:
            self._layers.add(unwrap(layer))  # napari hands plugins a new proxy each time
            self.changed.emit()

    def follow_reading(self, array: RemoteArray, has_more: bool, failures: Sequence[str]) -> None:
        """Draw the layers that show an array, if there is more to show, and say what cannot be read."""
        layers = [one for one in self._layers if array in arrays_of(one)]
        for layer in layers if has_more else ():
            layer.refresh(highlight=False, extent=False)
        for sentence in failures if layers else ():  # else the layer was removed meanwhile
            show_warning(sentence)
        self.changed.emit()


def arrays_of(layer: Layer) -> list[RemoteArray]:
    """Return the arrays of a layer, of all levels, that are read in the background."""
    levels = layer.data if getattr(layer, "multiscale", False) else [layer.data]
    return [level for level in levels if isinstance(level, RemoteArray)]


def remote_layers_of(viewer: Any) -> RemoteLayers:
    """Return what draws the layers of a viewer that lie at an address."""
    viewer = unwrap(viewer)
    return _OF_VIEWERS.get(viewer) or _OF_VIEWERS.setdefault(viewer, RemoteLayers(viewer))


def read_for_napari(read: Callable[[], list[LayerData]]) -> list[Any]:
    """Return what a reader of napari returns of an address: its layers, or none, which are added later.

    napari calls readers in the window's thread. A window that is in use does not wait: a thread reads, and
    the layers are added when they are there. A script whose window is not in use yet gets them at once.

    Raises
    ------
    UserError
        If it is read at once, and cannot be.
    """
    if QThread.currentThread().loopLevel():
        Thread(target=_read_and_add, args=(read,), name="emseg-remote", daemon=True).start()
        return [(None,)]
    viewer = current_viewer()
    if viewer is not None:
        remote_layers_of(viewer)
    return read()


def _read_and_add(read: Callable[[], list[LayerData]]) -> None:
    try:
        layers = read()
    except Exception as error:
        is_known = isinstance(error, UserError)
        show_error(str(error) if is_known else f"Nothing was opened ({type(error).__name__}: {error}).")
    else:
        _add(layers)


@ensure_main_thread
def _add(layers: list[LayerData]) -> None:
    viewer = current_viewer()
    if viewer is not None:  # else the window was closed meanwhile
        remote_layers_of(viewer)
        for one in layers:
            viewer.add_layer(Layer.create(*one))
