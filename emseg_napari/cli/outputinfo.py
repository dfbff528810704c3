"""What ``emseg info`` prints of a prediction or of cells: their own record in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import InstanceSettings, with_present_names

_SOFTWARE = {"emseg-napari predict": "prediction", "emseg-napari segment": "cells"}
_SOURCES = {
    "probability": "the boundary probability",
    "interior": "the interior probability",
    "labels": "the boundary and interior labels",
}


def read_output(path: Path) -> dict[str, Any]:
    """Return what a prediction or cells say of themselves.

    Raises
    ------
    UserError
        If the file or folder holds none of ours.
    """
    from emseg_napari.segmentation.boundary import read_record  # loads scipy, which runs do without

    record = read_record(path)
    if record.get("software") not in _SOFTWARE:
        raise UserError(
            f"{path} is no run folder, and nothing that 'emseg predict' or 'emseg segment' wrote; choose one."
        )
    return record


def output_lines(path: Path, record: dict[str, Any]) -> list[str]:
    """Say what is in an output, what it was made from, and how."""
    lines = [f"{path}: {_SOFTWARE[record['software']]}, {record['values']}"]
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
    default = InstanceSettings().model_dump()
    return {name: value for name, value in with_present_names(settings).items() if value != default.get(name)}
