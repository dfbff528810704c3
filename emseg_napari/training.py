"""Training: a Keras loop in small steps, each of which can be stopped and resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import ops

from emseg_napari import networks
from emseg_napari.checkpoints import export_onnx, load_checkpoint, save_checkpoint
from emseg_napari.files import writable_folder
from emseg_napari.jobs import (
    Cancelled,
    EpochEnded,
    PreviewReady,
    Progress,
    Report,
    ShouldStop,
    UserError,
    ignore,
    never,
)
from emseg_napari.judging import Judge, split
from emseg_napari.labels import (
    BOUNDARY,
    INTERIOR,
    UNLABELLED,
    check_trainable,
    normalise,
)
from emseg_napari.losses import masked_loss
from emseg_napari.patches import PatchSampler, network_scale
from emseg_napari.prediction import SlicePredictor, load_predictor
from emseg_napari.runs import Run, RunRecord, is_run, open_run, versions
from emseg_napari.schedule import Schedule
from emseg_napari.settings import PredictionSettings, TrainingSettings
from emseg_napari.stacks import as_stack, check_image, check_pair

_REPORT_SECONDS = 1.0
_CHECKPOINT_SECONDS = 120.0


def train(
    image: np.ndarray,
    labels: np.ndarray,
    settings: TrainingSettings | None = None,
    report: Report = ignore,
    should_stop: ShouldStop = never,
    *,
    folder: Path | str,
    resume: bool = False,
    in_view: Callable[[], int | None] = lambda: None,
) -> Run:
    """Train a network on a labelled stack.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x) or (y, x), integer or float.
    labels : numpy.ndarray
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings, optional
        The recipe; with `resume` the one that the run began with is taken.
    report, should_stop : callable
        The long-job contract, see `emseg_napari.jobs`.
    folder : Path
        The run folder to write.
    resume : bool
        Go on from the last checkpoint in `folder`.
    in_view : callable
        Says which slice to preview after each epoch, or None.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    UserError
        If images, labels, settings or the folder cannot be used.
    Cancelled
        If `should_stop` answered True; the last checkpoint stays.
    """
    image, labels = as_stack(image), as_stack(labels)
    folder = Path(folder)
    if is_run(folder) and not resume:
        raise UserError(f"{folder} holds a run already; choose another folder, or resume it.")
    settings = open_run(folder).settings if resume else settings or TrainingSettings()
    check_pair(image, labels, "the image", "the labels")
    labels = normalise(labels, "The labels array", "napari")
    trained, held_out = split(labels, settings, report)
    check_image(image, "The image", sorted(trained + held_out))
    check_trainable(labels[trained], "The labels")
    # Made only now, so that a mistake leaves no empty folder behind.
    folder = writable_folder(folder)
    run = Run(folder, settings, _record(image, labels, settings, trained, held_out))
    training = _Training(image, labels, run, should_stop)
    training.begin(report, resume)
    training.loop(report, in_view)
    return training.finish(report)


def _record(
    image: np.ndarray, labels: np.ndarray, settings: TrainingSettings, trained: list[int], held_out: list[int]
) -> RunRecord:
    counts = np.bincount(labels[trained].ravel(), minlength=3)
    return RunRecord(
        versions=versions(),
        scale=network_scale(settings, image.shape[1:]),
        image_shape=image.shape,
        image_dtype=str(image.dtype),
        trained_slices=trained,
        held_out_slices=held_out,
        label_counts={
            "unlabelled": int(counts[UNLABELLED]),
            "boundary": int(counts[BOUNDARY]),
            "interior": int(counts[INTERIOR]),
        },
    )


def _compile(model: keras.Model, settings: TrainingSettings) -> None:
    optimizer = keras.optimizers.AdamW(
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        beta_2=settings.beta_2,
        global_clipnorm=settings.clip_norm or None,
        use_ema=settings.averaging > 0,
        ema_momentum=settings.averaging or None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, loss=masked_loss(settings.boundary_weight, settings.dice_weight))
    optimizer.build(model.trainable_variables)


class _Training:
    """One training between its steps."""

    def __init__(self, image: np.ndarray, labels: np.ndarray, run: Run, should_stop: ShouldStop) -> None:
        self._image, self._run, self._should_stop = image, run, should_stop
        trained = run.record.trained_slices
        self._sampler = PatchSampler(image[trained], labels[trained], run.settings, run.record.normalisation)
        self._schedule = Schedule(run.settings)
        self._judge = Judge(image, labels, run.settings.boundary_weight, should_stop)
        self._lowest_cost = float("inf")

    def begin(self, report: Report, resume: bool) -> None:
        """Build the network, or bring it to where the last checkpoint stood."""
        report(Progress(0.0, None, "building the network"))
        settings = self._run.settings
        keras.utils.set_random_seed(settings.seed)
        self._model = networks.build(settings.network, settings.precision == "bfloat16")
        _compile(self._model, settings)
        if resume:
            self._resume()
        self._run.save()
        save_checkpoint(self._model, self._run.last_checkpoint)

    def _resume(self) -> None:
        earlier = open_run(self._run.folder)
        if earlier.best_checkpoint.is_file():
            load_checkpoint(self._model, earlier.best_checkpoint)
            self._lowest_cost = self._judge.score(self._run.record.held_out_slices, self._predictor)[1]
        load_checkpoint(self._model, earlier.last_checkpoint)
        step = int(self._model.optimizer.iterations)
        self._advance_dropout(step)
        self._run.history = [row for row in earlier.history if row.step <= step]
        seconds = self._run.history[-1].seconds if self._run.history else 0.0
        self._schedule = Schedule(self._run.settings, step, seconds)

    def _advance_dropout(self, steps: int) -> None:
        """Bring the chances of dropout, which no checkpoint holds, to where they stood."""
        for layer in self._model.layers:
            if isinstance(layer, keras.layers.Dropout):
                state = layer.seed_generator.state
                state.assign(state + ops.cast([0, steps], state.dtype))

    def loop(self, report: Report, in_view: Callable[[], int | None]) -> None:
        """Train until the time or the epochs are over."""
        schedule, losses = self._schedule, []
        reported = saved = schedule.seconds
        for image, target in self._sampler.batches(schedule.step):
            if schedule.fraction >= 1 and self._run.history:
                return
            if self._should_stop():
                raise Cancelled
            losses.append(self._do_step(image, target))
            if schedule.epoch_is_over:
                self._end_epoch(float(np.mean(losses)), report, in_view())
                losses, saved = [], schedule.seconds
                schedule.begin_epoch()
            if schedule.seconds - saved > _CHECKPOINT_SECONDS:
                save_checkpoint(self._model, self._run.last_checkpoint)
                saved = schedule.seconds
            if schedule.seconds - reported > _REPORT_SECONDS:
                report(Progress(schedule.fraction, schedule.seconds_left, f"step {schedule.step}"))
                reported = schedule.seconds

    def _do_step(self, image: np.ndarray, target: np.ndarray) -> float:
        self._model.optimizer.learning_rate = self._schedule.learning_rate
        loss = float(self._model.train_on_batch(image, target))
        self._schedule.step += 1
        if not np.isfinite(loss):
            raise UserError(
                f"The training diverged at step {self._schedule.step} (loss {loss}); "
                "lower the learning rate and train again."
            )
        return loss

    def _end_epoch(self, loss: float, report: Report, z: int | None) -> None:
        """Judge with the averaged weights, keep them if they are the best, save, tell."""
        present = self._model.get_weights()
        if self._run.settings.averaging > 0:
            self._model.optimizer.finalize_variable_values(self._model.trainable_variables)
        row = self._judge_epoch(loss)
        seen = [z] if z is not None and 0 <= z < len(self._image) else []
        previews = [
            PreviewReady(row.epoch, z, self._predictor.probability(self._image[z], self._should_stop))
            for z in seen
        ]
        self._model.set_weights(present)
        self._run.history.append(row)
        self._run.save_history()
        # Last of all: if the run breaks off before, it does this epoch's end again.
        save_checkpoint(self._model, self._run.last_checkpoint)
        for event in (row, *previews):
            report(event)

    def _judge_epoch(self, loss: float) -> EpochEnded:
        record, schedule = self._run.record, self._schedule
        accuracy, _ = self._judge.score(record.trained_slices[::-1], self._predictor)
        assert accuracy is not None  # some slice always trains
        held_out, cost = self._judge.score(record.held_out_slices, self._predictor)
        # With nothing held out no honest score can choose, so the latest weights are kept.
        if not record.held_out_slices or cost < self._lowest_cost:
            self._lowest_cost = cost
            save_checkpoint(self._model, self._run.best_checkpoint)
        epoch = len(self._run.history) + 1
        return EpochEnded(
            epoch, schedule.step, schedule.seconds, loss, accuracy, held_out, schedule.learning_rate
        )

    @property
    def _predictor(self) -> SlicePredictor:
        """Predicts once, in Keras, with the present weights."""
        return SlicePredictor(self._run.record, self._model.predict_on_batch)

    def finish(self, report: Report) -> Run:
        """Export the kept weights and choose the threshold on the held-out slices."""
        report(Progress(1.0, None, "keeping the best network"))
        # Built anew in float32: a network trained in mixed precision would export its casts.
        network = networks.build(self._run.settings.network)
        load_checkpoint(network, self._run.best_checkpoint)
        export_onnx(network, self._run.network_file)
        self._run.update(finished=True, threshold=self._choose_threshold())
        return self._run

    def _choose_threshold(self) -> float:
        predictor = load_predictor(self._run, PredictionSettings())
        return self._judge.threshold(self._run.record.held_out_slices, predictor)
