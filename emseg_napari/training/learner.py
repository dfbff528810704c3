"""Network in training: weights, optimiser and devices, one step at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emseg_napari.core.files import OpenElsewhere
from emseg_napari.core.jobs import Message, Report, UserError
from emseg_napari.inference import SlicePredictor
from emseg_napari.inference.backends import backend_of
from emseg_napari.models import networks
from emseg_napari.models.checkpoints import export_onnx, load_checkpoint, save_checkpoint
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.devices import Devices
from emseg_napari.training.losses import anchored_loss, masked_loss


def compile_network(model: keras.Model, settings: TrainingSettings, anchored: bool = False) -> None:
    """Give a network its optimiser, AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), and its loss."""
    optimizer = keras.optimizers.AdamW(
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        beta_2=settings.beta_2,
        global_clipnorm=settings.clip_norm or None,
        use_ema=settings.averaging > 0,
        ema_momentum=settings.averaging or None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    loss = anchored_loss(settings) if anchored else masked_loss(settings)
    model.compile(optimizer, loss)
    optimizer.build(model.trainable_variables)


# The network of the last training. Tracing a step takes three seconds, which another training with the same
# step need not spend again.
_COMPILED: dict[tuple[Any, ...], keras.Model] = {}
# What a traced step holds as constants, beside the size of the patches; all else it reads anew.
_IN_STEP = (
    "network",
    "batch_size",
    "precision",
    "weight_decay",
    "beta_2",
    "clip_norm",
    "averaging",
    "boundary_weight",
    "dice_weight",
    "anchor_weight",
)


class Learner:
    """Network that is trained step by step.

    One that starts from another network is anchored to it, unless `anchor_weight` is 0: on unlabelled pixels
    the loss keeps the predictions near those of the start. Anchored or not, `averaged` and `blended` give
    weights between those of the start and the learned ones (Wortsman et al. 2022, arXiv:2109.01903). Few
    labels, and labels that are mostly the network's own predictions, would make it worse on all other slices.

    Parameters
    ----------
    settings : TrainingSettings
    devices : Devices
    side_px : int
        Of its patches, in pixels.
    start : Path, optional
        Checkpoint of the weights that it starts from; random ones, drawn with the seed, if not given.

    Attributes
    ----------
    model : keras.Model
    """

    def __init__(
        self, settings: TrainingSettings, devices: Devices, side_px: int, start: Path | None = None
    ) -> None:
        self._settings, self._devices, self._side_px = settings, devices, side_px
        self._start: list[np.ndarray] | None = None
        self._start_file: Path | None = None
        self._start_network: keras.Model | None = None
        random.seed(settings.seed)  # of what Keras draws weights from
        with devices.scope():
            self.model = networks.build(settings.network, settings.precision == "bfloat16", start)
            if start is not None:
                load_checkpoint(self.model, start)
                self._start = self.model.get_weights()
                self._start_file = start
            self._compile()

    def _compile(self) -> None:
        compiled = _COMPILED.pop(self._step_key, None)
        if compiled is None:
            compile_network(self.model, self._settings, anchored=self.is_anchored)
            return
        for kept, fresh in zip(compiled.variables, self.model.variables, strict=True):
            kept.assign(fresh)
        for state in compiled.optimizer.variables:
            state.assign(keras.ops.zeros_like(state))
        self.model = compiled

    @property
    def _step_key(self) -> tuple[Any, ...]:
        shapes = tuple(weights.shape for weights in self.model.weights)
        return self.is_anchored, shapes, self._side_px, *(getattr(self._settings, name) for name in _IN_STEP)

    def close(self) -> None:
        """Leave the compiled network to the next training; this object is of no use any more."""
        if self._settings.network == "compact" and self._devices.count == 1:
            _COMPILED.clear()  # one is enough
            _COMPILED[self._step_key] = self.model

    def load(self, path: Path) -> None:
        """Read weights, optimiser and step."""
        load_checkpoint(self.model, path)

    def resume_from(self, path: Path) -> None:
        """Read a checkpoint, and restore the random numbers of dropout, which no checkpoint holds."""
        self.load(path)
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.Dropout):
                state = layer.seed_generator.state
                state.assign(state + keras.ops.cast([0, self.steps], state.dtype))

    @property
    def is_anchored(self) -> bool:
        """Whether its loss holds it to the network that it started from."""
        return self._start is not None and self._settings.anchor_weight > 0

    @property
    def has_start(self) -> bool:
        """Whether it began with the weights of another network."""
        return self._start is not None

    @property
    def steps(self) -> int:
        """Optimiser steps done, those before a resumption included."""
        return int(self.model.optimizer.iterations)

    def step(self, image: np.ndarray, target: np.ndarray, learning_rate: float) -> float:
        """Do one step on a batch of `PatchSampler` and return its loss.

        Raises
        ------
        UserError
            If the loss is not finite.
        """
        self.model.optimizer.learning_rate = learning_rate
        loss = self._devices.train_on_batch(self.model, image, self._with_anchor(image, target))
        if not np.isfinite(loss):
            raise UserError(
                f"The training diverged at step {self.steps} (loss {loss}); "
                "lower the learning rate and train again."
            )
        return loss

    def _with_anchor(self, image: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Return the target with what the start predicts as another channel, if the loss compares it."""
        if self._start is None or not self.is_anchored:
            return target
        anchor = target[..., :1]  # ignored where all pixels are labelled
        if (target[..., 1] == 0).any():
            anchor = self._predicted_by_start(image)
        return np.concatenate([target, anchor], axis=-1)

    def _predicted_by_start(self, image: np.ndarray) -> np.ndarray:
        if self._start_network is None:
            with self._devices.scope():
                self._start_network = self._in_full_precision()
            self._start_network.set_weights(self._start)
        return self._start_network.predict_on_batch(image)[: len(image)]

    @contextmanager
    def averaged(self, share: float = 1.0) -> Iterator[None]:
        """Give the network the running average of its weights within a block, `blended` with its start."""
        with self._restored():
            # Before the first step there is no average yet.
            if self._settings.averaging > 0 and self.steps:
                self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
            with self.blended(share):
                yield

    @contextmanager
    def blended(self, share: float) -> Iterator[None]:
        """Give the network weights between those of its start (0) and its own (1) within a block."""
        with self._restored() as own:
            if self._start is not None and share != 1:
                both = zip(self._start, own, strict=True)
                self.model.set_weights([start + share * (learned - start) for start, learned in both])
            yield

    @contextmanager
    def _restored(self) -> Iterator[list[np.ndarray]]:
        """Restore the weights after a block, which gets them."""
        present = self.model.get_weights()
        try:
            yield present
        finally:
            self.model.set_weights(present)

    def predictor(self, record: RunRecord, orientations: int = 1) -> SlicePredictor:
        """Predict with the present weights as a run with that record does; for use before the next step."""
        if self._settings.precision == "float32" and not self._devices.has_gpu:
            # On processors it takes half of Keras's time, and no second to be traced.
            network = networks.onnx_of(self.model, self._settings.network)
            return SlicePredictor(record, backend_of(network, self._settings.network, record), orientations)
        # Of several devices each predicts the whole, so only the first answer is taken.
        return SlicePredictor(record, lambda x: self.model.predict_on_batch(x)[: len(x)], orientations)

    def _in_full_precision(self) -> keras.Model:
        """Return the network in float32, with other weights."""
        return networks.build(self._settings.network, start=self._start_file)

    def save(self, path: Path) -> None:
        """Write weights, optimiser and step, atomically."""
        save_checkpoint(self.model, path)

    def export(self, run: Run) -> None:
        """Load the kept weights of a run, and write them as the network that predictions use."""
        self.load(run.best_checkpoint)
        network = self.model
        if self._settings.precision != "float32" or self._devices.count > 1:  # casts and copies stay here
            network = self._in_full_precision()
            network.set_weights(self.model.get_weights())
        written = networks.onnx_of(network, self._settings.network)
        export_onnx(network, run.network_file, written, self._side_px)


@contextmanager
def training_on(report: Report) -> Iterator[None]:
    """Save within a block; what another program has open is saved the next time, and the training goes on."""
    try:
        yield
    except OpenElsewhere as error:
        report(Message(f"{error} The training goes on meanwhile, and saves it the next time."))
