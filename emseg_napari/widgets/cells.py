"""Step Cells: a boundary probability becomes cells, each in a colour of its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QProgressBar

from emseg_napari.cells.instances import check_probability
from emseg_napari.jobs import Event, Failed, Finished, Message, Progress, UserError
from emseg_napari.labels import BOUNDARY, UNLABELLED, AmbiguousLabels, UnknownLabels, normalise
from emseg_napari.settings import InstanceSettings, validated
from emseg_napari.widgets.dialogs import ask_convention
from emseg_napari.widgets.enginejob import EngineJob
from emseg_napari.widgets.forms import SettingsForm
from emseg_napari.widgets.layers import PROPOSAL_OF, fits, image_of, labels_of, slice_in_view, stack_of
from emseg_napari.widgets.picks import PredictionPick
from emseg_napari.widgets.preferences import recall, remember
from emseg_napari.widgets.step import Step, enable
from emseg_napari.widgets.workspace import Workspace

SLICE, STACK = "slice in view", "whole stack"
_PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class CellsStep(Step):
    """Divides slices of a boundary probability into cells and links them through the slices."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.job = EngineJob(self)
        self.job.event.connect(self._take)
        self.job.ended.connect(self._update)
        self._source: Any = None
        self._shape: tuple[int, ...] = ()
        self._slices = (0, 0)
        self._linked = False
        self._notes: list[str] = []
        self._own: dict[Any, Any] = {}  # source layer's id to the layer of its cells
        self._build()
        self._restore()
        self.workspace.changed.connect(self._update)
        self.workspace.layers_changed.connect(self._update)
        self._update()

    # -- what it looks like -------------------------------------------------------------

    def _build(self) -> None:
        self.source = PredictionPick(self.workspace)
        self.source.setToolTip(
            "A boundary probability (0 to 1; 8 bit: 0 to 255), or labels of boundary and interior."
        )
        self.source.picked.connect(self._update)
        self.scope = QComboBox()
        self.scope.addItems([SLICE, STACK])
        self.scope.setToolTip("Try settings on the slice that you look at; links need the whole stack.")
        rows = QFormLayout()
        rows.addRow("Boundaries", self.source)
        rows.addRow("Divide", self.scope)
        self.rows.addLayout(rows)
        self.form = SettingsForm(InstanceSettings)
        self.find = self.button("Find cells", "Give every cell a number and a colour.", self.start)
        self.cancel = self.button("Cancel", "Stop; nothing is changed.", self.job.cancel)
        buttons = QHBoxLayout()
        buttons.addWidget(self.find)
        buttons.addWidget(self.cancel)
        self.bar = QProgressBar(maximum=1000)
        self.bar.setFormat("")
        self.rows.addWidget(self.form)
        self.rows.addLayout(buttons)
        for widget in (self.bar, self.status):
            self.rows.addWidget(widget)

    def _restore(self) -> None:
        remembered = recall("cells")
        self.scope.setCurrentText(str(remembered.pop("scope", STACK)))
        with suppress(UserError, TypeError):  # another version remembered them
            self.form.set_values(validated(InstanceSettings, **remembered).model_dump())

    def _update(self) -> None:
        running = self.job.running
        obstacle = (
            "cells are being found"
            if running
            else "choose a boundary probability first (step Predict shows it if you ask for it), or labels"
            if self.source.layer is None
            else None
        )
        enable(self.find, obstacle)
        enable(self.cancel, None if running else "nothing is running")
        if not running:
            self.hint(obstacle, "find cells")

    # -- finding cells ------------------------------------------------------------------

    def start(self) -> None:
        """Find cells in the background."""
        source = self.source.layer
        if source is None:
            raise UserError("Choose a boundary probability or labels first.")
        settings = validated(InstanceSettings, **self.form.values())
        stack = image_of(source) if isinstance(source, Image) else self._labels_of(source)
        first, end = self._range(source, len(stack))
        probability = stack[first:end]
        if not isinstance(source, Image):
            probability = _certain(probability, source.name, first)
        check_probability(probability, source.name, first)
        remember("cells", settings.model_dump(mode="json") | {"scope": self.scope.currentText()})
        self._source, self._shape, self._slices = source, stack.shape, (first, end)
        self._linked, self._notes = settings.link, []
        self.say("Finding cells...")
        work = {"probability": probability, "settings": settings, "first_slice": first}
        self.job.start("segment", "Finding cells", **work)
        self._update()

    def _labels_of(self, layer: Labels) -> np.ndarray:
        """Return the layer's labels (0, 1, 2); the user says what its values mean if they do not."""
        try:
            return labels_of(layer)
        except (AmbiguousLabels, UnknownLabels) as error:
            convention = ask_convention(self, error)
            if convention is None:
                raise
            return normalise(stack_of(layer), layer.name, convention)

    def _range(self, layer: Layer, depth: int) -> tuple[int, int]:
        if self.scope.currentText() == STACK:
            return 0, depth
        z = slice_in_view(self.viewer, layer)
        if z is None:
            raise UserError(f"The viewer shows no slice of {layer.name}; move the slider to one.")
        return z, z + 1

    # -- what the engine says -----------------------------------------------------------

    def _take(self, event: Event) -> None:
        with self.guard():
            if isinstance(event, Progress):
                left = "" if event.seconds_left is None else f", {event.seconds_left:.0f} s left"
                self.bar.setValue(round(1000 * event.fraction))
                self.bar.setFormat(f"{event.text}{left}")
            elif isinstance(event, Message):
                self._notes.append(event.text)
            elif isinstance(event, Finished):
                self._finished(event.result)
            elif isinstance(event, Failed):
                self.bar.setFormat("")
                self.say("Cancelled; nothing was changed.") if event.cancelled else self.complain(event.text)

    def _finished(self, cells: np.ndarray) -> None:
        self.bar.setFormat("done")
        layer = self._layer()
        layer.data = self._among_others(cells, stack_of(layer)).reshape(layer.data.shape)
        self.say(" ".join([self._result(int(cells.max()), layer.name), *self._notes]))

    def _among_others(self, cells: np.ndarray, stack: np.ndarray) -> np.ndarray:
        """Return the cells, those of a single slice with numbers that the rest of the stack has not."""
        first, end = self._slices
        if end - first == len(stack):
            return cells
        stack[first:end] = 0
        stack[first:end] = np.where(cells > 0, cells + stack.max(), 0)
        return stack

    def _layer(self) -> Any:
        """Return the layer that holds the cells of this source, a new one if there is none."""
        layer = self._own.get(self._source.unique_id)
        if layer is not None and layer in self.viewer.layers and fits(layer, self._shape):
            return layer
        return self._add_layer()

    def _add_layer(self) -> Labels:
        """Add an empty layer for the cells, placed as their source is."""
        source, data = self._source, np.zeros(self._shape, np.int32)
        data = data[0] if source.ndim == 2 else data
        place = _PLACE if source.ndim == data.ndim else ()
        where = {name: getattr(source, name) for name in place} or {
            name: getattr(source, name)[-data.ndim :] for name in ("scale", "translate")
        }
        layer = self.viewer.add_labels(data, name=f"{self._image_name()} cells", opacity=0.5, **where)
        self._own[source.unique_id] = layer
        # Who paints in it makes it theirs: the next cells go to a new layer.
        layer.events.paint.connect(lambda: self._own.pop(source.unique_id, None))
        return layer

    def _image_name(self) -> str:
        """Name of the image that the source was predicted from, else of the source."""
        image = self._source.metadata.get(PROPOSAL_OF)
        names = [layer.name for layer in self.viewer.layers if layer.unique_id == image]
        return names[0] if names else self._source.name

    def _result(self, count: int, name: str) -> str:
        first, end = self._slices
        if end - first == 1:
            return f"{count} cells in slice {first}, in '{name}'."
        linked = ", linked through them" if self._linked else ", each of one slice"
        return f"{count} cells in {end - first} slices{linked}, in '{name}'."


def _certain(labels: np.ndarray, name: str, first: int) -> np.ndarray:
    """Return labels (z, y, x) as the boundary probability that they are: uint8, 0 or 255."""
    unlabelled = np.flatnonzero((labels == UNLABELLED).any(axis=(1, 2)))
    if len(unlabelled):
        raise UserError(
            f"{name} has unlabelled pixels, the first in slice {first + unlabelled[0]}; label or predict "
            "them first, or choose a boundary probability."
        )
    return np.where(labels == BOUNDARY, 255, 0).astype(np.uint8)
