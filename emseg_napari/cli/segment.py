"""``emseg segment``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from emseg_napari import __version__
from emseg_napari.cli.guard import Stopped, guarded
from emseg_napari.cli.inputs import (
    STACK,
    JsonOption,
    check_tiff_place,
    checked_kind,
    interior_option,
    kind_option,
    output_option,
    parsed_location,
    refuse_other_output,
    say_notes,
)
from emseg_napari.cli.options import given_values, with_options_of
from emseg_napari.cli.reporting import job_context, quietly, show_result
from emseg_napari.cli.scheduling import DryRunOption, is_volume, show_job_script, with_scheduler
from emseg_napari.cli.streams import echo
from emseg_napari.core.blockwise import LOCAL, Scheduler
from emseg_napari.core.jobs import Cancelled, UserError
from emseg_napari.core.owned_output import owned
from emseg_napari.core.text import counted
from emseg_napari.io.address import Location, local_path
from emseg_napari.io.made_with import MADE_WITH
from emseg_napari.io.open import display_name, is_container
from emseg_napari.io.records import SEGMENT_SOFTWARE, Kind
from emseg_napari.io.source_id import origin
from emseg_napari.io.stack_or_volume import open_prediction
from emseg_napari.io.stacks import write_stack
from emseg_napari.io.volume import Volume
from emseg_napari.segmentation.cells_record import cells_made_with, inherited, meaning
from emseg_napari.settings import CellSettings, validated

ProbabilityArgument = Annotated[
    Any,
    typer.Argument(
        parser=parsed_location,
        metavar="PROBABILITY",
        help=f"Boundary probability as 'emseg predict' writes it: {STACK}.",
    ),
]


@guarded
@with_options_of(CellSettings)
@with_scheduler
def segment(
    probability: ProbabilityArgument,
    output: Annotated[Any, output_option("CELLS")],
    kind: Annotated[Literal["labels", "probability"] | None, kind_option("PROBABILITY")] = None,
    interior: Annotated[bool, interior_option("PROBABILITY")] = False,
    scheduler: Scheduler = LOCAL,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    **options: Any,
) -> None:
    """Divide a boundary probability into numbered cells."""
    holds = checked_kind(kind, interior)
    settings = validated(CellSettings, **given_values(CellSettings, options))
    output = local_path(output)
    into_volume = is_volume(output, scheduler, settings)
    if dry_run:
        show_job_script(scheduler, as_json)
        return
    if into_volume:
        from emseg_napari.cli.segment_volume import (  # loads scipy, which others do without
            SegmentTask,
            segment_to_zarr,
        )

        segment_to_zarr(SegmentTask(probability, holds, output, settings), scheduler, as_json)
        return
    check_tiff_place(output)
    with owned(output):
        _check_target(output, probability)
        _show(output, segment_to_tiff(Source(probability, holds), output, settings), as_json)


@dataclass(frozen=True)
class Source:
    """What is divided into cells, and what the user states of it."""

    path: Location
    kind: Kind | None


def segment_to_tiff(source: Source, output: Path, settings: CellSettings) -> dict[str, Any]:
    """Divide a stack into cells as a whole, and return the figures."""
    started = time.monotonic()
    volume, record = quietly(open_prediction, source.path, source.kind, fills=settings.missing_is_empty)
    say_notes(source.path, volume)
    boundary, made_from, predicted = _read(source, volume, record)
    try:
        cells = _segment(boundary, settings)
    except (Cancelled, KeyboardInterrupt):
        raise Stopped(f"Stopped; {output} was not written.") from None
    figures = _figures(cells, source.path, made_from, settings)
    made = {"source": origin(volume), MADE_WITH: cells_made_with()}
    record = {**inherited(predicted), **figures, **made}
    write_stack(output, _smallest_type(cells), record, volume.voxel, volume.origin)
    return figures | {"seconds": round(time.monotonic() - started, 2)}


def _read(asked: Source, volume: Volume, record: dict[str, Any]) -> tuple[np.ndarray, str, Mapping[str, Any]]:
    """Return the boundary probability (z, y, x), uint8 0 to 255 or float 0 to 1, what it was, its record."""
    from emseg_napari.cli.segment_volume import NAMES, say_taken_for  # loads scipy, as the next
    from emseg_napari.evaluation.predictions import prediction_in
    from emseg_napari.evaluation.slice_alignment import taken_for
    from emseg_napari.segmentation.boundary import boundary_in

    if is_container(asked.path):
        source, record = boundary_in(volume, asked.kind, record)
        say_taken_for(source, asked.kind, record)
        return source.whole(), source.kind, record
    found = prediction_in(volume, asked.path, asked.kind, record)
    boundary = found.boundary()
    for note in filter(None, [taken_for(found, NAMES), found.doubt]):
        echo(note, err=True)
    return boundary, found.kind, found.record


def _check_target(output: Path, source: Location) -> None:
    """Refuse at once what could not be written at the end, and to overwrite a file of other origin."""
    if isinstance(source, Path) and output.exists() and source.exists() and output.samefile(source):
        raise UserError(f"{output} is the probability itself and would be lost; choose another --output.")
    refuse_other_output(output, SEGMENT_SOFTWARE)


def _segment(boundary: np.ndarray, settings: CellSettings) -> np.ndarray:
    from emseg_napari.segmentation.stack import segment_stack

    with job_context(sys.stderr, by_slices=True) as context:
        return segment_stack(boundary, settings, context)


def _figures(cells: np.ndarray, source: Location, made_from: str, settings: CellSettings) -> dict[str, Any]:
    return {
        "software": SEGMENT_SOFTWARE,
        "version": __version__,
        "probability": display_name(source),
        "made_from": made_from,
        "kind": "labels",
        "convention": "instances",
        "values": meaning(settings),
        "cells": len(np.unique(cells[cells > 0])),
        "cells_per_slice": [len(np.unique(slice_[slice_ > 0])) for slice_ in cells],
        "settings": settings.model_dump(exclude={"shards"}),
    }


def _smallest_type(cells: np.ndarray) -> np.ndarray:
    """Return uint16 where the numbers fit, else int32."""
    return cells.astype(np.uint16) if cells.max() <= np.iinfo(np.uint16).max else cells


def _show(output: Path, figures: dict[str, Any], as_json: bool) -> None:
    per_slice = figures["cells_per_slice"]
    linked = "linked through the slices" if figures["settings"]["link"] else "each in its slice"
    sentence = (
        f"{output}: {counted(len(per_slice), 'slice')}, {np.mean(per_slice):.0f} cells in a slice, "
        f"{figures['cells']} in all, {linked}; {figures['seconds']:.1f} s"
    )
    show_result(sentence, {"output": str(output)} | figures, as_json)
