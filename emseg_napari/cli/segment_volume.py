"""``emseg segment`` into an OME-Zarr, for volumes of any size."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer

from emseg_napari.cli.guard import FAULT
from emseg_napari.cli.inputs import say_notes
from emseg_napari.cli.reporting import blocks, list_failures, quietly, resumable_job, show_result
from emseg_napari.cli.sentences import sentence_of
from emseg_napari.cli.streams import echo
from emseg_napari.core.blockwise import Scheduler
from emseg_napari.core.text import counted
from emseg_napari.evaluation.predictions import Reason
from emseg_napari.evaluation.slice_alignment import Names, reading_of
from emseg_napari.io.address import Location
from emseg_napari.io.records import Kind
from emseg_napari.io.resume_check import MARKS
from emseg_napari.io.source_id import STATE
from emseg_napari.segmentation.boundary import Boundary, open_boundary
from emseg_napari.segmentation.cells_record import cells_record
from emseg_napari.segmentation.volume import Destination, VolumeCells, segment_volume
from emseg_napari.settings import CellSettings

NAMES = Names(interior="add --interior")


@dataclass(frozen=True)
class SegmentTask:
    """What is divided into cells, and where they go."""

    probability: Location
    kind: Kind | None
    output: Path
    settings: CellSettings


def segment_to_zarr(task: SegmentTask, scheduler: Scheduler, as_json: bool) -> None:
    """Divide a volume into cells, or resume it; what could not be read is listed.

    Raises
    ------
    typer.Exit
        If some slices have no cells.
    """
    started = time.monotonic()
    found = segmented(task, scheduler)
    seconds = round(time.monotonic() - started, 2)
    show_result(_sentence(task, found, seconds), _figures(task, found, seconds), as_json)
    if found.failures:
        list_failures(found.failures)
        raise typer.Exit(FAULT)


def segmented(task: SegmentTask, scheduler: Scheduler) -> VolumeCells:
    """Divide a volume into cells, or resume it."""
    boundary, record = quietly(
        open_boundary, task.probability, task.kind, fills=task.settings.missing_is_empty
    )
    say_notes(task.probability, boundary.volume)
    say_taken_for(boundary, task.kind, record)
    destination = Destination(task.output, cells_record(boundary, record, task.settings))
    with resumable_job(sys.stderr, f"beside {task.output}") as context:
        return segment_volume(boundary, destination, task.settings, context, scheduler)


def say_taken_for(boundary: Boundary, given: Kind | None, record: Mapping[str, Any]) -> None:
    """Say on stderr what the values are taken for: as the user or the record states, else as floats are."""
    reason: Reason = "given" if given else "recorded" if record else "recognised"
    volume = boundary.volume
    echo(reading_of(volume.name, boundary.kind, volume.dtype == np.uint8, reason, NAMES), err=True)


def _sentence(task: SegmentTask, found: VolumeCells, seconds: float) -> str:
    if found.cells is None:
        return f"{task.output} was complete already."
    linked = "linked through the slices" if task.settings.link else "each in its slice"
    slices = counted(len(found.output), "slice")
    sentence = f"{task.output}: {slices}, {counted(found.cells, 'cell')} in all, {linked}; {seconds:.1f} s"
    return sentence + (f"; {blocks(len(found.failures))} failed" if found.failures else "")


def _figures(task: SegmentTask, found: VolumeCells, seconds: float) -> dict[str, Any]:
    return {
        "output": str(task.output),
        **{name: value for name, value in found.output.record.items() if name not in (MARKS, STATE)},
        "cells": found.cells,
        "blocks_failed": len(found.failures),
        "failures": [
            {"block": list(failure.index), "text": sentence_of(failure)} for failure in found.failures
        ],
        "seconds": seconds,
    }
