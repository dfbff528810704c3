"""``emseg table``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from emseg_napari.cli.guard import Stopped, guarded
from emseg_napari.cli.inputs import STACK, JsonOption, parsed_location, parsed_path, say_notes
from emseg_napari.cli.reporting import job_context, quietly, show_result
from emseg_napari.core.files import check_place
from emseg_napari.core.jobs import Cancelled, UserError
from emseg_napari.core.labels import CONVENTIONS
from emseg_napari.core.text import counted
from emseg_napari.io.open import open_volume
from emseg_napari.io.records import KINDS, may_be_labels, record_of_path, recorded_kind
from emseg_napari.io.volume import Volume

CellsArgument = Annotated[
    Any,
    typer.Argument(
        parser=parsed_location,
        metavar="CELLS",
        help=f"Numbers of cells as 'emseg segment' writes them: {STACK}.",
    ),
]


@guarded
def table(
    cells: CellsArgument,
    output: Annotated[
        Path, typer.Option(parser=parsed_path, metavar="CELLS.csv", help="The table, for spreadsheets.")
    ],
    by_slice: Annotated[
        bool,
        typer.Option(
            "--by-slice", help="Numbers count for their slice: areas, not volumes. If no file says it."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write size, place and neighbours of every cell as CSV."""
    _check_target(output)
    record = quietly(record_of_path, cells)
    _check_record(cells.name, record)
    volume = quietly(open_volume, cells, fills=True, labels=True)
    say_notes(cells, volume)
    linked = not by_slice and bool(record.get("settings", {}).get("link", True))
    from emseg_napari.segmentation.cell_table import save_table  # loads numba, which others do without

    started = time.monotonic()
    try:
        with job_context(sys.stderr, by_slices=True) as context:
            count = save_table(volume, output, _pixel(volume, linked), linked, context)
    except (Cancelled, KeyboardInterrupt):
        raise Stopped(f"Stopped; {output} was not written.") from None
    seconds = round(time.monotonic() - started, 2)
    figures = {"output": str(output), "cells": count, "linked": linked, "seconds": seconds}
    show_result(f"{output}: {counted(count, 'cell')}; {seconds:.1f} s", figures, as_json)


def _check_target(output: Path) -> None:
    """Refuse at once what could not be written at the end, and to overwrite what is not a table."""
    check_place(output)
    if output.suffix.lower() != ".csv":
        raise UserError(f"{output} is not the name of a table; let it end in .csv.")
    from emseg_napari.segmentation.cell_table import is_table

    if output.exists() and not is_table(output):
        raise UserError(
            f"{output} exists and is not a table of cells; choose another name, or remove it first."
        )


def _check_record(name: str, record: Mapping[str, Any]) -> None:
    """Refuse what holds no numbers of cells by its record."""
    kind, convention = recorded_kind(record), record.get("convention", "instances")
    held = KINDS[kind] if kind and not may_be_labels(kind, record) else CONVENTIONS[convention]
    if held != CONVENTIONS["instances"]:
        raise UserError(f"{name} holds {held}; numbers of cells are needed, as 'emseg segment' writes them.")


def _pixel(volume: Volume, linked: bool) -> tuple[float, str] | None:
    """Return the volume of a voxel, or its area in the plane of slices, and the unit of its edges."""
    if volume.voxel is None:
        return None
    z, y, x = volume.voxel.size
    return (z * y * x if linked else y * x), volume.voxel.unit
