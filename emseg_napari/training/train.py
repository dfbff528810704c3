"""Entry point of every training: a network with Keras, or a baseline.

Keras and scikit-learn are imported only when the settings need them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import JobContext
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.volume import Volume
from emseg_napari.models.earlier_run import opened_replay, refuse_baseline
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import BASELINES, TrainingSettings


def run_training(
    image: np.ndarray | Volume,
    labels: np.ndarray | SparseStack,
    settings: TrainingSettings | None = None,
    context: JobContext | None = None,
    **arguments: Any,
) -> Run:
    """Train the network, or fit the baseline, that the settings name.

    Parameters, result and errors are those of `emseg_napari.training.trainer.train_network`. A baseline
    can be neither resumed nor replayed nor start from another run.
    """
    if arguments.get("resume"):
        refuse_baseline(open_run(Path(arguments["folder"])))
    elif replay := arguments.get("replay"):
        opened_replay(replay)
    elif settings is not None and settings.network in BASELINES:
        from emseg_napari.training.baselines.train import train_baseline

        return train_baseline(image, labels, settings, context, **arguments)
    # Also if the user set another backend: none of them trains here (benchmarks/README.md).
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from emseg_napari.training.trainer import train_network

    return train_network(image, labels, settings, context, **arguments)
