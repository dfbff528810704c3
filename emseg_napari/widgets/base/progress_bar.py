"""Progress bar of a job, with the time left."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QProgressBar

from emseg_napari.core.jobs import Progress
from emseg_napari.widgets.base.text import duration


class JobBar(QProgressBar):
    """A bar that shows the progress of a job in words, too."""

    def __init__(self) -> None:
        super().__init__(maximum=1000)
        self.setFormat("")

    def text(self) -> str:
        """Return the words as Qt draws them: of long ones the middle is left out, not the time."""
        room = self.width() - 2 * self.fontMetrics().averageCharWidth()
        return self.fontMetrics().elidedText(super().text(), Qt.TextElideMode.ElideMiddle, room)

    def show_progress(self, event: Progress) -> None:
        """Show how far the job is."""
        left = "" if event.seconds_left is None else f", {duration(event.seconds_left)} left"
        self.setValue(round(1000 * event.fraction))
        self.setFormat(f"{event.text}{left}")
        self.setToolTip(self.format())
