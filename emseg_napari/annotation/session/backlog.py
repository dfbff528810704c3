"""What of one session is not on disk yet, and in which order it goes there."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.annotation.session.store import Session
from emseg_napari.annotation.session.writer import SessionWriter
from emseg_napari.core.jobs import UserError

PAUSE_S = 0.25  # between two writes of one file
RETRY_S = 1.0  # after a write that failed
MOST_COPIES = 32  # slices that wait as copies; beyond them the labels themselves are read later
_OPEN, _STATE, _IMAGE = -1, -2, -3  # jobs beside those of the slices, which are numbered from 0

Job = tuple[int, np.ndarray | None]


class Backlog:
    """What waits to be written of one session: strokes first, then the state, then the rest.

    Only `do` takes long and touches the disk; the other methods are called under the owner's lock.

    Parameters
    ----------
    folder : Path
        Of the session; see `SessionWriter`.
    session : Session
        Its labels are the array that the user changes.

    Attributes
    ----------
    writer : SessionWriter
        Of the folder.
    ended : bool
        Whether the user has turned to another session.
    hurry : bool
        Whether somebody waits, so that no file is spared.
    busy : bool
        Whether something is being written.
    trouble : str
        A sentence while something cannot be written, else empty.
    successor : Backlog or None
        Where the same work is kept now.
    """

    def __init__(self, folder: Path, session: Session) -> None:
        self.folder, self.session = folder, session
        self.writer = SessionWriter(folder)
        self.ended = self.hurry = self.busy = False
        self.trouble = ""
        self.successor: Backlog | None = None
        self._copies: dict[int, np.ndarray] = {}
        self._live: dict[int, None] = {}  # slices, in order, that are read from the labels
        self._state = self._opened = False
        self._not_before: dict[int, float] = {}
        self._retry_at = 0.0
        self._failed: set[int] = set()
        self._since: tuple[set[int], dict[str, Any]] | None = None

    def note(self, z: int, plane: np.ndarray | None) -> None:
        """Take in a slice, as a copy of its labels, or None to read them later."""
        if plane is not None and (z in self._copies or len(self._copies) < MOST_COPIES):
            self._copies[z] = plane
            self._live.pop(z, None)
        else:
            self._live[z] = None
        if self._since is not None:
            self._since[0].add(z)

    def change(self, changes: dict[str, Any]) -> None:
        """Take in fields of the session that have changed."""
        self.session, self._state = replace(self.session, **changes), True
        if self._since is not None:
            self._since[1].update(changes)

    def watch(self, on: bool, pause: bool) -> None:
        """Remember from now on what changes, for `continue_in`; with `pause`, let nothing be taken."""
        self._since = (set(), {}) if on else None
        self._retry_at = math.inf if pause else 0.0

    def continue_in(self, successor: Backlog) -> None:
        """Hand on what has changed since `watch`; nothing is written here any more."""
        slices, changes = self._since or (set(), {})
        successor.change(changes)
        self._leave_to(successor, slices)

    def give_way_to(self, newer: Backlog) -> None:
        """Let another work, which has the same folder from now on, write what waits here."""
        self._leave_to(newer, {*self._copies, *self._live})

    def _leave_to(self, successor: Backlog, slices: set[int]) -> None:
        self.successor = successor
        self._pass_on(slices)
        self._clear()

    def _pass_on(self, slices: set[int]) -> None:
        """Let the successor write slices from its labels, whatever is written of them here meanwhile."""
        assert self.successor is not None
        for z in sorted(slices.intersection(range(len(self.successor.session.labels)))):
            self.successor.note(z, None)

    @property
    def opened(self) -> bool:
        """Whether it is known what is in the folder, and other windows know that it is open."""
        return self._opened

    def idle(self) -> bool:
        """Whether all is on disk."""
        state = self._state and self.writer.exists
        waiting = self.busy or self._copies or self._live or state or self.writer.copying
        return self._opened and not waiting

    def take(self) -> Job | None:
        """Return what is to be written next; None if nothing is, or not yet."""
        job = self._next(time.monotonic())
        self.busy = job is not None
        return job

    def do(self, z: int, plane: np.ndarray | None) -> None:
        """Write what `take` returned."""
        if z == _OPEN:
            self.writer.resume(self.session)
        elif z == _STATE:
            self.writer.write_state(self.session)
        elif z == _IMAGE:
            self.writer.copy_image(self.session)
        else:
            self._write(z, np.array(self.session.labels[z], np.uint8) if plane is None else plane)

    def done(self, z: int) -> None:
        """Take notice that `do` has succeeded."""
        self.busy = False
        if self.successor is not None:
            self._pass_on({z})
            return
        self._not_before[z] = time.monotonic() + PAUSE_S
        self._failed.discard(z)
        if not self._failed:
            self.trouble = ""
        if z == _OPEN:
            self._opened = self._state = True
            if not self.writer.exists:
                slices = slices_in_use(self.session.labels)
                self._live = dict.fromkeys(z for z in slices if z not in self._copies)

    def failed(self, z: int, plane: np.ndarray | None, error: Exception) -> None:
        """Take back what `do` could not write; a newer copy of the slice counts more."""
        self.busy = False
        self._retry_at = max(self._retry_at, time.monotonic() + RETRY_S)
        if self.successor is not None:
            self._pass_on({z})
            return
        self._failed.add(z)
        self.trouble = self._sentence(error)
        if z == _STATE:
            self._state = True
        elif z >= 0 and plane is not None:
            self._copies.setdefault(z, plane)
        elif z >= 0:
            self._live[z] = None

    def _next(self, now: float) -> Job | None:
        if now < self._retry_at:
            return None
        if not self._opened:
            return _OPEN, None
        for z in self._rested(self._copies, now):
            return z, self._copies.pop(z)
        if self._state and self.writer.exists and self._rested((_STATE,), now):
            self._state = False
            return _STATE, None
        for z in self._rested(self._live, now):
            del self._live[z]
            return z, None
        return (_IMAGE, None) if self.writer.copying else None

    def _rested(self, jobs: Iterable[int], now: float) -> list[int]:
        """Return the first job whose file may be written again, if there is one."""
        allowed = (z for z in jobs if self.hurry or self._not_before.get(z, 0) <= now)
        return [z for z, _ in zip(allowed, range(1), strict=False)]

    def _write(self, z: int, plane: np.ndarray) -> None:
        if not self.writer.exists:
            if not plane.any():
                return
            self.writer.create(self.session)
        self.writer.write_slice(z, plane)

    def _clear(self) -> None:
        self._copies.clear()
        self._live.clear()
        self._state, self._since = False, None
        self._opened = True  # it need not be any more
        self.trouble = ""

    def _sentence(self, error: Exception) -> str:
        if self.writer.exists and not self.folder.exists():
            return (
                f"{self.folder.name} is no longer in {self.folder.parent}; put it back there or save "
                "the session under another name."
            )
        return str(error) if isinstance(error, UserError) else f"{self.folder} cannot be saved: {error}."
