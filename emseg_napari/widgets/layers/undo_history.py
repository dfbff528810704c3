"""Undo and redo of everything that is done to a labels layer, in its true order.

napari keeps its own history of pixels that were painted, filled or set through the layer. What has no
such entry, a confirmed slice or a prediction filled in, is kept here, with a mark for every entry of
napari's, so that Ctrl+Z undoes the last one in either list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import imagecodecs
import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from emseg_napari.annotation.label_state import is_proposal
from emseg_napari.core.labels import UNLABELLED

_MOST_PAINTED = 100  # entries that napari keeps
_TOOLS = {"erase": "erasing", "fill": "fill", "polygon": "polygon"}  # by the mode; all else are strokes


class HistoryEntry(Protocol):
    """One change that can be undone and redone.

    Attributes
    ----------
    name : str
        What the user calls it.
    """

    name: str

    @property
    def slices(self) -> set[int]:
        """Which slices it changes."""

    def undo(self) -> None:
        """Undo the change."""

    def redo(self) -> None:
        """Redo the change."""


class Painted:
    """One entry of napari's own history: strokes, fills, polygons, repairs."""

    def __init__(self, layer: Labels, slices: set[int], name: str) -> None:
        self.slices, self.name = slices, name
        self.undo, self.redo = layer.undo, layer.redo


class Confirmed:
    """A slice was confirmed or unconfirmed."""

    def __init__(self, confirmed: set[int], z: int) -> None:
        self._confirmed, self.slices = confirmed, {z}
        self.name = "unconfirmation" if z in confirmed else "confirmation"
        self.undo = self.redo

    def redo(self) -> None:
        """Confirm or unconfirm the slice; undo does the same."""
        self._confirmed.symmetric_difference_update(self.slices)


class Replaced:
    """All labels of a slice were replaced.

    Parameters
    ----------
    planes : callable
        Returns the layer's present pixels, (z, y, x).
    z : int
    before : numpy.ndarray
        (y, x): what stood there.
    name : str
        What the user calls the change.
    """

    def __init__(
        self, planes: Callable[[], np.ndarray], z: int, before: np.ndarray, name: str = "new labels"
    ) -> None:
        self._planes, self._z, self.slices, self.name = planes, z, {z}, name
        self._other = _packed(before)
        self.undo = self.redo

    def redo(self) -> None:
        """Exchange the labels with the previous ones, which undoes it, too."""
        plane = self._planes()[self._z]
        other = _unpacked(self._other, plane)
        self._other = _packed(plane)
        plane[:] = other


class Filled:
    """Proposals of a network were filled in, slice by slice.

    Parameters
    ----------
    planes : callable
        Returns the layer's present pixels (z, y, x).
    confirmed : set of int
        The layer's confirmed slices, which stay as they are.
    exchange_origin : callable
        Notes what a slice comes from now, and returns what it came from.
    """

    name = "proposals"

    def __init__(
        self,
        planes: Callable[[], np.ndarray],
        confirmed: set[int],
        exchange_origin: Callable[[int, Any], Any] = lambda z, origin: None,
    ) -> None:
        self._planes, self._confirmed, self._exchange_origin = planes, confirmed, exchange_origin
        self._others: dict[int, bytes] = {}
        self._origins: dict[int, Any] = {}
        self.undo = self.redo

    @property
    def slices(self) -> set[int]:
        """Which slices hold some."""
        return set(self._others)

    def remember(self, z: int, origin: Any = None) -> None:
        """Store a slice that is about to be filled, and note what it will come from; not a confirmed one."""
        if z not in self._confirmed and z not in self._others:
            self._others[z] = _packed(self._planes()[z])
            self._origins[z] = self._exchange_origin(z, origin)

    def redo(self) -> None:
        """Exchange proposals with what stood there, which undoes it, too; the user's own labels stay."""
        labels = self._planes()
        for z, kept in self._others.items():
            if z in self._confirmed:
                continue
            other = _unpacked(kept, labels[z])
            self._others[z] = _packed(labels[z])
            self._origins[z] = self._exchange_origin(z, self._origins.get(z))
            free = is_proposal(labels[z]) | (labels[z] == UNLABELLED)
            np.copyto(labels[z], other * is_proposal(other), where=free)


def _packed(plane: np.ndarray) -> bytes:
    # Of a whole stack undo packs every slice while the window waits: zstd takes a fifth of zlib's time.
    return bytes(imagecodecs.zstd_encode(plane.tobytes(), level=1))


def _unpacked(packed: bytes, like: np.ndarray) -> np.ndarray:
    return np.frombuffer(imagecodecs.zstd_decode(packed), like.dtype).reshape(like.shape)


class UndoHistory(QObject):
    """Undo history of one labels layer.

    Parameters
    ----------
    layer : napari.layers.Labels

    Attributes
    ----------
    sentence : str
        What was undone or redone last.

    Signals
    -------
    changed : set of int
        These slices are not what they were: labels or confirmation.
    replayed : set of int
        The same, by undo or redo, and perhaps out of view.
    """

    changed = Signal(object)
    replayed = Signal(object)

    def __init__(self, layer: Labels) -> None:
        super().__init__()
        self.layer = layer
        self.sentence = ""
        self._name = ""  # of what is painted now; else it is named after the tool
        self._done: list[HistoryEntry] = []
        self._undone: list[HistoryEntry] = []
        self._reaches_back = True  # to napari's older entries
        layer.events.paint.connect(self._painted)
        layer.events.data.connect(self._replaced)

    def add(self, entry: HistoryEntry) -> None:
        """Add what has just been done."""
        self._done.append(entry)
        self._undone.clear()
        painted = [one for one in self._done if isinstance(one, Painted)]
        if len(painted) > _MOST_PAINTED:  # napari has forgotten it, and what was before cannot be reached
            del self._done[: self._done.index(painted[0]) + 1]
        self.changed.emit(entry.slices)

    @contextmanager
    def named(self, name: str) -> Iterator[None]:
        """Give what is painted in the body a name, such as that of a repair tool."""
        before, self._name = self._name, name
        try:
            yield
        finally:
            self._name = before

    def holds(self, entry: HistoryEntry) -> bool:
        """Whether an entry is done, and was neither undone nor forgotten."""
        return any(one is entry for one in self._done)

    def undo(self) -> None:
        """Undo the last entry."""
        if self._done:
            entry = self._done.pop()
            entry.undo()
            self._undone.append(entry)
            self._replayed(entry, "Undone")
        elif self._reaches_back:
            self.layer.undo()

    def redo(self) -> None:
        """Redo the last undone entry."""
        if self._undone:
            entry = self._undone.pop()
            entry.redo()
            self._done.append(entry)
            self._replayed(entry, "Redone")

    def _replayed(self, entry: HistoryEntry, done: str) -> None:
        self.sentence = f"{done}: {entry.name}{_where(entry.slices)}."
        self.layer.refresh()
        self.changed.emit(entry.slices)
        self.replayed.emit(entry.slices)

    def _painted(self, event: Any) -> None:
        name = self._name or _TOOLS.get(self.layer.mode, "stroke")
        self.add(Painted(self.layer, _slices_of(event.value, self.layer.ndim), name))

    def _replaced(self, event: Any) -> None:
        """Follow pixels that were exchanged as a whole, which leaves nothing to undo."""
        self._done, self._undone, self._reaches_back = [], [], False
        self.changed.emit(set(range(self.layer.data.shape[-3] if self.layer.ndim > 2 else 1)))


def _where(slices: set[int]) -> str:
    if len(slices) == 1:
        return f", slice {min(slices)}"
    return f", {len(slices)} slices" if slices else ""


def _slices_of(entry: list[Any], ndim: int) -> set[int]:
    """Return which slices an entry of napari's history changes: boxes with a mask, or lists of pixels."""
    if ndim < 3:
        return {0}
    found: set[int] = set()
    for atom in entry:
        if hasattr(atom, "slice_key"):
            found.update(range(atom.slice_key[-3].start, atom.slice_key[-3].stop))
        else:
            found.update(np.unique(atom[0][-3]).tolist())
    return found
