"""Remembered settings: some on a page of napari's Preferences, the others in one JSON file.

`napari.yaml` says which are on the page, by section and key; napari keeps them in a file of its own.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from napari.settings import get_plugin_settings

from emseg_napari.core.files import read_json, write_json
from emseg_napari.core.jobs import UserError
from emseg_napari.core.user_folder import config_folder


def _file() -> Path:
    return config_folder() / "settings.json"


def _all() -> dict[str, Any]:
    try:
        found = read_json(_file())
    except UserError:  # none yet, or damaged: start empty
        return {}
    return found if isinstance(found, dict) else {}


def _on_page(section: str) -> Any:
    """Return the settings of a section that the page has, None if it has none."""
    try:
        page = get_plugin_settings("emseg-napari")
    except KeyError:  # the plugin is disabled
        return None
    return getattr(page, section) if section in type(page).model_fields else None


def recall(section: str) -> dict[str, Any]:
    """Return what was remembered under `section`, {} if nothing."""
    found, on_page = _all().get(section, {}), _on_page(section)
    found = found if isinstance(found, dict) else {}
    if on_page is None:
        return found
    if found.keys() & type(on_page).model_fields:
        _take_over(section, found, on_page)
    return found | on_page.model_dump()


def _take_over(section: str, found: dict[str, Any], on_page: Any) -> None:
    """Move to the page what earlier builds remembered in the file; what was changed on the page counts."""
    fields = type(on_page).model_fields
    values = {key: value for key, value in found.items() if key not in fields}
    for key in found.keys() & fields:
        default = fields[key].default
        is_new = getattr(on_page, key) == default and isinstance(found[key], type(default))
        values[key] = found[key] if is_new else getattr(on_page, key)
    remember(section, values)


def remember(section: str, values: dict[str, Any]) -> None:
    """Remember JSON values under `section`; if the disk is full, nothing is remembered."""
    on_page = _on_page(section)
    shown = () if on_page is None else type(on_page).model_fields
    with suppress(UserError, OSError):
        for key in values.keys() & shown:
            setattr(on_page, key, values[key])  # napari writes its file
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, _all() | {section: {key: values[key] for key in values.keys() - shown}})


def recall_folder(use: str, otherwise: Path) -> Path:
    """Return the folder that was last used for "images" or "exports", or that is set for "runs"."""
    found = recall("folders").get(use)
    return Path(found).expanduser() if found and isinstance(found, str) else otherwise


def remember_folder(use: str, folder: Path) -> None:
    """Remember a folder for `recall_folder`."""
    remember("folders", recall("folders") | {use: str(folder)})
