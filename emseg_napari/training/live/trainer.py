"""Live learning: a network that is trained on while its user corrects, with previews.

Nothing is held out meanwhile, so the run has no score. Labels arrive slice by slice; the slice in view is
predicted again every few seconds while the weights change, and at once when it is another one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from emseg_napari.core.files import writable_folder
from emseg_napari.core.jobs import EpochEnded, JobContext, Message, Progress, UserError
from emseg_napari.core.label_survey import distinct
from emseg_napari.core.labels import BOUNDARY, INTERIOR, normalise
from emseg_napari.inference import load_predictor
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.readable_slices import ReadableSlices
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.io.stacks import check_image, check_pair
from emseg_napari.models.run import Run
from emseg_napari.models.run_folder import owned_run
from emseg_napari.settings import LiveSettings, PredictionSettings
from emseg_napari.training.dataset import TrainingDataset, prepare_live
from emseg_napari.training.devices import Devices
from emseg_napari.training.learner import Learner, training_on
from emseg_napari.training.live.idle import PAUSED, IdlePolicy
from emseg_napari.training.live.preview import SlicePreview
from emseg_napari.training.patches import LivePatches
from emseg_napari.training.run_record import label_counts
from emseg_napari.training.splits import are_many, is_dense
from emseg_napari.training.validation import Validator

_SAVE_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_REPORT_SECONDS = 1.0
_SLICES_FOR_CLOSING = 4  # with fewer, a single gap between large cells would decide the merge threshold


def train_live(
    image: Stack,
    labels: np.ndarray | SparseStack,
    settings: LiveSettings | None = None,
    context: JobContext | None = None,
    *,
    folder: Path | str,
) -> Run:
    """Train a network further on labels that change, until the control's `enough` ends it.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x) or (y, x), integer or float. Of a volume only slices with labels and those in view are read.
    labels : numpy.ndarray, Volume or SparseStack
        uint8 of the same shape, what the user labelled or confirmed so far, maybe nothing:
        0 unlabelled, 1 boundary, 2 interior.
    settings : LiveSettings, optional
    context : JobContext, optional
        Gets a `PreviewReady` of the slice in view again and again (its epoch counts the label updates
        it was trained on), and a `Progress` whose text says what is being done. Its inbox receives each
        `LabelUpdate`.
    folder : Path
        The run folder to write; saved once a minute.

    Returns
    -------
    Run
        The finished run, with the last weights.

    Raises
    ------
    UserError
        If images, labels, the start or the folder cannot be used.
    Cancelled
        If the context says so; what was saved last stays.
    """
    settings = settings or LiveSettings()
    with owned_run(folder):
        dataset, start = prepare_live(image, labels, settings)
        run = Run(writable_folder(folder), settings.training(start.settings), dataset.record)
        learning = _Live(dataset, run, settings, context or JobContext())
        learning.set_up(start)
        try:
            learning.loop()
            return learning.finish()
        finally:
            learning.close()


class _Live:
    """State of one live learning between its steps."""

    def __init__(
        self, dataset: TrainingDataset, run: Run, settings: LiveSettings, context: JobContext
    ) -> None:
        self._image, self._labels = dataset.image, dataset.labels
        self._run, self._settings, self._context = run, settings, context
        record = run.record
        self._patches = LivePatches(
            self._image, run.settings, record.normalisation, settings.recent, record.grid_px
        )
        self._slices = ReadableSlices(self._image, context.report)
        self._fingerprints: dict[int, str] = {}
        self._updates = 0
        self._reported, self._reported_at = "", 0.0
        self._losses: deque[float] = deque(maxlen=100)
        self._spent: list[tuple[float, float]] = []

    def set_up(self, start: Run) -> None:
        """Build the network and read the labels that there are already."""
        report, devices = self._context.report, Devices()
        report(Message("Learning live: nothing is held out, so this run has no score of its own."))
        report(Message(devices.words))
        report(Progress(0.0, None, "building the network"))
        self._learner = Learner(self._run.settings, devices, self._patches.side_px, start.best_checkpoint)
        devices.warm_up(self._learner.model, *self._patches.empty_batch())
        # A step without labels compiles it, so that the first stroke need not wait.
        self._step(self._patches.empty_batch(), 0.0)
        for z in self._labels.stored_slices:
            self._learn_from(z)
        self._idle = IdlePolicy(self._settings.idle_seconds, self._settings.on_battery)
        self._preview = SlicePreview(self._image, self._context)
        self._run.save()
        self._save()

    def close(self) -> None:
        """Leave what another training can use."""
        self._learner.close()

    def loop(self) -> None:
        """Learn, preview, wait and save until the user ends it."""
        idle = ""
        while not self._context.control().enough:
            self._context.check_stop()
            self._read_inbox(_LOOK_SECONDS if idle else 0.0)
            idle = self._idle.reason(self._context.control().paused, bool(self._patches))
            self._report_state(idle)
            if not idle:
                self._step(self._patches.batch(len(self._spent)), self._settings.learning_rate)
            if idle != PAUSED:
                self._show_preview(bool(idle))
            if time.monotonic() - self._saved_at > _SAVE_SECONDS and len(self._spent) > self._saved_steps:
                self._save()

    def _report_state(self, idle: str) -> None:
        """Report what is being done: at once when it changes, the steps once a second."""
        if idle != self._reported or (not idle and time.monotonic() - self._reported_at > _REPORT_SECONDS):
            self._reported, self._reported_at = idle, time.monotonic()
            words = idle or f"learning, step {len(self._spent)}"
            self._context.report(Progress(0.0, None, words))

    def _read_inbox(self, seconds: float) -> None:
        """Read the labels that changed meanwhile; wait for some up to so many seconds."""
        for update in self._context.inbox.take_all(seconds):
            labels = normalise(update.labels, "The labels", "napari")
            check_pair(self._labels[update.z], labels, "the slice", "its labels")
            changed, self._labels[update.z] = labels != self._labels[update.z], labels
            self._learn_from(update.z, changed)
            self._updates += 1
            self._idle.wake()
            self._preview.refresh_soon()

    def _learn_from(self, z: int, changed: np.ndarray | None = None) -> None:
        labels = self._labels[z]
        try:
            check_image(self._image, "The image", [z])
            plane = self._image[z]
        except UserError as error:  # one empty or broken slice must not end the training on the others
            self._slices.leave_out(z, error)
            return
        self._patches.update(z, labels, changed)
        if z not in self._fingerprints and labels.any():
            self._fingerprints[z] = fingerprint(plane)

    def _step(self, batch: tuple[np.ndarray, np.ndarray], learning_rate: float) -> None:
        began = time.monotonic()
        self._losses.append(self._learner.step(*batch, learning_rate))
        seconds = self._spent[-1][1] if self._spent else 0.0
        self._spent.append((learning_rate, seconds + time.monotonic() - began))

    def _show_preview(self, is_idle: bool) -> None:
        steps = len(self._spent)
        z = self._preview.slice_due(steps, is_idle)
        if z is not None:
            record = self._run.record
            with self._learner.averaged(self._settings.blend):
                self._preview.show(z, steps, self._updates, self._learner.predictor(record), record)

    def _save(self) -> None:
        with training_on(self._context.report):
            self._write()
        self._saved_at, self._saved_steps = time.monotonic(), len(self._spent)

    def _write(self) -> None:
        run, trained = self._run, sorted(self._fingerprints)
        # First: a record may name slices that the weights on disk have not seen, never the reverse.
        run.update(
            trained_slices=trained,
            fingerprints=sorted({*run.record.fingerprints, *self._fingerprints.values()}),
            label_counts=label_counts(self._labels[trained]),
        )
        run.save_steps(self._spent)
        self._learner.save(run.last_checkpoint)
        with self._learner.averaged(self._settings.blend):
            self._learner.save(run.best_checkpoint)

    def finish(self) -> Run:
        """Keep what was learned as a run that predicts."""
        self._context.report(Progress(1.0, None, "keeping the network"))
        self._write()
        self._close_history()
        self._learner.export(self._run)
        self._run.update(**self._thresholds(), finished=True)
        return self._run

    def _close_history(self) -> None:
        """Report all steps as one epoch."""
        if labelled := self._slices_where(lambda labels: bool(labels.any())):
            with self._learner.averaged(self._settings.blend):
                found = self._validator(labelled).trained(self._learner.predictor(self._run.record))
            assert found.accuracy is not None  # some pixel is labelled
            rate, seconds = self._spent[-1]
            loss = float(np.mean(self._losses))
            row = EpochEnded(1, len(self._spent), seconds, loss, found.accuracy, None, rate)
            self._run.history = [row]
            self._run.save_history()
            self._run.update(kept_epoch=1)
            self._context.report(row)

    def _thresholds(self) -> dict[str, float | None]:
        """Choose the thresholds; those that few labels cannot decide stay as they were."""
        mostly = self._slices_where(_can_choose)
        predictor = load_predictor(self._run, PredictionSettings())
        found = self._validator(mostly).choose_thresholds(predictor) if mostly else {}
        if len(mostly) < _SLICES_FOR_CLOSING:
            found.pop("merge_threshold", None)
        return found

    def _slices_where(self, fit: Callable[[np.ndarray], bool]) -> list[int]:
        trained = self._run.record.trained_slices
        return [z for z in trained if fit(self._labels[z]) and self._slices.read(z) is not None]

    def _validator(self, slices: list[int]) -> Validator:
        record = self._run.record.model_copy(update={"trained_slices": slices})
        weight = self._run.settings.boundary_weight
        return Validator(self._image, self._labels, record, weight, self._context.should_stop)


def _can_choose(labels: np.ndarray) -> bool:
    return are_many(labels) and {BOUNDARY, INTERIOR} <= {*distinct(labels)} and is_dense(labels[None])
