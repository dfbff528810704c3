"""Record of a predicted volume: the run, the image and the method.

By it a prediction is resumed only by the same run, of the same image, in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import onnxruntime

from emseg_napari.core.jobs import UserError
from emseg_napari.inference.block_work import PredictionWork
from emseg_napari.inference.execution import PROCESSOR, Execution, candidates
from emseg_napari.io.address import Location
from emseg_napari.io.made_with import MADE_WITH, made_with
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.records import COMPUTED_ON, PREDICT_SOFTWARE, meaning_of, record_of_path
from emseg_napari.io.source_id import STATE, origin, state_of
from emseg_napari.models.run import Run
from emseg_napari.settings import PredictionSettings

# A run may be moved and an image renamed: what they are known by, and what they are called.
_NAMES = {
    ("network",): ("run", "run_folder"),
    ("source", "image_shape", "image_dtype"): ("image",),
}


def record_of(work: PredictionWork, run: Run, depth: int) -> dict[str, Any]:
    """Return what the bytes of an output of so many slices depend on.

    Run and image are called what they were called when the output was begun, if they are the same.
    """
    begun = record_of_path(work.output)
    record = _record(work, run, depth) | {STATE: state_of(work.volume, begun.get(STATE))}
    same = [names for marks, names in _NAMES.items() if all(begun.get(n) == record[n] for n in marks)]
    return record | {name: begun[name] for names in same for name in names if name in begun}


def begun_on(output: Location) -> Execution | None:
    """Return what the blocks of an output are computed on, None if it is not begun.

    Raises
    ------
    UserError
        If this machine cannot compute so.
    """
    begun = record_of_path(output)
    if not begun:
        return None
    if (execution := execution_in(begun)) is None:
        raise UserError(
            f"{output} was begun on {begun[COMPUTED_ON]}, which this machine does not have, or may not use "
            "(EMSEG_ON_PROCESSOR); resume it on one that has, or choose another output."
        )
    return execution


def execution_in(record: Mapping[str, Any]) -> Execution | None:
    """Return what a prediction was computed on by its record; None if this machine cannot compute so."""
    stated = record.get(COMPUTED_ON, str(PROCESSOR))  # earlier versions computed on nothing else
    return next((one for one in (PROCESSOR, *candidates()) if str(one) == stated), None)


def is_predicted_by(output: VolumeOutput, run: Run, settings: PredictionSettings) -> bool:
    """Whether an output holds the boundary probability by a run as it is now, with such settings."""
    wanted = {"kind": "probability", **method_of(run, settings)}
    return all(output.record.get(name) == value for name, value in wanted.items())


def _record(work: PredictionWork, run: Run, depth: int) -> dict[str, Any]:
    settings, volume = work.settings, work.volume
    return {
        "software": PREDICT_SOFTWARE,
        "version": version("emseg-napari"),
        "run": work.run.name,
        "run_folder": str(work.run),
        "image": volume.name,
        "source": origin(volume),
        "image_shape": list(volume.shape),
        "image_dtype": str(volume.dtype),
        "slices": [work.first, work.first + depth],
        "kind": work.kind,
        "values": meaning_of(work.kind, 255),
        **method_of(run, settings),
        **circumstances(settings, work.execution),
    } | ({"convention": "isbi"} if work.kind == "labels" else {})


def circumstances(settings: PredictionSettings, execution: Execution) -> dict[str, Any]:
    """Return on what else, beside image, run and method, the bytes of a prediction depend."""
    computed_on = {} if execution == PROCESSOR else {COMPUTED_ON: str(execution)}
    return {
        "tile_px": settings.tile_px,
        "missing_is_empty": settings.missing_is_empty,
        **computed_on,
        MADE_WITH: made_with(onnxruntime=onnxruntime.__version__),
    }


def method_of(run: Run, settings: PredictionSettings) -> dict[str, Any]:
    """Return which network a run predicts with, and how."""
    return {
        "network": run.network_mark,
        "scale": settings.other_scale(run.record.scale),
        "threshold": settings.threshold_for(run.record.threshold),
        "orientations": settings.orientations_for(run.settings.network),
        "closed_gaps": run.record.merge_threshold if settings.close_gaps else None,
    }
