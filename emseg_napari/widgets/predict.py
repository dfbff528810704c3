"""Step 3: let a trained network propose labels, without touching what the user painted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QProgressBar

from emseg_napari.jobs import Event, Failed, Finished, Message, Progress, SlicePredicted, UserError
from emseg_napari.labels import from_probability
from emseg_napari.runs import open_run
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.stacks import check_image
from emseg_napari.widgets.enginejob import EngineJob
from emseg_napari.widgets.forms import SettingsForm
from emseg_napari.widgets.layers import (
    PROPOSAL_OF,
    RUN,
    YELLOW,
    add_labels,
    corrections_of,
    fits,
    image_of,
    is_ours,
    is_paintable,
    label_colours,
    placed,
    slice_in_view,
    stack_of,
)
from emseg_napari.widgets.preferences import recall, recall_folder, remember
from emseg_napari.widgets.starts import starter
from emseg_napari.widgets.step import Step, enable, wrapping_label
from emseg_napari.widgets.workspace import Workspace

OWN_LAYER, FILL = "a proposal layer of its own", "unlabelled pixels of the labels layer"
_NO_TRAINING = "No training needed: the starter network proposes at once."
SLICE, STACK = "slice in view", "whole stack"


class PredictStep(Step):
    """Predicts slices of an image layer with a run's network."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.job = EngineJob(self)
        self.job.event.connect(self._take)
        self.job.ended.connect(self._update)
        self._image: Any = None
        self._run: Path | None = None
        self._shape: tuple[int, ...] = ()
        self._target: Any = None
        self._probability: Any = None
        self._wants_probability = False
        self._threshold = 0.5
        self._build()
        self._restore()
        self.workspace.changed.connect(self._update)
        self._update()

    def _build(self) -> None:
        self.add_choices("image", "labels")
        self.run_name = wrapping_label()
        self.choose_run = self.button("Choose run...", "The folder that a training wrote.", self._ask_run)
        self.scope, self.target = QComboBox(), QComboBox()
        self.scope.addItems([SLICE, STACK])
        self.target.addItems([OWN_LAYER, FILL])
        self.scope.setToolTip("Predict the slice that you look at, or all slices of the image.")
        self.target.setToolTip("Where proposals go. What you painted or confirmed is never changed.")
        rows = QFormLayout()
        rows.addRow("Run", self.run_name)
        self.use_starter = self.button(
            "Starter network",
            "The network that comes with emseg-napari: a first proposal without any training, for research "
            "and non-commercial use.",
            self._use_starter,
        )
        which = QHBoxLayout()
        for button in (self.choose_run, self.use_starter):
            which.addWidget(button)
        rows.addRow("", which)
        rows.addRow("Predict", self.scope)
        rows.addRow("Write to", self.target)
        self.rows.addLayout(rows)
        self.with_probability = QCheckBox("Also show the boundary probability")
        self.with_probability.setToolTip(
            "An image layer of float32, 0 to 1, 1 = boundary; lines that close gaps show in it."
        )
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
        self.scope.setCurrentText(str(remembered.get("scope", STACK)))
        self.target.setCurrentText(str(remembered.get("target", OWN_LAYER)))
        self.with_probability.setChecked(bool(remembered.get("probability", False)))

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
        enable(self.use_starter, None if starter() else "this installation has no starter network")
        if not running:
            self.hint(obstacle, "predict")
            self._hint_at_starter(ready=obstacle is None)

    @property
    def run(self) -> Path | None:
        """The run that predicts: the chosen one, or the starter network while there is none."""
        return self.workspace.run or starter()

    def _hint_at_starter(self, ready: bool) -> None:
        untrained = ready and self.workspace.run is None
        if untrained and not self.status.text():
            self.say(_NO_TRAINING)
        elif not untrained and self.status.text() == _NO_TRAINING:
            self.say("")

    def _use_starter(self) -> None:
        folder = starter()
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
        """Predict in the background; proposals appear slice by slice."""
        if self.run is None:
            raise UserError("Train a network or choose a run first.")
        run = open_run(self.run)
        image_layer = self.workspace.image
        image = image_of(image_layer)
        slices = self._slices(image)
        settings = validated(PredictionSettings, **self.form.values(), slices=slices)
        check_image(image, image_layer.name, range(*slices))
        fills = self.target.currentText() == FILL
        # Layers of our own come with the first slice: a prediction that fails leaves none.
        self._target = self._layer_to_fill(image_layer, image.shape) if fills else None
        self._probability, self._wants_probability = None, self.with_probability.isChecked()
        self._image, self._shape, self._run = image_layer, image.shape, run.folder
        self._threshold = run.record.threshold if settings.threshold is None else settings.threshold
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

    def _layer_to_fill(self, image: Image, shape: tuple[int, ...]) -> Labels:
        """Return the chosen labels layer if it is surely ours and of this image."""
        chosen = self.workspace.labels
        if chosen is None:
            raise UserError("There are no labels to fill; press 'New labels' in step Train.")
        if not is_ours(chosen) or not is_paintable(chosen):
            raise UserError(
                f"{chosen.name} was not made here; press a tool in step Correct to take it over, "
                f"or choose '{OWN_LAYER}'."
            )
        if corrections_of(chosen).shape != shape:
            raise UserError(f"{chosen.name} and {image.name} differ in size; choose labels of this image.")
        return chosen

    def _proposals(self, kind: type[Layer]) -> Any:
        """Return the labels or image layer that earlier predictions of this image wrote, or None."""
        for layer in self.viewer.layers:
            ours = isinstance(layer, kind) and layer.metadata.get(PROPOSAL_OF) == self._image.unique_id
            if ours and fits(layer, self._shape):
                return layer
        return None

    def _add_proposal(self) -> Labels:
        empty = np.zeros(self._shape[-self._image.ndim :], np.uint8)
        layer = add_labels(self.viewer, empty, f"{self._image.name} proposal", self._image)
        layer.metadata[PROPOSAL_OF] = self._image.unique_id
        layer.colormap = label_colours(YELLOW)  # to be told from the user's own labels below it
        return layer

    def _add_probability(self) -> Image:
        return self.viewer.add_image(
            np.zeros(self._shape, np.float32),
            name=f"{self._image.name} boundary probability",
            contrast_limits=(0, 1),
            colormap="magma",
            opacity=0.7,
            visible=False,
            metadata={PROPOSAL_OF: self._image.unique_id},
            **placed(self._image, 0),
        )

    def _signed(self, layer: Any) -> Any:
        layer.metadata[RUN] = str(self._run)
        return layer

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
        if self._target is None:
            self._target = self._signed(self._proposals(Labels) or self._add_proposal())
        if self._wants_probability and self._probability is None:
            self._probability = self._signed(self._proposals(Image) or self._add_probability())
        if self._probability is not None and self._probability in self.viewer.layers:
            self._probability.data[event.z] = event.probability
            self._probability.refresh()
        if self._target in self.viewer.layers:
            fill(self._target, event.z, from_probability(event.probability, self._threshold))

    def _finished(self) -> None:
        self.bar.setFormat("done")
        if self._target not in self.viewer.layers:
            raise UserError(f"'{self._target.name}' was removed in the meantime; predict again.")
        self.workspace.choose("labels", self._target)
        self.viewer.layers.selection.active = self._target
        self.say(f"Proposed in '{self._target.name}'. Correct it with the brush, then confirm slices.")


def fill(layer: Labels, z: int, proposed: np.ndarray) -> None:
    """Write a proposal for one slice into a labels layer of ours, where the user left room.

    Not by `data_setitem`: the undo history is the user's, and a hundred filled slices would
    push their strokes out of it. It stays right, since a fill never changes what they painted.
    """
    labels = stack_of(layer)
    indices, values = corrections_of(layer).fill(labels, z, proposed)
    labels[indices] = values
    layer.refresh()
