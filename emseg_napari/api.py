"""The public functions, for scripts and napari's console: the engine process does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import Failed, Finished, Message, Report, SlicePredicted, UserError, ignore
from emseg_napari.core.labels import INTERIOR, normalise
from emseg_napari.engine.client import Engine
from emseg_napari.evaluation.independence import doubts_of_record, refuse_same
from emseg_napari.evaluation.pairing import paired
from emseg_napari.evaluation.predictions import Prediction, prediction_of
from emseg_napari.evaluation.scores import Evaluation
from emseg_napari.io.address import location_of
from emseg_napari.io.axes import shape_text
from emseg_napari.io.convert import Format
from emseg_napari.io.open import read_whole
from emseg_napari.io.records import Kind, record_of_volume
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.stack_or_volume import is_one_or_copy
from emseg_napari.io.stacks import as_stack, check_pair
from emseg_napari.io.volume import Volume, volume_of
from emseg_napari.models.earlier_run import opened_start, with_default_start
from emseg_napari.models.run import Run, open_run
from emseg_napari.models.run_folder import check_new_run, refuse_other_settings, resumable_run
from emseg_napari.settings import (
    CellSettings,
    EvaluationSettings,
    PredictionSettings,
    TrainingSettings,
    validated,
)


def train(
    image: np.ndarray | Volume,
    labels: np.ndarray | Volume,
    output: Path | str,
    report: Report = ignore,
    resume: bool = False,
    **settings: Any,
) -> Run:
    """Train a network in the engine process.

    Parameters
    ----------
    image : numpy.ndarray, Volume, or zarr or dask array
        (z, y, x) or (y, x), uint8, uint16 or float, any scale of grey levels. Of what is not in memory only
        the slices are read that have labels.
    labels : numpy.ndarray, Volume, or zarr or dask array
        uint8 of the same shape: 0 unlabelled (counts for nothing), 1 boundary, 2 interior. They are read
        slice by slice.
    output : Path or str
        The run folder to write.
    report : callable
        Gets the events of `emseg_napari.core.jobs` as they come.
    resume : bool
        Go on from the last checkpoint in `output`, with the settings that the run began with.
    **settings
        Fields of `emseg_napari.settings.TrainingSettings`, such as ``minutes=3`` or
        ``network="reference"``. A `compact` network starts from the starter network unless ``start`` names
        another run, or is "nothing": random weights.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    UserError
        One sentence that says what is wrong and what to do.
    """
    recipe = TrainingSettings.recipe(**(settings if resume else with_default_start(settings)))
    if resume:  # checked before the engine starts, as all that can be
        refuse_other_settings(resumable_run(output), settings)
    else:
        check_new_run(output)
        opened_start(recipe)
    arguments = {"image": _stack(image, "The image"), "labels": _labelled(labels), "settings": recipe}
    _say_notes(report, image, labels)
    return _do("train", report, **arguments, folder=Path(output).absolute(), resume=resume)


def predict(
    image: np.ndarray | Volume, run: Run | Path | str, report: Report = ignore, **settings: Any
) -> np.ndarray:
    """Predict the boundary probability of slices in the engine process.

    Parameters
    ----------
    image : numpy.ndarray, Volume, or zarr or dask array
        (z, y, x) or (y, x), any grey levels and size.
    run : Run, Path or str
        A finished run, its folder, or "starter", the network that comes with the package.
    report : callable
        Gets the events of `emseg_napari.core.jobs` as they come.
    **settings
        Fields of `emseg_napari.settings.PredictionSettings`, such as ``slices=(20, 24)``.

    Returns
    -------
    numpy.ndarray
        float32 (z, y, x) of the chosen slices, 0 to 1, 1 = boundary.

    Raises
    ------
    UserError
        One sentence that says what is wrong and what to do.
    """
    found: list[np.ndarray] = []

    def collect(event: Any) -> None:
        if isinstance(event, SlicePredicted):
            found.append(event.probability)
        report(event)

    folder = (run if isinstance(run, Run) else open_run(run)).folder
    chosen = validated(PredictionSettings, **settings)
    _say_notes(report, image)
    _do("predict", collect, image=_stack(image, "The image"), run=folder.absolute(), settings=chosen)
    return np.stack(found)


def evaluate(
    prediction: np.ndarray | Volume,
    labels: np.ndarray | Volume,
    run: Run | Path | str | None = None,
    report: Report = ignore,
    *,
    kind: Kind | None = None,
    image: np.ndarray | Volume | None = None,
    **settings: Any,
) -> Evaluation:
    """Score a prediction against labels in the engine process, as ``emseg evaluate`` does.

    Parameters
    ----------
    prediction : numpy.ndarray, Volume, or zarr or dask array
        (z, y, x) or (y, x) of all slices, or of exactly the range ``slices``: a boundary probability, as
        floats from 0 to 1 or uint8 from 0 to 255; or labels, 1 boundary and 2 interior.
    labels : numpy.ndarray, Volume, or zarr or dask array
        uint8 (z, y, x) or (y, x): 0 unlabelled (counts for nothing), 1 boundary, 2 interior.
    run : Run, Path or str, optional
        The run that made the prediction: its threshold is taken, and slices that it was trained on are
        left out where others have labels. Of a Volume that `emseg predict` wrote it is known.
    report : callable
        Gets the events of `emseg_napari.core.jobs` as they come.
    kind : str, optional
        What the prediction holds: "probability" (of the boundary), "interior" (its probability) or
        "labels". When not given, what the file of a Volume states, else recognised by its values.
    image : numpy.ndarray, Volume, or zarr or dask array, optional
        The image of the labels, of the same shape: by its grey values those slices are recognised that the
        run was trained on; else by what the file of a Volume states, or only by their numbers.
    **settings
        Fields of `emseg_napari.settings.EvaluationSettings`: ``slices=(8, 16)``, ``threshold=0.5`` (of the
        interior probability).

    Returns
    -------
    Evaluation
        The scores of the ISBI 2012 challenge, of all slices and of each.

    Raises
    ------
    UserError
        One sentence that says what is wrong and what to do.
    """
    chosen = validated(EvaluationSettings, **settings)
    if _are_one(prediction, labels):
        refuse_same()
    known = normalise(_array(labels, "The labels"), "The labels", "napari")
    shown = None if image is None else as_stack(_stack(image, "The image"))
    if shown is not None:
        check_pair(shown, known, "The image", "The labels")
    pair = paired(_prediction(prediction, "The prediction", kind), known, chosen, run, image=shown)
    record = record_of_volume(labels) if isinstance(labels, Volume) else {}
    pair = pair.with_doubts(doubts_of_record(record, pair.is_equal))
    _say_notes(report, prediction, labels)
    for note in (pair.taken_for, *pair.notes):
        report(Message(note))
    return _do("evaluate", report, **pair.job)


def segment(
    probability: np.ndarray | Volume, report: Report = ignore, *, kind: Kind | None = None, **settings: Any
) -> np.ndarray:
    """Divide slices into cells in the engine process, as ``emseg segment`` does for what fits into memory.

    Parameters
    ----------
    probability : numpy.ndarray, Volume, or zarr or dask array
        (z, y, x) or (y, x): a boundary probability, as floats from 0 to 1 or uint8 from 0 to 255; or labels,
        1 boundary and 2 interior.
    report : callable
        Gets the events of `emseg_napari.core.jobs` as they come.
    kind : str, optional
        As for `evaluate`.
    **settings
        Fields of `emseg_napari.settings.CellSettings`, such as ``link=True``.

    Returns
    -------
    numpy.ndarray
        int32 (z, y, x): every pixel has the number of its cell, from 1.

    Raises
    ------
    UserError
        One sentence that says what is wrong and what to do.
    """
    chosen = validated(CellSettings, **settings)
    boundary = _prediction(probability, "The probability", kind).boundary()
    _say_notes(report, probability)
    cells: np.ndarray = _do("segment", report, probability=boundary, settings=chosen)
    return cells


def convert(
    stack: np.ndarray | Volume, output: Path | str, to: Format, report: Report = ignore, **choices: Any
) -> dict[str, Any]:
    """Write cells, labels, a probability or an image for another program, as ``emseg convert`` does.

    Parameters
    ----------
    stack : numpy.ndarray, Volume, or zarr or dask array
        (z, y, x) or (y, x), of any size. Only a Volume has a size of voxels and a place.
    output : Path or str
        The folder to write, for "tiff" a file.
    to : str
        One of `emseg_napari.io.convert.FORMATS`: "ome-zarr", "ome-zarr-0.4", "precomputed", "webknossos",
        "tiles" or "tiff".
    report : callable
        Gets the events of `emseg_napari.core.jobs` as they come.
    **choices
        Fields of `emseg_napari.io.convert.Conversion`: ``labels=True``, ``slices=(20, 24)``,
        ``image=volume``.

    Returns
    -------
    dict
        What was written.

    Raises
    ------
    UserError
        One sentence that says what is wrong and what to do.
    """
    volume = volume_of(_stack(stack, "The stack"), "The stack")
    _say_notes(report, volume)
    record = record_of_volume(volume)
    given = {"volume": volume, "output": location_of(output).absolute(), "to": to, "record": record}
    written: dict[str, Any] = _do("convert", report, **given, **choices)
    return written


def _prediction(array: Any, name: str, kind: Kind | None) -> Prediction:
    values, record = _array(array, name), record_of_volume(array) if isinstance(array, Volume) else {}
    if not record and values.dtype.kind in "ui" and values.max() <= INTERIOR:
        record = {"convention": "napari"}
    return prediction_of(values, name, kind, record)


def _are_one(one: Any, other: Any) -> bool:
    """Whether two stacks are one array, or read one file or copies of it."""
    if isinstance(one, Volume) and isinstance(other, Volume) and one.source and other.source:
        return is_one_or_copy(location_of(one.source), location_of(other.source))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and np.shares_memory(one, other)
    return one is other


def _array(array: Any, name: str) -> np.ndarray:
    """Return an array (z, y, x) in memory."""
    found = _stack(array, name)
    values = as_stack(read_whole(found) if isinstance(found, Volume) else found)
    if values.ndim != 3 or not values.size:
        size = shape_text(values.shape) or "a single number"
        raise UserError(f"{name} is not a stack of slices ({size}); give one with the axes (z, y, x).")
    return values


def _stack(array: Any, name: str) -> np.ndarray | Volume:
    """Return an array in memory, or a volume of one that reads itself."""
    if isinstance(array, Volume):
        return array
    lazy = hasattr(array, "chunks") or isinstance(array, np.memmap)
    return volume_of(array, name) if lazy else np.asarray(array)


def _say_notes(report: Report, *stacks: Any) -> None:
    """Report what of the files of volumes was read in another way than it is stored."""
    for stack in stacks:
        file = stack.description if isinstance(stack, Volume) else None
        for note in file.notes if file else ():
            report(Message(f"{stack.name}: {note}"))


def _labelled(labels: Any) -> np.ndarray | SparseStack:
    """Return the slices with labels: the others need not go to the other process."""
    stack = as_stack(_stack(labels, "The labels"))
    return SparseStack.of(stack) if stack.ndim == 3 else stack


def _do(job: str, report: Report, **arguments: Any) -> Any:
    with Engine() as engine:
        for event in engine.run(job, **arguments):
            if isinstance(event, Failed):
                failure = UserError(event.text, event.settings)
                if event.details:
                    failure.add_note(f"In the engine process:\n{event.details}")
                raise failure
            if isinstance(event, Finished):
                return event.result
            report(event)
    raise UserError("The engine gave no answer.")
