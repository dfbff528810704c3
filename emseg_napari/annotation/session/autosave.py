"""Every stroke on disk within two seconds, without a stall of the window.

The window notes what changes, and a thread writes it, one slice at a time and only the newest state of
each. What cannot be written stays noted, is reported, and is tried again.
"""

from __future__ import annotations

import atexit
import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from emseg_napari.annotation.session.backlog import Backlog
from emseg_napari.annotation.session.recovery import discard, is_unsaved
from emseg_napari.annotation.session.store import Placement, Round, Session, save_session
from emseg_napari.core.jobs import UserError

_TICK_S = 0.05
_MARK_S = 5.0
_LEAVE_S = 60.0


class State(TypedDict, total=False):
    """The fields of a `Session` that `Autosave.note_state` takes."""

    confirmed: set[int]
    run: Path | None
    rounds: list[Round]
    settings: dict[str, Any]
    name: str
    image_place: Placement | None
    labels_place: Placement | None


class Autosave:
    """Keeps the session on which the user works on disk.

    `begin`, `note` and `note_state` return at once and never raise because of the disk. All methods may
    be called from any thread.

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
        self.trouble = ""
        self._on_error = on_error
        self._news = threading.Condition()
        self._works: list[Backlog] = []  # earlier ones too, until they are written
        self._current: Backlog | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def folder(self) -> Path | None:
        """Where the session is kept now; None before `begin` and after `close`."""
        current = self._current
        return None if current is None else current.folder

    def begin(self, folder: str | Path, session: Session) -> None:
        """Keep another session on disk from now on; what was noted before is still written.

        Parameters
        ----------
        folder : str or Path
            From where the session was loaded, or a new name in the recovery folder
            (`recovery.new_recovery`), where nothing is made before there are labels.
        session : Session
            Its `labels` are the array that the user changes, and stay it.
        """
        with self._news:
            self._start(Backlog(Path(folder), session))

    def note(self, z: int, plane: np.ndarray | None = None) -> None:
        """Note that labels of slice `z` have changed.

        Parameters
        ----------
        z : int
            The slice.
        plane : numpy.ndarray, optional
            (y, x), its labels, which are copied, in less than 2 ms for 2048 x 2048 pixels. When not
            given, they are read after all strokes are written: for changes of very many slices at once.
        """
        copied = None if plane is None else np.array(plane, np.uint8)
        with self._news:
            if self._current is not None:
                self._current.note(z, copied)
                self._news.notify_all()

    def note_state(self, **changes: Unpack[State]) -> None:
        """Note confirmed slices, run, rounds, settings (JSON values), the labels layer's name or places."""
        copied = copy.deepcopy(changes)
        with self._news:
            if self._current is not None:
                self._current.change(dict(copied))
                self._news.notify_all()

    def save_as(self, folder: str | Path, session: Session, copy_image: bool = False) -> None:
        """Save the session under a name, and keep it on disk there from then on.

        It takes as long as `save_session`, while strokes may go on and are kept. Work without a name
        leaves the recovery folder.

        Raises
        ------
        UserError
            If it cannot be written; it is then kept where it was.
        """
        folder, old = Path(folder), self._current
        if old is not None and old.folder == folder and old.writer.exists and not copy_image:
            self._save_here(session)
            return
        self._wait_for_others(folder, old)
        with self._watching(old, pause=folder == self.folder):
            save_session(folder, session, copy_image)
            new = Backlog(folder, replace(session, image_path=None) if copy_image else session)
            with self._news:
                if old is not None and old is self._current:
                    old.continue_in(new)
                self._start(new)
        with self._news:  # who is told that it is saved finds it marked as open
            self._news.wait_for(lambda: new.opened, _MARK_S)

    def _save_here(self, session: Session) -> None:
        self.note_state(**{name: getattr(session, name) for name in State.__annotations__})
        if not self.flush(60.0):
            raise UserError(self.trouble or f"{self.folder} could not be written in time; save again.")

    def _wait_for_others(self, folder: Path, own: Backlog | None) -> None:
        """Wait until no earlier work writes to a folder: one of two writers would undo the other's work."""
        with self._news:
            others = [work for work in self._works if work.folder == folder and work is not own]
            if not self._news.wait_for(lambda: not set(others).intersection(self._works), _LEAVE_S):
                raise UserError(f"{folder} is still being written; save again, or under another name.")

    @contextmanager
    def _watching(self, work: Backlog | None, pause: bool) -> Iterator[None]:
        """Let a work remember what changes; with `pause` nothing of it is written meanwhile."""
        if work is None:
            yield
            return
        with self._news:
            work.watch(True, pause)
            self._news.wait_for(lambda: not (pause and work.busy))
        try:
            yield
        finally:
            with self._news:
                work.watch(False, False)

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
        return self._wait(timeout, lambda: all(work.idle() for work in self._works))

    def close(self, timeout: float = 10.0) -> bool:
        """Write all, then let go of the session; as `flush` otherwise.

        After that a named session is not offered at the next start; one in the recovery folder is.
        """
        with self._news:
            self._start(None)
        finished = self._wait(timeout, lambda: not self._works)
        if finished:  # else the end of the process waits for the rest
            atexit.unregister(self.close)
        return finished

    def _start(self, work: Backlog | None) -> None:
        """Make `work` the current one, under the lock."""
        if self._current is not None:
            self._current.ended = True
        self._current, self._closed = work, work is None
        if work is not None:
            for old in self._works:
                if old.folder == work.folder:
                    old.give_way_to(work)
            self._works.append(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="emseg autosave", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        self._news.notify_all()

    def _wait(self, timeout: float, done: Callable[[], bool]) -> bool:
        with self._news:
            for work in self._works:
                work.hurry = True
            self._news.notify_all()
            finished = self._news.wait_for(done, timeout)
            for work in self._works:
                work.hurry = False
        return finished

    def _run(self) -> None:
        """Write what is there; wait where nothing is."""
        while True:
            if sum(self._step(work) for work in tuple(self._works)):  # each work has its turn
                continue
            with self._news:
                if self._closed and not self._works:
                    self._thread = None
                    return
                busy = any(work.ended or not work.idle() for work in self._works)
                self._news.wait(_TICK_S if busy else None)

    def _step(self, work: Backlog) -> bool:
        """Write one thing of a work; False if there is nothing to write now."""
        with self._news:
            job = work.take()
        if job is None:
            self._finish(work)
            return False
        error = None
        try:
            work.do(*job)
        except Exception as caught:  # whatever it is: the labels stay noted
            error = caught
        with self._news:
            if error is None:
                work.done(job[0])
            else:
                work.failed(*job, error)
            self._news.notify_all()
        self._report()
        return True

    def _finish(self, work: Backlog) -> None:
        """Leave a session that has ended, once all of it is on disk, here or where it went on."""
        heir = work.successor
        # In a folder of its own an heir has all; in the same one it has the marker by then.
        goes_on = heir is None or (heir.opened if heir.folder == work.folder else heir.idle())
        if not (work.ended and work.idle() and goes_on):
            return
        with suppress(Exception):  # what is left behind takes space and is offered again, no more
            work.writer.close()
            if heir is not None and heir.folder != work.folder and is_unsaved(work.folder):
                discard(work.folder)
        with self._news:
            self._works.remove(work)
            self._news.notify_all()

    def _report(self) -> None:
        trouble = next((work.trouble for work in self._works if work.trouble), "")
        if trouble != self.trouble:
            self.trouble = trouble
            with suppress(Exception):  # a window that is gone must not end the thread
                self._on_error(trouble)
