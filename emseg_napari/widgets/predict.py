"""Step Predict: a trained network proposes labels, and the user's own stay as they are."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtWidgets import QCheckBox, QFileDialog, QFormLayout

from emseg_napari.core.jobs import (
    BlockDone,
    Event,
    Failed,
    Finished,
    Message,
    Progress,
    QuickLookReady,
    SlicePredicted,
    UserError,
)
from emseg_napari.io.stacks import check_image
from emseg_napari.models.run import Run, open_run, starter_folder
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.output_target import FILE, VolumeTarget, refuse_many
from emseg_napari.widgets.base.preferences import recall, recall_folder, remember
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import Step, choice_of, enable, in_line, wrapping_label
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import (
    is_ours,
    is_paintable,
    proposals_of,
    stack_of,
    volume_of_layer,
)
from emseg_napari.widgets.layers.placement import slice_in_view
from emseg_napari.widgets.layers.proposal_layers import Proposals, Source
from emseg_napari.widgets.layers.quick_look_layer import DraftLayer
from emseg_napari.widgets.layers.streaming_layer import GrowingLayer, stored_probability

if TYPE_CHECKING:
    from emseg_napari.inference.volume import VolumePrediction

OWN_LAYER, FILL = "a proposal layer of its own", "unlabelled pixels of the labels layer"
_NO_TRAINING = "No training needed: the starter network proposes at once."
SLICE, STACK = "slice in view", "whole stack"
_STARTER = (
    "The network that comes with emseg-napari: a first proposal without any training, for research "
    "and non-commercial use."
)
_TARGET = (
    "Where proposals go. What you painted or confirmed is never changed. On disk: the boundary "
    "probability of the whole stack, which may be larger than memory and can be resumed after "
    "Cancel; then predict a slice in view to propose labels from it."
)
_PROBABILITY = (
    "An image layer, float32, 0 to 1, 1 = boundary, hidden at first; closed gaps show in it. "
    "The repair tools follow it."
)


class PredictStep(Step):
    """Predicts slices of an image layer with a run's network."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.job = EngineJob(self)
        self.job.event.connect(self._take)
        self.job.ended.connect(self._end)
        self._image: Any = None
        self._proposals: Proposals | None = None
        self._growing: GrowingLayer | None = None
        self._draft = DraftLayer(self.viewer, self._image)
        self._build()
        self._restore()
        self.workspace.changed.connect(self._update)
        self._update()

    def _build(self) -> None:
        self.add_choices("image", "labels")
        self.rows.addLayout(self._choices())
        self.volume = VolumeTarget("boundaries", "boundary probability, 0 to 255")
        self.with_probability = QCheckBox("Keep the boundary probability")
        self.with_probability.setToolTip(_PROBABILITY)
        self.form = SettingsForm(PredictionSettings, leave_out=("slices",))
        for widget in (self.volume, self.with_probability, self.form):
            self.rows.addWidget(widget)
        self.predict = self.button("Predict", "Propose labels with the run's network.", self.start)
        self.cancel = self.button("Cancel", "Stop; slices that are done stay.", self.job.cancel)
        self.rows.addLayout(in_line(self.predict, self.cancel))
        self.bar = JobBar()
        for widget in (self.bar, self.status):
            self.rows.addWidget(widget)

    def _choices(self) -> QFormLayout:
        """Build the choices of the network, the slices and where they go."""
        self.run_name = wrapping_label()
        self.choose_run = self.button("Choose run...", "The folder that a training wrote.", self._ask_run)
        self.use_starter = self.button("Starter network", _STARTER, self._use_starter)
        self.scope = choice_of(
            (SLICE, STACK), "Predict the slice that you look at, or all slices of the image."
        )
        self.target = choice_of((OWN_LAYER, FILL, FILE), _TARGET)
        rows = QFormLayout()
        rows.addRow("Run", self.run_name)
        rows.addRow("", in_line(self.choose_run, self.use_starter))
        rows.addRow("Predict", self.scope)
        rows.addRow("Write to", self.target)
        return rows

    def _restore(self) -> None:
        remembered = recall("predict")
        self.scope.setCurrentText(str(remembered.get("scope", STACK)))
        self.target.currentTextChanged.connect(self._show_target)
        self.target.setCurrentText(str(remembered.get("target", OWN_LAYER)))
        self._show_target()
        self.with_probability.setChecked(bool(remembered.get("probability", True)))

    def _update(self) -> None:
        run = self.run
        self.run_name.setText(run.name if run else "none yet")
        running = self.job.running
        obstacle = (
            "a prediction is running"
            if running
            else "open an image first"
            if self.workspace.image is None
            else "train a network or choose a run first"
            if run is None
            else None
        )
        enable(self.predict, obstacle)
        enable(self.cancel, None if running else "nothing is running")
        enable(self.use_starter, None if starter_folder() else "this installation has no starter network")
        if self.workspace.image is not None:
            self.volume.suggest(self.workspace.image.name)
        if not running:
            self.hint(obstacle, "predict")
            self._hint_at_starter(ready=obstacle is None)

    def _show_target(self) -> None:
        to_file = self.target.currentText() == FILE
        self.volume.setVisible(to_file)
        self.scope.setEnabled(not to_file)
        self.with_probability.setVisible(not to_file)

    @property
    def run(self) -> Path | None:
        """The run that predicts: the chosen one, or the starter network while there is none."""
        return self.workspace.run or starter_folder()

    def _hint_at_starter(self, ready: bool) -> None:
        untrained = ready and self.workspace.run is None
        if untrained and not self.status.text():
            self.say(_NO_TRAINING)
        elif not untrained and self.status.text() == _NO_TRAINING:
            self.say("")

    def _use_starter(self) -> None:
        folder = starter_folder()
        if folder is not None:
            self.set_run(folder)

    def _ask_run(self) -> None:
        start = recall_folder("runs", Path.home() / "emseg-runs")
        path = QFileDialog.getExistingDirectory(self, "Choose a run folder", str(start))
        if path:
            self.set_run(Path(path))

    def set_run(self, folder: Path) -> None:
        """Choose the run whose network predicts."""
        run = open_run(folder)
        self.workspace.choose_run(run.folder)
        accuracy = run.record.kept_accuracy
        score = "" if accuracy is None else f", accuracy {100 * accuracy:.1f} % on what was held out"
        self.say(f"{folder.name}: {run.settings.network}{score}.")

    def start(self) -> None:
        """Predict in the background; proposals appear slice by slice, or block by block."""
        if self.run is None:
            raise UserError("Train a network or choose a run first.")
        run = open_run(self.run)
        self._image, self._growing, self._proposals = self.workspace.image, None, None
        self._draft = DraftLayer(self.viewer, self._image)
        if self.target.currentText() == FILE:
            self._start_volume(run)
        else:
            self._start_layers(run)
        chosen = {"scope": self.scope, "target": self.target}
        remember(
            "predict",
            {k: w.currentText() for k, w in chosen.items()}
            | {"probability": self.with_probability.isChecked()},
        )
        self._update()

    def _start_volume(self, run: Run) -> None:
        """Predict the whole stack to an output on disk, the slice in view first."""
        path, scheduler = self.volume.chosen()
        work = {
            "volume": volume_of_layer(self._image),
            "run": run.folder,
            "output": path,
            "settings": validated(PredictionSettings, **self.form.values()),
            "scheduler": scheduler,
            "near": slice_in_view(self.viewer, self._image),
        }
        self._growing = GrowingLayer(self.viewer, self._image, path, run.folder)
        self.say(f"Predicting to {path}...")
        self.job.start("predict_volume", "Predicting", lambda: work)

    def _start_layers(self, run: Run) -> None:
        image = volume_of_layer(self._image)
        slices = self._slices(image)
        refuse_many(self._image.name, (slices[1] - slices[0], *image.shape[1:]), "propose at once")
        settings = validated(PredictionSettings, **self.form.values(), slices=slices)
        fills = self.target.currentText() == FILL
        target = self._layer_to_fill(self._image, image.shape) if fills else None
        source = Source(self._image, image.shape, run.folder, settings.threshold_for(run.record.threshold))
        self._proposals = Proposals(self.viewer, source, target, self.with_probability.isChecked())
        if self.scope.currentText() == SLICE and self._take_stored(run, settings, slices[0]):
            return
        name = self._image.name

        def prepare() -> dict[str, Any]:
            if isinstance(image, np.ndarray):  # the engine looks at what it reads
                check_image(image, name, range(*slices))
            return {"image": image, "run": run.folder, "settings": settings, "first_look": True}

        self.say("Predicting...")
        self.job.start("predict", "Predicting", prepare)

    def _take_stored(self, run: Run, settings: PredictionSettings, z: int) -> bool:
        """Propose a slice from the prediction on disk, if it is there."""
        layer = proposals_of(self.viewer, self._image, Image)
        stored = stored_probability(layer, run, settings, z)
        if stored is None:
            return False
        layer.visible = False  # labels show now what it shows
        assert self._proposals is not None
        self._proposals.show(SlicePredicted(z, stored))
        self._end()
        self._finished()
        return True

    def _slices(self, image: Sized) -> tuple[int, int]:
        if self.scope.currentText() == STACK:
            return 0, len(image)
        z = slice_in_view(self.viewer, self.workspace.image)
        if z is None:
            raise UserError("The viewer shows no slice of the image; move the slider to one.")
        return z, z + 1

    def _layer_to_fill(self, image: Image, shape: tuple[int, ...]) -> Labels:
        """Return the chosen labels layer if it is plugin-managed and of this image."""
        chosen = self.workspace.labels
        if chosen is None:
            raise UserError("There are no labels to fill; press 'New labels' in step Train.")
        if not is_ours(chosen) or not is_paintable(chosen):
            raise UserError(
                f"{chosen.name} was not made here; press a tool in step Correct to take it over, "
                f"or choose '{OWN_LAYER}'."
            )
        if stack_of(chosen).shape != shape:
            raise UserError(f"{chosen.name} and {image.name} differ in size; choose labels of this image.")
        return chosen

    # -- events of the engine -----------------------------------------------------------

    def _take(self, event: Event) -> None:
        with self.guard():
            if isinstance(event, SlicePredicted):
                self._show(event)
            elif isinstance(event, QuickLookReady):
                self._draft.take(event)
            elif isinstance(event, Progress):
                self.bar.show_progress(event)
            elif isinstance(event, Message):
                self.say(event.text)
            elif isinstance(event, Finished):
                self._finished() if self._growing is None else self._volume_finished(event.result)
            elif isinstance(event, Failed):
                self._failed(event)
            elif isinstance(event, BlockDone):
                self._show_block(event)

    def _failed(self, event: Failed) -> None:
        self.bar.setFormat("")
        if not event.cancelled:
            self.complain(event.text)
        elif self._growing is None:
            self.say("Cancelled; finished slices stay.")
        else:
            self.say("Cancelled; what is done stays on disk. Press Predict to resume.")

    def _show(self, event: SlicePredicted) -> None:
        assert self._proposals is not None
        self._draft.remove()
        self._proposals.show(event)

    def _show_block(self, event: BlockDone) -> None:
        assert self._growing is not None
        self._growing.take(event)
        self._draft.clear(event.block)

    def _end(self) -> None:
        self._draft.remove()
        if self._proposals is not None:
            self._proposals.end()
        self._update()

    def _finished(self) -> None:
        assert self._proposals is not None
        self.bar.setFormat("done")
        target = self._proposals.target
        if target not in self.viewer.layers:
            raise UserError(f"'{target.name}' was removed in the meantime; predict again.")
        self.workspace.choose("labels", target)
        self.viewer.layers.selection.active = target
        self.say(f"Proposed in '{target.name}'. Correct it with the brush, then confirm slices.")

    def _volume_finished(self, result: VolumePrediction) -> None:
        assert self._growing is not None
        self.bar.setFormat("done")
        layer = self._growing.complete()
        if result.failures:
            first = result.failures[0]
            raise UserError(
                f"{len(result.failures)} blocks could not be predicted, the first {first.index}: "
                f"{first.text} All others are in {self._growing.path}; press Predict to try these again. "
                f"{result.warning}".rstrip()
            )
        self.say(
            f"'{layer.name}' is in {self._growing.path}. To correct a slice, predict the slice in view: its "
            "labels are proposed from there."
        )
