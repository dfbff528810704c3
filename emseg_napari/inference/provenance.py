"""What an output says of the prediction in it, by which a later one knows whether it may go on with it."""

from __future__ import annotations

from hashlib import sha256
from importlib.metadata import version
from typing import Any

from emseg_napari.inference.block_work import Kind, PredictionWork, threshold_of
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.source_id import origin
from emseg_napari.models.run import Run
from emseg_napari.segmentation.boundary import read_record
from emseg_napari.settings import PredictionSettings

SOFTWARE = "emseg-napari predict"
MEANING: dict[Kind, str] = {
    "labels": "0 = boundary, 255 = interior",
    "probability": "boundary probability, 0 to 255",
    "interior": "interior probability, 0 to 255",
}
# A run may be moved and an image renamed: what they are known by, and what they are called.
_NAMES = {
    ("network",): ("run", "run_folder"),
    ("source", "image_shape", "image_dtype"): ("image",),
}


def record_of(work: PredictionWork, run: Run, depth: int) -> dict[str, Any]:
    """Say what the bytes of an output of so many slices depend on.

    Run and image are called what they were called when the output was begun, if they are the same.
    """
    record = _record(work, run, depth)
    begun = read_record(work.output)
    same = [names for marks, names in _NAMES.items() if all(begun.get(n) == record[n] for n in marks)]
    return record | {name: begun[name] for names in same for name in names if name in begun}


def is_predicted_by(output: VolumeOutput, run: Run, settings: PredictionSettings) -> bool:
    """Say whether an output is a prediction by a run as it is now, with such settings."""
    record = output.record
    return all(record.get(name) == value for name, value in _method(run, settings).items())


def _record(work: PredictionWork, run: Run, depth: int) -> dict[str, Any]:
    settings, volume = work.settings, work.volume
    return {
        "software": SOFTWARE,
        "version": version("emseg-napari"),
        "run": work.run.name,
        "run_folder": str(work.run),
        "image": volume.name,
        "source": origin(volume),
        "image_shape": list(volume.shape),
        "image_dtype": str(volume.dtype),
        "slices": [work.first, work.first + depth],
        "kind": work.kind,
        "values": MEANING[work.kind],
        "tile_px": settings.tile_px,
        "missing_is_empty": settings.missing_is_empty,
        **_method(run, settings),
    } | ({"convention": "isbi"} if work.kind == "labels" else {})


def _method(run: Run, settings: PredictionSettings) -> dict[str, Any]:
    averaged = settings.average_orientations and run.settings.network == "compact"
    return {
        "network": _fingerprint(run),
        "threshold": threshold_of(run.record.threshold, settings),
        "orientations": 8 if averaged else 1,
        "closed_gaps": run.record.merge_threshold if settings.close_gaps else None,
    }


def _fingerprint(run: Run) -> str:
    """Name what a run predicts with."""
    file = run.ridge_file if run.settings.network == "ridge" else run.network_file
    made = [run.record.normalisation.model_dump_json(), str(run.record.scale)]
    return sha256(file.read_bytes() + "".join(made).encode()).hexdigest()[:16]
