"""Locks of outputs: one process at a time writes to a file or folder, however that process ends.

A lock is a hidden file beside the output, ``.NAME.emseg-lock``, that the system locks for its process. It
goes with the process, so a killed one leaves at most the file, which the next writer takes over. Where the
file system knows no locks, or the place is not writable, nothing is locked: the writer finds that out itself.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO

from emseg_napari.core.jobs import UserError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCKED_AT = 2**30  # a byte far behind the text, since Windows blocks reading of a locked byte
_TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}
_PAUSE_S = 0.02
_LOOKS_S = 0.2  # another process' look at a lock takes it for a moment
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


class Occupied(UserError):
    """Another process, or another job of this one, writes to an output."""


def lock_file(file: IO[str], wait: bool = True, shared: bool = False) -> bool:
    """Lock an open file until it is closed; False if another process has it and `wait` is not.

    Raises
    ------
    OSError
        If the file system has no locks.
    """
    try:
        if sys.platform == "win32":  # which has no shared ones
            file.seek(_LOCKED_AT)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except OSError as error:
        if not wait and error.errno in _TAKEN:
            return False
        raise
    return True


def is_locked(path: Path) -> bool:
    """Say whether a process that lives has locked a file.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    with path.open(encoding="utf-8") as file:  # to read, since it may be another user's
        try:
            return not lock_file(file, wait=False, shared=True)
        except OSError:  # no locks here
            return False


def lock_path(output: str | Path) -> Path:
    """Return the file that is locked while `output` is written."""
    output = Path(os.path.realpath(output))
    return output.parent / f".{output.name}.emseg-lock"


def in_use(output: str | Path) -> bool:
    """Say whether a process writes to an output at this moment."""
    with suppress(OSError):
        return any(is_locked(path) for path in _places(output) if path.exists())
    return False


class OutputLock:
    """Lock of an output, until `release` or the end of the process. Missing parents are made.

    Parameters
    ----------
    output : str or Path
        The file or folder; a link is followed.
    wait_s : float
        How long to wait for another writer.

    Raises
    ------
    Occupied
        If another process, or another job of this one, writes to it.
    """

    def __init__(self, output: str | Path, wait_s: float = _LOOKS_S) -> None:
        self._file: IO[str] | None = None
        self._path = lock_path(output)
        self._made: list[Path] = []
        end = time.monotonic() + wait_s
        try:
            while not self._take(output, time.monotonic() > end):
                time.sleep(_PAUSE_S)
        except BaseException:
            self.release()
            raise

    def _take(self, output: str | Path, is_last: bool) -> bool:
        """Try once; False if it is to be tried again."""
        self._make_parents()
        file, self._path = _opened(_places(output))
        if file is None:
            return is_last or self._path.parent.is_dir()  # a place where nothing can be locked
        try:
            mine = lock_file(file, wait=False)
        except OSError:
            file.close()
            return True
        if not mine or not _is_same(file, self._path):  # its last owner has just removed it
            sentence = _sentence(output, file)
            file.close()
            if is_last and not mine:
                raise Occupied(sentence)
            return False
        self._file = file
        with suppress(OSError):  # `file` itself would keep what a full disk refuses, and fail again
            file.truncate(0)
            os.write(file.fileno(), f"{os.getpid()} {platform.node()}".encode())
        return True

    def _make_parents(self) -> None:
        missing = [folder for folder in self._path.parents if not folder.exists()]
        self._made += [folder for folder in missing if folder not in self._made]
        for folder in reversed(missing):
            with suppress(OSError):  # the writer will say it
                folder.mkdir(exist_ok=True)

    def release(self) -> None:
        """Give the output free."""
        if self._file is not None:
            if os.name != "nt":  # before others can have it
                self._remove()
            self._file.close()
            if os.name == "nt":  # where an open file cannot be removed
                self._remove()
        self._file = None
        for folder in sorted(self._made, key=lambda folder: -len(folder.parts)):
            with suppress(OSError):  # it holds something now
                folder.rmdir()

    def _remove(self) -> None:
        with suppress(OSError):
            self._path.unlink()


@contextmanager
def locked(output: str | Path, wait_s: float = _LOOKS_S) -> Iterator[Path]:
    """Lock an output within a block, and give its real path; within it the same output may be locked again.

    Raises
    ------
    Occupied
        As `OutputLock`.
    """
    if Path(os.path.realpath(output)) in _held.get():
        yield Path(os.path.realpath(output))
        return
    lock = OutputLock(output, wait_s)
    try:
        with holding(output) as target:
            yield target
    finally:
        lock.release()


@contextmanager
def holding(output: str | Path) -> Iterator[Path]:
    """Say that the caller has an `OutputLock`, so that `locked` within the block need not lock again."""
    target, before = Path(os.path.realpath(output)), _held.get()
    _held.set(before | {target})
    try:
        yield target
    finally:
        _held.set(before)


def _places(output: str | Path) -> list[Path]:
    """Return where the lock may lie: beside the output, or in a folder that stands in a read-only one."""
    beside, inside = lock_path(output), Path(os.path.realpath(output))
    return [beside, inside / ".output.emseg-lock"] if inside.is_dir() else [beside]


def _opened(places: list[Path]) -> tuple[IO[str] | None, Path]:
    """Open the first lock file that can be opened, one of another user to read it."""
    for path in places:
        for mode in ("a+", "r"):
            with suppress(OSError):
                return path.open(mode, encoding="utf-8"), path
    return None, places[0]


def _is_same(file: IO[str], path: Path) -> bool:
    """Say whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _sentence(output: str | Path, file: IO[str]) -> str:
    """Say who writes to an output."""
    owner = ""
    with suppress(OSError, ValueError):
        file.seek(0)
        number, host = file.read(1000).split(" ", 1)
        place = "" if host == platform.node() else f" on {host}"
        owner = f" (process {int(number)}{place})"
    return f"{output} is being written by another emseg{owner}; wait for it or choose another output."
