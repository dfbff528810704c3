"""Step 2: train a network in the background while the user keeps painting."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from qtpy.QtGui import QShowEvent

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
from emseg_napari.models.run import Run, is_run, starter_folder
from emseg_napari.models.run_folder import resumable_run
from emseg_napari.settings import BASELINES, TrainingSettings
from emseg_napari.training.dataset import CheckedData, check_data
from emseg_napari.training.patches import PatchSampler
from emseg_napari.training.run_record import compared_with_start, is_worse_than_start
from emseg_napari.training.splits import DataNames
from emseg_napari.widgets.base.closing import is_put_away
from emseg_napari.widgets.base.fold import Fold
from emseg_napari.widgets.base.job_line import JobLine
from emseg_napari.widgets.base.job_step import JobStep
from emseg_napari.widgets.base.plots import HistoryPlot
from emseg_napari.widgets.base.preferences import remember
from emseg_napari.widgets.base.step import WrappingLabel, enable, first_obstacle, in_row, primary
from emseg_napari.widgets.base.text import figures, outcome, validation_name, verdict, why_not_chosen
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.destruction import connect_while
from emseg_napari.widgets.layers.labels_layer import NO_LABELS_YET, trusted_of
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.placement import slice_in_view, view_events
from emseg_napari.widgets.train.augmented_samples import AugmentedSamples, sampler_of
from emseg_napari.widgets.train.run_controls import RunControls, RunOutputs
from emseg_napari.widgets.train.train_form import TrainForm
from emseg_napari.widgets.train.train_options import TrainOptions
from emseg_napari.widgets.train.training_preview import TrainingPreview

_SAMPLES = "Nine patches of your own data with their labels, changed at random as in training."
_TRAIN = "Train a network in the background; you can keep painting."
_ONLY_PROPOSALS = (
    "has only proposals, which do not train: correct a slice and confirm it (C) on page 1, or tick 'Train on "
    "unconfirmed proposals too' under More."
)
_RESUME = (
    "Resume from the last checkpoint of the interrupted training that is chosen in 'Start from', or of the "
    "one that was cancelled last."
)


class TrainStep(JobStep):
    """Trains a network on an image layer and its labels layer."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.preview = TrainingPreview(napari_viewer)
        self.folder: Path | None = None
        self._trained_image: Any = None
        self._subject = self._validation_name = ""
        self._started = False
        self._samples: AugmentedSamples | None = None
        self._build()
        self.workspace.changed.connect(self.update_buttons)
        self.workspace.changed.connect(self._warm_up)
        self.closing.connect(self.preview.hide)
        for event in view_events(self.viewer):
            connect_while(self, event, self._follow_slice)
        self.update_buttons()

    # -- what it looks like -------------------------------------------------------------

    def _build(self) -> None:
        self._build_recipe()
        self.train = primary(self.button("Train", _TRAIN, self.start))
        self.resume = self.button("Resume", _RESUME, self._resume)
        self.plot = HistoryPlot()
        self.figures, self.about = WrappingLabel(), WrappingLabel()
        self.rows.addWidget(self.recipe)
        self.rows.addLayout(in_row(self.train, self.resume))
        self.more = self._more()
        self.run_name = WrappingLabel()  # the page may show another run than that of the chosen image
        for widget in (self.more, self.run_name, self.plot, self.figures, self.about):
            self.rows.addWidget(widget)
        self.plot.hide()  # until it has a point
        self.controls = RunControls(self, self.job, self.bar)
        self.cancel = self.controls.cancel
        self.job_lines.append(JobLine(self.job, "Training", self.bar, *self.controls.buttons))
        self.recipe.restore()
        # Of a baseline nothing else is on the page.
        self.more.set_open(self.recipe.network != "compact")

    def _build_recipe(self) -> None:
        self.recipe = TrainForm(self)
        self.recipe.changed.connect(self.update_buttons)
        self.form, self.start_from = self.recipe.form, self.recipe.start_from
        self.amount, self.unit, self.settings = self.recipe.amount, self.recipe.unit, self.recipe.settings
        self.start_from.chosen.connect(self.update_buttons)
        self.start_from.networks.changed.connect(self.update_buttons)

    def _more(self) -> Fold:
        self.show_samples = self.button("Show augmented samples", _SAMPLES, self._show_samples)
        self.outputs = RunOutputs(self, self.preview)
        options = TrainOptions(self.form, self.show_samples, self.outputs)
        self.include_proposals, self.keep_movie = options.include_proposals, options.keep_movie
        return Fold("More", options)

    def update_buttons(self) -> None:
        """Enable what can be done now, and say what stands in the way of the rest."""
        missing, network = first_obstacle(self._missing()), self.recipe.network
        enable(self.resume, first_obstacle(self.obstacles()))
        self.resume.setVisible(self._resumable() is not None)
        resumes = (self.start_from.interrupted is not None, "press Resume, or choose another start")
        enable(self.train, first_obstacle([*self.obstacles(), resumes]))
        enable(
            self.show_samples,
            missing or (f"'{network}' does not use patches" if network in BASELINES else None),
        )
        self.controls.update_buttons()
        self.start_from.fit_network(network)
        self.outputs.update_buttons()
        if not self.job.running:
            self.hint(missing, "train")

    def showEvent(self, event: QShowEvent) -> None:
        """Prepare the engine while the user looks at the step."""
        super().showEvent(event)
        self._warm_up()

    def _warm_up(self) -> None:
        if self.isVisible() and self.recipe.network not in BASELINES and not first_obstacle(self.obstacles()):
            self.job.warm_up("train")

    def obstacles(self) -> list[tuple[bool, str]]:
        """Return what may stand in the way of a training."""
        return [(self.job.running, "a training is running"), *self._missing()]

    def _missing(self) -> list[tuple[bool, str]]:
        return [
            (self.workspace.image is None, "open an image first"),
            (self.workspace.labels is None, NO_LABELS_YET),
        ]

    # -- what the user asks for ---------------------------------------------------------

    def start(self, folder: Path | None = None) -> None:
        """Start a training in a new run folder; with `folder`, resume the one there."""
        resumed = None if folder is None else resumable_run(folder)
        settings = resumed.settings if resumed else self.settings()
        folder = folder or self.workspace.new_run_folder(settings.network)
        read, data = self._reader(settings, resumed), None
        self._trained_image, self._started = self.workspace.image, False

        def prepare() -> dict[str, Any]:
            nonlocal data
            data = read()
            work = {"image": data.image, "labels": data.labels, "settings": settings}
            return work | {"folder": folder, "resume": resumed is not None}

        self.say("Checking the labels...")
        self._follow_slice()
        self.job.start(
            "train", "Training", prepare, lambda: self._show_start(folder, settings, data, resumed)
        )

    def _show_start(
        self, folder: Path, settings: TrainingSettings, data: CheckedData | None, resumed: Run | None
    ) -> None:
        """Show that the engine starts."""
        assert data is not None  # it was prepared
        self.folder, self._started = folder, True
        self._validation_name = validation_name(resumed.record.held_out_slices if resumed else data.held_out)
        if not resumed:
            keep_movie = {"keep_movie": self.keep_movie.isChecked()}
            # A scale that was chosen for this image is not one for the next.
            taken = {"scale"} if settings.scale == self.workspace.scale else None
            remember("train", settings.model_dump(mode="json", exclude=taken) | keep_movie)
        self.run_name.setText(f"Run <b>{escape(folder.name)}</b>")
        self.plot.show_rows(resumed.history if resumed else [])
        self.plot.setVisible(bool(self.plot.rows))
        self.preview.reset()
        for label in (self.figures, self.about):
            label.clear()
        self.controls.reset(settings.network)
        self._subject = f"'{data.names.labels}' (slices with labels: {len(data.labels.stored_slices)})"
        wait = "" if settings.network in BASELINES else " (TensorFlow takes some seconds)"
        self.say(f"Starting the engine{wait}...")

    def _reader(self, settings: TrainingSettings, resumed: Run | None = None) -> Callable[[], CheckedData]:
        """Return what reads image and labels, in a thread."""
        image_layer, labels_layer = self.workspace.image, self.workspace.labels
        image, with_proposals = volume_of_layer(image_layer), self.include_proposals.isChecked()

        def read() -> CheckedData:
            layer, labels = self.known_labels(labels_layer)
            trusted = trusted_of(layer, labels, with_proposals)
            if not trusted.stored_slices and any(labels[z].any() for z in labels.stored_slices):
                raise UserError(f"'{layer.name}' {_ONLY_PROPOSALS}")
            names = DataNames(image_layer.name, layer.name)
            return check_data(image, trusted, settings, names, resumed)

        return read

    def _show_samples(self) -> None:
        settings = self.settings()
        read = self._reader(settings)

        def sampler() -> PatchSampler:
            data = read()
            return sampler_of(data.image, data.labels, settings)

        self.in_background("Checking the labels...", sampler, self._show_sampler)

    def _show_sampler(self, sampler: PatchSampler) -> None:
        self.say("")
        self._samples = self._samples or AugmentedSamples(self)
        self._samples.show_sampler(sampler)

    def _resumable(self) -> Path | None:
        """Return the interrupted run that is chosen in 'Start from', else the one that was cancelled last."""
        last = self.start_from.networks.find(self.folder)
        return self.start_from.interrupted or (last.folder if last and last.resumable else None)

    def _resume(self) -> None:
        self.start(self._resumable())

    def _follow_slice(self, *_: Any) -> None:
        """Preview the slice in view; a movie stays on its first slice."""
        if self.job.running and self.keep_movie.isChecked():
            return
        image = self._trained_image if self.job.running else self.workspace.image
        self.job.steer(z=slice_in_view(self.viewer, image))

    # -- what the engine says -----------------------------------------------------------

    def handlers(self) -> dict[type[Event], Callable[[Any], None]]:
        """Return what shows which event; epochs and previews come one by one."""
        return super().handlers() | {EpochEnded: self._show_epoch, PreviewReady: self._show_preview}

    def on_progress(self, event: Progress) -> None:
        """Show how far the training is."""
        self.bar.show_progress(event)
        if self.status.text().startswith("Starting"):
            self.say(f"Training on {self._subject}; keep painting: your strokes count in the next training.")

    def _show_epoch(self, event: EpochEnded) -> None:
        self.plot.add(event)
        self.plot.show()
        self.figures.setText(figures(event, self._validation_name))

    def _show_preview(self, event: PreviewReady) -> None:
        if self._trained_image in self.viewer.layers:
            keep, is_seen = self.keep_movie.isChecked(), not is_put_away(self)
            self.preview.show(event, self._trained_image, keep, is_seen)

    def on_message(self, event: Message) -> None:
        """Add a sentence of the training to the earlier ones."""
        self.about.setText(f"{self.about.text()}\n{event.text}".strip())

    def on_finished(self, event: Finished) -> None:
        """Show which weights were kept, and whether they are better than those of the start."""
        run: Run = event.result
        self.preview.hide()
        self.about.setText(f"{self.about.text()}\n{outcome(run)}".strip())
        has_network = (self.workspace.run or starter_folder()) is not None
        if has_network and is_worse_than_start(run.record):
            self.complain(why_not_chosen(run))
        elif has_network and compared_with_start(run.record) in ("no different", "nothing to gain"):
            self.say(why_not_chosen(run))
        else:
            self._choose(run)

    def _choose(self, run: Run) -> None:
        """Let the run predict, at the scale at which it learned."""
        self.workspace.choose_run(run.folder)
        if self.workspace.scale not in (None, run.record.scale[0]):
            self.workspace.choose_scale(None)
        movie = " The movie is a hidden layer: show it and move its slider." if self.preview.frames else ""
        self.say(f"{verdict(run)} Now press 'Propose this slice'.{movie}")

    def on_failed(self, event: Failed) -> None:
        """Show why the training ended early."""
        self.preview.hide()
        super().on_failed(event)

    def on_ended(self) -> None:
        """Look what the training left."""
        self.start_from.networks.refresh()
        super().on_ended()

    def cancelled_sentence(self) -> str:
        """Return what is left of a cancelled training."""
        kept = self._started and self.folder is not None and is_run(self.folder)
        rest = "Resume continues from the last checkpoint" if kept else "nothing was written"
        return f"Cancelled; {rest}."
