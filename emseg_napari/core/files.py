"""Atomic writing of files and folders, with errors in plain sentences.

A program that is killed, or a full disk, leaves the older file as it was and never half of a new one.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError

_PREFIX = ".emseg-"  # of every temporary name
_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, and put that file in its place at the end.

    If the block fails, the temporary file goes and an older file at `path` stays as it was.

    Parameters
    ----------
    path : str or Path
        The file to write. A link is followed, so the file that it points to is replaced.

    Yields
    ------
    Path
        A name in the same folder with the same suffix, which the block must write.

    Raises
    ------
    UserError
        If the folder is missing or not writable, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise UserError(
            f"{path} cannot be written: the folder {target.parent} does not exist; make it first."
        )
    if target.is_dir():
        raise UserError(f"{path} is a folder, so no file can be written there; choose another name.")
    temporary = _beside(target, target.suffix)
    try:
        with _explained(path, temporary):
            yield temporary
            _flush(temporary)
            os.replace(temporary, target)
            _flush_folder(target.parent)
    finally:
        with suppress(OSError):  # a read-only file system refuses to remove what is not there, too
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Give a new empty folder beside `path`, and put it in the place of `path` at the end.

    If the block fails, the new folder goes and an older folder at `path` stays as it was.

    Raises
    ------
    UserError
        As `atomic_write` does.
    """
    target = Path(os.path.realpath(path))
    writable_folder(target.parent)
    temporary = _beside(target)
    try:
        with _explained(path, temporary):
            temporary.mkdir()
            yield temporary
            _swap(temporary, target)
            _flush_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def adding_files(folder: str | Path) -> Iterator[Path]:
    """Give a new empty folder inside `folder`, and move what it holds into `folder` at the end.

    If the block fails, nothing of it appears in `folder`, and older files there stay as they were.
    Files and folders take their places in the order of their names; a folder's place must be free.

    Raises
    ------
    UserError
        As `atomic_write` does.
    """
    folder = Path(os.path.realpath(folder))
    temporary = _beside(writable_folder(folder) / "new")
    try:
        with _explained(folder, temporary):
            temporary.mkdir()
            yield temporary
            for path in sorted(temporary.iterdir()):
                os.replace(path, folder / path.name)
            _flush_folder(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
    probe = _beside(folder / "probe")
    with _explained(folder, folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    return folder


def remove(path: str | Path) -> None:
    """Remove a file, or a folder with all that it holds; nothing happens if it is not there.

    Raises
    ------
    UserError
        If it cannot be removed.
    """
    path = Path(path)
    with _explained(path, path, "removed"):
        if path.is_dir() and not path.is_symlink():
            gone = _beside(path)
            os.replace(path, gone)  # at once: a killed removal must leave no half of it under its name
            shutil.rmtree(gone, ignore_errors=True)
        elif path.is_symlink() or path.exists():
            path.unlink()
        else:
            return
        _flush_folder(path.parent)


def is_temporary(name: str) -> bool:
    """Say whether a file or folder has the name of an unfinished one."""
    return name.startswith(_PREFIX)


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


def _beside(target: Path, suffix: str = "") -> Path:
    return target.parent / f"{_PREFIX}{secrets.token_hex(6)}{suffix}"


def _flush(path: Path) -> None:
    with open(path, "rb+") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a new name in `folder` survive a power failure, where the file system can do that."""
    if os.name == "nt":  # folders cannot be opened there
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(new: Path, target: Path) -> None:
    """Rename `new` to `target`; an older folder there goes only when the new one stands."""
    if not target.exists():
        os.replace(new, target)
        return
    old = _beside(target)
    os.replace(target, old)
    try:
        os.replace(new, target)
    except OSError:
        os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _explained(path: str | Path, place: Path, wish: str = "written") -> Iterator[None]:
    """Turn an operating system's error about `place` into a sentence about `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not _concerns(error.filename, place):
            raise
        raise UserError(f"{path} cannot be {wish}: {_reason(error)}.") from error
    except UserError as error:
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
