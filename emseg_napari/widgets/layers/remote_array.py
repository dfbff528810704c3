"""Array of a volume at an address: what napari shows of it is read in threads, and 0 until it is there."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import product
from threading import Lock, Thread, current_thread, main_thread
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet

import numpy as np
from qtpy.QtCore import QCoreApplication
from superqt.utils import ensure_main_thread

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, VolumeWindow, size_of
from emseg_napari.io.indexing import ALL, AxisSelection
from emseg_napari.io.volume import BrokenChunk, Volume

_THREADS = 8  # which mostly wait for the server
_KEPT_BYTES = 2**28


class _Tile(NamedTuple):
    """What is read at once: so many slices, and its place among all tiles of that depth."""

    depth: int
    z: int
    y: int
    x: int


class Watcher(Protocol):
    """What shows an array."""

    def follow_reading(self, array: RemoteArray, has_more: bool, failures: Sequence[str]) -> None:
        """Follow that an array reads something, has read it, or cannot; called in the window's thread."""
        ...


class RemoteArray:
    """A volume at an address, in place of the array of a napari layer.

    napari takes slices in the window's thread, which must not wait for a server. What it asks for, a key
    with an int or a slice for each axis, is therefore given at once there, and is 0 where it was not read
    yet; it is read in threads, the newest request first. Nothing tells who asks: a plugin or the console that
    uses such a key there gets 0, too. `read`, any other key, ``numpy.asarray`` of the whole, and all that is
    asked for in other threads or without a window, is read before it is given.

    Parameters
    ----------
    volume : Volume
    tile : (int, int, int)
        What is read at once, in voxels; fewer slices of it where not all of the tiles in view can be kept.
    dtype : numpy.dtype
        What values are given as.
    """

    ndim = 3

    def __init__(self, volume: Volume, tile: Size, dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = volume.shape, dtype
        self.size = volume.size
        self.volume, self._tile = volume, tile
        self._lock = Lock()
        self._kept: OrderedDict[_Tile, np.ndarray] = OrderedDict()
        self._in_view: set[_Tile] = set()  # the tiles of the last request
        self._awaited: list[_Tile] = []  # those of them that are still to come
        self._in_threads: set[_Tile] = set()
        self._failed: set[_Tile] = set()  # and not to be asked for again while their slice is in view
        self._warned: set[object] = set()
        self._threads = 0
        self._has_more = False
        self._news: list[str] = []
        self._watchers: WeakSet[Any] = WeakSet()

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteArray, (self.volume, self._tile, self.dtype)

    def __deepcopy__(self, memo: Any) -> RemoteArray:
        return self  # nothing can be written to it

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        if _is_window(key):
            return _RemoteWindow(self, tuple(slice(0, length) for length in self.shape))[key]  # type: ignore[arg-type]
        return self.read(key)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.read(...).astype(dtype or self.dtype, copy=False)

    @property
    def is_reading(self) -> bool:
        """Whether something of the last request is still to come."""
        return bool(self._awaited)

    def watch(self, watcher: Watcher) -> None:
        """Let somebody follow what is read; it is not kept alive."""
        self._watchers.add(watcher)

    def read(self, key: Any) -> np.ndarray:
        """Read what a key selects, and wait for it.

        Raises
        ------
        UserError
            If it cannot be read.
        """
        return self.volume[key].astype(self.dtype, copy=False)

    def present(self, window: VolumeWindow) -> np.ndarray:
        """Return a window with what was read of it, else 0; the rest is read in threads."""
        shown = np.zeros(size_of(window), self.dtype)
        with self._lock:
            self._in_view = self._tiles(window)
            slices = {tile[:2] for tile in self._in_view}
            self._failed = {tile for tile in self._failed if tile[:2] in slices}
            for tile in self._in_view & self._kept.keys():
                self._kept.move_to_end(tile)
                self._copy(tile, window, shown)
            self._awaited = sorted(self._in_view - self._kept.keys() - self._failed)
            self._start_threads()
        self._tell(False)
        return shown

    def _tiles(self, window: VolumeWindow) -> set[_Tile]:
        """Return the tiles that a window touches, as deep as all of them can be kept.

        Of deeper chunks, what lies in the next slices is asked for again when these are looked at.
        """
        depth, *sizes = self._tile
        y, x = (_touched(part, size) for part, size in zip(window[1:], sizes, strict=True))
        of_a_slice = len(y) * len(x) * math.prod(sizes) * self.dtype.itemsize
        most = max(1, window[0].stop - window[0].start, _KEPT_BYTES // max(1, of_a_slice))
        # Of a depth that divides that of chunks, no tile lies in two of them.
        depth = max(n for n in range(1, depth + 1) if depth % n == 0 and n <= most)
        return {_Tile(depth, *place) for place in product(_touched(window[0], depth), y, x)}

    def _place_of(self, tile: _Tile) -> VolumeWindow:
        """Return which voxels a tile holds."""
        sizes = (tile.depth, *self._tile[1:])
        z, y, x = (
            slice(n * size, min((n + 1) * size, length))
            for n, size, length in zip(tile[1:], sizes, self.shape, strict=True)
        )
        return z, y, x

    def _copy(self, tile: _Tile, window: VolumeWindow, shown: np.ndarray) -> None:
        lies = self._place_of(tile)
        common = [
            slice(max(one.start, other.start), min(one.stop, other.stop))
            for one, other in zip(lies, window, strict=True)
        ]
        shown[_within(window, common)] = self._kept[tile][_within(lies, common)]

    # -- threads ------------------------------------------------------------------------

    def _start_threads(self) -> None:
        for _ in range(min(_THREADS, len(self._awaited) + len(self._in_threads)) - self._threads):
            self._threads += 1
            # A daemon, so that a server that does not answer keeps no window from being closed.
            Thread(target=self._read_on, name="emseg-remote", daemon=True).start()

    def _next(self) -> _Tile | None:
        with self._lock:
            tile = next((one for one in self._awaited if one not in self._in_threads), None)
            if tile is None:
                self._threads -= 1
            else:
                self._in_threads.add(tile)
            return tile

    def _read_on(self) -> None:
        """Read one tile after the other, as long as there are some."""
        while (tile := self._next()) is not None:
            try:
                found = self.read(self._place_of(tile))
            except Exception as error:
                self._note_failure(tile, error)
            else:
                self._keep(tile, found)
            if QCoreApplication.instance() is not None:
                self._tell_in_window()

    def _keep(self, tile: _Tile, found: np.ndarray) -> None:
        with self._lock:
            self._forget(tile)
            self._warned = {what for what in self._warned if isinstance(what, tuple)}
            self._kept[tile] = found
            self._has_more = True
            surplus = sum(one.nbytes for one in self._kept.values()) - _KEPT_BYTES
            for other in [one for one in self._kept if one not in self._in_view]:
                if surplus > 0:
                    surplus -= self._kept.pop(other).nbytes

    def _note_failure(self, tile: _Tile, error: Exception) -> None:
        """Note that a tile cannot be read; it is said once of a chunk, and of a store until it answers."""
        what = error.index if isinstance(error, BrokenChunk) else type(error)
        with self._lock:
            self._forget(tile)
            if tile in self._in_view:
                self._failed.add(tile)
            if what not in self._warned:
                self._warned.add(what)
                self._news.append(_sentence(self.volume.name, error))

    def _forget(self, tile: _Tile) -> None:
        self._in_threads.discard(tile)
        self._awaited = [one for one in self._awaited if one != tile]

    @ensure_main_thread
    def _tell_in_window(self) -> None:
        with self._lock:
            has_more, self._has_more = self._has_more, False
            news, self._news = self._news, []
        self._tell(has_more, news)

    def _tell(self, has_more: bool, failures: Sequence[str] = ()) -> None:
        for watcher in list(self._watchers):
            watcher.follow_reading(self, has_more, failures)


class _RemoteWindow:
    """A window of such an array, of which nothing is read yet."""

    ndim = 3

    def __init__(self, array: RemoteArray, window: VolumeWindow) -> None:
        self._array, self._window = array, window
        self.shape, self.dtype = size_of(window), array.dtype

    def __getitem__(self, key: Any) -> Any:
        if not _is_window(key):
            return np.asarray(self)[key]
        parts = [AxisSelection.of(one, length) for one, length in zip(key, self.shape, strict=True)]
        z, y, x = (
            slice(own.start + part.start, own.start + part.stop)
            for own, part in zip(self._window, parts, strict=True)
        )
        window = _RemoteWindow(self._array, (z, y, x))
        inside = tuple(part.inside for part in parts)
        return window if inside == (ALL, ALL, ALL) else np.asarray(window)[inside]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        is_shown = current_thread() is main_thread() and QCoreApplication.instance() is not None
        found = (self._array.present if is_shown else self._array.read)(self._window)
        return found.astype(dtype or self.dtype, copy=False)


def _is_window(key: Any) -> bool:
    """Whether a key has an int or a slice for each axis, as those of napari have."""
    return isinstance(key, tuple) and len(key) == 3 and all(isinstance(one, int | slice) for one in key)


def _touched(part: slice, size: int) -> range:
    """Return which of the parts of a size, one after the other, a part of an axis touches."""
    return range(part.start // size, -(-part.stop // size))


def _within(window: VolumeWindow, part: Sequence[slice]) -> tuple[slice, ...]:
    """Return a part of a window as an index of the window's own array."""
    return tuple(
        slice(one.start - around.start, one.stop - around.start)
        for around, one in zip(window, part, strict=True)
    )


def _sentence(name: str, error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    return f"{name} cannot be shown ({type(error).__name__}: {error}); what is missing is black."
