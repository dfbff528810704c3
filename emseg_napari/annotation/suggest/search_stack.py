"""Search of a whole stack for places to look at: the network's probability against the labels."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emseg_napari.annotation.suggest import Place, places_of_slice
from emseg_napari.core.jobs import Event, JobContext, Progress
from emseg_napari.inference import load_predictor
from emseg_napari.inference.stack import check_prediction_scale
from emseg_napari.io.readable_slices import ReadableSlices
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import PredictionSettings


@dataclass(frozen=True)
class SliceSearched(Event):
    """The places of one slice, the largest gain first."""

    z: int
    places: list[Place]


def search_places(
    image: np.ndarray,
    labels: np.ndarray | SparseStack,
    run: Run | Path | str,
    context: JobContext | None = None,
    *,
    settings: PredictionSettings | None = None,
    confirmed: Collection[int] = (),
    first: int = 0,
) -> None:
    """Report the places of all slices that are not confirmed, those near slice `first` first.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x).
    labels : numpy.ndarray or SparseStack
        uint8 (z, y, x), 0 to 4: the state of every pixel (see `emseg_napari.core.labels`).
    run : Run, Path or str
        Whose network doubts.
    context : JobContext, optional
        Gets a `SliceSearched` and a `Progress` for each slice, or a `SliceLeftOut` if it cannot be read.
    settings : PredictionSettings, optional
        How it predicts, such as at another scale than its own; of all slices that are not confirmed.
    confirmed : collection of int
        Slices that need no look.
    first : int
        The slice in view.

    Raises
    ------
    UserError
        If the run cannot be used, or not at that scale.
    """
    context, settings = context or JobContext(), settings or PredictionSettings()
    run = run if isinstance(run, Run) else open_run(run)
    check_prediction_scale(run, settings, image.shape[1:], math.prod(image.shape[1:]))
    predictor = load_predictor(run, settings)
    slices = ReadableSlices(in_slabs(image), context.report)
    order = sorted(set(range(len(labels))).difference(confirmed), key=lambda z: (abs(z - first), z))
    started = time.monotonic()
    for done, z in enumerate(order, start=1):
        context.check_stop()
        if (plane := slices.read(z)) is not None:
            around = [labels[n] if 0 <= n < len(labels) else None for n in (z - 1, z + 1)]
            probability, spread = predictor.probability_and_spread(plane, context.should_stop)
            context.report(SliceSearched(z, places_of_slice(z, labels[z], probability, spread, around)))
        left = (time.monotonic() - started) / done * (len(order) - done)
        context.report(Progress(done / len(order), left, f"slice {z} searched"))
