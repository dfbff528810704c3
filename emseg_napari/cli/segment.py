"""``emseg segment``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from emseg_napari import __version__
from emseg_napari.cli.guard import Stopped, guarded, stop_on_interrupt
from emseg_napari.cli.inputs import STACK, JsonOption, check_tiff_place
from emseg_napari.cli.options import given_values, with_options_of
from emseg_napari.cli.reporting import reporting, show_result
from emseg_napari.jobs import Cancelled, UserError
from emseg_napari.settings import InstanceSettings, validated
from emseg_napari.stacks import read_description, write_stack

SOFTWARE = "emseg-napari segment"
# What `emseg predict` says of its file holds for the cells too: by it `emseg evaluate` knows the run.
INHERITED = ("run", "run_folder", "image", "slices", "fingerprints")


@guarded
@with_options_of(InstanceSettings)
def segment(
    probability: Annotated[
        Path,
        typer.Argument(
            metavar="PROBABILITY", help=f"Boundary probability as 'emseg predict' writes it: {STACK}."
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="CELLS.tif", help="TIFF file to write.")],
    kind: Annotated[
        Literal["labels", "probability"] | None,
        typer.Option(
            "--as",
            help="What PROBABILITY holds. labels: 0 boundary and 255 interior; probability: of the "
            "boundary, float 0 to 1 or uint8 0 to 255. When not given, the file tells.",
        ),
    ] = None,
    interior: Annotated[
        bool, typer.Option("--interior", help="PROBABILITY holds the probability of the interior.")
    ] = False,
    as_json: JsonOption = False,
    **options: Any,
) -> None:
    """Divide the slices of a boundary probability into cells, and write their numbers."""
    if interior and kind == "labels":
        raise UserError("--as labels and --interior exclude each other; give one of them.")
    settings = validated(InstanceSettings, **given_values(InstanceSettings, options))
    _check_target(output, probability)
    from emseg_napari.scoring.predictions import (
        read_prediction,  # loads scipy, which other commands do without
    )

    started = time.monotonic()
    found = read_prediction(probability, kind, interior)
    boundary = 1 - found.interior(0, len(found.values))
    try:
        cells = _segment(boundary, settings)
    except (Cancelled, KeyboardInterrupt):
        raise Stopped(f"Stopped; {output} was not written.") from None
    figures = _figures(cells, probability, settings)
    write_stack(output, _smallest_type(cells), _inherited(found.record) | figures)
    _show(output, figures, time.monotonic() - started, as_json)


def _check_target(output: Path, source: Path) -> None:
    """Refuse at once what could not be written at the end, and to overwrite what we did not write."""
    check_tiff_place(output)
    if output.exists() and source.exists() and output.samefile(source):
        raise UserError(f"{output} is the probability itself and would be lost; choose another --output.")
    if output.exists() and read_description(output).get("software") != SOFTWARE:
        raise UserError(
            f"{output} exists and holds no cells of an earlier time; choose another name, or remove it first."
        )


def _segment(boundary: np.ndarray, settings: InstanceSettings) -> np.ndarray:
    from emseg_napari.cells.instances import instances

    with stop_on_interrupt() as should_stop, reporting(sys.stderr, by_slices=True) as report:
        return instances(boundary, settings, report, should_stop)


def _figures(cells: np.ndarray, source: Path, settings: InstanceSettings) -> dict[str, Any]:
    return {
        "software": SOFTWARE,
        "version": __version__,
        "probability": source.name,
        "kind": "labels",
        "convention": "instances",
        "values": "every cell has a number of its own" + ("; 0 where two touch" if settings.outlines else ""),
        "cells": len(np.unique(cells[cells > 0])),
        "cells_per_slice": [len(np.unique(slice_[slice_ > 0])) for slice_ in cells],
        "settings": settings.model_dump(),
    }


def _inherited(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in INHERITED if name in record}


def _smallest_type(cells: np.ndarray) -> np.ndarray:
    """Give uint16 where the numbers fit, else int32."""
    return cells.astype(np.uint16) if cells.max() <= np.iinfo(np.uint16).max else cells


def _show(output: Path, figures: dict[str, Any], seconds: float, as_json: bool) -> None:
    per_slice = figures["cells_per_slice"]
    linked = "linked through the slices" if figures["settings"]["link"] else "each in its slice"
    sentence = (
        f"{output}: {len(per_slice)} slices, {np.mean(per_slice):.0f} cells in a slice, "
        f"{figures['cells']} in all, {linked}; {seconds:.1f} s"
    )
    show_result(sentence, {"output": str(output)} | figures | {"seconds": round(seconds, 2)}, as_json)
