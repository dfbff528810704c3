"""``emseg predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from emseg_napari.cli.guard import FAULT, guarded
from emseg_napari.cli.inputs import (
    STACK,
    JsonOption,
    RunArgument,
    output_option,
    parsed_location,
    parsed_path,
)
from emseg_napari.cli.options import given_values, with_options_of
from emseg_napari.cli.output_names import outputs_in
from emseg_napari.cli.predict_many import predict_many
from emseg_napari.cli.predict_stack import predict_to_tiff
from emseg_napari.cli.predict_task import Predicted, PredictTask
from emseg_napari.cli.predict_volume import predict_to_zarr
from emseg_napari.cli.reporting import list_failures, show_result
from emseg_napari.cli.scheduling import DryRunOption, is_volume, show_job_script, with_scheduler
from emseg_napari.cli.streams import echo
from emseg_napari.core.blockwise import LOCAL, Scheduler
from emseg_napari.core.files import writable_folder
from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location
from emseg_napari.io.containers import container_of, existing_part
from emseg_napari.io.records import Kind
from emseg_napari.models.run import open_run
from emseg_napari.settings import PredictionSettings, validated


@guarded
@with_options_of(PredictionSettings)
@with_scheduler
def predict(
    run: RunArgument,
    images: Annotated[
        list[Any],
        typer.Argument(parser=parsed_location, metavar="IMAGE", help=f"One image or more: {STACK}."),
    ],
    output: Annotated[Any, output_option("OUT")] = None,
    output_folder: Annotated[
        Path | None,
        typer.Option(
            parser=parsed_path,
            metavar="FOLDER",
            help="For several images, instead of --output: NAME.zarr is written there for a Zarr, N5 or "
            "precomputed volume, NAME.tif for any other image, and .zarr for all with --shards or "
            "--scheduler. The same command again does what is missing.",
        ),
    ] = None,
    kind: Annotated[
        Kind,
        typer.Option(
            "--as",
            help="labels: uint8, 0 boundary and 255 interior; probability: float32, 1 = boundary; "
            "interior: float32, 1 = interior; in OUT.zarr both are uint8, 255 = 1.",
        ),
    ] = "labels",
    scheduler: Scheduler = LOCAL,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    **options: Any,
) -> None:
    """Predict the boundaries of one stack or many.

    Exactly the chosen slices are written.
    """
    settings = validated(PredictionSettings, **given_values(PredictionSettings, options))
    images = _without(output_folder, images)
    _check_outputs(images, output, output_folder)
    in_blocks = scheduler.address is not None or settings.shards is not None
    outputs = [output] if output_folder is None else outputs_in(output_folder, images, in_blocks)
    into_volume = {one: is_volume(one, scheduler, settings) for one in outputs}
    if dry_run:
        show_job_script(scheduler, as_json)
        return

    def do(task: PredictTask) -> Predicted:
        return predict_to_zarr(task, scheduler) if into_volume[task.output] else predict_to_tiff(task)

    trained = open_run(run)
    tasks = [PredictTask(trained, *pair, kind, settings) for pair in zip(images, outputs, strict=True)]
    if output_folder is None:
        _show(do(tasks[0]), as_json)
        return
    predict_many(tasks, do, writable_folder(output_folder), as_json)


def _without(folder: Path | None, images: list[Location]) -> list[Location]:
    """Leave out what is named twice, and the output folder, which a pattern such as * gives when repeated."""
    others = list({one.absolute(): one for one in images if folder is None or one != folder}.values())
    if folder in images:
        echo(f"note: {folder} is the output folder, so it is not predicted.", err=True)
    return others


def _check_outputs(images: list[Location], output: Location | None, folder: Path | None) -> None:
    if not images:
        raise UserError(f"There is nothing to predict but {folder}, the output folder; name an image.")
    if output is not None and folder is not None:
        raise UserError("--output and --output-folder exclude each other; give one of them.")
    if output is None and folder is None:
        raise UserError(
            "It is not said where to write; give --output OUT.tif (or OUT.zarr), or for several images "
            "--output-folder FOLDER."
        )
    if folder is not None and (volume := _volume_around(folder.absolute())):
        raise UserError(
            f"{folder} is a volume or lies in one ({volume}), by its name or by what it holds; "
            "choose another --output-folder."
        )
    if output is not None and len(images) > 1:
        raise UserError(
            f"--output is for one image, but {len(images)} are given; give --output-folder FOLDER instead."
        )


def _volume_around(folder: Path) -> Path | None:
    """Return the container in which a folder lies or would be made."""
    return container_of(folder) or container_of(existing_part(folder))


def _show(found: Predicted, as_json: bool) -> None:
    show_result(found.sentence, found.figures, as_json)
    if found.failures:
        list_failures(found.failures)
        if found.warning:
            echo(f"emseg: {found.warning}", err=True)
        raise typer.Exit(FAULT)
