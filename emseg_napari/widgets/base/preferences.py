"""Remembered settings: one JSON file in the user's configuration folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from emseg_napari.core.files import read_json, write_json
from emseg_napari.core.jobs import UserError


def _file() -> Path:
    """Where the settings are; EMSEG_CONFIG_DIR moves them."""
    return Path(os.environ.get("EMSEG_CONFIG_DIR") or user_config_path("emseg-napari")) / "settings.json"


def _all() -> dict[str, Any]:
    try:
        found = read_json(_file())
    except UserError:  # none yet, or damaged: start empty
        return {}
    return found if isinstance(found, dict) else {}


def recall(section: str) -> dict[str, Any]:
    """Return what was remembered under `section`, {} if nothing."""
    found = _all().get(section, {})
    return found if isinstance(found, dict) else {}


def remember(section: str, values: dict[str, Any]) -> None:
    """Remember JSON values under `section`; if the disk is full, nothing is remembered."""
    file = _file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, _all() | {section: values})
    except (UserError, OSError):
        return


def recall_folder(use: str, otherwise: Path) -> Path:
    """Return the folder that was last used for "images", "runs" or "exports"."""
    found = recall("folders").get(use)
    return Path(found) if found and isinstance(found, str) else otherwise


def remember_folder(use: str, folder: Path) -> None:
    """Remember a folder for `recall_folder`."""
    remember("folders", recall("folders") | {use: str(folder)})
