"""Lines of ``emseg info`` on a prediction or on cells: their record in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.io.records import KINDS, PREDICT_SOFTWARE, SEGMENT_SOFTWARE, record_of_path
from emseg_napari.settings import CellSettings, with_present_names

_CONTENT = {PREDICT_SOFTWARE: "prediction", SEGMENT_SOFTWARE: "cells"}
_SOURCES = {kind: f"the {words}" for kind, words in KINDS.items()} | {
    "labels": "the boundary and interior labels"
}


def read_output(path: Path) -> dict[str, Any]:
    """Return the record of a prediction or of cells.

    Raises
    ------
    UserError
        If the file or folder holds neither.
    """
    record = record_of_path(path)
    if record.get("software") not in _CONTENT:
        raise UserError(
            f"{path} is neither a run folder nor an output of 'emseg predict' or 'emseg segment'; choose one."
        )
    return record


def output_lines(path: Path, record: dict[str, Any]) -> list[str]:
    """Return in words what is in an output, what it was made from, and how."""
    lines = [f"{path}: {_CONTENT[record['software']]}, {record['values']}"]
    if "probability" in record:
        source = _SOURCES.get(record.get("made_from", ""), "")
        lines.append("made from " + f"{source} {record['probability']}".strip())
    if "run" in record:
        lines.append(f"predicted by the run {record['run']} in {record['run_folder']}{_threshold(record)}")
    if {"image", "slices"} <= record.keys():
        first, end = record["slices"]
        lines.append(f"slices {first}:{end} of {record['image']}")
    if changed := _changed(record.get("settings", {})):
        lines.append("other than by default: " + ", ".join(f"{k} {v}" for k, v in changed.items()))
    return [*lines, f"made with emseg-napari {record['version']}"]


def _threshold(record: dict[str, Any]) -> str:
    return f", threshold {record['threshold']:.2f}" if "threshold" in record else ""


def _changed(settings: dict[str, Any]) -> dict[str, Any]:
    default = CellSettings().model_dump()
    return {name: value for name, value in with_present_names(settings).items() if value != default.get(name)}
