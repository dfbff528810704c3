"""What is done once a Qt object is destroyed.

A function that only the signal `destroyed` holds may be cleared by Python's garbage collector before Qt calls
it: it is left out then, or ends the process. So it is held here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from inspect import unwrap
from typing import Any
from weakref import WeakMethod, ref

from qtpy.QtCore import QObject

_PENDING: set[_Action] = set()


class _Action:
    """A function that is called once a Qt object is destroyed; Qt is given its bound method."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        _PENDING.add(self)

    def call(self, *_: Any) -> None:
        _PENDING.discard(self)
        self._function()


def when_destroyed(owner: QObject, function: Callable[[], Any]) -> None:
    """Call a function once a Qt object is destroyed.

    Parameters
    ----------
    owner : QObject
    function : callable
        It must not hold the owner, which would then live for ever.
    """
    owner.destroyed.connect(_Action(function).call)


def connect_while(owner: QObject, event: Any, callback: Callable[..., Any]) -> None:
    """Connect a napari event until a Qt object is destroyed: napari would call half of it.

    Parameters
    ----------
    owner : QObject
    event : napari.utils.events.EventEmitter
    callback : bound method
        Neither its object nor the event is kept alive.
    """
    method = WeakMethod(callback)
    event.connect(callback)
    # Not the event itself: napari hands plugins a new proxy each time.
    when_destroyed(owner, partial(_disconnect, ref(unwrap(event)), method))


def _disconnect(event: ref[Any], callback: WeakMethod[Any]) -> None:
    emitter, method = event(), callback()
    if emitter is not None and method is not None:
        emitter.disconnect(method)
