"""Backends of prediction: U-Net and trees in ONNX Runtime, and the ridge filter."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Event, Lock, Thread

import numpy as np
import onnxruntime
from pydantic import ValidationError
from scipy import ndimage

from emseg_napari.core import machine
from emseg_napari.core.files import read_json
from emseg_napari.core.jobs import Cancelled, ShouldStop, UserError, never
from emseg_napari.inference.execution import PROCESSOR, Execution
from emseg_napari.inference.grid import Grid
from emseg_napari.inference.sessions import first_line, is_on_gpu, loaded, session_of
from emseg_napari.inference.slice_predictor import Backend, Network, StoppableNetwork
from emseg_napari.inference.tiles import HALOS, WIDEST, Halo, halo_of
from emseg_napari.models import ridge
from emseg_napari.models.pixel_features import RECIPE_KEY, FeatureRecipe, pixel_features
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.settings import PredictionSettings
from emseg_napari.settings.titles import title_of

# What two strokes of the ridge filter's clean-up are seen to be connected by, where it sees but a window.
_CONTEXT_PX = 128
# The published network and the trees keep so much of a pixel that larger tiles would need several gigabytes.
_LARGEST_PX = {"compact": 2304, "reference": 512, "trees": 1024, "imported": 512}
_SECONDS_BETWEEN_QUESTIONS = 0.05
# A GPU computes one tile after the other, and DirectML takes no second one of a session meanwhile.
_GPU = Lock()


def load_backend(run: Run, threads: int, execution: Execution = PROCESSOR) -> Backend:
    """Load what a run predicts with.

    Parameters
    ----------
    run : Run
    threads : int
        Processor threads to use; 0 = as many as the process may.
    execution : Execution
        What a U-Net is computed on.

    Raises
    ------
    UserError
        If its file is missing or damaged.
    """
    network = run.settings.network
    if network == "ridge":
        fit = _ridge_fit(run.ridge_file)
        return Backend(
            _per_slice(lambda image: ridge.strength(image, fit.sigma_px, fit.dark)),
            halo_of(ridge.reach_px(fit.sigma_px)),
            finish=lambda strength: ridge.probability(strength, fit),
            context_px=_CONTEXT_PX,
        )
    session = session_of(run.network_file, threads, execution)
    if network == "trees":
        recipe = _recipe(session, run.network_file)
        return Backend(_per_slice(_trees(session, recipe)), halo_of(recipe.reach_px), _LARGEST_PX[network])
    return _network_backend(session, network, halo_of_run(run.settings.network, run.record))


def halo_of_run(network: str, record: RunRecord) -> Halo:
    """Return how far a network of that name looks, of a run with such a record."""
    if record.imported is not None and network == "imported":
        return halo_of(record.imported.halo_px, record.imported.grid_px)
    return HALOS.get(network, WIDEST)


def largest_tile(run: Run, settings: PredictionSettings, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (y, x) in pixels of the network: it is given no more of slices (y, x) at once."""
    network = run.settings.network
    px = min(settings.tile_px, _LARGEST_PX.get(network, settings.tile_px))
    halo = halo_of_run(network, run.record)
    # It may begin between two lines of the grid.
    most = _on_grid(px, halo) + halo.grid_px + halo.before + halo.after
    rows, columns = Grid(shape, settings.scale_for(run.record.scale)).shape
    return min(_on_grid(rows, halo), most), min(_on_grid(columns, halo), most)


def _on_grid(px: int, halo: Halo) -> int:
    return -(-px // halo.grid_px) * halo.grid_px


def backend_of(network: bytes, name: str, record: RunRecord) -> Backend:
    """Return what a network predicts with: an ONNX file's content, its name, and the record of its run."""
    return _network_backend(loaded(network, machine.threads()), name, halo_of_run(name, record))


def _network_backend(session: onnxruntime.InferenceSession, name: str, halo: Halo) -> Backend:
    run = stoppable(session)
    return Backend(lambda image: run(image, never), halo, _LARGEST_PX[name], stoppable=run)


def stoppable(session: onnxruntime.InferenceSession) -> StoppableNetwork:
    """Return what a session does, until it is asked to stop: then it ends within a tenth of a second or so.

    A tile of a large slice takes seconds, and an engine that does not listen for so long is ended, so that
    the next job would have to wait for a new one.
    """
    name = session.get_inputs()[0].name
    turn = _GPU if is_on_gpu(session) else nullcontext()

    def run(image: np.ndarray, should_stop: ShouldStop) -> np.ndarray:
        options, over = onnxruntime.RunOptions(), Event()
        watch = Thread(target=_watch, args=(options, over, should_stop), daemon=True)
        watch.start()
        try:
            with turn:
                found: np.ndarray = session.run(None, {name: image}, options)[0]
        except Exception as error:  # ONNX Runtime has one class for all that fails
            if options.terminate:
                raise Cancelled from error
            if is_on_gpu(session):
                raise UserError(_gpu_failed(error), ("tile_px",)) from error
            raise
        finally:
            over.set()
            watch.join()
        return found

    return run


def _gpu_failed(error: Exception) -> str:
    return (
        f"The GPU could not compute a tile ({first_line(error)}); close other programs that use it, or "
        f"choose a smaller {title_of('tile_px')}."
    )


def _watch(options: onnxruntime.RunOptions, over: Event, should_stop: ShouldStop) -> None:
    while not over.wait(_SECONDS_BETWEEN_QUESTIONS):
        if should_stop():
            options.terminate = True
            return


def _per_slice(function: Callable[[np.ndarray], np.ndarray]) -> Network:
    return lambda image: function(image[0, ..., 0])[np.newaxis, ..., np.newaxis]


def _recipe(session: onnxruntime.InferenceSession, path: Path) -> FeatureRecipe:
    try:
        return FeatureRecipe.model_validate_json(session.get_modelmeta().custom_metadata_map[RECIPE_KEY])
    except (KeyError, ValidationError):
        raise UserError(f"{path} holds no trees; choose another run, or train again.") from None


def _trees(
    session: onnxruntime.InferenceSession, recipe: FeatureRecipe
) -> Callable[[np.ndarray], np.ndarray]:
    def probability(image: np.ndarray) -> np.ndarray:
        features = pixel_features(image, recipe.sigmas_px)
        found = session.run(None, {"features": features.reshape(-1, features.shape[-1])})[0]
        return ndimage.gaussian_filter(found.reshape(image.shape), recipe.smoothing_px)

    return probability


def _ridge_fit(path: Path) -> ridge.RidgeFit:
    if not path.is_file():
        raise UserError(f"{path.parent} has no fitted filter (ridge.json); train again.")
    try:
        return ridge.RidgeFit(**read_json(path))
    except (ValidationError, TypeError):
        raise UserError(f"{path} is damaged; train again.") from None
