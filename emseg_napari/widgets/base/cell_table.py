"""The button that saves the table of cells, and its job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Labels
from qtpy.QtWidgets import QHBoxLayout, QWidget

from emseg_napari.core.jobs import Failed, Finished
from emseg_napari.core.text import counted
from emseg_napari.widgets.base.dialogs import ask_new_file
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.job_line import JobLine
from emseg_napari.widgets.base.job_step import JobListener
from emseg_napari.widgets.base.preferences import recall_folder, remember_folder
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.step import StepWidget, enable, first_obstacle
from emseg_napari.widgets.layers.cell_layers import axes_of_size, cells_of
from emseg_napari.widgets.layers.pixel_extent import differing_units, pixel_extent


class CellTable(JobListener, QWidget):
    """Saves the table of the cells that were found last, as they are now.

    Parameters
    ----------
    step : StepWidget
        Says the sentences.

    Attributes
    ----------
    save : QPushButton
    job : EngineJob
    line : JobLine
        For the dock.
    """

    def __init__(self, step: StepWidget) -> None:
        super().__init__()
        self._step = step
        self._cells: Any = None  # the layer of the last ones
        self._parts_missing = 0  # in that layer
        self._path, self._notes = Path(), ""  # of the table that is being written
        self.save = step.button(
            "Save table...", "Slices and size of every cell, as a CSV file for spreadsheets.", self._ask
        )
        self.job, self.bar = EngineJob(self), JobBar()
        self.listen(self.job, step.guard)
        self.cancel = step.button("Cancel", "Stop; no table is written.", self.job.cancel)
        self.line = JobLine(self.job, "Table of cells", self.bar, self.cancel)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.save)
        for changed in (self.job.started, self.job.ended, step.workspace.layers_changed):
            changed.connect(self._update)
        self._update()

    def keep(self, layer: Labels, parts_missing: int = 0) -> None:
        """Take the cells of a layer, of which some parts may have none, for the next table."""
        self._cells, self._parts_missing = layer, parts_missing
        self._update()

    def _update(self) -> None:
        if self._cells not in self._step.viewer.layers:
            self._cells = None  # removed, it would stay in memory
        obstacles = [
            (self.job.running, "a table is being written"),
            (self._cells is None, "find cells first"),
        ]
        enable(self.save, first_obstacle(obstacles))

    def _ask(self) -> None:
        start = recall_folder("reports", Path.home()) / "cells.csv"
        path = ask_new_file(self, "Save the table of cells", start, "CSV (*.csv)")
        if path is not None:
            self.write(path)

    def write(self, path: Path) -> None:
        """Write the table of the cells as they are now, in the background."""
        layer, axes = self._cells, axes_of_size(self._cells)
        size = {"pixel": pixel_extent(layer, axes), "is_linked": axes == 3}
        self._path, self._notes = path, self._left_out(layer, axes)
        self._step.say(f"Writing {path.name}...")
        prepare = lambda: {"stack": cells_of(layer), "path": path, **size}  # noqa: E731
        self.job.start("cell_table", "Table of cells", prepare)

    def _left_out(self, layer: Labels, axes: int) -> str:
        """Return what the table will not have, to end the sentence."""
        missing, units = self._parts_missing, differing_units(layer, axes)
        without = f", without the cells of {counted(missing, 'part')}" if missing else ""
        if not units:
            return f"{without}."
        size = "volumes" if axes == 3 else "areas"
        return f"{without}. It has no {size}: the units of the axes differ ({', '.join(units)})."

    def on_finished(self, event: Finished) -> None:
        """Say where the table is."""
        remember_folder("reports", self._path.parent)
        self._step.say(f"Wrote {self._path}{self._notes}")

    def on_failed(self, event: Failed) -> None:
        """Say why there is no table."""
        if event.cancelled:
            self._step.say("Cancelled; no table was written.")
        else:
            self._step.complain(event.text)
