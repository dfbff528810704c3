"""The prediction of stacks that fit in memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emseg_napari.core.jobs import JobContext, Progress, ShouldStop, SlicePredicted, UserError, never
from emseg_napari.inference.backends import largest_tile, load_backend
from emseg_napari.inference.execution import PROCESSOR, Execution
from emseg_napari.inference.execution_choice import chosen_for, is_measured
from emseg_napari.inference.quick_look import quick_look
from emseg_napari.inference.slice_predictor import SlicePredictor
from emseg_napari.inference.tiles import whole
from emseg_napari.io.fingerprint import known_as
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.stacks import as_stack, check_image, check_range, refuse_unknown
from emseg_napari.io.volume import Volume, with_fill_value
from emseg_napari.models.resampling import check_scale
from emseg_napari.models.run import Run, RunRecord, open_run
from emseg_napari.models.starter import STARTER
from emseg_napari.segmentation.close_gaps import close_gaps, load_closing
from emseg_napari.segmentation.watershed import check_size
from emseg_napari.settings import BASELINES, PredictionSettings

# Of a slice as the network sees it: its probability, and what brings that back to full size.
_BYTES_A_PX = 16
_WARM_UP_PX = 64


def load_predictor(
    run: Run, settings: PredictionSettings, execution: Execution = PROCESSOR
) -> SlicePredictor:
    """Load what a run predicts with.

    Parameters
    ----------
    run : Run
    settings : PredictionSettings
    execution : Execution
        What its network is computed on: of `chosen_for`, or the processor, so that what is found (thresholds,
        scores, whether an image fits) is the same on every machine.

    Raises
    ------
    UserError
        If the run has no usable ``network.onnx`` (of a ridge filter ``ridge.json``).
    """
    orientations = settings.orientations_for(run.settings.network)
    record = run.record.model_copy(update={"scale": settings.scale_for(run.record.scale)})
    backend = load_backend(run, settings.threads, execution)
    return SlicePredictor(record, backend, orientations, settings.tile_px)


def check_prediction_scale(run: Run, settings: PredictionSettings, shape: tuple[int, ...], px: int) -> None:
    """Raise `UserError` if slices (y, x) cannot be predicted at a scale, `px` of their pixels at once."""
    if settings.scale is not None:
        patch_px = 1 if run.settings.network in BASELINES else run.settings.patch_px
        check_scale(settings.scale, shape, patch_px, px * _BYTES_A_PX)


def predict(
    image: np.ndarray,
    run: Run | Path | str,
    settings: PredictionSettings | None = None,
    context: JobContext | None = None,
    *,
    near: int | None = None,
    execution: Execution | None = None,
) -> np.ndarray:
    """Predict the boundary probability of slices.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x) or (y, x), integer or float, any size.
    run : Run, Path or str
        A finished run or its folder.
    settings : PredictionSettings, optional
    context : JobContext, optional
        Gets a `SlicePredicted` and a `Progress` per slice.
    near : int, optional
        The slice that a user looks at: it is predicted first, as `QuickLookReady`, too, if it is large, and
        the others follow outward from it. In the order of the slices when not given.
    execution : Execution, optional
        What the network is computed on; `execution_for` when not given.

    Returns
    -------
    numpy.ndarray
        float32 (z, y, x) of the chosen slices, 0 to 1, 1 = boundary; with `close_gaps` the lines that
        close gaps are raised to the threshold.
    """
    settings, context = settings or PredictionSettings(), context or JobContext()
    image = in_slabs(with_fill_value(as_stack(image), settings.missing_is_empty))
    first, end = check_range(settings.slices, len(image), "The image")
    # A user does not wait until a whole volume is decoded: its slices are checked one by one.
    one_by_one = near is not None and isinstance(image, Volume)
    check_image(image, "The image", [] if one_by_one else range(first, end))
    run = run if isinstance(run, Run) else open_run(run)
    check_prediction_scale(run, settings, image.shape[1:], math.prod(image.shape[1:]))
    if settings.close_gaps:
        check_size(image.shape[1:])
    predictor = load_predictor(run, settings, execution or execution_for(image.shape, run, settings, context))
    result = np.empty((end - first, *image.shape[1:]), np.float32)
    order = sorted(range(first, end), key=lambda z: (abs(z - (near or 0)), z))
    if near is not None:
        quick_look(predictor, image[order[0]], order[0], context)
    left = _clock(end - first)
    for done, z in enumerate(order, start=1):
        plane = image[z]
        if one_by_one:
            _refuse_unknown(plane, z)
        probability = _predicted(predictor, plane, run.record, settings, context.should_stop)
        result[z - first] = probability
        mark = known_as(plane, run.record.fingerprints)
        context.report(SlicePredicted(z, probability, mark))
        context.report(Progress(done / (end - first), left(done), f"slice {z} predicted"))
    return result


def execution_for(
    shape: tuple[int, ...], run: Run, settings: PredictionSettings, context: JobContext
) -> Execution:
    """Return what a stack or volume (z, y, x) is best computed on here, see `chosen_for`."""
    return chosen_for(run, context, settings.threads, largest_tile(run, settings, shape[1:]))


def warm_up(should_stop: ShouldStop = never) -> None:
    """Spend now the seconds that the first prediction would spend before its first slice.

    `should_stop` says whether another job waits. Nothing is measured, since the window may be closed at any
    moment, which would count as an end of the program.
    """
    run, context = open_run(STARTER), JobContext(should_stop=should_stop)
    execution = chosen_for(run, context) if is_measured() else PROCESSOR
    predictor = load_predictor(run, PredictionSettings(), execution)
    predictor.probability(np.eye(_WARM_UP_PX, dtype=np.uint8), should_stop)
    load_closing()


def _refuse_unknown(plane: np.ndarray, z: int) -> None:
    try:
        refuse_unknown(plane)
    except UserError as error:
        raise UserError(f"Slice {z} cannot be predicted: {error}") from None


def _predicted(
    predictor: SlicePredictor,
    plane: np.ndarray,
    record: RunRecord,
    settings: PredictionSettings,
    should_stop: ShouldStop,
) -> np.ndarray:
    if not settings.close_gaps:
        return predictor.probability(plane, should_stop)
    threshold = settings.threshold_for(record.threshold)
    return predict_closed(predictor, plane, threshold, record.merge_threshold, should_stop)


def predict_closed(
    predictor: SlicePredictor,
    plane: np.ndarray,
    threshold: float,
    merge_threshold: float,
    should_stop: ShouldStop = never,
) -> np.ndarray:
    """Predict a slice, and close the gaps of its membranes.

    Parameters
    ----------
    predictor : SlicePredictor
    plane : numpy.ndarray
        (y, x), any dtype and size.
    threshold, merge_threshold : float
        See `close_gaps`, 0 to 1.
    should_stop : callable
        When it answers True, `Cancelled` is raised.

    Returns
    -------
    numpy.ndarray
        Boundary probability, float32 (y, x), 0 to 1.
    """
    levels, everything = predictor.levels(plane), whole(plane.shape)
    probability = predictor.window(plane, everything, levels, should_stop)
    inside = levels.inside or everything  # no gap is closed along a border
    probability[inside] = close_gaps(probability[inside], threshold, merge_threshold, should_stop)
    return probability


def _clock(total: int) -> Callable[[int], float]:
    """Return a function that estimates how many seconds are left after `done` of `total`."""
    started = time.monotonic()
    return lambda done: (time.monotonic() - started) / done * (total - done)
