"""Step 2: train a network in the background while the user goes on painting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QCheckBox, QFileDialog

from emseg_napari.annotation.session.scratch import new_labels
from emseg_napari.core.jobs import (
    EpochEnded,
    Event,
    Failed,
    Finished,
    Message,
    PreviewReady,
    Progress,
    UserError,
)
from emseg_napari.models.run import Run, is_run, open_run, refuse_baseline
from emseg_napari.settings import BASELINES, TrainingSettings
from emseg_napari.training.dataset import CheckedData, check_data
from emseg_napari.training.patches import PatchSampler
from emseg_napari.training.splits import DataNames
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.plots import HistoryPlot
from emseg_napari.widgets.base.preferences import recall, remember, remember_folder
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.step import Step, enable, in_line, wrapping_label
from emseg_napari.widgets.base.text import figures, judged_on, outcome
from emseg_napari.widgets.base.threads import outcome_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import add_labels, connect_while, trusted_of, volume_of_layer
from emseg_napari.widgets.layers.placement import slice_in_view
from emseg_napari.widgets.train.augmented_samples import AugmentedSamples, sampler_of
from emseg_napari.widgets.train.live_preview import LivePreview
from emseg_napari.widgets.train.run_controls import Steering
from emseg_napari.widgets.train.settings_form import TrainForm
from emseg_napari.widgets.train.start_choice import has_few_labels


class TrainStep(Step):
    """Trains a network on an image layer and its labels layer."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.job = EngineJob(self)
        self.job.event.connect(self._take)
        self.job.ended.connect(self._update)
        self.preview = LivePreview(napari_viewer)
        self.folder: Path | None = None
        self._trained_image: Any = None
        self._subject = self._judged_on = ""
        self._begun = self._counting = self._recount = False
        self._samples: AugmentedSamples | None = None
        self._build()
        self.workspace.changed.connect(self._update)
        connect_while(self, self.viewer.dims.events.current_step, self._look)
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
        self.recipe = TrainForm()
        self.recipe.changed.connect(self._update)
        self.form, self.start_from = self.recipe.form, self.recipe.start_from
        self.amount, self.unit, self.length = self.recipe.amount, self.recipe.unit, self.recipe.length
        self.settings = self.recipe.settings
        self.start_from.activated.connect(lambda index: self.guarded(partial(self._choose_start, index)))
        self.show_samples = self.button(
            "Show augmented samples",
            "Nine patches of your own data with their labels, changed at random as the training would.",
            self._show_samples,
        )
        for part in (self.recipe, self.show_samples):
            self.rows.addWidget(part)
        self._build_options()
        self._build_progress()
        self.recipe.restore()

    def _build_options(self) -> None:
        self.include_proposals = QCheckBox("Train on unconfirmed proposals too")
        self.include_proposals.setToolTip("Off: only what you painted or confirmed teaches the network.")
        self.keep_movie = QCheckBox("Keep a movie of the epochs")
        self.keep_movie.setToolTip(
            "Collect the live proposal of the slice you look at now, one frame per epoch."
        )
        self.keep_movie.setChecked(bool(recall("train").get("keep_movie", False)))
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
        self.rows.addLayout(in_line(self.train, self.resume))
        self.bar = JobBar()
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
        self.rows.addLayout(in_line(self.save_movie, self.choose_folder))

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
        network = self.recipe.network
        enable(
            self.show_samples, missing or (f"'{network}' cuts no patches" if network in BASELINES else None)
        )
        self.steering.update_buttons()
        self._fit_start()
        enable(self.save_movie, None if self.preview.frames else "no movie was kept")
        if not running:
            self.hint(missing, "train")

    def _fit_start(self) -> None:
        """Count the labels in the background, since the start that is proposed depends on it."""
        self.start_from.fit_network(self.recipe.network)
        layer = self.workspace.labels
        if self.job.running:  # the start is chosen
            return
        if self._counting:
            self._recount = True
            return

        def show(outcome: tuple[bool, Exception | None]) -> None:
            self._counting = False
            if self._recount or layer != self.workspace.labels:
                self._fit_start()
            elif outcome[1] is None:  # else a later look at the layer will say what is wrong with it
                self.start_from.fit_labels(outcome[0])

        self._counting, self._recount = True, False
        self.in_background(None, lambda: outcome_of(lambda: has_few_labels(layer)), show)

    def showEvent(self, event: Any) -> None:
        """Count the labels that were painted in the meantime."""
        self._fit_start()
        super().showEvent(event)

    def enterEvent(self, event: Any) -> None:
        """Count the labels that were painted in the meantime."""
        self._fit_start()
        super().enterEvent(event)

    # -- what the user asks for ---------------------------------------------------------

    def _new_labels(self) -> None:
        image = self.workspace.image
        if image is None:
            raise UserError("Open an image first; the labels layer takes its size.")
        empty = new_labels(volume_of_layer(image).shape[-image.ndim :])
        self.workspace.choose("labels", add_labels(self.viewer, empty, f"{image.name} labels", image))
        self.say("Paint some boundary (1) and some interior (2), then press Train.")

    def start(self, folder: Path | None = None) -> None:
        """Begin a training in a new run folder; with `folder`, resume the one there."""
        resumed = None if folder is None else self._resumable(folder)
        settings = resumed.settings if resumed else self.settings()
        folder = folder or self.workspace.new_run_folder(settings.network)
        read, data = self._reader(settings, resumed), None
        self._trained_image, self._begun = self.workspace.image, False

        def prepare() -> dict[str, Any]:
            nonlocal data
            data = read()
            work = {"image": data.image, "labels": data.labels, "settings": settings}
            return work | {"folder": folder, "resume": resumed is not None}

        self.say("Looking through the labels...")
        self._look()
        self.job.start("train", "Training", prepare, lambda: self._begin(folder, settings, data, resumed))
        self._update()

    def _begin(
        self, folder: Path, settings: TrainingSettings, data: CheckedData | None, resumed: Run | None
    ) -> None:
        """Show that the engine begins."""
        assert data is not None  # it was prepared
        self.folder, self._begun = folder, True
        self._judged_on = judged_on(resumed.record.held_out_slices if resumed else data.held_out)
        if not resumed:
            keep_movie = {"keep_movie": self.keep_movie.isChecked()}
            remember("train", settings.model_dump(mode="json") | keep_movie)
        self.plot.show_rows(resumed.history if resumed else [])
        self.preview.begin()
        for label in (self.figures, self.about):
            label.clear()
        self.steering.begin(settings.network)
        self._subject = f"'{data.names.labels}' (slices with labels: {len(data.labels.held)})"
        wait = "" if settings.network in BASELINES else " (TensorFlow takes some seconds)"
        self.say(f"Starting the engine{wait}...")

    def _resumable(self, folder: Path) -> Run:
        run = open_run(folder)
        refuse_baseline(run)
        return run

    def _reader(self, settings: TrainingSettings, resumed: Run | None = None) -> Callable[[], CheckedData]:
        """Return what reads image and labels, in a thread."""
        image_layer, labels_layer = self.workspace.image, self.workspace.labels
        image, with_proposals = volume_of_layer(image_layer), self.include_proposals.isChecked()

        def read() -> CheckedData:
            layer, labels = self.known_labels(labels_layer)
            trusted = trusted_of(layer, labels, with_proposals)
            names = DataNames(image_layer.name, layer.name)
            return check_data(image, trusted, settings, names, resumed)

        return read

    def _choose_start(self, index: int) -> None:
        self.start_from.choose(index, lambda: self._ask_run("The run to start from"))

    def _show_samples(self) -> None:
        settings = self.settings()
        read = self._reader(settings)

        def sampler() -> PatchSampler:
            data = read()
            return sampler_of(data.image, data.labels, settings)

        self.in_background("Looking through the labels...", sampler, self._show_sampler)

    def _show_sampler(self, sampler: PatchSampler) -> None:
        self.say("")
        self._samples = self._samples or AugmentedSamples(self)
        self._samples.begin(sampler)

    def _resume(self) -> None:
        last = open_run(self.folder) if self.folder is not None and is_run(self.folder) else None
        broken_off = last is not None and not last.record.finished
        folder = self.folder if broken_off else self._ask_run("The run to go on with")
        if folder is not None:
            self.start(folder)

    def _ask_run(self, title: str) -> Path | None:
        path = QFileDialog.getExistingDirectory(self, title, str(self.workspace.runs_folder))
        return Path(path) if path else None

    def _look(self, *_: Any) -> None:
        """Preview the slice in view; a movie stays on the slice on which it began."""
        if self.job.running and self.keep_movie.isChecked():
            return
        image = self._trained_image if self.job.running else self.workspace.image
        self.job.steer(z=slice_in_view(self.viewer, image))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Where to write runs", str(self.workspace.runs_folder))
        if path:
            self.workspace.runs_folder = Path(path)
            remember_folder("runs", self.workspace.runs_folder)
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
        self.bar.show_progress(event)
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
            kept = self._begun and self.folder is not None and is_run(self.folder)
            rest = "Resume goes on from the last checkpoint" if kept else "nothing was written"
            self.say(f"Cancelled; {rest}.")
        else:
            self.complain(event.text)
