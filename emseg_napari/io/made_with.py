"""With what an output was computed: what its bytes may depend on beside the choices of its user."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from emseg_napari.core.machine import processor_name

MADE_WITH = "made_with"  # what a record calls it
_PROCESSOR = "processor"


def made_with(**versions: str) -> dict[str, str]:
    """Return version of this package, of others as given, and the name of the processor."""
    return {"emseg-napari": version("emseg-napari"), **versions, _PROCESSOR: processor_name()}


def changes_since(record: Mapping[str, Any], now: Mapping[str, str]) -> list[str]:
    """Return in clauses what is otherwise now than when an output was made, by its record.

    Parameters
    ----------
    record : mapping
        Those of earlier versions name the version of emseg-napari only.
    now : mapping
        As `made_with` returns it.
    """
    then = {"emseg-napari": record.get("version"), **record.get(MADE_WITH, {})}
    return [
        f"{name} was {then[name]} and is {now[name]}"
        for name in now
        if then.get(name) is not None and then[name] != now[name]
    ]
