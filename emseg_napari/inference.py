"""What a finished run maps images with: its U-Net or trees in ONNX Runtime, or its ridge filter."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from pydantic import ValidationError
from scipy import ndimage

from emseg_napari import ridge
from emseg_napari.features import RECIPE_KEY, FeatureRecipe, pixel_features
from emseg_napari.files import read_json
from emseg_napari.jobs import UserError
from emseg_napari.runs import Run

# Maps float32 (1, y, x, 1), y and x multiples of 16, to the same shape.
Network = Callable[[np.ndarray], np.ndarray]
# Maps what the network gave for a whole slice, float32 (y, x), to its boundary probability.
Finish = Callable[[np.ndarray], np.ndarray]


def load_network(run: Run, threads: int) -> tuple[Network, Finish]:
    """Load what a run predicts with.

    Parameters
    ----------
    run : Run
    threads : int
        Processor threads to use; 0 = as many as the process may.

    Raises
    ------
    UserError
        If its file is missing or damaged.
    """
    if run.settings.network == "ridge":
        fit = _ridge_fit(run.ridge_file)
        return _per_slice(lambda image: ridge.strength(image, fit.sigma_px, fit.dark)), (
            lambda strength: ridge.probability(strength, fit)
        )
    session = _session(run.network_file, threads)
    if run.settings.network == "trees":
        return _per_slice(_trees(session, run.network_file)), _unchanged
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0], _unchanged


def _unchanged(probability: np.ndarray) -> np.ndarray:
    return probability


def _per_slice(function: Callable[[np.ndarray], np.ndarray]) -> Network:
    return lambda image: function(image[0, ..., 0])[np.newaxis, ..., np.newaxis]


def _trees(session: onnxruntime.InferenceSession, path: Path) -> Callable[[np.ndarray], np.ndarray]:
    try:
        recipe = FeatureRecipe.model_validate_json(session.get_modelmeta().custom_metadata_map[RECIPE_KEY])
    except (KeyError, ValidationError):
        raise UserError(f"{path} holds no trees; choose another run, or train again.") from None

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


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise UserError(
            f"{path.parent} has no finished network (network.onnx); let its training end, or resume it."
        )
    options = onnxruntime.SessionOptions()
    # As TensorFlow does; the window's engine is told to leave a core free.
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0] or 0)
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception class for every status
        raise UserError(
            f"{path} cannot be loaded ({_first_line(error)}); it is damaged: train again."
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
