"""Networks of packages and files in Keras's own format."""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers, ops

from emseg_napari.models import unet
from emseg_napari.models.checkpoints import load_checkpoint
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
