"""Queue of what has to be written of one session.

Strokes come first, then the state of the session, then everything else.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from emseg_napari.annotation.session.claims import Claims
from emseg_napari.annotation.session.recovery import discard, is_unsaved
from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.annotation.session.store import Origin, Placement, Round, Session
from emseg_napari.annotation.session.writer import SessionWriter
from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location

PAUSE_S = 0.25  # between two writes of one file
RETRY_S = 1.0  # after a write that failed
MOST_COPIES = 32  # slices that wait as copies; beyond them the labels themselves are read later
_OPEN, _STATE, _IMAGE = -1, -2, -3  # jobs beside those of the slices, which are numbered from 0

Job = tuple[int, np.ndarray | None]


class State(TypedDict, total=False):
    """The fields of a `Session` that `Autosave.record_state` takes."""

    confirmed: set[int]
    origins: dict[int, Origin]
    run: Path | None
    rounds: list[Round]
    settings: dict[str, Any]
    name: str
    image_name: str
    image_place: Placement | None
    labels_place: Placement | None
    image_path: Location | None  # found later than the rest


def image_mark(session: Session) -> tuple[Any, ...]:
    """Return what tells the image of a session from others: its file, or the pixels in memory."""
    pixels = session.image
    if session.image_path is not None or pixels is None:
        return (session.image_path,)
    if isinstance(pixels, np.ndarray):
        return (pixels.__array_interface__["data"][0], pixels.shape, pixels.strides, pixels.dtype.str)
    return (pixels.source or id(pixels),)


class Backlog:
    """Queue of what has to be written of one session, as jobs of one file each.

    Only `run_job` takes long and touches the disk; the other methods are called under the lock of `Autosave`.

    Parameters
    ----------
    folder : Path
        Of the session; see `SessionWriter`.
    session : Session
        Its labels are the array that the user changes.
    claims : Claims, optional
        Lock the folder.

    Attributes
    ----------
    image : tuple
        What tells the image of the session from others: `image_mark`.
    writer : SessionWriter
        Of the folder.
    ended : bool
        Whether another session has been started.
    urgent : bool
        Whether a caller waits, so that files are written without a pause.
    busy : bool
        Whether something is being written.
    trouble : str
        A sentence while something cannot be written, else empty.
    successor : Backlog or None
        The queue that has taken over what waited here.
    """

    def __init__(self, folder: Path, session: Session, claims: Claims | None = None) -> None:
        self.folder, self.session, self.image = folder, session, image_mark(session)
        self.writer = SessionWriter(folder, claims)
        self.ended = self.urgent = self.busy = False
        self.trouble = ""
        self.successor: Backlog | None = None
        self._copies: dict[int, np.ndarray] = {}
        self._live: dict[int, None] = {}  # slices, in order, that are read from the labels
        self._state = self._opened = False
        self._not_before: dict[int, float] = {}
        self._retry_at = 0.0
        self._failed: set[int] = set()
        self._tracked: tuple[set[int], dict[str, Any]] | None = None

    def enqueue(self, z: int, plane: np.ndarray | None) -> None:
        """Add a slice, with a copy of its labels, or None to read them later."""
        if plane is not None and (z in self._copies or len(self._copies) < MOST_COPIES):
            self._copies[z] = plane
            self._live.pop(z, None)
        else:
            self._live[z] = None
        if self._tracked is not None:
            self._tracked[0].add(z)

    def enqueue_state(self, changes: dict[str, Any]) -> None:
        """Add fields of the session that have changed."""
        self.session, self._state = replace(self.session, **changes), True
        if self._tracked is not None:
            self._tracked[1].update(changes)

    def track_changes(self, on: bool, pause: bool) -> None:
        """Track from now on what changes, for `hand_changes_to`; with `pause`, give no job meanwhile."""
        self._tracked = (set(), {}) if on else None
        self._retry_at = math.inf if pause else 0.0

    def end_before(self, next_one: Backlog | None) -> None:
        """End, with another queue or none; an image that is in its folder already is not written again."""
        self.ended = True
        is_same = next_one is not None and (self.folder, self.image) == (next_one.folder, next_one.image)
        if next_one is not None and is_same and self.writer.exists and not self.writer.copying:
            next_one.session = replace(next_one.session, folder=next_one.folder)

    def hand_changes_to(self, successor: Backlog) -> None:
        """Let a successor write what has changed since `track_changes`; nothing is written here any more."""
        slices, changes = self._tracked or (set(), {})
        successor.enqueue_state(changes)
        self._hand_to(successor, slices)

    def hand_all_to(self, newer: Backlog) -> None:
        """Let a newer queue, which has the same folder from now on, write all that waits here."""
        self._hand_to(newer, {*self._copies, *self._live})

    def _hand_to(self, successor: Backlog, slices: set[int]) -> None:
        self.successor = successor
        self._enqueue_in_successor(slices)
        self._clear()

    def _enqueue_in_successor(self, slices: set[int]) -> None:
        """Let the successor write slices from its labels, even if a job writes them here at the moment."""
        assert self.successor is not None
        for z in sorted(slices.intersection(range(len(self.successor.session.labels)))):
            self.successor.enqueue(z, None)

    def write_again(self, session: Session, other: Session) -> None:
        """Write all of a session, image and all, since another one has been saved in its folder."""
        self.session = session
        self.enqueue_state({})
        for z in sorted({*slices_in_use(session.labels), *slices_in_use(other.labels)}):
            self.enqueue(z, None)

    @property
    def opened(self) -> bool:
        """Whether the folder was read and is marked as open for other windows."""
        return self._opened

    def idle(self) -> bool:
        """Whether all is on disk."""
        state = self._state and self.writer.exists
        waiting = self.busy or self._copies or self._live or state or self.writer.copying
        return self._opened and not waiting

    def is_over(self) -> bool:
        """Whether the session has ended, and all of it is on disk, here or in the successor."""
        is_saved_elsewhere = self._tracked is not None  # where it may be continued
        if is_saved_elsewhere or not (self.ended and self.idle()):
            return False
        # A successor in another folder has to be complete, one in the same folder to be marked as open.
        return self.successor is None or (self.successor.opened if self._stays() else self.successor.idle())

    def close(self) -> None:
        """Leave the folder; one without a name is removed if the session has another one now."""
        self.writer.close()
        if self.successor is not None and not self._stays() and is_unsaved(self.folder):
            discard(self.folder)

    def _stays(self) -> bool:
        """Whether the successor has the same folder."""
        return self.successor is not None and self.successor.folder == self.folder

    def next_job(self) -> Job | None:
        """Return the next job; None if there is none, or not yet."""
        job = self._next(time.monotonic())
        self.busy = job is not None
        return job

    def run_job(self, z: int, plane: np.ndarray | None) -> None:
        """Write what `next_job` returned: the only method that takes long."""
        if z == _OPEN:
            self.writer.resume(self.session)
        elif z == _STATE:
            self.writer.write_state(self.session)
        elif z == _IMAGE:
            self.writer.copy_image(self.session)
        else:
            self._write(z, np.array(self.session.labels[z], np.uint8) if plane is None else plane)

    def job_done(self, z: int) -> None:
        """Record that `run_job` has succeeded."""
        self.busy = False
        if self.successor is not None:
            self._enqueue_in_successor({z})
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

    def job_failed(self, z: int, plane: np.ndarray | None, error: Exception) -> None:
        """Add again what `run_job` could not write, unless there is a newer copy of the slice."""
        self.busy = False
        self._retry_at = max(self._retry_at, time.monotonic() + RETRY_S)
        if self.successor is not None:
            self._enqueue_in_successor({z})
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
        for z in self._writable_now(self._copies, now):
            return z, self._copies.pop(z)
        if self._state and self.writer.exists and self._writable_now((_STATE,), now):
            self._state = False
            return _STATE, None
        for z in self._writable_now(self._live, now):
            del self._live[z]
            return z, None
        return (_IMAGE, None) if self.writer.copying else None

    def _writable_now(self, jobs: Iterable[int], now: float) -> list[int]:
        """Return the first job whose file may be written again, if there is one."""
        allowed = (z for z in jobs if self.urgent or self._not_before.get(z, 0) <= now)
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
        self._state, self._tracked = False, None
        self._opened = True  # as there is nothing to write
        self.trouble = ""

    def _sentence(self, error: Exception) -> str:
        if self.writer.exists and not self.folder.exists():
            return (
                f"{self.folder.name} is no longer in {self.folder.parent}; put it back there or save "
                "the session under another name."
            )
        return str(error) if isinstance(error, UserError) else f"{self.folder} cannot be saved: {error}."
