"""The record that this package writes into the description of its TIFF files: JSON behind a mark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from emseg_napari.core.jobs import UserError

_OWN = "emseg-napari "  # before the JSON, which tifffile would otherwise take for its own format


class DamagedRecord(UserError):
    """A record that this package wrote, and that was damaged since: it is not JSON."""


def record_text(record: Mapping[str, Any]) -> str:
    """Return the description of a TIFF file that `own_record` reads."""
    return _OWN + json.dumps(record)


def own_record(text: str, name: str) -> dict[str, Any]:
    """Return the record in the description of a TIFF file; empty for a file of other origin.

    Parameters
    ----------
    text : str
        The description.
    name : str
        What the user calls the file; starts the sentence of an error.

    Raises
    ------
    DamagedRecord
        If it is one of ours that cannot be read.
    """
    if not text.startswith(_OWN):
        return {}
    try:
        record = json.loads(text.removeprefix(_OWN))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise DamagedRecord(
            f"{name} has a damaged record of emseg-napari in its description, so what its values mean is not "
            "known; copy it again, or save it anew with another program."
        )
    return record
