"""Claims of an autosave: the session folders that it writes to, each locked for it alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emseg_napari.core.locks import Occupied, OutputLock, holding


class Claims:
    """Locks of session folders, shared by the writers that follow each other in one autosave."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: dict[Path, tuple[OutputLock, int]] = {}

    def take(self, folder: Path) -> None:
        """Lock a folder, or count one more writer of it.

        Raises
        ------
        Occupied
            If another window, or another layer of this one, writes to it.
        """
        with self._guard:
            if folder not in self._held:
                self._held[folder] = _locked(folder), 0
            lock, count = self._held[folder]
            self._held[folder] = lock, count + 1

    def release(self, folder: Path) -> None:
        """Count one writer less; with the last one the lock goes."""
        with self._guard:
            lock, count = self._held.pop(folder)
            if count > 1:
                self._held[folder] = lock, count - 1
            else:
                lock.release()

    @contextmanager
    def claimed(self, folder: Path) -> Iterator[None]:
        """Hold a folder within a block."""
        self.take(folder)
        try:
            with holding(folder):
                yield
        finally:
            self.release(folder)


def _locked(folder: Path) -> OutputLock:
    try:
        return OutputLock(folder)
    except Occupied as error:
        raise Occupied(
            f"{str(error).partition(';')[0]}; close it there, or save the session under another name."
        ) from None
