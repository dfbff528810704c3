"""Training of a network with Keras, step by step.

The loop is written out, because a run must stop, pause, repeat and resume at any step.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from emseg_napari.core.files import atomic_write, replace, writable_folder
from emseg_napari.core.jobs import EpochEnded, JobContext, Message, PreviewReady, Progress
from emseg_napari.inference import SlicePredictor, load_predictor
from emseg_napari.io.readable_slices import ReadableSlices
from emseg_napari.io.sparse_stack import SparseStack, Stack, stacked
from emseg_napari.models.earlier_run import opened_replay, opened_start, replay_notes
from emseg_napari.models.run import Run, RunRecord, open_run
from emseg_napari.models.run_folder import owned_run
from emseg_napari.settings import PredictionSettings, TrainingSettings
from emseg_napari.training.dataset import prepare
from emseg_napari.training.devices import Devices
from emseg_napari.training.learner import Learner, training_on
from emseg_napari.training.patches import PatchSampler
from emseg_napari.training.run_record import scale_notes, training_description, with_start
from emseg_napari.training.schedule import Replay, Schedule
from emseg_napari.training.validation import Validator, boundary_share, load_comparisons

_REPORT_SECONDS = 1.0
_CHECKPOINT_SECONDS = 120.0
_PAUSE_SECONDS = 0.1
# Steps of a session after which is estimated what its end will take.
_MEASURED_AT = 10, 50
# The network is written, and predicts: a pixel in such a part of the time that it takes in a step. To close
# the gaps of a slice takes as long as to predict it in so many orientations.
_EXPORT_SECONDS, _PREDICTED_PART, _CLOSING = 1.5, 0.4, 1
_SHARES = 0.0, 0.5, 1.0  # of what was learned, that are compared first
_UNCHOSEN_SHARE = 0.5  # of what was learned, where no held-out labels can compare it with the start


def train_network(
    image: Stack,
    labels: np.ndarray | SparseStack,
    settings: TrainingSettings | None = None,
    context: JobContext | None = None,
    *,
    folder: Path | str,
    resume: bool = False,
    replay: Path | str | None = None,
) -> Run:
    """Train a network on a labelled stack.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x) or (y, x), integer or float. Of a volume only labelled slices are read, and previews.
    labels : numpy.ndarray, Volume or SparseStack
        uint8 of the same shape: 0 unlabelled, 1 boundary, 2 interior.
    settings : TrainingSettings, optional
        The recipe; with `resume` and `replay` that of the earlier run is taken.
    context : JobContext, optional
        Gets an `EpochEnded` and a `PreviewReady` per epoch, and a `Progress` each second.
    folder : Path
        The run folder to write.
    resume : bool
        Resume from the last checkpoint in `folder`.
    replay : Path, optional
        A run to repeat step by step, with the learning rates that its clock gave it.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    UserError
        If images, labels, settings or the folder cannot be used.
    Cancelled
        If the context says so; the last checkpoint stays.
    """
    context = context or JobContext()
    folder = Path(folder)
    with owned_run(folder, resume) as resumed:
        earlier = resumed or (opened_replay(replay) if replay else None)
        settings = (earlier.settings if earlier else settings) or TrainingSettings()
        dataset = prepare(image, labels, settings, resumed)
        start = None if resume else opened_start(settings)
        # Created only now, so that an error leaves no empty folder.
        folder = writable_folder(folder)
        repeated = replay_notes(earlier, start) if earlier else []
        for note in [*dataset.notes, *scale_notes(settings, start), *repeated]:
            context.report(Message(note))
        record = dataset.record if start is None else with_start(dataset.record, start, dataset.image)
        run = Run(folder, settings, record)
        training = _Training(dataset.image, dataset.labels, run, context)
        training.set_up(resume, Path(replay) if replay else None, start)
        try:
            if not _is_ending(run.record):
                training.loop()
            return training.finish()
        finally:
            training.close()


def _is_ending(record: RunRecord) -> bool:
    """Say whether a run that is resumed was interrupted at its end, which alone is done again."""
    return record.finished or record.kept_share is not None


class _Training:
    """State of one training between its steps."""

    def __init__(
        self,
        image: Stack,
        labels: SparseStack,
        run: Run,
        context: JobContext,
    ) -> None:
        self._image, self._run, self._context = image, run, context
        self._report, self._slices = context.report, ReadableSlices(image, context.report)
        record, settings = run.record, run.settings
        self._validator = Validator(image, labels, record, settings.boundary_weight, context.should_stop)
        trained = record.trained_slices
        self._sampler = PatchSampler(
            stacked(image, trained),
            self._validator.training_labels[trained],
            settings,
            record.normalisation,
            grid_px=record.grid_px,
        )
        self._devices = Devices()
        self._lowest_cost = float("inf")
        self._losses: list[float] = []
        self._spent: list[tuple[float, float]] = []

    def set_up(self, resume: bool, replay: Path | None, start: Run | None) -> None:
        """Build the network, or restore it from the last checkpoint."""
        self._report(Message(training_description(self._run)))
        self._report(Message(self._devices.words))
        self._report(Progress(0.0, None, "building the network"))
        settings = self._run.settings
        kept = self._run.start_checkpoint
        weights = start.best_checkpoint if start else kept if resume and kept.is_file() else None
        self._learner = Learner(settings, self._devices, self._sampler.side_px, weights)
        if resume:
            self._resume()
        self._devices.warm_up(self._learner.model, *self._sampler.batch(0))
        self._schedule = self._new_schedule(replay, time.monotonic() - self._context.began)
        self._run.save()
        if start is not None:  # it may be trained anew, or gone, when this run is resumed
            with atomic_write(kept) as temporary:
                shutil.copyfile(start.best_checkpoint, temporary)
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
            self._learner.load(earlier.best_checkpoint)
            self._lowest_cost = self._validator.held_out(self._learner.predictor(earlier.record)).cost
        self._learner.resume_from(earlier.last_checkpoint)
        step = self._learner.steps
        self._run.history = [row for row in earlier.history if row.step <= step]
        self._spent = [(float(rate), float(seconds)) for rate, seconds in earlier.read_steps()[:step]]

    def close(self) -> None:
        """Leave what another training can use."""
        self._learner.close()

    def loop(self) -> None:
        """Train until the time or the epochs are over, or the user ends it."""
        schedule = self._schedule
        self._reported_at = schedule.seconds
        first = schedule.step
        for image, target in self._sampler.batches(schedule.step):
            if schedule.fraction >= 1 and self._run.history:
                return
            self._wait_while_paused()
            self._context.check_stop()
            self._do_step(image, target)
            if schedule.step - first == 1:  # not beside the first, which keeps Python busy for seconds
                Thread(target=load_comparisons, daemon=True).start()
            if schedule.step - first in _MEASURED_AT:
                self._reserve_for_end(image.size)
            enough = self._context.control().enough
            if schedule.epoch_is_over or enough:
                self._end_epoch()
            elif schedule.preview_is_due():
                with self._learner.averaged():
                    self._preview(len(self._run.history) + 1, self._learner.predictor(self._run.record))
            if enough:
                return
            self._save_and_report_if_due()

    def _save_and_report_if_due(self) -> None:
        schedule = self._schedule
        if schedule.seconds - self._saved_at > _CHECKPOINT_SECONDS:
            self._save()
        if schedule.seconds - self._reported_at > _REPORT_SECONDS:
            self._report(Progress(schedule.fraction, schedule.seconds_left, f"step {schedule.step}"))
            self._reported_at = schedule.seconds

    def _wait_while_paused(self) -> None:
        if not self._context.control().paused:
            return
        self._save()  # the computer may be switched off during a pause
        self._report(Progress(self._schedule.fraction, None, f"paused at step {self._schedule.step}"))
        while self._context.control().paused and not self._context.should_stop():
            self._schedule.pause(_PAUSE_SECONDS)

    def _do_step(self, image: np.ndarray, target: np.ndarray) -> None:
        rate = self._schedule.learning_rate
        loss = self._learner.step(image, target, rate)
        self._schedule.step += 1
        self._spent.append((rate, self._schedule.seconds))
        self._losses.append(loss)

    def _reserve_for_end(self, pixels_of_step: int) -> None:
        """Keep time for what follows the last step, as fast as the latest steps were."""
        run = self._run
        if self._devices.has_gpu or run.settings.precision != "float32":
            return  # its end is predicted in other ways than its steps
        step_seconds = float(np.median(np.diff([seconds for _, seconds in self._spent[-_MEASURED_AT[0] :]])))
        orientations = PredictionSettings().orientations_for(run.settings.network) + _CLOSING
        blends = len(_SHARES) + 1 if self._learner.is_anchored else 0
        pixels = self._validator.pixels_at_end(orientations, blends) * np.prod(run.record.scale)
        predicted = _PREDICTED_PART * step_seconds * float(pixels) / pixels_of_step
        self._schedule.reserve(_EXPORT_SECONDS + predicted)

    def _save(self) -> None:
        with training_on(self._report):
            # Steps first: a resumed run drops those that the checkpoint does not have.
            self._run.save_steps(self._spent)
            self._learner.save(self._run.last_checkpoint)
        self._saved_at = self._schedule.seconds

    def _end_epoch(self) -> None:
        """Score the averaged weights, keep them if they are the best, save and report."""
        with self._learner.averaged():
            row = self._score_epoch()
        self._run.history.append(row)
        with training_on(self._report):
            self._run.save_history()
        # Last: a run that is stopped before this repeats the end of the epoch.
        self._save()
        self._report(row)
        self._losses = []
        self._schedule.start_epoch()

    def _score_epoch(self) -> EpochEnded:
        schedule, epoch = self._schedule, len(self._run.history) + 1
        predictor = self._learner.predictor(self._run.record)
        self._preview(epoch, predictor)
        trained, held_out = self._validator.trained(predictor), self._validator.held_out(predictor)
        assert trained.accuracy is not None  # some slice always trains
        self._keep_if_best(epoch, held_out.cost)
        return EpochEnded(
            epoch,
            schedule.step,
            schedule.seconds,
            loss=float(np.mean(self._losses)),
            accuracy=trained.accuracy,
            held_out_accuracy=held_out.accuracy,
            learning_rate=self._spent[-1][0],
            held_out_v_rand=held_out.v_rand,
        )

    def _keep_if_best(self, epoch: int, cost: float) -> None:
        # With nothing held out no score can choose, so the latest weights are kept.
        if not self._validator.can_choose or cost < self._lowest_cost:
            with training_on(self._report):
                self._learner.save(self._run.best_checkpoint)
                self._lowest_cost = cost
                self._run.update(kept_epoch=epoch)

    def _preview(self, epoch: int, predictor: SlicePredictor) -> None:
        z = self._context.control().z
        if z is not None and 0 <= z < len(self._image) and (plane := self._slices.read(z)) is not None:
            probability = predictor.probability(plane, self._context.should_stop)
            self._report(PreviewReady(epoch, z, probability))

    def finish(self) -> Run:
        """Export the kept weights and choose their thresholds."""
        self._report_end("")
        if self._learner.is_anchored and self._run.record.kept_share is None:
            self._blend_with_start()
        if self._run.blended_checkpoint.is_file():
            replace(self._run.blended_checkpoint, self._run.best_checkpoint)
        self._report_end(": exporting it")
        self._learner.export(self._run)
        self._report_end(": choosing its thresholds")
        self._score_kept()
        self._run.update(finished=True)
        self._run.start_checkpoint.unlink(missing_ok=True)  # last: a run that is not finished is resumed
        return self._run

    def _report_end(self, part: str) -> None:
        """Report what is being done at the end; how long each part takes is not known."""
        self._report(Progress(1.0, None, f"keeping the best network{part}"))

    def _blend_with_start(self) -> None:
        """Write beside the learned weights what is kept of them: what suits the held-out labels best."""
        run, learner = self._run, self._learner
        learner.load(run.best_checkpoint)
        share = self._best_share() if self._validator.can_compare_with_start else _UNCHOSEN_SHARE
        with learner.blended(share):
            # Not in their place before the record has the share: else a resumed run would blend them again.
            learner.save(run.blended_checkpoint)
        run.update(kept_share=share)

    def _best_share(self) -> float:
        """Return which part of what was learned costs least on the held-out labels, in quarters."""

        def cost(share: float) -> float:
            with self._learner.blended(share):
                return self._validator.cost_beside_start(self._learner.predictor(self._run.record))

        costs = {share: cost(share) for share in _SHARES}
        between = 0.25 if costs[0.0] < costs[1.0] else 0.75
        costs[between] = cost(between)
        return min(costs, key=lambda share: costs[share])

    def _score_kept(self) -> None:
        """Choose the thresholds of the kept network, and score it with them beside its start."""
        kept = load_predictor(self._run, PredictionSettings())
        found = self._validator.choose_thresholds(kept, has_learned=self._run.record.kept_share != 0)
        if self._learner.has_start:
            found |= self._beside_start(kept, found["threshold"])
        # At once: until then the record has the thresholds of the start, also for a run that is resumed.
        self._run.update(**found)

    def _beside_start(self, kept: SlicePredictor, threshold: float) -> dict[str, Any]:
        """Score the start as it was, and look how much boundary both find in a slice."""
        stop, z, record = self._context.should_stop, self._viewed_slice(), self._run.record
        plane = ReadableSlices(self._image, lambda _: None).read(z)  # it trains nothing, so none is told
        as_it_was = record.model_copy(update={"scale": record.start_scale or record.scale})
        orientations = PredictionSettings().orientations_for(self._run.settings.network)
        with self._learner.blended(0.0):
            start = self._learner.predictor(as_it_was, orientations)
            found = {"viewed_slice": z, **self._validator.score_start(start)}
            if plane is not None:
                found["boundary_share"] = boundary_share(plane, kept, threshold, stop)
                found["start_boundary_share"] = boundary_share(plane, start, record.threshold, stop)
        return found

    def _viewed_slice(self) -> int:
        """Return the slice in view; the middle one where there is none."""
        z, count = self._context.control().z, len(self._image)
        return z if z is not None and 0 <= z < count else count // 2
