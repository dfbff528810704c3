"""The line of a job that runs: what it does, how far it is, and the buttons that steer it."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.progress_bar import JobBar


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
        self.bar = bar
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(QLabel(title))
        line.addWidget(bar, 1)
        for button in buttons:
            line.addWidget(button)
        job.started.connect(self._show_start)
        job.ended.connect(self.hide)
        self.setVisible(job.running)

    def _show_start(self) -> None:
        self.bar.setValue(0)
        self.bar.setFormat("starting...")
        self.show()
