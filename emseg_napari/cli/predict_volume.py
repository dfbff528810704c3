"""``emseg predict`` into an OME-Zarr, for volumes of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emseg_napari.cli.inputs import say_notes
from emseg_napari.cli.predict_task import Predicted, PredictTask
from emseg_napari.cli.reporting import blocks, quiet_libraries, quietly, resumable_job
from emseg_napari.cli.sentences import sentence_of
from emseg_napari.core.blockwise import Scheduler
from emseg_napari.io.axes import slices_text
from emseg_napari.io.open import display_name, open_volume
from emseg_napari.io.resume_check import MARKS
from emseg_napari.io.source_id import STATE

if TYPE_CHECKING:
    from emseg_napari.inference.volume import VolumePrediction


def predict_to_zarr(task: PredictTask, scheduler: Scheduler) -> Predicted:
    """Predict a volume, or resume it."""
    volume = quietly(open_volume, task.image)
    say_notes(task.image, volume)
    with quiet_libraries() as stream, resumable_job(stream, f"in {task.output}") as context:
        from emseg_napari.inference.fit import report_fit  # loads ONNX Runtime
        from emseg_napari.inference.plan import at_once_px
        from emseg_napari.inference.volume import VolumeTask, predict_volume

        context = task.shown(context)
        report_fit(volume, task.run, task.settings, context, at_once_px(volume.shape))
        wanted = VolumeTask(
            task.output, task.settings, task.kind, scheduler=scheduler, execution=task.execution
        )
        found = predict_volume(volume, task.run, wanted, context)
    is_new = bool(found.done or found.failures)
    return Predicted(_sentence(task, found), _figures(task, found), found.failures, found.warning, is_new)


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
