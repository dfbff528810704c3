"""Chooser of the run whose network predicts."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from emseg_napari.models.run import open_run, starter_folder
from emseg_napari.widgets.base.preferences import recall_folder
from emseg_napari.widgets.base.step import StepWidget, enable, in_row, wrapping_label
from emseg_napari.widgets.base.text import chosen

_STARTER = "The network that comes with emseg-napari: a first proposal without any training."


class RunPicker(QWidget):
    """Shows and chooses the workspace's run; without one it is the starter network.

    Parameters
    ----------
    step : StepWidget
        Knows the workspace and says the sentences.
    """

    def __init__(self, step: StepWidget) -> None:
        super().__init__()
        self._step = step
        self.name = wrapping_label()
        self.choose = step.button("Choose run...", "The folder that a training wrote.", self._ask)
        self.use_starter = step.button("Starter network", _STARTER, self._use_starter)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.name)
        layout.addLayout(in_row(self.choose, self.use_starter))
        step.workspace.changed.connect(self._show)
        self._show()

    @property
    def run(self) -> Path | None:
        """The run that predicts: the chosen one, or the starter network while there is none."""
        return self._step.workspace.run or starter_folder()

    def set_run(self, folder: Path) -> None:
        """Choose the run whose network predicts.

        Raises
        ------
        UserError
            If the folder holds none.
        """
        run = open_run(folder)
        self._step.workspace.choose_run(run.folder)
        self._step.say(chosen(run))

    def _show(self) -> None:
        self.name.setText(self.run.name if self.run else "none yet")
        enable(self.use_starter, None if starter_folder() else "this installation has no starter network")

    def _use_starter(self) -> None:
        folder = starter_folder()
        if folder is not None:
            self.set_run(folder)

    def _ask(self) -> None:
        start = recall_folder("runs", Path.home() / "emseg-runs")
        path = QFileDialog.getExistingDirectory(self, "Choose a run folder", str(start))
        if path:
            self.set_run(Path(path))
