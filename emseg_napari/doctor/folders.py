"""Folders that are written: may they be, and is there room?"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import starmap
from pathlib import Path

from platformdirs import user_cache_path, user_config_path

from emseg_napari.annotation.session.recovery import recovery_folder
from emseg_napari.core.files import try_writing
from emseg_napari.core.user_folder import config_folder
from emseg_napari.doctor.finding import Finding, note, problem

_LEAST_GB, _ENOUGH_GB = 1, 5
# Variables of the environment that move what lies in a folder.
_MOVED_BY = {
    "unsaved work": "EMSEG_DATA_DIR",
    "settings": "EMSEG_CONFIG_DIR",
    "napari's settings": "XDG_CONFIG_HOME",
    "napari's icons": "XDG_CACHE_HOME",
    "temporary files": "TMPDIR",
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
    yield from starmap(_place, _by_place(own | _of_napari() | _temporary()))


def of_napari() -> Iterator[Finding]:
    """Give the folders without which napari opens no window; it needs no room there."""
    yield from starmap(_writing, _by_place(_of_napari()))


def _of_napari() -> dict[str, Path]:
    given = {} if "NAPARI_CONFIG" in os.environ else {"napari's settings": user_config_path("napari")}
    return given | {"napari's icons": user_cache_path("napari")}


def _temporary() -> dict[str, Path]:
    try:
        return {"temporary files": Path(tempfile.gettempdir())}
    except OSError:  # none of those that Python tries can be written
        return {"temporary files": Path(os.environ.get("TMPDIR", "/tmp"))}


def _by_place(folders: Mapping[str, Path]) -> Iterable[tuple[Path, list[str]]]:
    places: dict[Path, list[str]] = {}
    for name, path in folders.items():
        there = next(one for one in (path, *path.parents) if one.exists())
        places.setdefault(there, []).append(name)
    return places.items()


def _writing(there: Path, names: list[str]) -> Finding:
    """Return whether a folder that exists can be written."""
    listed = ", ".join(names)
    try:
        try_writing(there)
    except OSError as error:
        return problem(
            names[0],
            f"{there}: cannot be written",
            f"Nothing can be written in {there} ({error.strerror or error}), where this belongs: {listed}.",
            f"Make that folder yours (Linux, macOS: sudo chown -R $USER {there}), {_elsewhere(names)}",
        )
    return Finding(names[0], f"{there}: can be written")


def _place(there: Path, names: list[str]) -> Finding:
    """Return whether a folder that exists can be written and has room for what belongs there."""
    if (found := _writing(there, names)).state == "problem":
        return found
    listed = ", ".join(names)
    free = shutil.disk_usage(there).free
    value = f"{found.value}, {free / 1e9:.0f} GB free" + f" ({listed})" * (len(names) > 1)
    if free < _LEAST_GB * 1e9:
        sentence = f"The disk of {there} is nearly full, where this belongs: {listed}."
        return problem(names[0], value, sentence, f"Free some space, {_elsewhere(names)}")
    if free < _ENOUGH_GB * 1e9:
        return note(names[0], value, f"The disk of {there} has little room for runs and predictions.")
    return Finding(names[0], value)


def _elsewhere(names: list[str]) -> str:
    variables = ", ".join(_MOVED_BY[name] for name in names if name in _MOVED_BY)
    return f"or name other folders in the environment: {variables}." if variables else "or use another."
