"""The line of a job that runs: what it does, how far it is, and the buttons that steer it."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.step import in_row


class JobLine(QWidget):
    """Shows itself while its job runs.

    Parameters
    ----------
    job : EngineJob
    title : str
        What the job does, in a word, such as "Training".
    bar : JobBar
    *buttons : QPushButton
        Such as Cancel.
    """

    def __init__(self, job: EngineJob, title: str, bar: JobBar, *buttons: QPushButton) -> None:
        super().__init__()
        self.bar, self._job = bar, job
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        line = in_row(QLabel(title), bar)
        line.setStretchFactor(bar, 1)
        column.addLayout(line)
        if len(buttons) == 1:
            line.addWidget(*buttons)
        else:  # beside several buttons the words of the bar would have no room
            column.addLayout(in_row(*buttons))
        job.started.connect(self._show_start)
        job.ended.connect(self._hide_unless_another_runs)
        self.setVisible(job.running)

    def _hide_unless_another_runs(self) -> None:
        self.setVisible(self._job.running)

    def _show_start(self) -> None:
        self.bar.setValue(0)
        self.bar.setFormat("starting...")
        self.show()
