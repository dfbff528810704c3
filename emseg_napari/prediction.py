"""Prediction: a run's network over slices, without Keras.

A large slice is cut into tiles that overlap by a halo as wide as the network sees, at
multiples of its coarsest grid, so the result has no seam.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from skimage.transform import resize

from emseg_napari.cells.gaps import close_gaps
from emseg_napari.inference import Finish, Network, load_network
from emseg_napari.jobs import (
    Cancelled,
    Progress,
    Report,
    ShouldStop,
    SlicePredicted,
    ignore,
    never,
)
from emseg_napari.patches import resample
from emseg_napari.runs import Run, RunRecord, open_run
from emseg_napari.settings import PredictionSettings
from emseg_napari.stacks import as_stack, check_image, check_range

# Both U-Nets: pooling by 16 in all, and no output pixel depends on an input pixel that is
# more than 112 away (sum over the levels of two 3x3 convolutions at their pixel size).
GRID_PX = 16
HALO_PX = 112

Window = tuple[slice, slice]


class SlicePredictor:
    """Predicts slices of any size with a network.

    Parameters
    ----------
    record : RunRecord
        Normalisation and scale of the run.
    network : callable
        Maps float32 (1, y, x, 1), y and x multiples of 16, to a boundary probability of
        the same shape.
    orientations : int
        Over how many of the eight flips and turns to average.
    tile_px : int
        Side of a tile in pixels, a multiple of 16.
    finish : callable
        Maps what the network gave for the whole slice, float32 (y, x), to the probability.
    """

    def __init__(
        self,
        record: RunRecord,
        network: Network,
        orientations: int = 1,
        tile_px: int = 1024,
        finish: Finish = lambda probability: probability,
    ) -> None:
        self._record, self._network, self._finish = record, network, finish
        self._orientations, self._tile_px = orientations, tile_px

    def probability(self, slice_: np.ndarray, should_stop: ShouldStop = never) -> np.ndarray:
        """Predict one slice.

        Parameters
        ----------
        slice_ : numpy.ndarray
            (y, x), any dtype and size.
        should_stop : callable
            Asked before each tile.

        Returns
        -------
        numpy.ndarray
            Boundary probability, float32 (y, x), 0 to 1.
        """
        image = resample(self._record.normalisation.apply(slice_), self._record.scale)
        total = np.zeros(image.shape, np.float32)
        for turns, flip in [(t, f) for f in (False, True) for t in range(4)][: self._orientations]:
            turned = np.rot90(image[:, ::-1] if flip else image, turns)
            back = np.rot90(self._tiled(turned, should_stop), -turns)
            total += back[:, ::-1] if flip else back
        total /= self._orientations
        total = self._finish(total)
        if total.shape == slice_.shape:
            return total
        return np.clip(resize(total, slice_.shape, order=1, preserve_range=True), 0, 1).astype(np.float32)

    def _tiled(self, image: np.ndarray, should_stop: ShouldStop) -> np.ndarray:
        """Run the network over a (y, x) network input of any size."""
        missing = [-n % GRID_PX for n in image.shape]
        padded = np.pad(
            image, [(0, m) for m in missing], mode="reflect" if min(image.shape) > GRID_PX else "edge"
        )
        result = np.empty(padded.shape, np.float32)
        for target, source, inner in tiles(padded.shape, self._tile_px):
            if should_stop():
                raise Cancelled
            tile = np.ascontiguousarray(padded[source])[None, ..., None]
            result[target] = self._network(tile)[0, ..., 0][inner]
        return result[: image.shape[0], : image.shape[1]]


def tiles(shape: tuple[int, ...], tile_px: int) -> Iterator[tuple[Window, Window, Window]]:
    """Yield windows that cover (y, x): where the result goes, what is read, what of it is kept."""
    for y in range(0, shape[0], tile_px):
        for x in range(0, shape[1], tile_px):
            axes = [_tile_axis(start, tile_px, n) for start, n in ((y, shape[0]), (x, shape[1]))]
            target, source, inner = zip(*axes, strict=True)
            yield target, source, inner


def _tile_axis(start: int, tile_px: int, length: int) -> tuple[slice, slice, slice]:
    stop = min(start + tile_px, length)
    first, last = max(0, start - HALO_PX), min(length, stop + HALO_PX)
    return slice(start, stop), slice(first, last), slice(start - first, stop - first)


def load_predictor(run: Run, settings: PredictionSettings) -> SlicePredictor:
    """Load what a run predicts with.

    Raises
    ------
    UserError
        If the run has no usable ``network.onnx`` (of a ridge filter ``ridge.json``).
    """
    orientations = 8 if settings.average_orientations and run.settings.network == "compact" else 1
    network, finish = load_network(run, settings.threads)
    return SlicePredictor(run.record, network, orientations, settings.tile_px, finish)


def predict(
    image: np.ndarray,
    run: Run | Path | str,
    settings: PredictionSettings | None = None,
    report: Report = ignore,
    should_stop: ShouldStop = never,
) -> np.ndarray:
    """Predict the boundary probability of slices.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x) or (y, x), integer or float, any size.
    run : Run, Path or str
        A finished run or its folder.
    settings : PredictionSettings, optional
    report : callable
        Gets a `SlicePredicted` and a `Progress` per slice.
    should_stop : callable
        When it answers True, `Cancelled` is raised.

    Returns
    -------
    numpy.ndarray
        float32 (z, y, x) of the chosen slices, 0 to 1, 1 = boundary; with `close_gaps` the lines that
        close gaps are raised to the threshold.
    """
    settings = settings or PredictionSettings()
    image = as_stack(image)
    first, end = check_range(settings.slices, len(image), "The image")
    check_image(image, "The image", range(first, end))
    run = run if isinstance(run, Run) else open_run(run)
    predictor = load_predictor(run, settings)
    result = np.empty((end - first, *image.shape[1:]), np.float32)
    left = _clock(end - first)
    for done, z in enumerate(range(first, end), start=1):
        result[done - 1] = _closed(
            predictor.probability(image[z], should_stop), run.record, settings, should_stop
        )
        report(SlicePredicted(z, result[done - 1]))
        report(Progress(done / (end - first), left(done), f"slice {z} predicted"))
    return result


def _closed(
    probability: np.ndarray, record: RunRecord, settings: PredictionSettings, should_stop: ShouldStop
) -> np.ndarray:
    if not settings.close_gaps:
        return probability
    threshold = record.threshold if settings.threshold is None else settings.threshold
    return close_gaps(probability, threshold, record.join_below, should_stop)


def _clock(total: int) -> Callable[[int], float]:
    """Return a function that says how many seconds are left after `done` of `total`."""
    started = time.monotonic()
    return lambda done: (time.monotonic() - started) / done * (total - done)
