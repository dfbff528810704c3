"""Folders that are written: may they be, and is there room?"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from platformdirs import user_cache_path, user_config_path

from emseg_napari.annotation.session.recovery import recovery_folder
from emseg_napari.core.user_folder import config_folder
from emseg_napari.doctor.finding import Finding, note, problem

_LEAST_GB, _ENOUGH_GB = 1, 5
# What to do besides mending permissions or removing files, by what lies in a folder.
_OTHERWISE = {
    "runs": "choose another folder on page Train",
    "unsaved work": "set EMSEG_DATA_DIR to a folder that is yours",
    "settings": "set EMSEG_CONFIG_DIR to a folder that is yours",
    "napari's settings": "set XDG_CONFIG_HOME (Linux) to a folder that is yours",
    "napari's icons": "set XDG_CACHE_HOME (Linux) to a folder that is yours",
    "temporary files": "set TMPDIR to a folder that is yours",
}


def findings(runs: Path | None = None) -> Iterator[Finding]:
    """Give the folders of the user; those that do not exist yet together, by where they would be made.

    Parameters
    ----------
    runs : Path, optional
        Where runs are written; the window's default if not given.
    """
    own = {
        "home": Path.home(),
        "runs": runs or Path.home() / "emseg-runs",
        "unsaved work": recovery_folder(),
        "settings": config_folder(),
    }
    yield from _by_place(own | _of_napari() | _temporary())


def of_napari() -> Iterator[Finding]:
    """Give the folders without which napari opens no window."""
    yield from _by_place(_of_napari())


def _of_napari() -> dict[str, Path]:
    given = {} if "NAPARI_CONFIG" in os.environ else {"napari's settings": user_config_path("napari")}
    return given | {"napari's icons": user_cache_path("napari")}


def _temporary() -> dict[str, Path]:
    try:
        return {"temporary files": Path(tempfile.gettempdir())}
    except OSError:  # none can be written: the system's is shown
        return {"temporary files": Path(os.environ.get("TMPDIR") or os.path.abspath(os.sep) + "tmp")}


def _by_place(folders: Mapping[str, Path]) -> Iterator[Finding]:
    places: dict[Path, list[str]] = {}
    for name, path in folders.items():
        there = next(one for one in (path, *path.parents) if one.exists())
        places.setdefault(there, []).append(name)
    for there, names in places.items():
        yield _place(there, names)


def _place(there: Path, names: list[str]) -> Finding:
    """Return whether a folder that exists can be written and has room for what belongs there."""
    others = "; ".join(_OTHERWISE[name] for name in names if name in _OTHERWISE)
    listed = ", ".join(names)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return problem(
            names[0],
            f"{there}: cannot be written",
            f"Nothing can be written in {there} ({error.strerror or error}), where these belong: {listed}.",
            f"Make that folder yours: sudo chown -R $USER {there}; or {others or 'choose another'}.",
        )
    free = shutil.disk_usage(there).free
    value = f"{there}: can be written, {free / 1e9:.0f} GB free" + f" ({listed})" * (len(names) > 1)
    if free < _LEAST_GB * 1e9:
        sentence = f"The disk of {there} is nearly full, where these belong: {listed}."
        return problem(names[0], value, sentence, f"Free some space; or {others or 'choose another'}.")
    if free < _ENOUGH_GB * 1e9:
        return note(names[0], value, f"The disk of {there} has little room for runs and predictions.")
    return Finding(names[0], value)
