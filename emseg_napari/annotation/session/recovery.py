"""Sessions that are open in a window, and sessions that can be recovered after a crash.

The recovery folder holds work that has no name yet, as sessions, and for every open session, named or
not, a marker: a small file that says where the session lies, and that is locked as long as its window's
process lives. The lock goes with the process however that ends.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from platformdirs import user_data_path

from emseg_napari.annotation.session.contents import CONTENTS, SUFFIX, read_contents
from emseg_napari.annotation.session.slicefiles import slice_files
from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.locks import in_use, is_locked, lock_file

_ABANDONED_S = 86_400.0  # a temporary name of another process that is so old
_numbers = itertools.count(1)
_chosen: list[Path] = []


@dataclass(frozen=True)
class Recovery:
    """A session that no window has open.

    Attributes
    ----------
    folder : Path
        Of the session.
    when : datetime
        Local time of its last change.
    image : str
        File name of the image; the labels layer's name where the image has no file.
    slices : int
        How many slices have labels, at least 1.
    named : bool
        Whether the user had saved it under a name, so that it lies outside the recovery folder.
    """

    folder: Path
    when: datetime
    image: str
    slices: int
    named: bool


def recovery_folder() -> Path:
    """Return the folder of unsaved work, which may not exist yet.

    It lies in EMSEG_DATA_DIR, else where `keep_unsaved_in` said, else in the user's data folder.
    """
    chosen = os.environ.get("EMSEG_DATA_DIR") or next(iter(_chosen), None)
    return Path(chosen or user_data_path("emseg-napari")) / "recovery"


def keep_unsaved_in(folder: Path) -> None:
    """Keep unsaved work in a folder from now on: only once in a process, whose work stays together."""
    if not _chosen:
        _chosen.append(folder)


def new_recovery() -> Path:
    """Return a new name in the recovery folder: YYYYMMDD-HHMMSS-PROCESS-NUMBER.emseg."""
    return recovery_folder() / f"{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}-{next(_numbers)}.emseg"


def is_unsaved(folder: Path) -> bool:
    """Whether a session lies in the recovery folder, so that the user has not named it."""
    return _real(folder).parent == _real(recovery_folder())


def is_in_recovery(path: Path) -> bool:
    """Whether a path is the recovery folder or lies in it, where *Discard* deletes."""
    return _real(path).is_relative_to(_real(recovery_folder()))


def refuse_place(folder: Path) -> None:
    """Raise `UserError` if no session may be saved there: among unsaved work, or inside of a session."""
    if is_in_recovery(folder):
        raise UserError(
            f"{folder.parent} is for work that was not saved, which can be deleted there; save in another "
            "folder."
        )
    around = (*folder.absolute().parents, *_real(folder).parents)
    session = next((one for one in around if one.suffix == SUFFIX), None)
    if session is not None:
        raise UserError(f"{folder} lies inside another session; choose a folder beside {session.name}.")


def recoverable() -> list[Recovery]:
    """Return the sessions with labels that no window has open, the last changed first."""
    here = recovery_folder()
    unsaved = {_real(folder) for folder in here.glob("*.emseg")} if here.is_dir() else set()
    markers = _markers()  # after that: a session that begins meanwhile has its marker, or is not listed
    open_now = {folder for folder, alive in markers.values() if alive}
    left = {folder for folder, _ in markers.values()} | unsaved
    found = [_described(folder) for folder in left - open_now]
    return sorted((one for one in found if one.slices), key=lambda one: one.when, reverse=True)


def open_elsewhere(folder: str | Path) -> bool:
    """Whether a window, of this process or another one, or another computer's, has a session open."""
    return (_real(folder), True) in _markers().values() or in_use(folder)


def discard(folder: str | Path) -> None:
    """Remove a session from the recoverable ones; an unsaved one is deleted, a named one stays as it is.

    Raises
    ------
    UserError
        If it cannot be deleted.
    """
    if open_elsewhere(folder):
        return
    _remove_markers(_real(folder))
    if is_unsaved(Path(folder)):
        files.remove(folder)


class Marker:
    """File that marks a session as open in this process, until `close` or the end of the process.

    Parameters
    ----------
    folder : Path
        Of the session. Markers of it that a process left when it was killed are removed.
    """

    def __init__(self, folder: Path) -> None:
        here = files.writable_folder(recovery_folder())
        files.remove_leftovers(here, _ABANDONED_S)
        self._path = here / f"{os.getpid()}-{secrets.token_hex(4)}.open"
        self._file = self._path.open("x", encoding="utf-8")
        with suppress(OSError):  # no locks here
            lock_file(self._file)
        json.dump({"folder": str(_real(folder))}, self._file)
        self._file.flush()
        files.flush_file(self._file.fileno())
        _remove_markers(_real(folder))

    def close(self) -> None:
        """Take the marker away: the session was left as it should be."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _markers() -> dict[Path, tuple[Path, bool]]:
    """Return for every marker the session's folder, and whether its process lives."""
    here, found = recovery_folder(), {}
    for path in here.glob("*.open") if here.is_dir() else ():
        with suppress(UserError, OSError, TypeError, KeyError):  # being made or removed at this moment
            found[path] = Path(files.read_json(path)["folder"]), is_locked(path)
    return found


def _remove_markers(folder: Path) -> None:
    """Remove the markers of a session whose processes are gone."""
    for path, (marked, alive) in _markers().items():
        if marked == folder and not alive:
            path.unlink(missing_ok=True)


def _described(folder: Path) -> Recovery:
    image, labels = "", "labels"
    with suppress(UserError):
        contents = read_contents(folder)
        image, labels = Path(contents.image or contents.name).name, contents.labels
    slices = list(slice_files(folder / labels).values())
    times = [0.0]
    for path in (folder / CONTENTS, *slices):
        with suppress(OSError):  # another window may be discarding it
            times.append(path.stat().st_mtime)
    when = datetime.fromtimestamp(max(times))
    return Recovery(folder, when, image, len(slices), not is_unsaved(folder))


def _real(folder: str | Path) -> Path:
    return Path(os.path.realpath(folder))
