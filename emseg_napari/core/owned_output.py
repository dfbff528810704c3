"""Outputs that one writer at a time owns: replaced as a whole, and finished or restored at the next start.

A writer locks its output (`locks`) as long as it writes, and replaces only what it wrote itself. A process
that is killed while it puts the new in the place of the old leaves one of two things, which the next reader
or writer of that name finds:

    .NAME.emseg-old     the older folder, where NAME is missing: it takes its name again
    .added.emseg-files  new files of a folder, complete: those that are left are moved into it

Links: the output itself, as the user named it, may be a link, and is followed. Inside of an output a link
that leads out of it is refused (`refuse_links`), so that nothing outside is ever written or removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.locks import locked

_ADDED = ".added.emseg-files"
_ADDING_S = 30.0  # for which another process may put its files in their places


@contextmanager
def owned(output: str | Path) -> Iterator[Path]:
    """Own an output within a block: it is locked, and what a killed writer left half replaced is finished.

    Parameters
    ----------
    output : str or Path
        A file or folder; missing folders above it are made, and removed if they are empty at the end.

    Yields
    ------
    Path
        Its real path.

    Raises
    ------
    Occupied
        If another process, or another job of this one, writes to it.
    """
    with locked(output) as target:
        _restore_folder(target)
        _finish_adding(target.parent)
        if target.is_dir():
            _finish_adding(target)
        yield target


def finish_replacing(path: str | Path) -> None:
    """Restore or finish what a killed writer left half replaced at a path or above it, before it is read.

    It takes a few looks at the disk, and nothing happens while a process writes there.
    """
    target = Path(os.path.realpath(path))
    with suppress(UserError, OSError):
        for place in (target, *target.parents):
            if os.path.lexists(place):
                break
            if _old(place).exists():
                with owned(place):
                    break
        for folder in (target, target.parent):
            _finish_adding(folder)


@contextmanager
def writing_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside a file of the user's, as `files.atomic_write` does, and own the file."""
    files.check_place(path)
    with owned(path), files.atomic_write(path, keep=True) as temporary:
        yield temporary


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """Give a new empty folder beside `path`, and put it in the place of `path` at the end.

    If the block fails, the new folder goes and an older folder at `path` stays as it was.

    Raises
    ------
    UserError
        As `files.atomic_write` and `owned` do.
    """
    with owned(path) as target:
        files.writable_folder(target.parent)
        new = _named(target, "new")
        files.remove(new)  # of a killed writer
        try:
            with files.explained(path, new):
                new.mkdir()
                yield new
                _swap(new, target)
                files.flush_folder(target.parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextmanager
def adding_files(folder: str | Path) -> Iterator[Path]:
    """Give a new empty folder inside `folder`, and move what it holds into `folder` at the end.

    If the block fails, nothing of it appears in `folder`, and older files there stay as they were. Files and
    folders take their places in the order of their names; a folder's place must be free. If that is
    interrupted, the next reader or writer of `folder` does the rest.

    Raises
    ------
    UserError
        As `files.atomic_write` does.
    """
    folder = files.writable_folder(os.path.realpath(folder))
    new = files.beside(folder / "new")
    try:
        with files.explained(folder, new):
            new.mkdir()
            yield new
            with locked(folder / _ADDED, _ADDING_S):
                if (folder / _ADDED).exists():
                    _move_in(folder)
                files.replace(new, folder / _ADDED)
                _move_in(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def refuse_links(folder: str | Path) -> None:
    """Refuse to write into a folder in which a file or folder is a link that leads out of it.

    Raises
    ------
    UserError
        If there is one; those deeper inside are not looked for.
    """
    real = os.path.realpath(folder)
    with os.scandir(real) as entries:
        for entry in entries:
            if entry.is_symlink():
                refuse_outside(real, entry.path)


def refuse_outside(folder: str | Path, path: str | Path) -> None:
    """Refuse to write or remove a file whose path leads out of a folder by a link.

    Raises
    ------
    UserError
        If it does.
    """
    where = os.path.realpath(path)
    if not Path(where).is_relative_to(os.path.realpath(folder)):
        raise UserError(
            f"{path} lies in {folder} but leads by a link to {where}, where nothing is written; put the file "
            "or folder itself in the place of the link."
        )


def _named(target: Path, kind: str) -> Path:
    return target.parent / f".{target.name}.emseg-{kind}"


def _old(target: Path) -> Path:
    return _named(target, "old")


def _swap(new: Path, target: Path) -> None:
    """Rename `new` to `target`; an older folder there goes only when the new one stands."""
    if not target.exists():
        files.replace(new, target)
        return
    old = _old(target)
    files.remove(old)  # if that did not succeed before
    files.replace(target, old)
    try:
        files.replace(new, target)
    except (OSError, UserError):
        files.replace(old, target)
        raise
    with suppress(UserError):  # it only takes space
        files.remove(old)


def _restore_folder(target: Path) -> None:
    """Give the older folder its name again, if its writer was killed before the new one had it.

    Else remove it: once the new one is removed by hand, it must not come back in its place.
    """
    with suppress(OSError, UserError):  # the writer will say it; there is none of a name that is too long
        if not _old(target).is_dir():
            return
        if os.path.lexists(target):
            files.remove(_old(target))
        else:
            files.replace(_old(target), target)
            files.flush_folder(target.parent)


def _finish_adding(folder: Path) -> None:
    if (folder / _ADDED).is_dir():
        with suppress(OSError, UserError), locked(folder / _ADDED, _ADDING_S):
            _move_in(folder)


def _move_in(folder: Path) -> None:
    """Move the complete new files to their places, or those of them that are left."""
    added = folder / _ADDED
    if not added.is_dir():
        return
    for path in sorted(added.iterdir()):
        files.replace(path, folder / path.name)
    files.flush_folder(folder)
    added.rmdir()
