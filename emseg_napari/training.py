"""Training: a Keras loop in small steps, each of which can be stopped, repeated and resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from keras import ops

from emseg_napari import networks
from emseg_napari.checkpoints import export_onnx, load_checkpoint, save_checkpoint
from emseg_napari.devices import Devices
from emseg_napari.files import writable_folder
from emseg_napari.jobs import (
    Cancelled,
    EpochEnded,
    Message,
    PreviewReady,
    Progress,
    Report,
    ShouldStop,
    UserError,
    Wishes,
    ignore,
    never,
)
from emseg_napari.judging import Jury
from emseg_napari.losses import masked_loss
from emseg_napari.patches import PatchSampler
from emseg_napari.prediction import SlicePredictor, load_predictor
from emseg_napari.preparation import prepare, what_is_held_out
from emseg_napari.runs import Run, fingerprint, is_run, open_run, opened_start
from emseg_napari.schedule import Replay, Schedule
from emseg_napari.settings import PredictionSettings, TrainingSettings

_REPORT_SECONDS = 1.0
_CHECKPOINT_SECONDS = 120.0
_PAUSE_SECONDS = 0.1


def train(
    image: np.ndarray,
    labels: np.ndarray,
    settings: TrainingSettings | None = None,
    report: Report = ignore,
    should_stop: ShouldStop = never,
    *,
    folder: Path | str,
    resume: bool = False,
    replay: Path | str | None = None,
    wishes: Callable[[], Wishes] = Wishes,
    began: float | None = None,
) -> Run:
    """Train a network on a labelled stack.

    Parameters
    ----------
    image : numpy.ndarray
        (z, y, x) or (y, x), integer or float.
    labels : numpy.ndarray
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings, optional
        The recipe; with `resume` and `replay` that of the earlier run is taken.
    report, should_stop : callable
        The long-job contract, see `emseg_napari.jobs`.
    folder : Path
        The run folder to write.
    resume : bool
        Go on from the last checkpoint in `folder`.
    replay : Path, optional
        A run to repeat step by step, with the learning rates that its clock gave it.
    wishes : callable
        Says what the user wants now: which slice to preview, whether to pause or to end.
    began : float, optional
        `time.monotonic` when the user asked for it; the minutes count from there.

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
    began = time.monotonic() if began is None else began
    folder = Path(folder)
    if is_run(folder) and not resume:
        raise UserError(f"{folder} holds a run already; choose another folder, or resume it.")
    repeated = folder if resume else replay
    earlier = open_run(repeated) if repeated else None
    settings = (earlier.settings if earlier else settings) or TrainingSettings()
    prepared = prepare(image, labels, settings, earlier if resume else None)
    start = None if resume else opened_start(settings)
    # Made only now, so that a mistake leaves no empty folder behind.
    folder = writable_folder(folder)
    run = Run(folder, settings, prepared.record)
    if start is not None:
        _note_start(run, start, prepared.image)
    training = _Training(prepared.image, prepared.labels, run, report, should_stop, wishes)
    training.begin(resume, Path(replay) if replay else None, start, began)
    training.loop()
    return training.finish()


def _note_start(run: Run, start: Run, image: np.ndarray) -> None:
    """Record what a run starts from, and which slices of this stack that had seen."""
    seen = set(start.record.fingerprints)
    run.record = run.record.model_copy(
        update={
            "start": start.folder.name,
            "start_slices": [z for z, slice_ in enumerate(image) if fingerprint(slice_) in seen],
            "fingerprints": sorted(seen.union(run.record.fingerprints)),
            "normalisation": start.record.normalisation,
        }
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

    def __init__(
        self,
        image: np.ndarray,
        labels: np.ndarray,
        run: Run,
        report: Report,
        should_stop: ShouldStop,
        wishes: Callable[[], Wishes],
    ) -> None:
        self._image, self._run = image, run
        self._report, self._should_stop, self._wishes = report, should_stop, wishes
        record, settings = run.record, run.settings
        self._jury = Jury(image, labels, record, settings.boundary_weight, should_stop)
        trained = record.trained_slices
        self._sampler = PatchSampler(
            image[trained], self._jury.teaching[trained], settings, record.normalisation
        )
        self._devices = Devices()
        self._lowest_cost = float("inf")
        self._losses: list[float] = []
        self._spent: list[tuple[float, float]] = []

    def begin(self, resume: bool, replay: Path | None, start: Run | None, began: float) -> None:
        """Build the network, or bring it to where the last checkpoint stood."""
        self._report(Message(what_is_held_out(self._run.record)))
        self._report(Message(self._devices.words))
        self._report(Progress(0.0, None, "building the network"))
        settings = self._run.settings
        keras.utils.set_random_seed(settings.seed)
        with self._devices.scope():
            self._model = networks.build(settings.network, settings.precision == "bfloat16")
            if start is not None:
                load_checkpoint(self._model, start.best_checkpoint)
            _compile(self._model, settings)
        if resume:
            self._resume()
        self._devices.warm_up(self._model, *self._sampler.batch(0))
        self._schedule = self._new_schedule(replay, time.monotonic() - began)
        self._run.save()
        self._save()

    def _new_schedule(self, replay: Path | None, late_seconds: float) -> Schedule:
        spent = np.array(self._spent, np.float32).reshape(-1, 2)
        if replay is None:
            return Schedule(self._run.settings, spent, late_seconds)
        earlier = open_run(replay)
        return Replay(
            self._run.settings, earlier.read_steps()[:, 0], [row.step for row in earlier.history], spent
        )

    def _resume(self) -> None:
        earlier = open_run(self._run.folder)
        if earlier.best_checkpoint.is_file():
            load_checkpoint(self._model, earlier.best_checkpoint)
            self._lowest_cost = self._jury.held_out(self._predictor).cost
        load_checkpoint(self._model, earlier.last_checkpoint)
        step = int(self._model.optimizer.iterations)
        self._advance_dropout(step)
        self._run.history = [row for row in earlier.history if row.step <= step]
        self._spent = [(float(rate), float(seconds)) for rate, seconds in earlier.read_steps()[:step]]

    def _advance_dropout(self, steps: int) -> None:
        """Bring the chances of dropout, which no checkpoint holds, to where they stood."""
        for layer in self._model.layers:
            if isinstance(layer, keras.layers.Dropout):
                state = layer.seed_generator.state
                state.assign(state + ops.cast([0, steps], state.dtype))

    def loop(self) -> None:
        """Train until the time or the epochs are over, or the user says that it is enough."""
        schedule = self._schedule
        reported = saved = schedule.seconds
        for image, target in self._sampler.batches(schedule.step):
            if schedule.fraction >= 1 and self._run.history:
                return
            self._wait_while_paused()
            if self._should_stop():
                raise Cancelled
            self._do_step(image, target)
            enough = self._wishes().enough
            if schedule.epoch_is_over or enough:
                self._end_epoch()
                saved = schedule.seconds
                if enough:
                    return
            elif schedule.preview_is_due():
                with self._averaged_weights():
                    self._preview(len(self._run.history) + 1)
            if schedule.seconds - saved > _CHECKPOINT_SECONDS:
                self._save()
                saved = schedule.seconds
            if schedule.seconds - reported > _REPORT_SECONDS:
                self._report(Progress(schedule.fraction, schedule.seconds_left, f"step {schedule.step}"))
                reported = schedule.seconds

    def _wait_while_paused(self) -> None:
        if not self._wishes().paused:
            return
        self._save()  # a pause may outlast the computer's day
        self._report(Progress(self._schedule.fraction, None, f"paused at step {self._schedule.step}"))
        while self._wishes().paused and not self._should_stop():
            self._schedule.stand_still(_PAUSE_SECONDS)

    def _do_step(self, image: np.ndarray, target: np.ndarray) -> None:
        rate = self._schedule.learning_rate
        self._model.optimizer.learning_rate = rate
        loss = self._devices.train_on_batch(self._model, image, target)
        self._schedule.step += 1
        self._spent.append((rate, self._schedule.seconds))
        self._losses.append(loss)
        if not np.isfinite(loss):
            raise UserError(
                f"The training diverged at step {self._schedule.step} (loss {loss}); "
                "lower the learning rate and train again."
            )

    def _save(self) -> None:
        # Steps first: of what they know more than the checkpoint, a resumed run forgets.
        self._run.save_steps(self._spent)
        save_checkpoint(self._model, self._run.last_checkpoint)

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        present = self._model.get_weights()
        if self._run.settings.averaging > 0:
            self._model.optimizer.finalize_variable_values(self._model.trainable_variables)
        try:
            yield
        finally:
            self._model.set_weights(present)

    def _end_epoch(self) -> None:
        """Judge the averaged weights, keep them if they are the best, save, tell."""
        with self._averaged_weights():
            row = self._judge_epoch()
        self._run.history.append(row)
        self._run.save_history()
        # Last of all: if the run breaks off before, it does this epoch's end again.
        self._save()
        self._report(row)
        self._losses = []
        self._schedule.begin_epoch()

    def _judge_epoch(self) -> EpochEnded:
        schedule = self._schedule
        epoch = len(self._run.history) + 1
        self._preview(epoch)
        trained, held_out = self._jury.trained(self._predictor), self._jury.held_out(self._predictor)
        assert trained.accuracy is not None  # some slice always trains
        # With nothing held out no honest score can choose, so the latest weights are kept.
        if not self._jury.can_choose or held_out.cost < self._lowest_cost:
            self._lowest_cost = held_out.cost
            save_checkpoint(self._model, self._run.best_checkpoint)
            self._run.update(kept_epoch=epoch)
        return EpochEnded(
            epoch,
            schedule.step,
            schedule.seconds,
            float(np.mean(self._losses)),
            trained.accuracy,
            held_out.accuracy,
            self._spent[-1][0],
            held_out.v_rand,
        )

    def _preview(self, epoch: int) -> None:
        z = self._wishes().z
        if z is not None and 0 <= z < len(self._image):
            self._report(
                PreviewReady(epoch, z, self._predictor.probability(self._image[z], self._should_stop))
            )

    @property
    def _predictor(self) -> SlicePredictor:
        """Predicts once, in Keras, with the present weights."""
        # Of several devices each predicts the whole, so only the first answer is taken.
        return SlicePredictor(self._run.record, lambda x: self._model.predict_on_batch(x)[: len(x)])

    def finish(self) -> Run:
        """Export the kept weights and choose how their probabilities become labels."""
        self._report(Progress(1.0, None, "keeping the best network"))
        # Built anew in float32: a network trained in mixed precision would export its casts.
        network = networks.build(self._run.settings.network)
        load_checkpoint(network, self._run.best_checkpoint)
        export_onnx(network, self._run.network_file)
        self._judge_kept()
        self._run.update(finished=True)
        return self._run

    def _judge_kept(self) -> None:
        """Choose how probabilities become labels, and score these."""
        self._run.update(**self._jury.verdict(load_predictor(self._run, PredictionSettings())))
