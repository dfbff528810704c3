"""Step Cells: divides a boundary probability into cells, each in a colour of its own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QFormLayout, QLabel

from emseg_napari.core.jobs import Finished, Message, UserError
from emseg_napari.core.text import counted
from emseg_napari.io.address import local_path
from emseg_napari.io.sparse_stack import exchanged
from emseg_napari.io.volume import with_fill_value
from emseg_napari.segmentation.boundary import boundary_of
from emseg_napari.segmentation.cell_table import SliceCells, Table, measured
from emseg_napari.segmentation.cells_record import cells_record
from emseg_napari.segmentation.volume import Destination, VolumeCells
from emseg_napari.settings import CellSettings, validated
from emseg_napari.widgets.base.cell_table import CellTable
from emseg_napari.widgets.base.job_step import JobStep
from emseg_napari.widgets.base.layer_picker import PredictionPicker
from emseg_napari.widgets.base.output_target import FILE, VolumeTarget, refuse_many
from emseg_napari.widgets.base.preferences import recall, remember
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import choice_of, in_row, primary
from emseg_napari.widgets.base.threads import with_field_locations
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.cell_boundaries import certain, labels_beside, mixed
from emseg_napari.widgets.layers.cell_layers import CellLayers, axes_of_size, show_features
from emseg_napari.widgets.layers.labels_layer import confirmed_in, understood
from emseg_napari.widgets.layers.layer_pixels import placed_volume, volume_of_layer
from emseg_napari.widgets.layers.layer_records import record_of_layer
from emseg_napari.widgets.layers.pixel_extent import pixel_extent
from emseg_napari.widgets.layers.placement import shown_slice

SLICE, STACK = "slice in view", "whole stack"
LAYER = "a labels layer"
_INSTEAD = f"choose '{SLICE}' in 'Divide', or {FILE} in 'Write to'"
_SOURCE = (
    "A boundary probability (0 to 1; 8 bit: 0 to 255), beside which slices that you confirmed count as you "
    "labelled them; or labels of boundary and interior. A file of 'emseg predict' is taken for what it was "
    "written as."
)
_SCOPE = "Try settings on the slice in view; linking needs the whole stack."
_TARGET = "Where the cell numbers are written. On disk: for a stack that may be larger than memory."


@dataclass
class _Search:
    """One search for cells. Each has its own notes: the thread of a cancelled one may still write some."""

    source: Any
    is_linked: bool
    output: Path | None = None
    shape: tuple[int, ...] = ()
    slices: tuple[int, int] = (0, 0)
    highest: int = 0  # of the numbers in other slices
    notes: list[str] = field(default_factory=list)


class CellsStep(JobStep):
    """Divides slices of a boundary probability into cells and links them through the slices."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._search = _Search(None, False)  # the one that runs
        self._layers = CellLayers(self.viewer)
        self._build()
        self._restore()
        self.workspace.changed.connect(self.update_buttons)
        self.workspace.layers_changed.connect(self._follow_layers)
        self.update_buttons()

    # -- what it looks like -------------------------------------------------------------

    def _build(self) -> None:
        self.rows.addWidget(QLabel("<b>Cells</b>"))
        self.rows.addLayout(self._choices())
        self.volume = VolumeTarget("cells", "the number of each pixel's cell")
        self.form = SettingsForm(CellSettings)
        self.find = primary(self.button("Find cells", "Give every cell a number and a colour.", self.start))
        self.add_job_line("Finding cells", "Stop; nothing is changed.")
        self.table = CellTable(self)
        self.job_lines.append(self.table.line)
        for widget in (self.volume, self.form):
            self.rows.addWidget(widget)
        self.rows.addLayout(in_row(self.find, self.table))

    def _choices(self) -> QFormLayout:
        """Make the choosers of the source, the slices and the target."""
        self.source = PredictionPicker(self.workspace)
        self.source.setToolTip(_SOURCE)
        self.source.picked.connect(self.update_buttons)
        self.scope = choice_of((SLICE, STACK), _SCOPE)
        self.target = choice_of((LAYER, FILE), _TARGET)
        self.target.currentTextChanged.connect(self._show_target)
        rows = QFormLayout()
        rows.addRow("Boundaries", self.source)
        rows.addRow("Divide", self.scope)
        rows.addRow("Write to", self.target)
        return rows

    def _show_target(self) -> None:
        to_file = self.target.currentText() == FILE
        self.volume.setVisible(to_file)
        self.scope.setEnabled(not to_file)

    def _restore(self) -> None:
        self._show_target()
        remembered = recall("cells")
        self.scope.setCurrentText(str(remembered.pop("scope", STACK)))
        with suppress(UserError, TypeError):  # another version remembered them
            self.form.set_values(validated(CellSettings, **remembered).model_dump())

    def update_buttons(self) -> None:
        """Enable what can be done now, and say what stands in the way of the rest."""
        self.enable_start(self.find, "find cells")
        if self.source.layer is not None:
            self.volume.suggest(self.source.layer.name)

    def _follow_layers(self) -> None:
        self._layers.forget_removed()
        self.update_buttons()

    def obstacles(self) -> list[tuple[bool, str]]:
        """Return what may stand in the way of finding cells."""
        missing = (
            "choose a boundary probability first ('Propose the whole stack' makes one, with 'Keep the "
            "boundary probability' under Options), or labels"
        )
        return [(self.job.running, "cells are being found"), (self.source.layer is None, missing)]

    # -- finding cells ------------------------------------------------------------------

    def start(self) -> None:
        """Find cells in the background."""
        source = self.source.layer
        if source is None:
            raise UserError("Choose a boundary probability or labels first.")
        settings = validated(CellSettings, **self.form.values())
        kept = settings.model_dump(mode="json", exclude={"shards"})  # which suit one volume
        remember("cells", kept | {"scope": self.scope.currentText()})
        to_file = self.target.currentText() == FILE
        is_stack = source.ndim > 2 and (to_file or self.scope.currentText() == STACK)
        search = _Search(source, settings.link and is_stack)
        if to_file:
            self._start_volume(settings, search)
        else:
            self._start_layer(settings, search)

    def _start_volume(self, settings: CellSettings, search: _Search) -> None:
        """Find the cells of the whole stack, to an output on disk."""
        source = search.source
        if not isinstance(source, Image):
            raise UserError(f"{source.name} holds labels; cells on disk need a boundary probability.")
        path, scheduler = self.volume.chosen()
        search.output = path
        volume = placed_volume(source)
        labels = self._labels_beside(source, volume.shape, search)
        if labels is not None and confirmed_in(labels):
            search.notes.append("On disk, the labels that you confirmed do not count.")

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

        self._search = search
        self.say(f"Finding cells, to {path}...")
        self.job.start("segment_volume", "Finding cells", prepare)

    def _start_layer(self, settings: CellSettings, search: _Search) -> None:
        source = search.source
        stack = with_fill_value(volume_of_layer(source), settings.missing_is_empty)
        first, end = self._range(source, len(stack))
        refuse_many(source.name, (end - first, *stack.shape[1:]), "divide in memory", _INSTEAD)
        search.shape, search.slices = stack.shape, (first, end)
        labels_layer = self._labels_beside(source, stack.shape, search)
        confirmed = set(confirmed_in(labels_layer)) if labels_layer is not None else set()

        def prepare() -> dict[str, Any]:
            if isinstance(source, Image):
                probability, made_of = mixed(source, stack, range(first, end), labels_layer, confirmed)
                search.notes.extend(made_of)
            else:
                labels, _ = understood(source, self.ask_convention)
                search.notes.extend(filter(None, [exchanged(labels, source.name)]))
                probability = certain(labels, source.name, range(first, end))
            search.highest = self._layers.highest_beside(source, stack.shape, first, end)
            return {"probability": probability, "settings": settings, "first_slice": first, "by_slice": True}

        self._search = search
        self.say("Finding cells...")
        self.job.start("segment", "Finding cells", prepare)

    def _labels_beside(self, source: Layer, shape: tuple[int, ...], search: _Search) -> Labels | None:
        """Return the chosen labels if their confirmed slices count beside a probability, or None."""
        if not isinstance(source, Image):
            return None
        images = self.workspace.candidates("image")
        labels, notes = labels_beside(source, shape, self.workspace.labels, images)
        search.notes.extend(notes)
        return labels

    def _range(self, layer: Layer, depth: int) -> tuple[int, int]:
        if self.scope.currentText() == STACK:
            return 0, depth
        z = shown_slice(self.viewer, layer)
        return z, z + 1

    # -- events of the engine -----------------------------------------------------------

    def on_message(self, event: Message) -> None:
        """Keep a sentence for the end."""
        self._search.notes.append(event.text)

    def on_finished(self, event: Finished) -> None:
        """Show the cells."""
        self.bar.setFormat("done")
        if self._search.output is None:
            self._show_cells(*event.result)
        else:
            self._show_volume(event.result)

    def on_ended(self) -> None:
        """Keep no layer of the search, which the user may remove."""
        self._search = _Search(None, False)
        super().on_ended()

    def cancelled_sentence(self) -> str:
        """Return what is left of a cancelled search for cells."""
        if self._search.output is None:
            return "Cancelled; nothing was changed."
        return f"Cancelled; finished parts stay beside {self._search.output}: press Find cells to resume."

    def _show_volume(self, result: VolumeCells) -> None:
        search = self._search
        layer = self._layers.show_volume(search.source, local_path(result.output.path), search.is_linked)
        self.table.keep(layer, len(result.failures))
        if result.failures:
            first = result.failures[0]
            raise UserError(
                f"{counted(len(result.failures), 'part')} without cells, the first {first.index}: "
                f"{with_field_locations(first)} All others are in {search.output}; press Find cells to "
                "try these again."
            )
        cells = "All cells" if result.cells is None else counted(result.cells, "cell")
        self.say(" ".join([f"{cells}, in '{layer.name}', on disk in {search.output}.", *search.notes]))

    def _show_cells(self, cells: np.ndarray, slices: dict[int, SliceCells]) -> None:
        search = self._search
        numbered = np.where(cells > 0, cells + search.highest, 0) if search.highest else cells
        raised = {z: one.raised(search.highest) for z, one in slices.items()}
        layer = self._layers.show(search.source, numbered, raised, search.shape, is_linked=search.is_linked)
        self.table.keep(layer)
        self._show_features(layer)
        self.say(" ".join([self._result(int(cells.max()), layer.name), *search.notes]))

    def _show_features(self, layer: Labels) -> None:
        """Fill the layer's features in the background, unless its cells were found again meanwhile."""
        slices, axes = self._layers.slices_of(layer), axes_of_size(layer)
        table_of = partial(measured, sorted(slices.items()), pixel_extent(layer, axes), axes == 3)

        def show(table: Table) -> None:
            if self._layers.slices_of(layer) is slices:
                show_features(layer, table)

        self.in_background(None, table_of, show)

    def _result(self, count: int, name: str) -> str:
        first, end = self._search.slices
        if end - first == 1:
            return f"{counted(count, 'cell')} in slice {first}, in '{name}'."
        linked = ", linked through them" if self._search.is_linked else ", each of one slice"
        return f"{counted(count, 'cell')} in {end - first} slices{linked}, in '{name}'."
