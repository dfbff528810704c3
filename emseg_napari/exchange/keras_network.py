"""Networks of packages and files in Keras's own format."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.onnx_network import Head
from emseg_napari.models import unet
from emseg_napari.models.checkpoints import export_onnx, load_checkpoint
from emseg_napari.models.keras_files import network_of
from emseg_napari.models.keras_graph import UnknownLayer, onnx_of
from emseg_napari.models.run import Run


def saved_with_median(run: Run, path: Path) -> None:
    """Write the kept weights of a run to a ``.keras`` file, without its optimiser, see `with_median`."""
    model = unet.build(run.settings.network)
    load_checkpoint(model, run.best_checkpoint)
    with_median(model).save(path)


def with_median(model: keras.Model) -> keras.Model:
    """Return a network of `models.unet` that subtracts the median of each image before.

    Its layers are those of the network, so that their weights are found under the same names.
    """
    image = keras.Input(model.input.shape[1:], name="image")
    steps = [
        (layer, layer.input, id(layer.output))
        for layer in model.layers
        if not isinstance(layer, layers.InputLayer)
    ]
    values = {id(model.input): image - ops.median(image, axis=(1, 2, 3), keepdims=True)}
    for layer, given, made in steps:
        inputs = [values[id(one)] for one in given] if isinstance(given, list) else values[id(given)]
        values[made] = layer(inputs)
    return keras.Model(image, values[id(model.output)])


def opened(path: Path) -> tuple[keras.Model, bytes]:
    """Read the network of a ``.keras`` file, and write it as ONNX.

    Raises
    ------
    UserError
        If it holds anything but layers that are known.
    """
    model = network_of(path)
    try:
        return model, onnx_of(model)
    except UnknownLayer as error:
        raise UserError(
            f"{path.name} cannot be predicted with: {error}, which emseg-napari does not write as ONNX; ask "
            "its authors for ONNX weights."
        ) from None


def written(model: keras.Model, head: Head, path: Path, side_px: int) -> bytes:
    """Write a network with its head to a ``.keras`` file, and return it as ONNX.

    Parameters
    ----------
    model : keras.Model
    head : Head
    path : Path
    side_px : int
        Of the image for which both are compared.

    Raises
    ------
    UserError
        If they differ.
    """
    headed = with_head(model, head)
    headed.save(path)
    export_onnx(headed, path.with_suffix(".onnx"), onnx_of(headed), side_px)
    return path.with_suffix(".onnx").read_bytes()


def with_head(model: keras.Model, head: Head) -> keras.Model:
    """Return a network that gives the boundary probability, of layers that stay as they are in a training."""
    value, taken = model.outputs[0], {layer.name for layer in model.layers}
    names = (name for name in map("head_{}".format, count()) if name not in taken)
    if head.activation == "sigmoid":
        value = layers.Activation("sigmoid", name=next(names))(value)
    elif head.activation == "softmax":
        value = layers.Softmax(name=next(names))(value)
    chosen = layers.Conv2D(1, 1, trainable=False, name=next(names))
    within = layers.ReLU(max_value=1.0, name=next(names))  # as the head of an ONNX network
    network = keras.Model(model.inputs[0], within(chosen(value)))
    kernel = np.zeros((1, 1, model.outputs[0].shape[-1], 1), np.float32)
    kernel[0, 0, head.channel] = -1 if head.inverted else 1
    chosen.set_weights([kernel, np.array([float(head.inverted)], np.float32)])
    return network
