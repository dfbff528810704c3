"""Entry point of every training: a network with Keras, or a baseline.

Keras and scikit-learn are imported only when the settings need them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core.jobs import JobContext, ShouldStop, never
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.volume import Volume
from emseg_napari.models.earlier_run import opened_replay, opened_start, refuse_baseline, with_default_start
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import BASELINES, LiveSettings, TrainingSettings
from emseg_napari.training.keras_import import import_keras


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
    import_keras()
    from emseg_napari.training.trainer import train_network

    return train_network(image, labels, settings, context, **arguments)


def run_live(
    image: np.ndarray | Volume,
    labels: np.ndarray | SparseStack,
    settings: LiveSettings | None = None,
    context: JobContext | None = None,
    *,
    folder: Path | str,
) -> Run:
    """Learn live, see `emseg_napari.training.live.trainer.train_live`."""
    import_keras()
    from emseg_napari.training.live.trainer import train_live

    return train_live(image, labels, settings, context, folder=folder)


def warm_up(should_stop: ShouldStop = never) -> None:
    """Spend now the seconds that the first training from the starter would spend before its first step.

    `should_stop` says whether another job waits; it is asked before the parts that take long.
    """
    import_keras()
    if should_stop():
        return
    from emseg_napari.training.devices import Devices
    from emseg_napari.training.learner import Learner

    settings = TrainingSettings.recipe(**with_default_start({}))
    start = opened_start(settings)
    weights = None if start is None else start.best_checkpoint
    learner = Learner(settings, Devices(), settings.patch_px, weights)
    if should_stop():
        return
    batch = np.ones((settings.batch_size, settings.patch_px, settings.patch_px, 2), np.float32)
    learner.step(batch[..., :1], batch, 0.0)
    learner.close()
