"""Automatic saving of a session: every stroke is on disk within two seconds, and the window never waits.

The window records what changes, and a thread writes it, one slice at a time and only the newest state of
each. What cannot be written stays recorded, is reported, and is tried again.
"""

from __future__ import annotations

import atexit
import copy
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Unpack, cast

import numpy as np

from emseg_napari.annotation.session.backlog import Backlog, State, image_mark
from emseg_napari.annotation.session.claims import Claims
from emseg_napari.annotation.session.recovery import refuse_place
from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.annotation.session.slicefiles import changed_slices
from emseg_napari.annotation.session.store import Session, save_session
from emseg_napari.core.jobs import UserError

_TICK_S = 0.05
_MARK_S = 5.0
_LEAVE_S = 60.0


class Autosave:
    """Keeps the session of the user on disk.

    `start_session`, `record_edit` and `record_state` return at once and never raise because of the disk.
    All methods may be called from any thread.

    Parameters
    ----------
    on_error : callable
        Called in the writing thread: with a sentence when something cannot be written (again only when
        the sentence changes), and with "" when all could be written after that.

    Attributes
    ----------
    trouble : str
        The sentence that was reported last.
    """

    def __init__(self, on_error: Callable[[str], None] = lambda sentence: None) -> None:
        self.trouble, self._on_error = "", on_error
        self._claims = Claims()
        self._changed = threading.Condition()
        self._backlogs: list[Backlog] = []  # those of earlier sessions too, until they are written
        self._current: Backlog | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self._saving = threading.Lock()

    @property
    def folder(self) -> Path | None:
        """Where the session is kept now; None before `start_session` and after `close`."""
        current = self._current
        return None if current is None else current.folder

    @property
    def left(self) -> bool:
        """Whether there is no session, and nothing of an earlier one is left to be written."""
        with self._changed:
            return self._current is None and not self._backlogs

    def start_session(self, folder: str | Path, session: Session) -> None:
        """Keep another session on disk from now on; what was recorded before is still written.

        Parameters
        ----------
        folder : str or Path
            Where the session was loaded from, or a new name in the recovery folder
            (`recovery.new_recovery`), where nothing is made before there are labels.
        session : Session
            Its `labels` are the array that the user changes.
        """
        with self._changed:
            self._switch_to(Backlog(self._named(folder), session, self._claims))

    def record_edit(self, z: int, plane: np.ndarray | None = None) -> None:
        """Record that labels of slice `z` have changed.

        Parameters
        ----------
        z : int
            The slice.
        plane : numpy.ndarray, optional
            (y, x), its labels, which are copied, in less than 2 ms for 2048 x 2048 pixels. When not
            given, they are read after all strokes are written: for changes of very many slices at once.
        """
        copied = None if plane is None else np.array(plane, np.uint8)
        with self._changed:
            if self._current is not None:
                self._current.enqueue(z, copied)
                self._changed.notify_all()

    def record_state(self, **changes: Unpack[State]) -> None:
        """Record fields of the session: confirmed slices, run, rounds, settings (JSON values) and more."""
        copied = copy.deepcopy(changes)
        with self._changed:
            if self._current is not None:
                self._current.enqueue_state(dict(copied))
                self._changed.notify_all()

    def save_as(self, folder: str | Path, session: Session) -> None:
        """Save the session under a name, and keep it on disk there from then on.

        It takes as long as `save_session`; strokes that come meanwhile are kept. A session without a name
        is removed from the recovery folder, also if it is closed meanwhile.

        Raises
        ------
        UserError
            If it cannot be written, or not there; it is then kept where it was.
        """
        refuse_place(Path(folder))
        with self._saving:  # one after the other: a backlog tracks what changes for one of them only
            self._save_as(folder, session)

    def _save_as(self, folder: str | Path, session: Session) -> None:
        folder, old = self._named(folder), self._current
        if old is not None and old.folder == folder:
            if old.writer.exists and old.image == image_mark(session):
                self._save_here(old, session)
                return
            session = replace(session, folder=folder, unreadable=old.writer.unreadable)
        self._wait_for_others(folder, old)
        with self._claims.claimed(folder):
            with self._tracking(old, pause=folder == self.folder):
                save_session(folder, session)
                # The files of slices that could not be read are set aside now.
                new = Backlog(folder, replace(session, folder=folder, unreadable=set()), self._claims)
                with self._changed:
                    self._go_on_in(new, old)
            with self._changed:  # after saving, the session is marked as open
                self._changed.wait_for(lambda: new.opened or new not in self._backlogs, _MARK_S)

    def _go_on_in(self, new: Backlog, old: Backlog | None) -> None:
        """Go on where `old` was saved, under the lock, unless it has ended meanwhile."""
        current = self._current
        if old is not None and current in (old, None):
            old.hand_changes_to(new)
        if current is old:
            self._switch_to(new)
        elif current is not None and current.folder == new.folder:
            again = Backlog(new.folder, current.session, self._claims)  # the folder has other files now
            self._switch_to(again)
            again.write_again(current.session, new.session)
        else:
            new.ended = True
            self._backlogs.append(new)
        self._changed.notify_all()

    def _named(self, folder: str | Path) -> Path:
        """Return a folder by the name under which it is written to already: a link may lead to it, too."""
        folder, known = Path(folder).absolute(), [backlog.folder for backlog in tuple(self._backlogs)]
        return next((one for one in known if os.path.realpath(one) == os.path.realpath(folder)), folder)

    def _save_here(self, backlog: Backlog, session: Session) -> None:
        """Write what waits, and slices that were changed by a program that tells of no stroke."""
        self.record_state(**cast(State, {name: getattr(session, name) for name in State.__annotations__}))
        self._flush_or_raise()
        for z in changed_slices(backlog.writer.labels_folder, session.labels, slices_in_use(session.labels)):
            self.record_edit(z)
        self._flush_or_raise()

    def _flush_or_raise(self) -> None:
        if not self.flush(60.0):
            raise UserError(self.trouble or f"{self.folder} could not be written in time; save again.")

    def _wait_for_others(self, folder: Path, own: Backlog | None) -> None:
        """Wait until no earlier backlog writes to a folder: two would overwrite each other's files."""
        with self._changed:
            others = [one for one in self._backlogs if one.folder == folder and one is not own]
            if not self._changed.wait_for(lambda: not set(others).intersection(self._backlogs), _LEAVE_S):
                raise UserError(f"{folder} is still being written; save again, or under another name.")

    @contextmanager
    def _tracking(self, backlog: Backlog | None, pause: bool) -> Iterator[None]:
        """Let a backlog track what changes; with `pause` nothing of it is written meanwhile."""
        if backlog is None:
            yield
            return
        with self._changed:
            backlog.track_changes(True, pause)
            self._changed.wait_for(lambda: not (pause and backlog.busy))
        try:
            yield
        finally:
            with self._changed:
                backlog.track_changes(False, False)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all is on disk.

        Parameters
        ----------
        timeout : float
            Seconds to wait at most.

        Returns
        -------
        bool
            False if something is not; `trouble` may say why.
        """
        return self._wait(timeout, lambda: all(backlog.idle() for backlog in self._backlogs))

    def close(self, timeout: float = 10.0) -> bool:
        """Write all, then leave the session; otherwise as `flush`.

        After that a named session is not offered at the next start; one in the recovery folder is.
        """
        with self._changed:
            self._switch_to(None)
        finished = self._wait(timeout, lambda: not self._backlogs)
        if finished:  # else the end of the process waits for the rest
            atexit.unregister(self.close)
        return finished

    def _switch_to(self, backlog: Backlog | None) -> None:
        """Make `backlog` the current one, under the lock."""
        if self._current is not None:
            self._current.end_before(backlog)
        self._current, self._closed = backlog, backlog is None
        if backlog is not None:
            for old in self._backlogs:
                if old.folder == backlog.folder:
                    old.hand_all_to(backlog)
            self._backlogs.append(backlog)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="emseg autosave", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        self._changed.notify_all()

    def _wait(self, timeout: float, done: Callable[[], bool]) -> bool:
        with self._changed:
            for backlog in self._backlogs:
                backlog.urgent = True
            self._changed.notify_all()
            finished = self._changed.wait_for(done, timeout)
            for backlog in self._backlogs:
                backlog.urgent = False
        return finished

    def _run(self) -> None:
        """Write what waits in the backlogs, and sleep while nothing does."""
        while True:
            if sum(self._write_next(backlog) for backlog in tuple(self._backlogs)):  # in turns
                continue
            with self._changed:
                if self._closed and not self._backlogs:
                    self._thread = None
                    return
                busy = any(backlog.ended or not backlog.idle() for backlog in self._backlogs)
                self._changed.wait(_TICK_S if busy else None)

    def _write_next(self, backlog: Backlog) -> bool:
        """Write one job of a backlog; False if there is nothing to write now."""
        with self._changed:
            job = backlog.next_job()
        if job is None:
            self._finish(backlog)
            return False
        error = None
        try:
            backlog.run_job(*job)
        except Exception as caught:  # of any kind: the labels stay recorded
            error = caught
        with self._changed:
            if error is None:
                backlog.job_done(job[0])
            else:
                backlog.job_failed(*job, error)
            self._changed.notify_all()
        self._report()
        return True

    def _finish(self, backlog: Backlog) -> None:
        """Close a session that has ended, once all of it is on disk, here or in its successor."""
        if not backlog.is_over():
            return
        with suppress(Exception):  # what stays behind only takes space and is offered for recovery
            backlog.close()
        with self._changed:
            self._backlogs.remove(backlog)
            self._changed.notify_all()

    def _report(self) -> None:
        trouble = next((backlog.trouble for backlog in self._backlogs if backlog.trouble), "")
        if trouble != self.trouble:
            self.trouble = trouble
            with suppress(Exception):  # a closed window must not end the thread
                self._on_error(trouble)
