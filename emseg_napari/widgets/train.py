"""Step 2: train a network in the background while the user goes on painting."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QWidget,
)

from emseg_napari.jobs import EpochEnded, Event, Failed, Finished, Message, PreviewReady, Progress, UserError
from emseg_napari.judging import split
from emseg_napari.labels import check_trainable
from emseg_napari.runs import Run, is_run, open_run, refuse_baseline
from emseg_napari.settings import BASELINES, NetworkName, TrainingSettings, applies
from emseg_napari.stacks import check_image, check_pair, check_range
from emseg_napari.widgets.augmented import AugmentedSamples, sampler_of
from emseg_napari.widgets.enginejob import EngineJob
from emseg_napari.widgets.forms import SettingsForm
from emseg_napari.widgets.layers import (
    add_labels,
    corrections_of,
    image_of,
    is_ours,
    slice_in_view,
)
from emseg_napari.widgets.movie import LivePreview
from emseg_napari.widgets.plots import HistoryPlot
from emseg_napari.widgets.preferences import recall, recall_folder, remember, remember_folder
from emseg_napari.widgets.sentences import duration, figures, judged_on, outcome
from emseg_napari.widgets.starts import StartChoice, has_few_labels
from emseg_napari.widgets.steering import Steering
from emseg_napari.widgets.step import Step, enable, wrapping_label
from emseg_napari.widgets.workspace import Workspace


class TrainStep(Step):
    """Trains a network on an image layer and its labels layer."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.job = EngineJob(self)
        self.job.event.connect(self._take)
        self.job.ended.connect(self._update)
        self.preview = LivePreview(napari_viewer)
        self.folder: Path | None = None
        self.runs_folder = recall_folder("runs", Path.home() / "emseg-runs")
        self._trained_image: Any = None
        self._subject = self._judged_on = ""
        self._samples: AugmentedSamples | None = None
        self._build()
        self._restore()
        self.workspace.changed.connect(self._update)
        self.viewer.dims.events.current_step.connect(self._look)
        self._update()

    # -- what it looks like -------------------------------------------------------------

    def _build(self) -> None:
        self.add_choices("image", "labels")
        self.new_labels = self.button(
            "New labels",
            "Make an empty labels layer over the image: 1 boundary, 2 interior.",
            self._new_labels,
        )
        self.rows.addWidget(self.new_labels)
        self.form = SettingsForm(TrainingSettings, leave_out=("minutes", "epochs", "start"))
        self.form.widgets["network"].changed.connect(self._show_recipe)
        self.start_from = StartChoice()
        self.start_from.activated.connect(lambda index: self._guarded(partial(self._choose_start, index)))
        self.amount = QDoubleSpinBox(decimals=2, minimum=0.01, maximum=100_000)
        self.unit = QComboBox()
        self.unit.addItems(["minutes", "epochs"])
        for widget in (self.amount, self.unit):
            widget.setToolTip(
                "How long to train: minutes by the clock, or epochs of 'Steps per epoch' steps."
            )
        length = QHBoxLayout()
        length.addWidget(self.amount)
        length.addWidget(self.unit)
        self.length = QWidget()
        rows = QFormLayout(self.length)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("Train for", length)
        rows.addRow("Start from", self.start_from)
        self.show_samples = self.button(
            "Show augmented samples",
            "Nine patches of your own data with their labels, changed at random as the training would.",
            self._show_samples,
        )
        for part in (self.length, self.form, self.show_samples):
            self.rows.addWidget(part)
        self._build_options()
        self._build_progress()

    def _build_options(self) -> None:
        self.include_proposals = QCheckBox("Train on unconfirmed proposals too")
        self.include_proposals.setToolTip("Off: only what you painted or confirmed teaches the network.")
        self.keep_movie = QCheckBox("Keep a movie of the epochs")
        self.keep_movie.setToolTip(
            "Collect the live proposal of the slice you look at now, one frame per epoch."
        )
        for option in (self.include_proposals, self.keep_movie):
            self.rows.addWidget(option)

    def _build_progress(self) -> None:
        self.train = self.button(
            "Train", "Train a network in the background; you can go on painting.", self.start
        )
        self.resume = self.button(
            "Resume",
            "Go on from the last checkpoint of the training that broke off; asks for its folder if that was "
            "before this window was opened.",
            self._resume,
        )
        buttons = QHBoxLayout()
        for button in (self.train, self.resume):
            buttons.addWidget(button)
        self.rows.addLayout(buttons)
        self.bar = QProgressBar(maximum=1000)
        self.bar.setFormat("")
        self.steering = Steering(self, self.job, self.bar)
        self.cancel = self.steering.cancel
        self.plot = HistoryPlot()
        self.figures = wrapping_label()
        self.about = wrapping_label()
        self.choose_folder = self.button("Runs folder...", "Where new runs are written.", self._ask_folder)
        self.save_movie = self.button(
            "Save movie as GIF...", "Write the movie as an animated GIF.", self._save_movie
        )
        for widget in (self.steering, self.bar, self.status, self.about, self.figures, self.plot):
            self.rows.addWidget(widget)
        last = QHBoxLayout()
        for button in (self.save_movie, self.choose_folder):
            last.addWidget(button)
        self.rows.addLayout(last)

    def _update(self) -> None:
        """Enable what can be done now and say what stands in the way of the rest."""
        running = self.job.running
        obstacle = "a training is running" if running else None
        image, labels = self.workspace.image, self.workspace.labels
        enable(self.new_labels, None if image is not None else "open an image first")
        missing = (
            "open an image first"
            if image is None
            else "make or open a labels layer"
            if labels is None
            else None
        )
        enable(self.train, obstacle or missing)
        enable(self.resume, obstacle or missing)
        network = self.form.widgets["network"].value
        enable(
            self.show_samples, missing or (f"'{network}' cuts no patches" if network in BASELINES else None)
        )
        self.steering.update_buttons()
        self._fit_start()
        enable(self.save_movie, None if self.preview.frames else "no movie was kept")
        if not running:
            self.hint(missing, "train")

    def _fit_start(self) -> None:
        if self.job.running:  # counting reads the stack, and the start is chosen
            return
        labels = self.workspace.labels
        self.start_from.fit(self.form.widgets["network"].value, has_few_labels(labels))

    def showEvent(self, event: Any) -> None:
        """Count the labels that were painted in the meantime."""
        self._fit_start()
        super().showEvent(event)

    def enterEvent(self, event: Any) -> None:
        """Count the labels that were painted in the meantime."""
        self._fit_start()
        super().enterEvent(event)

    # -- what the user asks for ---------------------------------------------------------

    def _restore(self) -> None:
        remembered = recall("train")
        self.keep_movie.setChecked(bool(remembered.pop("keep_movie", False)))
        remembered.pop("start", None)  # belongs to the labels of then
        try:
            self._show(TrainingSettings.recipe(**remembered))
        except (UserError, TypeError):  # another version remembered them
            self._show_recipe("compact")

    def _show_recipe(self, network: NetworkName) -> None:
        """Fill the form with a network's own recipe."""
        self._show(TrainingSettings.recipe(network))
        self._update()

    def _show(self, settings: TrainingSettings) -> None:
        values = settings.model_dump()
        with_epochs = settings.epochs is not None
        self.unit.setCurrentText("epochs" if with_epochs else "minutes")
        self.amount.setValue(float(settings.epochs or settings.minutes or self.amount.value()))
        blocked = self.form.widgets["network"].changed.blocked()
        with blocked:
            self.form.set_values(values)
        # A baseline is fitted at one go: what it has no use for would only puzzle.
        self.form.show_only([name for name in values if applies(name, settings.network)])
        self.length.setVisible(applies("minutes", settings.network))

    def settings(self) -> TrainingSettings:
        """Return what the form says."""
        length = "minutes" if self.unit.currentText() == "minutes" else "epochs"
        amount = self.amount.value() if length == "minutes" else int(self.amount.value())
        values: dict[str, Any] = self.form.values() | {length: amount, "start": self.start_from.start}
        network = values["network"]
        return TrainingSettings.recipe(**{k: v for k, v in values.items() if applies(k, network)})

    def _new_labels(self) -> None:
        image = self.workspace.image
        if image is None:
            raise UserError("Open an image first; the labels layer takes its size.")
        empty = np.zeros(image_of(image).shape[-image.ndim :], np.uint8)
        self.workspace.choose("labels", add_labels(self.viewer, empty, f"{image.name} labels", image))
        self.say("Paint some boundary (1) and some interior (2), then press Train.")

    def start(self, folder: Path | None = None) -> None:
        """Begin a training in a new run folder; with `folder`, resume the one there."""
        resumed = None if folder is None else self._resumable(folder)
        settings = resumed.settings if resumed else self.settings()
        image = image_of(self.workspace.image)
        labels = self._labels_to_train_on()
        held_out = self._check(image, labels, settings)
        self._judged_on = judged_on(resumed.record.held_out_slices if resumed else held_out)
        self.folder = folder or self._new_folder(settings)
        self._trained_image = self.workspace.image
        if not resumed:
            keep_movie = {"keep_movie": self.keep_movie.isChecked()}
            remember("train", settings.model_dump(mode="json") | keep_movie)
        self.plot.show_rows(resumed.history if resumed else [])
        self.preview.begin()
        for label in (self.figures, self.about):
            label.clear()
        self.steering.begin(settings.network)
        count = int(np.count_nonzero(labels.any(axis=(1, 2))))
        self._subject = f"'{self.workspace.labels.name}' (slices with labels: {count})"
        wait = "" if settings.network in BASELINES else " (TensorFlow takes some seconds)"
        self.say(f"Starting the engine{wait}...")
        arguments = {"image": image, "labels": labels, "settings": settings, "folder": self.folder}
        self._look()
        self.job.start("train", "Training", **arguments, resume=resumed is not None)
        self._update()

    def _resumable(self, folder: Path) -> Run:
        run = open_run(folder)
        refuse_baseline(run)
        return run

    def _check(self, image: np.ndarray, labels: np.ndarray, settings: TrainingSettings) -> list[int]:
        """Say with the layers' names, and before the engine starts, what it would refuse.

        Returns the slices that are held out.
        """
        image_name, labels_name = self.workspace.image.name, self.workspace.labels.name
        check_pair(image, labels, image_name, labels_name)
        first, end = check_range(settings.slices, len(labels), "Slices")
        check_trainable(labels[first:end], labels_name)
        trained, held_out = split(labels, settings)
        check_trainable(labels[trained], labels_name)
        check_image(image, image_name, sorted(trained + held_out))
        return held_out

    def _choose_start(self, index: int) -> None:
        self.start_from.choose(index, lambda: self._ask_run("The run to start from"))

    def _show_samples(self) -> None:
        image, labels = image_of(self.workspace.image), self._labels_to_train_on()
        settings = self.settings()
        self._check(image, labels, settings)
        self._samples = self._samples or AugmentedSamples(self)
        self._samples.begin(sampler_of(image, labels, settings))

    def _labels_to_train_on(self) -> Any:
        """Return labels without unconfirmed proposals, converted if the user says how."""
        layer, labels = self.known_labels()
        if not is_ours(layer):
            return labels
        return corrections_of(layer).trusted(labels, include_proposals=self.include_proposals.isChecked())

    def _new_folder(self, settings: TrainingSettings) -> Path:
        name = re.sub(r"[^\w-]+", "-", self.workspace.image.name).strip("-") or "image"
        return self.runs_folder / f"{name}-{settings.network}-{time.strftime('%Y%m%d-%H%M%S')}"

    def _resume(self) -> None:
        last = open_run(self.folder) if self.folder is not None and is_run(self.folder) else None
        broken_off = last is not None and not last.record.finished
        folder = self.folder if broken_off else self._ask_run("The run to go on with")
        if folder is not None:
            self.start(folder)

    def _ask_run(self, title: str) -> Path | None:
        path = QFileDialog.getExistingDirectory(self, title, str(self.runs_folder))
        return Path(path) if path else None

    def _look(self, *_: Any) -> None:
        """Preview the slice in view; a movie stays on the slice on which it began."""
        if self.job.running and self.keep_movie.isChecked():
            return
        image = self._trained_image if self.job.running else self.workspace.image
        self.job.wish(z=slice_in_view(self.viewer, image))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Where to write runs", str(self.runs_folder))
        if path:
            self.runs_folder = Path(path)
            remember_folder("runs", self.runs_folder)
            self.say(f"New runs go to {path}.")

    def _save_movie(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the movie", "training.gif", "Animated GIF (*.gif)")
        if path:
            self.preview.export_gif(Path(path))
            self.say(f"Saved {path}.")

    # -- what the engine says -----------------------------------------------------------

    def _take(self, event: Event) -> None:
        with self.guard():
            if isinstance(event, Progress):
                self._show_progress(event)
            elif isinstance(event, EpochEnded):
                self.plot.add(event)
                self.figures.setText(figures(event, self._judged_on))
            elif isinstance(event, PreviewReady) and self._trained_image in self.viewer.layers:
                self.preview.show(event, self._trained_image, self.keep_movie.isChecked())
            elif isinstance(event, Message):
                self.about.setText(f"{self.about.text()}\n{event.text}".strip())
            elif isinstance(event, Finished):
                self._finished(event.result)
            elif isinstance(event, Failed):
                self._failed(event)

    def _show_progress(self, event: Progress) -> None:
        self.bar.setValue(round(1000 * event.fraction))
        left = "" if event.seconds_left is None else f", {duration(event.seconds_left)} left"
        self.bar.setFormat(f"{event.text}{left}")
        if self.status.text().startswith("Starting"):
            self.say(f"Training on {self._subject}; paint on, your strokes count in the next round.")

    def _finished(self, run: Run) -> None:
        self.preview.remove()
        self.workspace.choose_run(run.folder)
        self.bar.setFormat("done")
        movie = " The movie is a hidden layer: show it and move its slider." if self.preview.frames else ""
        self.say(f"{outcome(run)} Now press Predict.{movie}")

    def _failed(self, event: Failed) -> None:
        self.preview.remove()
        self.bar.setFormat("")
        if event.cancelled:
            kept = self.folder is not None and is_run(self.folder)
            rest = "Resume goes on from the last checkpoint" if kept else "nothing was written"
            self.say(f"Cancelled; {rest}.")
        else:
            self.complain(event.text)
