"""Lines of ``emseg info`` on a file: what is in it, and of an output of emseg its record in words."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location
from emseg_napari.io.axes import slices_text
from emseg_napari.io.description import FileDescription, stack_axes
from emseg_napari.io.open import describe, is_container
from emseg_napari.io.records import (
    COMPUTED_ON,
    CONVERT_SOFTWARE,
    KINDS,
    PREDICT_SOFTWARE,
    SEGMENT_SOFTWARE,
    other_scale,
    record_of_path,
)
from emseg_napari.settings import CellSettings, with_present_names

_CONTENT = {PREDICT_SOFTWARE: "prediction", SEGMENT_SOFTWARE: "cells", CONVERT_SOFTWARE: "copy"}
_SOURCES = {kind: f"the {words}" for kind, words in KINDS.items()} | {
    "labels": "the boundary and interior labels"
}


def read_file(path: Location) -> tuple[FileDescription, dict[str, Any]]:
    """Return what a file or folder says of its image or labels, and the record of what emseg wrote itself.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    record = record_of_path(path)
    # of a copy of cells with their image the record is that of the cells
    return _described(path, labels_first=record.get("software") == CONVERT_SOFTWARE), record


def _described(path: Location, labels_first: bool) -> FileDescription:
    """Describe an image, or labels if it can only be that; or the other way round."""
    try:
        return describe(path, labels=labels_first)
    except UserError as error:
        try:
            return describe(path, labels=not labels_first)
        except UserError:
            pass
        if isinstance(path, Path) and path.is_dir() and not is_container(path):
            raise UserError(f"{path} is neither a run folder nor an image: {error}") from error
        raise


def file_lines(path: Location, file: FileDescription, record: dict[str, Any]) -> list[str]:
    """Return in words what is in a file, and of an output of emseg what it was made from, and how."""
    if record.get("software") not in _CONTENT:
        return [f"{path}: {file.sentence()}"]
    first, *others = output_lines(path, record)
    return [first, file.sentence(), *others]


def file_figures(path: Location, file: FileDescription, record: dict[str, Any]) -> dict[str, Any]:
    """Return the same for --json."""
    figures = {
        "format": file.container,
        "shape": stack_axes(file).size(file.shape),
        "dtype": str(file.dtype),
        "voxel": None if file.voxel is None else asdict(file.voxel),
        "photometric": file.photometric,
        "notes": file.notes,
    }
    if record.get("software") not in _CONTENT:
        return {"file": str(path)} | figures
    return {"output": str(path)} | figures | record


def output_lines(path: Location, record: dict[str, Any]) -> list[str]:
    """Return in words what is in an output, what it was made from, and how."""
    lines = [f"{path}: {_CONTENT[record['software']]}{_of(record)}"]
    if "probability" in record:
        source = _SOURCES.get(record.get("made_from", ""), "")
        lines.append("made from " + f"{source} {record['probability']}".strip())
    if "run" in record:
        choices = _threshold(record) + _scale(record) + _computed_on(record)
        lines.append(f"predicted by the run {record['run']} in {record['run_folder']}{choices}")
    if {"image", "slices"} <= record.keys():
        lines.append(f"{slices_text(range(*record['slices']))} of {record['image']}")
    if changed := _changed(record.get("settings", {})):
        lines.append("other than by default: " + ", ".join(f"{k} {v}" for k, v in changed.items()))
    return [*lines, f"made with emseg-napari {record['version']}"]


def _of(record: dict[str, Any]) -> str:
    copied = record.get("converted_from", {}).get("file")
    return (f" of {copied}" if copied else "") + (f", {record['values']}" if "values" in record else "")


def _threshold(record: dict[str, Any]) -> str:
    return f", threshold {record['threshold']:.2f}" if "threshold" in record else ""


def _scale(record: dict[str, Any]) -> str:
    scale = other_scale(record)
    return "" if scale is None else f", scale {scale:g}"


def _computed_on(record: dict[str, Any]) -> str:
    return f"; computed on {record[COMPUTED_ON]}" if COMPUTED_ON in record else ""


def _changed(settings: dict[str, Any]) -> dict[str, Any]:
    default = CellSettings().model_dump()
    return {name: value for name, value in with_present_names(settings).items() if value != default.get(name)}
