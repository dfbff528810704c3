"""The buttons of a training that runs (Pause, Good enough, Cancel), and of what it leaves."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QProgressBar, QPushButton, QWidget

from emseg_napari.settings import BASELINES
from emseg_napari.widgets.base.dialogs import ask_new_file
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.network_list import networks_of
from emseg_napari.widgets.base.preferences import remember_folder
from emseg_napari.widgets.base.step import StepWidget, enable
from emseg_napari.widgets.train.training_preview import TrainingPreview


class RunControls:
    """Buttons that pause, end or cancel a training; the line of the job shows them.

    Parameters
    ----------
    step : StepWidget
        Shows the errors.
    job : EngineJob
        Does the training.
    bar : QProgressBar
        Shows at once that a button was pressed; the training answers later.
    """

    def __init__(self, step: StepWidget, job: EngineJob, bar: QProgressBar) -> None:
        self._job, self._bar = job, bar
        self._paused = self._ending = False
        self._network = ""
        self.pause = step.button(
            "Pause", "Pause until you continue; paused time does not count as training time.", self._pause
        )
        self.good_enough = step.button(
            "Good enough", "End the training now and keep the best network so far.", self._end_early
        )
        self.cancel = step.button("Cancel", "Stop within a second; the last checkpoint stays.", job.cancel)

    @property
    def buttons(self) -> tuple[QPushButton, QPushButton, QPushButton]:
        """All of them."""
        return self.pause, self.good_enough, self.cancel

    def reset(self, network: str) -> None:
        """Prepare the buttons for a new training of this network."""
        self._network, self._ending = network, False
        self._show(paused=False)
        self.update_buttons()

    def update_buttons(self) -> None:
        """Enable what can be done now."""
        idle = None if self._job.running else "nothing is running"
        fitted = f"'{self._network}' is fitted in one step" if self._network in BASELINES else None
        early = "the training has not started" if self._job.preparing else None
        obstacle = idle or early or fitted or ("the training is ending" if self._ending else None)
        for button in (self.pause, self.good_enough):
            enable(button, obstacle)
        enable(self.cancel, idle)
        if idle:
            self._show(paused=False)

    def _pause(self) -> None:
        self._show(paused=not self._paused)
        self._job.steer(paused=self._paused)
        self._bar.setFormat("pausing..." if self._paused else "continuing...")

    def _end_early(self) -> None:
        self._ending = True
        self._show(paused=False)
        self._job.steer(paused=False, enough=True)
        self._bar.setFormat("ending...")
        self.update_buttons()

    def _show(self, paused: bool) -> None:
        self._paused = paused
        self.pause.setText("Continue" if paused else "Pause")


class RunOutputs(QWidget):
    """The buttons for what a training leaves: its movie, and the folder of new runs.

    Parameters
    ----------
    step : StepWidget
        Knows the workspace and says the sentences.
    preview : TrainingPreview
        Has the movie.
    """

    def __init__(self, step: StepWidget, preview: TrainingPreview) -> None:
        super().__init__()
        self._step, self._preview = step, preview
        self.save_movie = step.button(
            "Save movie as GIF...", "Write the movie as an animated GIF.", self._save_movie
        )
        self.choose_folder = step.button("Runs folder...", "Where new runs are written.", self._ask_folder)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for button in (self.save_movie, self.choose_folder):
            layout.addWidget(button)

    def update_buttons(self) -> None:
        """Enable what can be done now."""
        enable(self.save_movie, None if self._preview.frames else "no movie was kept")

    def _save_movie(self) -> None:
        path = ask_new_file(self, "Save the movie", Path("training.gif"), "Animated GIF (*.gif)")
        if path:
            self._preview.export_gif(path)
            self._step.say(f"Saved {path}.")

    def _ask_folder(self) -> None:
        workspace = self._step.workspace
        path = QFileDialog.getExistingDirectory(self, "Where to write runs", str(workspace.runs_folder))
        if path:
            workspace.runs_folder = Path(path)
            remember_folder("runs", workspace.runs_folder)
            networks_of(self._step).refresh()
            self._step.say(f"New runs go to {path}.")
