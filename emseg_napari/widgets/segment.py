"""Step Cells: divides a boundary probability into cells, each in a colour of its own."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QFormLayout

from emseg_napari.annotation.session.scratch import new_labels, slices_in_use
from emseg_napari.core.jobs import Event, Failed, Finished, Message, Progress, UserError
from emseg_napari.core.labels import BOUNDARY, UNLABELLED
from emseg_napari.io.open import open_levels
from emseg_napari.io.volume import filled, volume_of
from emseg_napari.segmentation.boundary import boundary_of
from emseg_napari.segmentation.provenance import cells_record
from emseg_napari.segmentation.volume import Destination, VolumeCells
from emseg_napari.settings import InstanceSettings, validated
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.layer_picker import PredictionPick
from emseg_napari.widgets.base.output_target import FILE, VolumeTarget, refuse_many
from emseg_napari.widgets.base.preferences import recall, remember
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import Step, choice_of, enable, in_line
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import (
    PROPOSAL_OF,
    SOURCE,
    fits,
    stack_of,
    understood,
    volume_of_layer,
)
from emseg_napari.widgets.layers.layer_records import record_of_layer
from emseg_napari.widgets.layers.placement import placed, slice_in_view
from emseg_napari.widgets.layers.volume_layers import layer_of

SLICE, STACK = "slice in view", "whole stack"
LAYER = "a labels layer"
_WHOLE = (slice(None), slice(None))
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
        self._output: Path | None = None
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
            "A boundary probability (0 to 1; 8 bit: 0 to 255), or labels of boundary and interior. A file of "
            "'emseg predict' is taken for what it was written as."
        )
        self.source.picked.connect(self._update)
        self.scope = choice_of(
            (SLICE, STACK), "Try settings on the slice that you look at; links need the whole stack."
        )
        rows = QFormLayout()
        rows.addRow("Boundaries", self.source)
        rows.addRow("Divide", self.scope)
        self.target = choice_of(
            (LAYER, FILE), "Where the numbers go. On disk: those of a stack that may be larger than memory."
        )
        self.target.currentTextChanged.connect(self._show_target)
        rows.addRow("Write to", self.target)
        self.rows.addLayout(rows)
        self.volume = VolumeTarget("cells", "the number of each pixel's cell")
        self.rows.addWidget(self.volume)
        self.form = SettingsForm(InstanceSettings)
        self.find = self.button("Find cells", "Give every cell a number and a colour.", self.start)
        self.cancel = self.button("Cancel", "Stop; nothing is changed.", self.job.cancel)
        self.bar = JobBar()
        self.rows.addWidget(self.form)
        self.rows.addLayout(in_line(self.find, self.cancel))
        for widget in (self.bar, self.status):
            self.rows.addWidget(widget)

    def _show_target(self) -> None:
        to_file = self.target.currentText() == FILE
        self.volume.setVisible(to_file)
        self.scope.setEnabled(not to_file)

    def _restore(self) -> None:
        self._show_target()
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
        if self.source.layer is not None:
            self.volume.suggest(self.source.layer.name)
        if not running:
            self.hint(obstacle, "find cells")

    # -- finding cells ------------------------------------------------------------------

    def start(self) -> None:
        """Find cells in the background."""
        source = self.source.layer
        if source is None:
            raise UserError("Choose a boundary probability or labels first.")
        settings = validated(InstanceSettings, **self.form.values())
        remember("cells", settings.model_dump(mode="json") | {"scope": self.scope.currentText()})
        self._source, self._linked, self._notes, self._output = source, settings.link, [], None
        if self.target.currentText() == FILE:
            self._start_volume(settings)
        else:
            self._start_layer(settings)
        self._update()

    def _start_volume(self, settings: InstanceSettings) -> None:
        """Find the cells of the whole stack, to an output on disk."""
        source = self._source
        if not isinstance(source, Image):
            raise UserError(f"{source.name} holds labels; cells on disk need a boundary probability.")
        path, scheduler = self.volume.chosen()
        self._output = path
        volume = volume_of(volume_of_layer(source), source.name)

        def prepare() -> dict[str, Any]:
            record = record_of_layer(source)
            boundary = boundary_of(volume, record)
            return {
                "volume": volume,
                "kind": boundary.kind,
                "destination": Destination(path, cells_record(boundary, record, settings)),
                "settings": settings,
                "scheduler": scheduler,
            }

        self.say(f"Finding cells, to {path}...")
        self.job.start("segment_volume", "Finding cells", prepare)

    def _start_layer(self, settings: InstanceSettings) -> None:
        source, stack = self._source, filled(volume_of_layer(self._source), settings.missing_is_empty)
        first, end = self._range(source, len(stack))
        refuse_many(source.name, (end - first, *stack.shape[1:]), "divide in memory")
        self._shape, self._slices = stack.shape, (first, end)

        def prepare() -> dict[str, Any]:
            if isinstance(source, Image):
                boundary = boundary_of(volume_of(stack, source.name), record_of_layer(source))
                probability = np.stack([boundary.part(z, _WHOLE) for z in range(first, end)])
            else:
                labels, _ = understood(source, self.ask_convention)
                probability = _certain(labels[first:end], source.name, first)
            return {"probability": probability, "settings": settings, "first_slice": first}

        self.say("Finding cells...")
        self.job.start("segment", "Finding cells", prepare)

    def _range(self, layer: Layer, depth: int) -> tuple[int, int]:
        if self.scope.currentText() == STACK:
            return 0, depth
        z = slice_in_view(self.viewer, layer)
        if z is None:
            raise UserError(f"The viewer shows no slice of {layer.name}; move the slider to one.")
        return z, z + 1

    # -- events of the engine -----------------------------------------------------------

    def _take(self, event: Event) -> None:
        with self.guard():
            if isinstance(event, Progress):
                self.bar.show_progress(event)
            elif isinstance(event, Message):
                self._notes.append(event.text)
            elif isinstance(event, Finished):
                self._finished(event.result) if self._output is None else self._volume_finished(event.result)
            elif isinstance(event, Failed):
                self._failed(event)

    def _failed(self, event: Failed) -> None:
        self.bar.setFormat("")
        if not event.cancelled:
            self.complain(event.text)
        elif self._output is None:
            self.say("Cancelled; nothing was changed.")
        else:
            self.say(f"Cancelled; what is done stays beside {self._output}: press Find cells to resume.")

    def _volume_finished(self, result: VolumeCells) -> None:
        self.bar.setFormat("done")
        data, shown, _ = layer_of(open_levels(result.output.path, fills=True))
        lying = placed(self._source, 0)
        earlier = [
            layer for layer in self.viewer.layers if layer.metadata.get(SOURCE) == shown["metadata"][SOURCE]
        ]
        for layer in earlier:
            self.viewer.layers.remove(layer)
        named = {"name": f"{self._image_name()} cells", "opacity": 0.5}
        layer = self.viewer.add_labels(data, **shown | lying | named)
        if result.failures:
            first = result.failures[0]
            raise UserError(
                f"{len(result.failures)} parts have no cells, the first {first.index}: {first.text} All "
                f"others are in {self._output}; press Find cells to try these again."
            )
        count = "All" if result.cells is None else f"{result.cells}"
        self.say(" ".join([f"{count} cells are in '{layer.name}', on disk in {self._output}.", *self._notes]))

    def _finished(self, cells: np.ndarray) -> None:
        self.bar.setFormat("done")
        layer = self._layer()
        self._put(cells, layer)
        self.say(" ".join([self._result(int(cells.max()), layer.name), *self._notes]))

    def _put(self, cells: np.ndarray, layer: Labels) -> None:
        """Show the cells, those of a single slice with numbers that the rest of the stack has not."""
        first, end = self._slices
        stack = stack_of(layer)
        if end - first == len(stack):
            layer.data = cells.reshape(layer.data.shape)
            return
        stack[first:end] = 0
        highest = max((int(stack[z].max()) for z in slices_in_use(stack)), default=0)
        stack[first:end] = np.where(cells > 0, cells + highest, 0)
        layer.refresh()

    def _layer(self) -> Any:
        """Return the layer that holds the cells of this source, a new one if there is none."""
        layer = self._own.get(self._source.unique_id)
        if layer is not None and layer in self.viewer.layers and fits(layer, self._shape):
            return layer
        return self._add_layer()

    def _add_layer(self) -> Labels:
        """Add an empty layer for the cells, placed as their source is."""
        source, data = self._source, new_labels(self._shape, np.int32)
        data = data[0] if source.ndim == 2 else data
        place = _PLACE if source.ndim == data.ndim else ()
        where = {name: getattr(source, name) for name in place} or {
            name: getattr(source, name)[-data.ndim :] for name in ("scale", "translate")
        }
        layer = self.viewer.add_labels(data, name=f"{self._image_name()} cells", opacity=0.5, **where)
        self._own[source.unique_id] = layer
        # The user's strokes stay: the next cells go to a new layer.
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
    return np.multiply(labels == BOUNDARY, np.uint8(255))
