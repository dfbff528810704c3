"""The public functions, for scripts and napari's console: the engine process does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.client import Engine
from emseg_napari.jobs import Failed, Finished, Report, SlicePredicted, UserError, ignore
from emseg_napari.runs import Run, open_run
from emseg_napari.settings import PredictionSettings, TrainingSettings, validated


def train(
    image: np.ndarray,
    labels: np.ndarray,
    output: Path | str,
    report: Report = ignore,
    resume: bool = False,
    **settings: Any,
) -> Run:
    """Train a network in the engine process.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x) or (y, x), uint8, uint16 or float, any scale of grey levels.
    labels : numpy.ndarray
        uint8 of the same shape: 0 unlabelled (counts for nothing), 1 boundary, 2 interior.
    output : Path or str
        The run folder to write.
    report : callable
        Gets the events of `emseg_napari.jobs` as they come.
    resume : bool
        Go on from the last checkpoint in `output`.
    **settings
        Fields of `emseg_napari.settings.TrainingSettings`, such as ``minutes=3`` or
        ``network="reference"``.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    UserError
        One sentence that says what is wrong and what to do.
    """
    recipe = TrainingSettings.recipe(**settings)
    arguments = {"image": np.asarray(image), "labels": np.asarray(labels), "settings": recipe}
    return _do("train", report, **arguments, folder=Path(output).absolute(), resume=resume)


def predict(image: np.ndarray, run: Run | Path | str, report: Report = ignore, **settings: Any) -> np.ndarray:
    """Predict the boundary probability of slices in the engine process.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x) or (y, x), any grey levels and size.
    run : Run, Path or str
        A finished run, its folder, or "starter", the network that comes with the package.
    report : callable
        Gets the events of `emseg_napari.jobs` as they come.
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
    _do("predict", collect, image=np.asarray(image), run=folder.absolute(), settings=chosen)
    return np.stack(found)


def _do(job: str, report: Report, **arguments: Any) -> Any:
    with Engine() as engine:
        for event in engine.run(job, **arguments):
            if isinstance(event, Failed):
                failure = UserError(event.text)
                if event.details:
                    failure.add_note(f"In the engine process:\n{event.details}")
                raise failure
            if isinstance(event, Finished):
                return event.result
            report(event)
    raise UserError("The engine gave no answer.")
