"""One way into every training: it hands a training to Keras, or a baseline to its fit.

Nothing heavy is imported before it is known which one it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import JobContext
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.volume import Volume
from emseg_napari.models.run import Run, open_run, refuse_baseline
from emseg_napari.settings import BASELINES, TrainingSettings


def run_training(
    image: np.ndarray | Volume,
    labels: np.ndarray | SparseStack,
    settings: TrainingSettings | None = None,
    context: JobContext | None = None,
    **arguments: Any,
) -> Run:
    """Train whatever network the settings name.

    Parameters, result and errors are those of `emseg_napari.training.trainer.train_network`. A baseline
    can be neither resumed nor replayed nor start from another run.
    """
    earlier = arguments["folder"] if arguments.get("resume") else arguments.get("replay")
    if earlier:
        refuse_baseline(open_run(Path(earlier)))
    if settings is not None and settings.network in BASELINES and not earlier:
        from emseg_napari.training.baselines.train import train_baseline

        return train_baseline(image, labels, settings, context, **arguments)
    # Whatever backend the user set Keras to: no other trains here (benchmarks/README.md).
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from emseg_napari.training.trainer import train_network

    return train_network(image, labels, settings, context, **arguments)
