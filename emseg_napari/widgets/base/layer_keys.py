"""Keys of labels layers, which napari asks before those of the viewer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from weakref import WeakMethod

from napari.layers import Labels
from qtpy.QtCore import QObject

from emseg_napari.widgets.layers.destruction import when_destroyed


class LayerKeys(QObject):
    """Lets keys of some labels layers do something until its owner is destroyed.

    Parameters
    ----------
    owner : QObject
    actions : mapping
        Key, as napari names it, to a bound method, which gets the layer and is not kept alive.
    """

    def __init__(self, owner: QObject, actions: Mapping[str, Callable[[Labels], Any]]) -> None:
        super().__init__(owner)
        self._keys = {key: _Key(action) for key, action in actions.items()}
        self._layers: list[Labels] = []
        when_destroyed(self, partial(_free, self._layers, self._keys))

    def follow(self, layers: Iterable[Labels]) -> None:
        """Bind the keys in these layers; others that had them have napari's own again."""
        wanted = list(layers)
        _free([layer for layer in self._layers if layer not in wanted], self._keys)
        self._layers[:] = wanted
        for layer in wanted:
            for key, action in self._keys.items():
                layer.bind_key(key, action, overwrite=True)


class _Key:
    """What a key does; the layer that holds it keeps nothing else alive."""

    def __init__(self, action: Callable[[Labels], Any]) -> None:
        self.__name__ = type(self).__name__  # napari asks every function for its name
        self._action = WeakMethod(action)

    def __call__(self, layer: Labels) -> None:
        action = self._action()
        if action is not None:
            action(layer)


def _free(layers: Iterable[Labels], keys: Mapping[str, _Key]) -> None:
    """Take keys out of layers, but not those that somebody else has bound meanwhile."""
    for layer in layers:
        for key, action in keys.items():
            bound = layer.bind_key(key, None, overwrite=True)
            if bound is not None and bound is not action:
                layer.bind_key(key, bound, overwrite=True)
