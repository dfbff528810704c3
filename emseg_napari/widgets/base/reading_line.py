"""Lines that are shown while something is read that takes a while, such as from an address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QWidget

from emseg_napari.core.jobs import Event, JobContext, Progress
from emseg_napari.widgets.base.step import in_row
from emseg_napari.widgets.base.text import shortened
from emseg_napari.widgets.layers.remote_layers import remote_layers_of

_SOON_MS = 500  # what is read sooner shows no line, which would move what lies above it
_LETTERS = 30


@dataclass(eq=False)
class Reading:
    """What is read in a thread.

    Attributes
    ----------
    name : str
        What the user calls it.
    is_cancelled : bool
        Whether it is not wanted any more. A thread that waits for a server cannot be ended: it asks
        for nothing more, and what it brings is left aside.
    fraction : float or None
        How much of it is read, 0 to 1, where that is known.
    """

    name: str
    is_cancelled: bool = False
    fraction: float | None = None

    @property
    def context(self) -> JobContext:
        """For what reads it."""
        return JobContext(self._follow, lambda: self.is_cancelled)

    def _follow(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.fraction = event.fraction

    def while_wanted(self, ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return what asks the user a question, and gives no answer once it is cancelled."""
        return lambda question: None if self.is_cancelled else ask(question)


class ReadingLine(QWidget):
    """Says what is being read, if that takes longer than a moment.

    Parameters
    ----------
    about : str
        Tooltip.
    cancel : QPushButton, optional
    """

    def __init__(self, about: str, cancel: QPushButton | None = None) -> None:
        super().__init__()
        self.title, self.bar = QLabel(), QProgressBar(maximum=0)
        self.setToolTip(about)
        line = in_row(self.title, self.bar, *filter(None, [cancel]))
        line.setContentsMargins(0, 0, 0, 0)
        line.setStretchFactor(self.bar, 1)
        self.setLayout(line)
        self._soon = QTimer(self, singleShot=True, interval=_SOON_MS)
        self._soon.timeout.connect(self.show)
        self.hide()

    def follow(self, names: Sequence[str], fraction: float | None = None) -> None:
        """Show what is being read, and how much of it, or hide if that is nothing."""
        self.bar.setMaximum(0 if fraction is None else 100)
        self.bar.setValue(round(100 * (fraction or 0)))
        self.title.setText(f"Reading {shortened(', '.join(names), _LETTERS)}" if names else "")
        if not names:
            self._soon.stop()
            self.hide()
        elif not self.isVisible() and not self._soon.isActive():
            self._soon.start()


class SlicesLine(ReadingLine):
    """Says of which layers of a viewer that lie at an address the slice in view is being read.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__(
            "What has not come yet is 0, in the console, too, and is drawn when it is there; layer.data[5] "
            "waits for slice 5."
        )
        self._layers = remote_layers_of(viewer)
        self._layers.changed.connect(self._follow_layers)

    def _follow_layers(self) -> None:
        self.follow(self._layers.names)
