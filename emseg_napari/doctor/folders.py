"""Folders that are written: may they be, and is there room?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_config_path

from emseg_napari.annotation.session.recovery import recovery_folder
from emseg_napari.core.user_folder import config_folder
from emseg_napari.doctor.finding import Finding, note, problem

_LEAST_GB, _ENOUGH_GB = 1, 5


def findings(runs: Path | None = None) -> Iterator[Finding]:
    """Give the folders.

    Parameters
    ----------
    runs : Path, optional
        Where runs are written; the window's default if not given.
    """
    yield folder("home", Path.home(), "to the home folder", "")
    yield folder("runs", runs or Path.home() / "emseg-runs", "runs", "Choose another folder on page Train.")
    unsaved = "Set EMSEG_DATA_DIR to a folder that is yours."
    yield folder("unsaved work", recovery_folder(), "work that was not saved", unsaved)
    own = "Set EMSEG_CONFIG_DIR to a folder that is yours."
    yield folder("settings", config_folder(), "what is remembered", own)
    yield folder("napari", user_config_path("napari"), "napari's settings", "")
    yield _temporary()


def folder(name: str, path: Path, what: str, otherwise: str) -> Finding:
    """Return whether a folder, which may not exist yet, can be written and has room.

    Parameters
    ----------
    name : str
    path : Path
    what : str
        What is written into it.
    otherwise : str
        What to do if it cannot be, besides mending its permissions.
    """
    there = next(one for one in (path, *path.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        return problem(
            name,
            f"{path}: cannot be written",
            f"In {there}, {what} cannot be written ({reason}).",
            f"Make that folder yours: sudo chown -R $USER {there}. {otherwise}".strip(),
        )
    free = shutil.disk_usage(there).free
    value = f"{path}: can be written, {free / 1e9:.0f} GB free"
    if free < _LEAST_GB * 1e9:
        return problem(name, value, f"The disk of {there} is nearly full.", f"Free some space. {otherwise}")
    if free < _ENOUGH_GB * 1e9:
        return note(name, value, f"The disk of {there} has little room for runs and predictions.")
    return Finding(name, value)


def _temporary() -> Finding:
    otherwise = "Set TMPDIR to a folder that is yours and has room."
    try:
        path = Path(tempfile.gettempdir())
    except OSError:
        return problem("temporary files", "no folder", "There is no folder for temporary files.", otherwise)
    return folder("temporary files", path, "temporary files", otherwise)
