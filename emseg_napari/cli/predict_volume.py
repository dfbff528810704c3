"""``emseg predict`` into an OME-Zarr, for volumes of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from emseg_napari.cli.guard import FAULT
from emseg_napari.cli.inputs import say_notes
from emseg_napari.cli.reporting import (
    blocks,
    list_failures,
    quiet_libraries,
    quietly,
    resumable_job,
    show_result,
)
from emseg_napari.cli.sentences import sentence_of
from emseg_napari.cli.streams import echo
from emseg_napari.core.blockwise import Scheduler
from emseg_napari.core.jobs import UserError
from emseg_napari.core.machine import free_memory
from emseg_napari.io.address import Location
from emseg_napari.io.axes import slices_text
from emseg_napari.io.open import display_name, open_volume
from emseg_napari.io.records import Kind
from emseg_napari.io.resume_check import MARKS
from emseg_napari.io.source_id import STATE
from emseg_napari.models.run import Run
from emseg_napari.settings import PredictionSettings

if TYPE_CHECKING:
    from emseg_napari.inference.volume import VolumePrediction

_GIB = 2**30
# Of a stack that is predicted as a whole: the image, its probability and what is written.
_BYTES_A_VOXEL = 6


@dataclass(frozen=True)
class PredictTask:
    """What is predicted, and into what."""

    run: Run
    image: Location
    output: Location
    kind: Kind
    settings: PredictionSettings


def predict_to_zarr(task: PredictTask, scheduler: Scheduler, as_json: bool) -> None:
    """Predict a volume, or resume it, and report how many blocks were done; those that failed are listed.

    Raises
    ------
    typer.Exit
        If some blocks failed.
    """
    volume = quietly(open_volume, task.image)
    say_notes(task.image, volume)
    with quiet_libraries() as stream, resumable_job(stream, f"in {task.output}") as context:
        from emseg_napari.inference.fit import report_fit  # loads ONNX Runtime
        from emseg_napari.inference.plan import at_once_px
        from emseg_napari.inference.volume import VolumeTask, predict_volume

        report_fit(volume, task.run, task.settings, context, at_once_px(volume.shape))
        wanted = VolumeTask(task.output, task.settings, task.kind, scheduler=scheduler)
        found = predict_volume(volume, task.run, wanted, context)
    show_result(_sentence(task, found), _figures(task, found), as_json)
    if found.failures:
        list_failures(found.failures)
        if found.warning:
            echo(f"emseg: {found.warning}", err=True)
        raise typer.Exit(FAULT)


def check_memory(image: Location, settings: PredictionSettings) -> None:
    """Raise `UserError` if an image is too large to be predicted as a whole, as into a TIFF file."""
    try:
        volume = quietly(open_volume, image)
    except UserError:
        return  # reading it raises the reason
    first, end = settings.slices or (0, len(volume))
    chosen = volume.size // len(volume) * min(end - first, len(volume))
    needed, free = volume.nbytes + _BYTES_A_VOXEL * chosen, free_memory()
    if needed > free:
        raise UserError(
            f"{display_name(image)} takes about {needed / _GIB:.1f} GiB of memory to predict into a TIFF "
            f"file, and {free / _GIB:.1f} GiB are free; let the name of --output end in .zarr, which takes "
            "volumes of any size."
        )


def _sentence(task: PredictTask, found: VolumePrediction) -> str:
    slices = slices_text(range(*found.record["slices"]))
    parts = [
        f"{task.output}: {slices} of {display_name(task.image)}, {found.record['values']}; "
        f"threshold {found.record['threshold']:.2f}; {blocks(found.done)} predicted in {found.seconds:.1f} s"
    ]
    if found.done:
        parts.append(f"{_speed(found):.2f} megavoxels a second")
    if found.skipped:
        parts.append(f"{found.skipped} there before")
    if found.failures:
        parts.append(f"{len(found.failures)} failed")
    return ", ".join(parts)


def _figures(task: PredictTask, found: VolumePrediction) -> dict[str, Any]:
    return {
        "output": str(task.output),
        **{name: value for name, value in found.record.items() if name not in (MARKS, STATE)},
        "blocks_done": found.done,
        "blocks_skipped": found.skipped,
        "blocks_failed": len(found.failures),
        "failures": [
            {"block": list(failure.index), "text": sentence_of(failure)} for failure in found.failures
        ],
        "megavoxels_per_second": round(_speed(found), 3),
        "seconds": round(found.seconds, 2),
    }


def _speed(found: VolumePrediction) -> float:
    return found.voxels / 1e6 / found.seconds if found.seconds else 0.0
