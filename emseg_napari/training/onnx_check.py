"""ONNX Runtime against Keras: do both compute the same from the weights of a run?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emseg_napari.core.jobs import JobContext
from emseg_napari.models.run import open_run


def compare_with_keras(image: np.ndarray, run: Path, context: JobContext) -> float:
    """Return by how much the boundary probabilities of both differ at most, 0 to 1.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 (y, x), multiples of the network's coarsest pixel.
    run : Path
        A finished run of a network.
    context : JobContext
    """
    from emseg_napari.models import unet
    from emseg_napari.models.checkpoints import difference_from_keras, load_checkpoint

    opened = open_run(run)
    model = unet.build(opened.settings.network)
    load_checkpoint(model, opened.best_checkpoint)
    context.check_stop()
    normalised = ((image - image.mean()) / image.std()).astype(np.float32)
    return difference_from_keras(model, opened.network_file, normalised[None, :, :, None])
