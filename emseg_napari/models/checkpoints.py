"""Checkpoints of networks: atomic writing, safe reading, export to ONNX.

Only arrays are read, because a checkpoint from elsewhere could hold code.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime

from emseg_napari.core.files import atomic_write
from emseg_napari.core.jobs import UserError
from emseg_napari.models.onnx_export import onnx_model


def save_checkpoint(model: keras.Model, path: Path) -> None:
    """Write weights, optimiser and step to a ``.keras`` file, atomically."""
    with atomic_write(path) as temporary:
        model.save(temporary)


def load_checkpoint(model: keras.Model, path: Path) -> None:
    """Fill a network, and its optimiser if it is compiled, from a ``.keras`` file.

    The network itself is built by `emseg_napari.models.unet`, so no code and no layer of the file
    is ever run.

    Raises
    ------
    UserError
        If the file is missing, damaged, holds layers that are not Keras's own, or fits
        another network.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; choose another run, or train again.")
    _refuse_foreign_layers(path)
    try:
        model.load_weights(path)
    except Exception as error:  # Keras, HDF5 and zipfile each have their own for a damaged file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is damaged or holds another network ({reason}); train again.") from None


def _refuse_foreign_layers(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # Keras reads no part to its end, where wrong bytes are noticed
                raise ValueError
            config = json.loads(archive.read("config.json"))
    except Exception:  # an error of the archive, its compression, its text or its JSON
        raise UserError(f"{path} is damaged (not a whole .keras file); train again.") from None
    for module, name in _classes(config):
        if module.split(".")[0] != "keras" or name in (
            "Lambda",
            "TFSMLayer",
            "TorchModuleWrapper",
            "function",
        ):
            raise UserError(
                f"{path} holds {name}, a custom object that could run code, and is refused; "
                "use a run that emseg-napari trained."
            )


def _classes(config: Any) -> Iterator[tuple[str, str]]:
    """Yield module and class name of every object that a Keras configuration describes."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield str(config.get("module") or "keras"), str(config["class_name"])
        for key, value in config.items():
            # The compile configuration is not read either: the network is compiled anew.
            if key != "compile_config":
                yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)


def difference_from_keras(model: keras.Model, network: Path, image: np.ndarray) -> float:
    """Return by how much ONNX Runtime, on the processor, predicts otherwise than Keras at most.

    Parameters
    ----------
    model : keras.Model
    network : Path
        The ONNX file that was made of it.
    image : numpy.ndarray
        float32 (batch, y, x, 1), normalised.
    """
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: image})[0]
    return float(np.abs(found - keras.ops.convert_to_numpy(model(image, training=False))).max())


def export_onnx(model: keras.Model, path: Path, network: bytes | None = None, side_px: int = 32) -> None:
    """Write a float32 network to an ONNX file for `emseg_napari.inference`, atomically.

    Input and output are float32 (batch, y, x, 1) with free y and x, multiples of its coarsest pixel.

    Parameters
    ----------
    model : keras.Model
    path : Path
    network : bytes, optional
        The same as ONNX; as `models.onnx_export` writes it if not given.
    side_px : int
        Of the image for which both are compared.

    Raises
    ------
    UserError
        If the file predicts otherwise than Keras.
    """
    image = np.random.default_rng(0).normal(size=(1, side_px, side_px, 1)).astype(np.float32)
    with atomic_write(path) as temporary:
        temporary.write_bytes(network or onnx_model(model).SerializeToString())
        if not difference_from_keras(model, temporary, image) <= 1e-3:  # so is what is not a number
            raise UserError(
                f"{path} could not be written: the exported network predicts otherwise than Keras. "
                "Its weights are kept; install the versions of the constraints file and train again."
            )
