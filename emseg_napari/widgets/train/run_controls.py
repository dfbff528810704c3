"""The buttons of a training that runs: Pause, Good enough, Cancel."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QWidget

from emseg_napari.settings import BASELINES
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.step import StepWidget, enable


class Steering(QWidget):
    """Tells a training what the user wants of it.

    Parameters
    ----------
    step : StepWidget
        Shows the errors.
    job : EngineJob
        Does the training.
    bar : QProgressBar
        Says at once that a wish was heard; the training answers later.
    """

    def __init__(self, step: StepWidget, job: EngineJob, bar: QProgressBar) -> None:
        super().__init__()
        self._job, self._bar = job, bar
        self._paused = self._ending = False
        self._network = ""
        self.pause = step.button("Pause", "Stand still until you continue; it costs no minutes.", self._pause)
        self.good_enough = step.button(
            "Good enough", "End the training now and keep the best network so far.", self._end_early
        )
        self.cancel = step.button("Cancel", "Stop within a second; the last checkpoint stays.", job.cancel)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for button in (self.pause, self.good_enough, self.cancel):
            layout.addWidget(button)

    def begin(self, network: str) -> None:
        """Start anew, for a training of this network."""
        self._network, self._ending = network, False
        self._show(paused=False)
        self.update_buttons()

    def update_buttons(self) -> None:
        """Enable what can be done now."""
        idle = None if self._job.running else "nothing is running"
        fitted = f"'{self._network}' is fitted at one go" if self._network in BASELINES else None
        early = "the training has not begun" if self._job.preparing else None
        obstacle = idle or early or fitted or ("the training is ending" if self._ending else None)
        for button in (self.pause, self.good_enough):
            enable(button, obstacle)
        enable(self.cancel, idle)
        if idle:
            self._show(paused=False)

    def _pause(self) -> None:
        self._show(paused=not self._paused)
        self._job.steer(paused=self._paused)
        self._bar.setFormat("pausing..." if self._paused else "going on...")

    def _end_early(self) -> None:
        self._ending = True
        self._show(paused=False)
        self._job.steer(paused=False, enough=True)
        self._bar.setFormat("ending...")
        self.update_buttons()

    def _show(self, paused: bool) -> None:
        self._paused = paused
        self.pause.setText("Continue" if paused else "Pause")
