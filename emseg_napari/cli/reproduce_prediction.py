"""How predictions and cells are made again from their records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from emseg_napari.cli.predict_stack import predict_to_tiff
from emseg_napari.cli.predict_task import PredictTask
from emseg_napari.cli.predict_volume import predict_to_zarr
from emseg_napari.cli.reporting import blocks, quietly
from emseg_napari.cli.reproduction import Places, Recipe, place_of
from emseg_napari.cli.sentences import sentence_of
from emseg_napari.core.blockwise import LOCAL
from emseg_napari.core.jobs import BlockFailed, UserError
from emseg_napari.io.address import Address, Location
from emseg_napari.io.axes import Size
from emseg_napari.io.compare import compare_outputs
from emseg_napari.io.fingerprint import seen
from emseg_napari.io.made_with import MADE_WITH, changes_since
from emseg_napari.io.open import open_volume
from emseg_napari.io.records import COMPUTED_ON, Kind, other_scale
from emseg_napari.io.resume_check import LATER, MARKS
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.source_id import STATE, is_changed, state_of
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import CellSettings, PredictionSettings, validated, with_present_names

# What a record of before December 2026 does not state, with what was usual.
_USUAL = {"closed_gaps": "gaps are closed", "tile_px": "tiles are of the usual size"}


def prediction_recipe(path: Location, record: Mapping[str, Any], places: Places) -> Recipe:
    """Return how a prediction is made again.

    Raises
    ------
    UserError
        If it is not complete, or its run or image is gone or is another now.
    """
    from emseg_napari.inference.execution import PROCESSOR  # loads ONNX Runtime
    from emseg_napari.inference.prediction_record import circumstances, execution_in

    _check_complete(path)
    run = _run_of(path, record, places)
    image = place_of("image", record.get("source"), places.image, path)
    settings = _settings(path, record)
    _check_image(image, path, record, settings)
    execution = execution_in(record)
    task = PredictTask(run, image, path, record["kind"], settings, execution=execution or PROCESSOR)
    changes = changes_since(record, circumstances(settings, task.execution or PROCESSOR)[MADE_WITH])
    if execution is None:
        changes.append(f"it was computed on {record[COMPUTED_ON]}, which this machine does not have")

    def make(target: Path) -> None:
        new = replace(task, output=target)
        found = predict_to_zarr(new, LOCAL) if _is_zarr(path) else predict_to_tiff(new)
        _refuse_failures(found.failures)

    return Recipe(
        "prediction", make, lambda target: compare_outputs(path, target), changes, list(_open(record))
    )


def cells_recipe(path: Location, record: Mapping[str, Any], places: Places) -> Recipe:
    """Return how cells are made again.

    Raises
    ------
    UserError
        If they are not complete, or the probability is gone.
    """
    from emseg_napari.cli.segment import Source, segment_to_tiff
    from emseg_napari.cli.segment_volume import SegmentTask, segmented  # loads scipy
    from emseg_napari.segmentation.cells_record import cells_made_with

    _check_complete(path)
    probability = place_of("probability", record.get("source"), places.probability, path)
    settings = validated(
        CellSettings, **with_present_names(record["settings"]), **_later(record), shards=_shards(path)
    )
    kind: Kind | None = record["made_from"] if record["made_from"] in get_args(Kind) else None

    def make(target: Path) -> None:
        if _is_zarr(path):
            _refuse_failures(segmented(SegmentTask(probability, kind, target, settings), LOCAL).failures)
        else:
            segment_to_tiff(Source(probability, kind), target, settings)

    changes = changes_since(record, cells_made_with())
    changes += _changed_input(probability, record)
    return Recipe("cells", make, lambda target: compare_outputs(path, target), changes)


def _check_complete(path: Location) -> None:
    if not _is_zarr(path):
        return
    from emseg_napari.io.ome_zarr_writer import VolumeOutput  # loads Zarr

    if missing := len(VolumeOutput(path).missing()):
        raise UserError(
            f"{path} is not complete ({blocks(missing)} missing); resume it first, with the same command."
        )


def _run_of(path: Location, record: Mapping[str, Any], places: Places) -> Run:
    advice = "say with --run where the run lies that predicted it"
    try:
        run = open_run(places.run or record["run_folder"])
        mark = run.network_mark
    except (KeyError, OSError, UserError) as error:
        reason = "its record names no run" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} cannot be made again: {reason.rstrip('.')}; {advice}.") from None
    if record.get("network") not in (None, mark):
        raise UserError(
            f"{run.folder} is not the network that predicted {path}: it was trained anew, or is another run; "
            f"{advice}."
        )
    return run


def _settings(path: Location, record: Mapping[str, Any]) -> PredictionSettings:
    given = {
        "slices": tuple(record["slices"]),
        "threshold": record.get("threshold"),
        "scale": other_scale(record),
        "orientations": record.get("orientations"),
        "close_gaps": record.get("closed_gaps", True) is not None,
        "tile_px": record.get("tile_px"),
        "shards": _shards(path),
        **_later(record),
    }
    return validated(
        PredictionSettings, **{name: value for name, value in given.items() if value is not None}
    )


def _later(record: Mapping[str, Any]) -> dict[str, Any]:
    return {LATER: record[LATER]} if LATER in record else {}


def _open(record: Mapping[str, Any]) -> Iterator[str]:
    """Give sentences on what a record does not state."""
    for name in (name for name in _USUAL if name not in record):
        yield f"The record is of an earlier version and does not state {name}: {_USUAL[name]}."
    if MADE_WITH not in record:
        yield "The record does not state with which ONNX Runtime and processor it was made."
    if not any(record.get(MARKS, ())):
        yield "The record has no marks of the slices, so it is not known whether the image is the same."


def _check_image(
    image: Location, path: Location, record: Mapping[str, Any], settings: PredictionSettings
) -> None:
    """Raise `UserError` unless the slices of an image are those that were predicted."""
    volume = in_slabs(quietly(open_volume, image, fills=settings.missing_is_empty))
    first, end = record["slices"]
    if end > len(volume):
        raise UserError(f"{image} has no slice {end - 1}, of which {path} was made; say --image PATH.")
    for z, mark in zip(range(first, end), record.get(MARKS, ()), strict=False):
        if mark and not seen(volume[z], [mark]):
            raise UserError(
                f"Slice {z} of {image} is not the one that {path} was made of: the image was changed, or is "
                "another; say with --image where the former one lies."
            )


def _changed_input(probability: Location, record: Mapping[str, Any]) -> list[str]:
    then = record.get(STATE)
    if not then or not is_changed(then, state_of(quietly(open_volume, probability, fills=True), then)):
        return []
    return [f"{probability} was changed"]


def _is_zarr(path: Location) -> bool:
    return isinstance(path, Address) or path.is_dir()


def _shards(path: Location) -> Size | None:
    if not _is_zarr(path):
        return None
    from emseg_napari.io.ome_zarr_writer import VolumeOutput  # loads Zarr

    return VolumeOutput(path).layout.shard


def _refuse_failures(failures: tuple[BlockFailed, ...]) -> None:
    if failures:
        raise UserError(
            f"It cannot be made again as a whole: {blocks(len(failures))} failed, the first since: "
            f"{sentence_of(failures[0])}"
        )
