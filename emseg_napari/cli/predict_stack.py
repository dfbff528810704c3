"""``emseg predict`` into a TIFF file, for stacks that fit in memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari import __version__
from emseg_napari.cli.guard import Stopped
from emseg_napari.cli.inputs import check_tiff_place, checked_range, refuse_other_output, say_notes
from emseg_napari.cli.predict_task import Predicted, PredictTask
from emseg_napari.cli.reporting import job_context, quiet_libraries, quietly
from emseg_napari.core.jobs import Cancelled, UserError
from emseg_napari.core.labels import from_probability, to_isbi
from emseg_napari.core.machine import free_memory
from emseg_napari.core.owned_output import owned
from emseg_napari.io.address import Location
from emseg_napari.io.axes import slices_text
from emseg_napari.io.fingerprint import known_as
from emseg_napari.io.open import display_name, open_volume, read_whole
from emseg_napari.io.placing import shifted
from emseg_napari.io.records import PREDICT_SOFTWARE, Kind, complement, meaning_of, read_description
from emseg_napari.io.resume_check import MARKS, VERSION, ChangedChoices, Difference, differences
from emseg_napari.io.source_id import origin
from emseg_napari.io.stacks import supported, write_stack
from emseg_napari.settings import PredictionSettings

_GIB = 2**30
# Of a stack that is predicted as a whole: the image, its probability and what is written.
_BYTES_A_VOXEL = 6
# Run and image may be moved: the marks of network and slices say whether they are the same.
_MAY_DIFFER = ("run", "run_folder", "image", "source", VERSION)


def predict_to_tiff(task: PredictTask) -> Predicted:
    """Predict a stack as a whole."""
    output = check_tiff_place(task.output)
    with owned(output):
        _check_target(output, task.image)
        _check_memory(task.image, task.settings)
        return _predict_to_tiff(task, output)


def _predict_to_tiff(task: PredictTask, output: Path) -> Predicted:
    trained, settings = task.run, task.settings
    volume = quietly(open_volume, task.image, fills=settings.missing_is_empty)
    stack = supported(read_whole(volume))
    say_notes(task.image, volume)
    chosen = checked_range(settings.slices, stack, task.image)
    # By these marks `emseg evaluate` recognises the slices that the run was trained on.
    marks = [known_as(slice_, trained.record.fingerprints) for slice_ in stack[slice(*chosen)]]
    if task.resumes and output.exists():
        return _there(output, _choices(task, origin(volume), chosen), marks)
    started = time.monotonic()
    try:
        probability, circumstances = _predict(stack, task)
    except (Cancelled, KeyboardInterrupt):
        raise Stopped(f"Stopped; {output} was not written.") from None
    figures = _choices(task, origin(volume), chosen) | circumstances
    values = _values(probability, task.kind, figures["threshold"])
    place = volume.voxel, shifted(volume.origin, chosen[0], volume.voxel)
    write_stack(output, values, figures | {MARKS: marks}, *place)
    return _predicted(output, figures, time.monotonic() - started)


def _check_target(output: Path, image: Location) -> None:
    """Refuse at once what could not be written at the end, and to overwrite a file of other origin."""
    if isinstance(image, Path) and output.exists() and image.exists() and output.samefile(image):
        raise UserError(f"{output} is the image itself and would be lost; choose another --output.")
    refuse_other_output(output, PREDICT_SOFTWARE)


def _check_memory(image: Location, settings: PredictionSettings) -> None:
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
            f"file, and {free / _GIB:.1f} GiB are free; let the name of --output end in .zarr, or with "
            "--output-folder give --shards: OME-Zarr takes volumes of any size."
        )


def _there(output: Path, choices: Mapping[str, Any], marks: Sequence[str]) -> Predicted:
    """Return what is there already; raise `UserError` if that was made of another image or in another way."""
    record = read_description(output)
    same = {name: record.get(name) for name in choices}
    found = differences(_compared(same), _compared(choices))
    if not found and record.get(MARKS) != marks:
        found = [Difference("the image is another, or was changed since")]
    if found:
        raise ChangedChoices(output, found)
    return Predicted(f"{output} was complete already.", {"output": str(output)} | record, is_new=False)


def _compared(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _MAY_DIFFER}


def _predict(stack: np.ndarray, task: PredictTask) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the boundary probability, float32 (z, y, x), and on what else its values depend."""
    run, settings = task.run, task.settings
    with quiet_libraries() as stream, job_context(stream, by_slices=True) as shown:
        from emseg_napari import inference  # loads ONNX Runtime, which no other command needs
        from emseg_napari.inference.fit import report_fit
        from emseg_napari.inference.prediction_record import circumstances
        from emseg_napari.inference.stack import execution_for

        context = task.shown(shown)
        report_fit(stack, run, settings, context)
        execution = task.execution or execution_for(stack.shape, run, settings, context)
        probability = inference.predict(stack, run, settings, context, execution=execution)
        return probability, circumstances(settings, execution)


def _values(probability: np.ndarray, kind: Kind, threshold: float) -> np.ndarray:
    """Return (z, y, x) as it is written: uint8 labels, or a float32 probability."""
    if kind == "labels":
        return to_isbi(from_probability(probability, threshold))
    return probability if kind == "probability" else complement(probability)


def _choices(task: PredictTask, source: str, chosen: tuple[int, int]) -> dict[str, Any]:
    """Return the record of a prediction but for the circumstances in which it is computed."""
    run, kind = task.run, task.kind
    figures = {
        "software": PREDICT_SOFTWARE,
        "version": __version__,
        "run": run.folder.resolve().name,
        "run_folder": str(run.folder.resolve()),
        **quietly(_method, task),
        "image": display_name(task.image),
        "source": source,
        "slices": list(chosen),
        "kind": kind,
        "values": meaning_of(kind, 1),
    }
    return figures | ({"convention": "isbi"} if kind == "labels" else {})


def _method(task: PredictTask) -> dict[str, Any]:
    from emseg_napari.inference.prediction_record import method_of  # loads ONNX Runtime

    return method_of(task.run, task.settings)


def _predicted(output: Path, figures: dict[str, Any], seconds: float) -> Predicted:
    slices = slices_text(range(*figures["slices"]))
    sentence = (
        f"{output}: {slices} of {figures['image']}, {figures['values']}; "
        f"threshold {figures['threshold']:.2f}, {seconds:.1f} s"
    )
    return Predicted(sentence, {"output": str(output)} | figures | {"seconds": round(seconds, 2)})
