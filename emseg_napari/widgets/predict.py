"""Step Predict: a trained network proposes labels, and the user's own stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtWidgets import QCheckBox, QFormLayout

from emseg_napari.core.jobs import (
    BlockDone,
    Event,
    Finished,
    Message,
    QuickLookReady,
    SlicePredicted,
    UserError,
)
from emseg_napari.io.stacks import check_image
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.widgets.base.fit_hint import FitHint
from emseg_napari.widgets.base.job_step import JobStep
from emseg_napari.widgets.base.output_target import FILE, VolumeTarget, refuse_many
from emseg_napari.widgets.base.prediction_form import PredictionForm
from emseg_napari.widgets.base.preferences import recall, remember
from emseg_napari.widgets.base.run_picker import RunPicker
from emseg_napari.widgets.base.step import choice_of, in_row
from emseg_napari.widgets.base.threads import with_field_locations
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import proposals_of
from emseg_napari.widgets.layers.layer_pixels import placed_volume, volume_of_layer
from emseg_napari.widgets.layers.placement import shown_slice, slice_in_view
from emseg_napari.widgets.layers.proposal_layers import (
    OWN_LAYER,
    PredictionSource,
    ProposalLayers,
    layer_to_fill,
)
from emseg_napari.widgets.layers.quick_look_layer import QuickLookLayer
from emseg_napari.widgets.layers.streaming_layer import StreamingLayer, stored_slice

if TYPE_CHECKING:
    from emseg_napari.inference.volume import VolumePrediction

FILL = "unlabelled pixels of the labels layer"
_NO_TRAINING = "No training needed: the starter network proposes at once."
SLICE, STACK = "slice in view", "whole stack"
_TARGET = (
    "Where proposals go. What you painted or confirmed is never changed. On disk: the boundary "
    "probability of the whole stack, which may be larger than memory and can be resumed after "
    "Cancel; then predict a slice in view to propose labels from it."
)
_PROBABILITY = (
    "An image layer, float32, 0 to 1, 1 = boundary, hidden at first; closed gaps show in it. "
    "The repair tools follow it."
)


class PredictStep(JobStep):
    """Predicts slices of an image layer with a run's network."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._image: Any = None
        self._proposals: ProposalLayers | None = None
        self._streaming: StreamingLayer | None = None
        self._quick_look = QuickLookLayer(self.viewer, self._image)
        self._build()
        self._restore()
        self.workspace.changed.connect(self.update_buttons)
        self.closing.connect(lambda: self._quick_look.remove())
        self.update_buttons()

    def _build(self) -> None:
        self.add_choices("image", "labels")
        self.rows.addLayout(self._choices())
        self.volume = VolumeTarget("boundaries", "boundary probability, 0 to 255")
        self.with_probability = QCheckBox("Keep the boundary probability")
        self.with_probability.setToolTip(_PROBABILITY)
        self.form = PredictionForm(self.workspace)
        self.fit = FitHint(self, lambda: self.run_picker.run, self.form)
        for widget in (self.volume, self.with_probability, self.form, self.fit):
            self.rows.addWidget(widget)
        self.predict = self.button("Predict", "Propose labels with the run's network.", self.start)
        self.cancel = self.button("Cancel", "Stop; finished slices stay.", self.job.cancel)
        self.rows.addLayout(in_row(self.predict, self.cancel))
        for widget in (self.bar, self.status):
            self.rows.addWidget(widget)

    def _choices(self) -> QFormLayout:
        """Build the choices of the network, the slices and where they go."""
        self.run_picker = RunPicker(self)
        self.set_run = self.run_picker.set_run
        self.scope = choice_of((SLICE, STACK), "Predict the slice in view, or all slices of the image.")
        self.target = choice_of((OWN_LAYER, FILL, FILE), _TARGET)
        rows = QFormLayout()
        rows.addRow("Run", self.run_picker)
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

    def showEvent(self, event: Any) -> None:
        """Look at the image, too."""
        super().showEvent(event)
        self.fit.refresh()

    def update_buttons(self) -> None:
        """Enable what can be done now, and say what stands in the way of the rest."""
        obstacle = self.enable_start(self.predict, "predict")
        if self.workspace.image is not None:
            self.volume.suggest(self.workspace.image.name)
        if not self.job.running:
            self._hint_at_starter(ready=obstacle is None)

    def obstacles(self) -> list[tuple[bool, str]]:
        """Return what may stand in the way of a prediction."""
        return [
            (self.job.running, "a prediction is running"),
            (self.workspace.image is None, "open an image first"),
            (self.run_picker.run is None, "train a network or choose a run first"),
        ]

    def _show_target(self) -> None:
        to_file = self.target.currentText() == FILE
        self.volume.setVisible(to_file)
        self.scope.setEnabled(not to_file)
        self.with_probability.setVisible(not to_file)

    def _hint_at_starter(self, ready: bool) -> None:
        untrained = ready and self.workspace.run is None
        if untrained and not self.status.text():
            self.say(_NO_TRAINING)
        elif not untrained and self.status.text() == _NO_TRAINING:
            self.say("")

    def start(self) -> None:
        """Predict in the background; proposals appear slice by slice, or block by block."""
        if self.run_picker.run is None:
            raise UserError("Train a network or choose a run first.")
        run = open_run(self.run_picker.run)
        self._image, self._streaming, self._proposals = self.workspace.image, None, None
        self._quick_look = QuickLookLayer(self.viewer, self._image)
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
        self.update_buttons()

    def _start_volume(self, run: Run) -> None:
        """Predict the whole stack to an output on disk, the slice in view first."""
        path, scheduler = self.volume.chosen()
        work = {
            "volume": placed_volume(self._image),
            "run": run.folder,
            "output": path,
            "settings": validated(PredictionSettings, **self.form.values()),
            "scheduler": scheduler,
            "near": slice_in_view(self.viewer, self._image),
        }
        self._streaming = StreamingLayer(self.viewer, self._image, path, run.folder)
        self.say(f"Predicting to {path}...")
        self.job.start("predict_volume", "Predicting", lambda: work)

    def _start_layers(self, run: Run) -> None:
        image = volume_of_layer(self._image)
        slices = self._slices(image)
        refuse_many(self._image.name, (slices[1] - slices[0], *image.shape[1:]), "propose at once")
        settings = validated(PredictionSettings, **self.form.values(), slices=slices)
        fills = self.target.currentText() == FILL
        target = layer_to_fill(self.workspace.labels, self._image.name, image.shape) if fills else None
        threshold = settings.threshold_for(run.record.threshold)
        choices = settings.choices(run.record.scale, run.record.threshold)
        source = PredictionSource(self._image, image.shape, run.folder, threshold, choices)
        self._proposals = ProposalLayers(self.viewer, source, target, self.with_probability.isChecked())
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
        stored = stored_slice(layer, run, settings, z)
        if stored is None:
            return False
        layer.visible = False  # labels show now what it shows
        assert self._proposals is not None
        self._proposals.show(stored)
        self.on_ended()
        self._proposed()
        return True

    def _slices(self, image: Sized) -> tuple[int, int]:
        if self.scope.currentText() == STACK:
            return 0, len(image)
        z = shown_slice(self.viewer, self.workspace.image)
        return z, z + 1

    # -- events of the engine -----------------------------------------------------------

    def handlers(self) -> dict[type[Event], Callable[[Any], None]]:
        """Return what shows which event; slices and blocks come one by one."""
        return super().handlers() | {
            SlicePredicted: self._show_slice,
            QuickLookReady: self._quick_look.show,
            BlockDone: self._show_block,
        }

    def on_message(self, event: Message) -> None:
        """Show a sentence of the prediction."""
        self.say(event.text)

    def on_finished(self, event: Finished) -> None:
        """Show where the prediction is, and what comes next."""
        if self._streaming is None:
            self._proposed()
        else:
            self._written(self._streaming, event.result)

    def cancelled_sentence(self) -> str:
        """Return what is left of a cancelled prediction."""
        if self._streaming is None:
            return "Cancelled; finished slices stay."
        return "Cancelled; finished blocks stay on disk. Press Predict to resume."

    def _show_slice(self, event: SlicePredicted) -> None:
        assert self._proposals is not None
        self._quick_look.remove()
        self._proposals.show(event)

    def _show_block(self, event: BlockDone) -> None:
        assert self._streaming is not None
        self._streaming.show(event)
        self._quick_look.clear(event.block)

    def on_ended(self) -> None:
        """Remove the first look, and close the history entry of this prediction."""
        self._quick_look.remove()
        if self._proposals is not None:
            self._proposals.end()
        self.update_buttons()

    def _proposed(self) -> None:
        assert self._proposals is not None
        self.bar.setFormat("done")
        target = self._proposals.target
        if target not in self.viewer.layers:
            raise UserError(f"'{target.name}' was removed in the meantime; predict again.")
        self.workspace.choose("labels", target)
        self.viewer.layers.selection.active = target
        self.say(f"Proposed in '{target.name}'. Correct it with the brush, then confirm slices.")

    def _written(self, streaming: StreamingLayer, result: VolumePrediction) -> None:
        self.bar.setFormat("done")
        layer = streaming.complete()
        if result.failures:
            first = result.failures[0]
            raise UserError(
                f"{len(result.failures)} blocks could not be predicted, the first {first.index}: "
                f"{with_field_locations(first)} All others are in {streaming.path}; press Predict to try "
                f"these again. {result.warning}".rstrip()
            )
        self.say(
            f"'{layer.name}' is in {streaming.path}. To correct a slice, predict the slice in view: its "
            "labels are proposed from there."
        )
