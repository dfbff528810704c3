"""Python processes that this one starts: they import what this one would."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def command(module: str, *words: str) -> list[str]:
    """Return the command that runs a module.

    Nothing comes from the working folder (-P): a random.py beside the user's images is not Python's.
    """
    return [sys.executable, "-P", "-m", module, *words]


def module_path() -> dict[str, str]:
    """Return the environment variable with which such a process finds its modules."""
    return {"PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[2])])}
