"""Networks of unknown makers in Keras files: read without running anything that they hold.

Only layers that Keras itself has, and of these only those that `keras_graph` writes, are ever built; the
weights are arrays. Nothing else of the file is read.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from emseg_napari.core.jobs import UserError
from emseg_napari.models.checkpoints import load_checkpoint
from emseg_napari.models.keras_graph import KNOWN

_MODELS = ("Functional", "Sequential", "Model")
_PARTS = ("keras.initializers", "keras.regularizers", "keras.constraints")
_MOST_BYTES = 64 * 2**20  # of the description of a network


def network_of(path: Path) -> keras.Model:
    """Build the network of a ``.keras`` file for images of any size, and read its weights.

    Parameters
    ----------
    path : Path

    Returns
    -------
    keras.Model
        Functional or sequential, not compiled; it maps (batch, y, x, channels).

    Raises
    ------
    UserError
        If the file is damaged, holds anything but layers that are known, or is not a network of one image.
    """
    config = _config(path)
    for module, name in _classes(config):
        if not _is_known(module, name):
            raise UserError(
                f"{path.name} holds '{name}' ({module}), which is not among the layers that emseg-napari "
                "reads, and could run code; ask its authors for ONNX weights."
            )
    try:
        model = keras.saving.deserialize_keras_object(_of_any_size(config), safe_mode=True)
    except Exception as error:  # Keras has many for a damaged configuration
        reason = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise UserError(
            f"{path.name} holds a network that cannot be built ({reason}); use its ONNX weights."
        ) from None
    load_checkpoint(model, path)
    return model


def _config(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("config.json")
            config = json.loads(archive.read(info)) if info.file_size <= _MOST_BYTES else None
    except Exception:  # an error of the archive, its compression, its text or its JSON
        config = None
    if not isinstance(config, dict) or config.get("class_name") not in _MODELS:
        raise UserError(
            f"{path.name} is damaged or no network that Keras 3 saved; save it again with keras.Model.save."
        )
    config = {name: value for name, value in config.items() if name != "compile_config"}
    return config


def _classes(config: Any) -> Iterator[tuple[str, str]]:
    """Yield module and class name of every object that a configuration describes."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield str(config.get("module") or ""), str(config["class_name"])
        for value in config.values():
            yield from _classes(value)
    elif isinstance(config, list):
        for value in config:
            yield from _classes(value)


def _is_known(module: str, name: str) -> bool:
    if name in ("__keras_tensor__", "__tuple__"):
        return True
    if name in _MODELS:
        return module in ("keras", "keras.models") or module.startswith("keras.src.models.")
    if name == "DTypePolicy":
        return module == "keras"
    return name in KNOWN if module == "keras.layers" else module in _PARTS


def _of_any_size(config: Any) -> Any:
    """Return a configuration whose input may have any height and width."""
    if isinstance(config, list):
        return [_of_any_size(value) for value in config]
    if not isinstance(config, dict):
        return config
    config = {name: _of_any_size(value) for name, value in config.items()}
    shape = config.get("config", {}).get("batch_shape") if config.get("class_name") == "InputLayer" else None
    if isinstance(shape, list) and len(shape) == 4:
        config["config"] = config["config"] | {"batch_shape": [None, None, None, shape[3]]}
    return config
