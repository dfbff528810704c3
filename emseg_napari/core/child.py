"""Python processes that this one starts: they import what this one would."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_FORMER = "EMSEG_FORMER_PYTHONPATH"  # empty if PYTHONPATH was not set


def command(module: str, *words: str) -> list[str]:
    """Return the command that runs a module.

    Nothing comes from the working folder (-P): a random.py beside the user's images is not Python's.
    """
    return [sys.executable, "-P", "-m", module, *words]


def module_path() -> dict[str, str]:
    """Return the environment variables with which such a process finds its modules."""
    return {
        "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[2])]),
        _FORMER: os.environ.get("PYTHONPATH", ""),
    }


def restore_environment() -> None:
    """Undo `module_path` in the process that it was given to, which has found its modules.

    Another Python that is started from there would take this one's modules for its own, and end.
    """
    former = os.environ.pop(_FORMER, None)
    if former:
        os.environ["PYTHONPATH"] = former
    elif former is not None:
        os.environ.pop("PYTHONPATH", None)
