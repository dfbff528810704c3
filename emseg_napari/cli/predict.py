"""``emseg predict``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from emseg_napari import __version__
from emseg_napari.cli import predict_volume
from emseg_napari.cli.guard import Stopped, guarded
from emseg_napari.cli.inputs import (
    ImageArgument,
    JsonOption,
    RunArgument,
    check_tiff_place,
    checked_range,
    output_option,
    refuse_other_output,
    say_notes,
)
from emseg_napari.cli.options import given_values, with_options_of
from emseg_napari.cli.reporting import job_context, quiet_libraries, quietly, show_result
from emseg_napari.cli.scheduling import DryRunOption, is_volume, show_job_script, with_scheduler
from emseg_napari.core.blockwise import LOCAL, Scheduler
from emseg_napari.core.jobs import Cancelled, UserError
from emseg_napari.core.labels import from_probability, to_isbi
from emseg_napari.core.owned_output import owned
from emseg_napari.io.address import Location
from emseg_napari.io.axes import slices_text
from emseg_napari.io.fingerprint import known_as
from emseg_napari.io.open import display_name, open_volume, read_whole
from emseg_napari.io.placing import shifted
from emseg_napari.io.records import PREDICT_SOFTWARE, Kind, complement, meaning_of
from emseg_napari.io.stacks import supported, write_stack
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import PredictionSettings, validated


@guarded
@with_options_of(PredictionSettings)
@with_scheduler
def predict(
    run: RunArgument,
    image: ImageArgument,
    output: Annotated[Any, output_option("OUT")],
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
    """Predict the boundaries of a stack's slices and write exactly these slices."""
    settings = validated(PredictionSettings, **given_values(PredictionSettings, options))
    into_volume = is_volume(output, scheduler, settings)
    if dry_run:
        show_job_script(scheduler, as_json)
        return
    if into_volume:
        predict_volume.predict_to_zarr(
            predict_volume.PredictTask(open_run(run), image, output, kind, settings), scheduler, as_json
        )
        return
    output = check_tiff_place(output)
    with owned(output):
        _check_target(output, image)
        predict_volume.check_memory(image, settings)
        _predict_to_tiff(open_run(run), image, output, kind, settings, as_json)


def _predict_to_tiff(
    trained: Run, image: Location, output: Path, kind: Kind, settings: PredictionSettings, as_json: bool
) -> None:
    volume = quietly(open_volume, image, fills=settings.missing_is_empty)
    stack = supported(read_whole(volume))
    say_notes(image, volume)
    chosen = checked_range(settings.slices, stack, image)
    started = time.monotonic()
    try:
        probability = _predict(stack, trained, settings)
    except (Cancelled, KeyboardInterrupt):
        raise Stopped(f"Stopped; {output} was not written.") from None
    figures = _figures(trained, image, kind, chosen, settings)
    # By these marks `emseg evaluate` recognises the slices that the run was trained on.
    marks = [known_as(slice_, trained.record.fingerprints) for slice_ in stack[slice(*chosen)]]
    values = _values(probability, kind, figures["threshold"])
    place = volume.voxel, shifted(volume.origin, chosen[0], volume.voxel)
    write_stack(output, values, figures | {"fingerprints": marks}, *place)
    _show(output, figures, time.monotonic() - started, as_json)


def _check_target(output: Path, image: Location) -> None:
    """Refuse at once what could not be written at the end, and to overwrite a file of other origin."""
    if isinstance(image, Path) and output.exists() and image.exists() and output.samefile(image):
        raise UserError(f"{output} is the image itself and would be lost; choose another --output.")
    refuse_other_output(output, PREDICT_SOFTWARE)


def _predict(stack: np.ndarray, run: Run, settings: PredictionSettings) -> np.ndarray:
    with quiet_libraries() as stream, job_context(stream, by_slices=True) as context:
        from emseg_napari import inference  # loads ONNX Runtime, which no other command needs
        from emseg_napari.inference.fit import report_fit

        report_fit(stack, run, settings, context)
        return inference.predict(stack, run, settings, context)


def _values(probability: np.ndarray, kind: Kind, threshold: float) -> np.ndarray:
    """Return (z, y, x) as it is written: uint8 labels, or a float32 probability."""
    if kind == "labels":
        return to_isbi(from_probability(probability, threshold))
    return probability if kind == "probability" else complement(probability)


def _figures(
    run: Run, image: Location, kind: Kind, chosen: tuple[int, int], settings: PredictionSettings
) -> dict[str, Any]:
    figures = {
        "software": PREDICT_SOFTWARE,
        "version": __version__,
        "run": run.folder.resolve().name,
        "run_folder": str(run.folder.resolve()),
        "network": run.network_mark,
        "scale": settings.other_scale(run.record.scale),
        "orientations": settings.orientations_for(run.settings.network),
        "image": display_name(image),
        "slices": list(chosen),
        "kind": kind,
        "values": meaning_of(kind, 1),
        "threshold": settings.threshold_for(run.record.threshold),
    }
    return figures | ({"convention": "isbi"} if kind == "labels" else {})


def _show(output: Path, figures: dict[str, Any], seconds: float, as_json: bool) -> None:
    slices = slices_text(range(*figures["slices"]))
    sentence = (
        f"{output}: {slices} of {figures['image']}, {figures['values']}; "
        f"threshold {figures['threshold']:.2f}, {seconds:.1f} s"
    )
    show_result(sentence, {"output": str(output)} | figures | {"seconds": round(seconds, 2)}, as_json)
