"""Step 3: let a trained network propose labels, without touching what the user painted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QLabel, QProgressBar

from emseg_napari.jobs import Event, Failed, Finished, Message, Progress, SlicePredicted, UserError
from emseg_napari.labels import from_probability
from emseg_napari.runs import open_run
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.stacks import as_stack, check_image
from emseg_napari.widgets.enginejob import EngineJob
from emseg_napari.widgets.forms import SettingsForm
from emseg_napari.widgets.layers import (
    PROPOSAL_OF,
    add_labels,
    corrections_of,
    image_of,
    is_ours,
    slice_in_view,
)
from emseg_napari.widgets.preferences import recall, remember
from emseg_napari.widgets.step import Step, enable
from emseg_napari.widgets.workspace import Workspace

OWN_LAYER, FILL = "a proposal layer of its own", "unlabelled pixels of the labels layer"
SLICE, STACK = "slice in view", "whole stack"


class PredictStep(Step):
    """Predicts slices of an image layer with a run's network."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.job = EngineJob(self)
        self.job.event.connect(self._take)
        self.job.ended.connect(self._update)
        self._image: Image | None = None
        self._target: Any = None
        self._probability: Image | None = None
        self._threshold = 0.5
        self._build()
        self._restore()
        self.workspace.changed.connect(self._update)
        self._update()

    def _build(self) -> None:
        self.add_choices("image", "labels")
        self.run_name = QLabel()
        self.run_name.setWordWrap(True)
        self.choose_run = self.button("Choose run...", "The folder that a training wrote.", self._ask_run)
        self.scope, self.target = QComboBox(), QComboBox()
        self.scope.addItems([SLICE, STACK])
        self.target.addItems([OWN_LAYER, FILL])
        self.scope.setToolTip("Predict the slice that you look at, or all slices of the image.")
        self.target.setToolTip("Where proposals go. What you painted or confirmed is never changed.")
        rows = QFormLayout()
        rows.addRow("Run", self.run_name)
        rows.addRow("", self.choose_run)
        rows.addRow("Predict", self.scope)
        rows.addRow("Write to", self.target)
        self.rows.addLayout(rows)
        self.with_probability = QCheckBox("Also show the boundary probability")
        self.with_probability.setToolTip("An image layer of float32, 0 to 1, 1 = boundary.")
        self.rows.addWidget(self.with_probability)
        self.form = SettingsForm(PredictionSettings, leave_out=("slices",))
        self.rows.addWidget(self.form)
        self.predict = self.button("Predict", "Propose labels with the run's network.", self.start)
        self.cancel = self.button("Cancel", "Stop; slices that are done stay.", self.job.cancel)
        buttons = QHBoxLayout()
        buttons.addWidget(self.predict)
        buttons.addWidget(self.cancel)
        self.rows.addLayout(buttons)
        self.bar = QProgressBar(maximum=1000)
        self.bar.setFormat("")
        for widget in (self.bar, self.status):
            self.rows.addWidget(widget)

    def _restore(self) -> None:
        remembered = recall("predict")
        self.scope.setCurrentText(remembered.get("scope", STACK))
        self.target.setCurrentText(remembered.get("target", OWN_LAYER))
        self.with_probability.setChecked(bool(remembered.get("probability", False)))

    def _update(self) -> None:
        run = self.workspace.run
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
        if not self.status.text() and obstacle:
            self.say(f"To predict, {obstacle}.")

    def _ask_run(self) -> None:
        start = recall("folders").get("runs") or str(Path.home() / "emseg-runs")
        path = QFileDialog.getExistingDirectory(self, "Choose a run folder", start)
        if path:
            self.set_run(Path(path))

    def set_run(self, folder: Path) -> None:
        """Choose the run whose network predicts."""
        run = open_run(folder)
        self.workspace.choose_run(run.folder)
        held_out = [row.held_out_accuracy for row in run.history if row.held_out_accuracy is not None]
        score = f", accuracy {100 * held_out[-1]:.1f} % on held-out slices" if held_out else ""
        self.say(f"{folder.name}: {run.settings.network}{score}.")

    def start(self) -> None:
        """Predict in the background; proposals appear slice by slice."""
        if self.workspace.run is None:
            raise UserError("Train a network or choose a run first.")
        run = open_run(self.workspace.run)
        image_layer = self.workspace.image
        image = image_of(image_layer)
        slices = self._slices(image)
        settings = validated(PredictionSettings, **self.form.values(), slices=slices)
        check_image(image[slices[0] : slices[1]], image_layer.name)
        self._image = image_layer
        self._threshold = run.record.threshold if settings.threshold is None else settings.threshold
        self._target = self._find_target(image_layer, image.shape)
        if self.with_probability.isChecked():
            self._probability = self._find_probability(image_layer, image.shape)
        else:
            self._probability = None
        chosen = {"scope": self.scope, "target": self.target}
        remember(
            "predict",
            {k: w.currentText() for k, w in chosen.items()}
            | {"probability": self.with_probability.isChecked()},
        )
        self.say("Predicting...")
        self.job.start("predict", "Predicting", image=image, run=run.folder, settings=settings)
        self._update()

    def _slices(self, image: np.ndarray) -> tuple[int, int]:
        if self.scope.currentText() == STACK:
            return 0, len(image)
        z = slice_in_view(self.viewer, self.workspace.image)
        if z is None:
            raise UserError("The viewer shows no slice of the image; move the slider to one.")
        return z, z + 1

    def _find_target(self, image: Image, shape: tuple[int, ...]) -> Labels:
        """Return the labels layer that proposals go to, a new one unless it is surely ours."""
        chosen = self.workspace.labels
        if self.target.currentText() == FILL:
            if not is_ours(chosen):
                raise UserError(
                    "Filling needs a labels layer made or opened here; press 'New labels' in step Train."
                )
            if corrections_of(chosen).shape != shape:
                raise UserError(
                    f"{chosen.name} and {image.name} differ in size; choose labels of this image."
                )
            if not isinstance(chosen.data, np.ndarray):
                raise UserError(f"{chosen.name} is not in memory; choose '{OWN_LAYER}'.")
            return chosen
        for layer in self.viewer.layers:
            if layer.metadata.get(PROPOSAL_OF) == image.unique_id and corrections_of(layer).shape == shape:
                return layer
        layer = add_labels(
            self.viewer, np.zeros(image.data.shape[-len(shape) :], np.uint8), f"{image.name} proposal", image
        )
        layer.metadata[PROPOSAL_OF] = image.unique_id
        return layer

    def _find_probability(self, image: Image, shape: tuple[int, ...]) -> Image:
        name = f"{image.name} boundary probability"
        for layer in self.viewer.layers:
            if (
                layer.name == name
                and layer.metadata.get(PROPOSAL_OF) == image.unique_id
                and layer.data.shape == shape
            ):
                return layer
        return self.viewer.add_image(
            np.zeros(shape, np.float32),
            name=name,
            contrast_limits=(0, 1),
            colormap="magma",
            opacity=0.7,
            visible=False,
            scale=image.scale[-3:] if image.ndim > 2 else (1, *image.scale),
            translate=image.translate[-3:] if image.ndim > 2 else (0, *image.translate),
            metadata={PROPOSAL_OF: image.unique_id},
        )

    # -- what the engine says -----------------------------------------------------------

    def _take(self, event: Event) -> None:
        with self.guard():
            if isinstance(event, SlicePredicted):
                self._show(event)
            elif isinstance(event, Progress):
                left = "" if event.seconds_left is None else f", {event.seconds_left:.0f} s left"
                self.bar.setValue(round(1000 * event.fraction))
                self.bar.setFormat(f"{event.text}{left}")
            elif isinstance(event, Message):
                self.say(event.text)
            elif isinstance(event, Finished):
                self._finished()
            elif isinstance(event, Failed):
                self.bar.setFormat("")
                self.say("Cancelled; finished slices stay.") if event.cancelled else self.complain(event.text)

    def _show(self, event: SlicePredicted) -> None:
        if self._probability is not None and self._probability in self.viewer.layers:
            self._probability.data[event.z] = event.probability
            self._probability.refresh()
        if self._target in self.viewer.layers:
            fill(self._target, event.z, from_probability(event.probability, self._threshold))

    def _finished(self) -> None:
        self.bar.setFormat("done")
        if self._target not in self.viewer.layers:
            raise UserError("The layer for the proposals was removed meanwhile; predict again.")
        self.workspace.choose("labels", self._target)
        self.viewer.layers.selection.active = self._target
        self.say(f"Proposed in '{self._target.name}'. Correct it with the brush, then confirm slices.")


def fill(layer: Labels, z: int, proposed: np.ndarray) -> None:
    """Write a proposal for one slice into a labels layer of ours, where the user left room.

    Not by `data_setitem`: the undo history is the user's, and a hundred filled slices would
    push their strokes out of it. It stays right, since a fill never changes what they painted.
    """
    labels = as_stack(layer.data)
    indices, values = corrections_of(layer).fill(labels, z, proposed)
    labels[indices] = values
    layer.refresh()
