"""Devices of a training: processor cores, or one or several GPUs."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np

from emseg_napari.core.machine import processors, threads


class Devices:
    """Devices of this process, set up for training.

    GPUs allocate memory as they need it, and several share each batch.

    Parameters
    ----------
    names : list of str, optional
        TensorFlow's names of the devices that share the batches; all GPUs when not given.

    Attributes
    ----------
    words : str
        A sentence for the user.
    has_gpu : bool
    """

    def __init__(self, names: list[str] | None = None) -> None:
        self._strategy: Any = None
        # Read when TensorFlow is loaded or computes first; it knows no quotas of containers.
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads()))
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
        self.words = _words([tf.config.experimental.get_device_details(gpu) for gpu in gpus])
        self.has_gpu = bool(gpus)
        names = names or [f"GPU:{number}" for number in range(len(gpus))]
        if len(names) > 1:
            self._strategy = tf.distribute.MirroredStrategy(names)

    @property
    def count(self) -> int:
        """Number of devices that share a batch."""
        return self._strategy.num_replicas_in_sync if self._strategy else 1

    def scope(self) -> AbstractContextManager[Any]:
        """Return the context in which the network is built and compiled."""
        return self._strategy.scope() if self._strategy else nullcontext()

    def train_on_batch(self, model: keras.Model, image: np.ndarray, target: np.ndarray) -> float:
        """Do one step, each device on its part of the batch, and return the mean loss."""
        if self._strategy is None:
            return float(model.train_on_batch(image, target))
        return float(model.train_on_batch(self._share(image), self._share(target))) / self.count

    def warm_up(self, model: keras.Model, image: np.ndarray, target: np.ndarray) -> None:
        """Show Keras the shape of a whole batch, which it cannot infer from parts."""
        if self._strategy is not None:
            model.test_on_batch(image, target)

    def _share(self, batch: np.ndarray) -> Any:
        parts = np.array_split(batch, self.count)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: keras.ops.convert_to_tensor(parts[context.replica_id_in_sync_group])
        )


def _words(gpus: list[dict[str, Any]]) -> str:
    if gpus:
        names = sorted({str(gpu.get("device_name", "of unknown kind")) for gpu in gpus})
        return f"Computing on {len(gpus)} GPU{'s' * (len(gpus) > 1)} ({', '.join(names)})."
    cores = processors()
    said = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    used = min(cores, int(said) if said.isdecimal() and said.isascii() else cores)
    return f"Computing on the processor: {used} of {cores} cores; there is no GPU that TensorFlow can use."
