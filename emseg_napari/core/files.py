"""Atomic writing of files, with errors in plain sentences; folders are written by `owned_output`.

A program that is killed, or a full disk, leaves the older file as it was and never half of a new one.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError

if sys.platform == "win32":
    _FULL_FSYNC = None
else:
    import fcntl

    _FULL_FSYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS, where fsync stops at the drive's own memory

_PREFIX = ".emseg-"  # of every temporary name
_HIDDEN = re.compile(r"\..+\.emseg-(lock|old|new|files)")  # of locks, and of what is half replaced
_OPEN_ELSEWHERE = {5, 32, 33}  # what Windows answers about a file that another program reads
_RETRIES_S = (0.05, 0.1, 0.2, 0.4, 0.8)
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class OpenElsewhere(UserError):
    """Another program has a file open, so that Windows does not let it be replaced."""


@contextmanager
def atomic_write(path: str | Path, keep: bool = False) -> Iterator[Path]:
    """Give a temporary name beside `path`, and put that file in its place at the end.

    If the block fails, the temporary file goes and an older file at `path` stays as it was.

    Parameters
    ----------
    path : str or Path
        The file to write. A link is followed, so the file that it points to is replaced.
    keep : bool
        Where another program has the older file open, so that Windows does not let it be replaced, keep the
        new one beside it under another name, which the error states.

    Yields
    ------
    Path
        A name in the same folder with the same suffix, which the block must write.

    Raises
    ------
    UserError
        If the folder is missing or not writable, or the disk is full.
    OpenElsewhere
        If another program has the file open for longer than a moment.
    """
    target = check_place(path)
    temporary = beside(target, target.suffix)
    try:
        with explained(path, temporary):
            yield temporary
            flush(temporary)
            try:
                replace(temporary, target)
            except OpenElsewhere:
                if keep:
                    raise OpenElsewhere(_kept(path, temporary, target)) from None
                raise
            flush_folder(target.parent)
    finally:
        with suppress(OSError):  # a read-only file system refuses to remove what is not there, too
            temporary.unlink(missing_ok=True)


def check_place(path: str | Path) -> Path:
    """Return the real path of a file to write, if there is a folder for it.

    Raises
    ------
    UserError
        If its folder is missing, or it is a folder itself.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise UserError(
            f"{path} cannot be written: the folder {target.parent} does not exist; make it first."
        )
    if target.is_dir():
        raise UserError(f"{path} is a folder, so no file can be written there; choose another name.")
    return target


def writable_folder(path: str | Path) -> Path:
    """Make the folder `path` if it is not there, and check that files can be written into it.

    Raises
    ------
    UserError
        If it is a file, cannot be made, or is not writable.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, but a folder is needed there; choose another folder.")
    with explained(folder, folder):
        folder.mkdir(parents=True, exist_ok=True)
        try_writing(folder)
    return folder


def try_writing(folder: Path) -> None:
    """Write an empty file into `folder`, and remove it.

    Raises
    ------
    OSError
        If that is not possible; at once, where `tempfile` tries other names on Windows.
    """
    probe = beside(folder / "probe")
    probe.touch()
    probe.unlink()


def remove(path: str | Path) -> None:
    """Remove a file, or a folder with all that it holds; nothing happens if it is not there.

    Raises
    ------
    UserError
        If it cannot be removed.
    """
    path = Path(path)
    with explained(path, path, "removed"):
        if path.is_dir() and not path.is_symlink():
            gone = beside(path)
            replace(path, gone)  # at once: a killed removal must leave no half of it under its name
            shutil.rmtree(gone, ignore_errors=True)
        elif path.is_symlink() or path.exists():
            path.unlink()
        else:
            return
        flush_folder(path.parent)


def is_filled(path: str | Path) -> bool:
    """Whether a file is there and holds anything: a crash or a full disk may leave one of 0 bytes."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return os.stat(path).st_size > 0
    return False


def is_temporary(name: str) -> bool:
    """Say whether a file or folder has the name of an unfinished one."""
    return name.startswith(_PREFIX) or _HIDDEN.fullmatch(name) is not None


def replace(source: Path, target: Path) -> None:
    """Rename a file or folder; on Windows another program that has the target open is waited for.

    Raises
    ------
    OpenElsewhere
        If it still has it after some two seconds.
    OSError
    """
    for pause in (*_RETRIES_S, None):
        try:
            os.replace(source, target)
            return
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _OPEN_ELSEWHERE:
                raise
            if pause is None:
                raise OpenElsewhere(
                    f"{target} is open in another program, so it cannot be replaced; close it there and try "
                    "again."
                ) from error
            time.sleep(pause)


def _kept(path: str | Path, temporary: Path, target: Path) -> str:
    """Keep a new file under a name of its own, and say so."""
    names = (f"{target.stem}-new{f'-{i}' if i > 1 else ''}{target.suffix}" for i in itertools.count(1))
    kept = next(target.with_name(name) for name in names if not target.with_name(name).exists())
    os.replace(temporary, kept)
    return (
        f"{path} is open in another program, so what is new lies in {kept.name} beside it; close it there "
        "and rename the new file."
    )


def remove_leftovers(folder: str | Path, age_s: float = 0.0) -> None:
    """Remove what killed writers left in `folder`, if it is `age_s` seconds old.

    Parameters
    ----------
    folder : str or Path
        Where no other program has been writing for so long.
    age_s : float
        Since the last change, in seconds.
    """
    for path in Path(folder).glob(f"{_PREFIX}*"):
        with suppress(OSError, UserError):  # it only takes space
            if time.time() - path.stat().st_mtime >= age_s:
                remove(path)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    UserError
        If the file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the name.") from None
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); check the file and its permissions."
        ) from None
    except ValueError:
        raise UserError(f"{path} is damaged (it is not JSON text); restore it from a copy.") from None


def beside(target: Path, suffix: str = "") -> Path:
    """Return a new temporary name in the folder of `target`."""
    return target.parent / f"{_PREFIX}{secrets.token_hex(6)}{suffix}"


def flush(path: Path) -> None:
    """Bring a file's bytes to the disk itself."""
    with open(path, "rb+") as file:  # Windows flushes only what is open for writing
        flush_file(file.fileno())


def flush_file(descriptor: int) -> None:
    """Bring an open file's bytes to the disk itself.

    Raises
    ------
    OSError
    """
    if _FULL_FSYNC is not None:
        with suppress(OSError):  # a network's file system may not know it
            fcntl.fcntl(descriptor, _FULL_FSYNC)
            return
    os.fsync(descriptor)


def flush_folder(folder: Path) -> None:
    """Make a new name in `folder` survive a power failure, where the file system can do that."""
    if os.name == "nt":  # folders cannot be opened there
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def explained(path: str | Path, place: Path, wish: str = "written") -> Iterator[None]:
    """Turn an operating system's error about `place` into a sentence about `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not _concerns(error.filename, place):
            raise
        raise UserError(f"{path} cannot be {wish}: {_reason(error)}.") from error
    except UserError as error:
        if str(place) not in str(error):
            raise
        # About a file inside a temporary folder: the user knows only the name it was going to have.
        raise UserError(str(error).replace(str(place), str(path))) from error


def _concerns(filename: Any, place: Path) -> bool:
    """Say whether an error names `place`, something in it or a folder above it."""
    named = Path(os.path.abspath(os.fsdecode(filename)))
    place = Path(os.path.abspath(place))
    return named.is_relative_to(place) or place.is_relative_to(named)


def _reason(error: OSError) -> str:
    if error.errno in _FULL:
        return "the disk is full; free some space or choose another disk"
    if error.errno in _FORBIDDEN:
        return "it is not writable, or open in another program; choose another place or close that program"
    return f"{error.strerror or error}; choose another place"
