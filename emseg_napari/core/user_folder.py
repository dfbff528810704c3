"""Folder of what is remembered for the user: the window's settings, and what was measured."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_config_path


def config_folder() -> Path:
    """Return the folder, which may not exist yet; EMSEG_CONFIG_DIR moves it."""
    return Path(os.environ.get("EMSEG_CONFIG_DIR") or user_config_path("emseg-napari"))
