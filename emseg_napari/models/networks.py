"""Networks by their names: those of this program, and imported ones, whose layers a checkpoint states."""

from __future__ import annotations

from pathlib import Path

import keras

from emseg_napari.core.jobs import UserError
from emseg_napari.models import keras_graph, unet
from emseg_napari.models.keras_files import network_of
from emseg_napari.models.onnx_export import onnx_model
from emseg_napari.settings import NetworkName


def build(network: NetworkName, mixed_precision: bool = False, start: Path | None = None) -> keras.Model:
    """Build a network; its weights are to be loaded.

    Parameters
    ----------
    network : str
        "compact", "reference" or "imported".
    mixed_precision : bool
        Compute in bfloat16 with float32 weights and output.
    start : Path, optional
        A ``.keras`` file, of which an imported network has its layers.

    Raises
    ------
    UserError
        If an imported network has no such file, or is to compute in bfloat16.
    """
    if network != "imported":
        return unet.build(network, mixed_precision)
    if start is None:
        raise UserError(
            "An imported network has no layers without the run that it starts from; choose that run."
        )
    if mixed_precision:
        raise UserError("An imported network is trained in float32; choose that precision.", ("precision",))
    return network_of(start)


def onnx_of(model: keras.Model, network: NetworkName) -> bytes:
    """Write a network, of that name, as an ONNX file's content."""
    if network == "imported":
        return keras_graph.onnx_of(model)
    content: bytes = onnx_model(model).SerializeToString()
    return content
