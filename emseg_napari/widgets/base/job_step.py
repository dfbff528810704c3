"""A step whose work the engine does: one method for each kind of event, and what stands in its way.

A panel of another step that starts a job of its own is a `JobListener` only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from qtpy.QtWidgets import QPushButton

from emseg_napari.core.jobs import Event, Failed, Finished, Message, Progress, SliceLeftOut
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.job_line import JobLine
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.step import StepWidget, enable, first_obstacle
from emseg_napari.widgets.base.workspace import Workspace

Guard = Callable[[], AbstractContextManager[None]]


class JobListener:
    """Mixin of a widget that shows the events of an engine job.

    Attributes
    ----------
    bar : JobBar
    """

    bar: JobBar

    def listen(self, job: EngineJob, guard: Guard) -> None:
        """Show the events of a job from now on; `guard` turns errors into sentences."""
        self._guard = guard
        job.event.connect(self.handle_event)

    def handle_event(self, event: Event) -> None:
        """Show one event; an event that has no handler is left out."""
        handler = self.handlers().get(type(event))
        if handler is not None:
            with self._guard():
                handler(event)

    def handlers(self) -> dict[type[Event], Callable[[Any], None]]:
        """Return what shows which event; a widget adds those of its own job."""
        return {
            Progress: self.on_progress,
            Message: self.on_message,
            SliceLeftOut: self.on_left_out,
            Finished: self.on_finished,
            Failed: self.on_failed,
        }

    def on_progress(self, event: Progress) -> None:
        """Show how far the job is."""
        self.bar.show_progress(event)

    def on_message(self, event: Message) -> None:
        """Show a sentence of the job; by default it is left out."""

    def on_left_out(self, event: SliceLeftOut) -> None:
        """Show that the job goes on without a slice; by default as any sentence."""
        self.on_message(event)

    def on_finished(self, event: Finished) -> None:
        """Show the result."""
        raise NotImplementedError

    def on_failed(self, event: Failed) -> None:
        """Show why the job ended early."""
        raise NotImplementedError


class JobStep(JobListener, StepWidget):
    """Base of the steps whose work the engine does.

    Attributes
    ----------
    job : EngineJob
    bar : JobBar
    cancel : QPushButton
        Ends the job.
    """

    cancel: QPushButton

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.job, self.bar = EngineJob(self), JobBar()
        self.listen(self.job, self.guard)
        self.job.started.connect(self._follow_start)
        self.job.ended.connect(self.on_ended)

    def _follow_start(self) -> None:
        self.update_buttons()

    def add_job_line(self, title: str, cancel_tooltip: str) -> None:
        """Make Cancel, and the line that the dock shows while the job runs."""
        self.cancel = self.button("Cancel", cancel_tooltip, self._cancel)
        self.job_lines.append(JobLine(self.job, title, self.bar, self.cancel))

    def _cancel(self) -> None:
        self.job.cancel()
        if self.job.batch_system:
            self.bar.setFormat(f"ending the jobs of {self.job.batch_system}")

    def obstacles(self) -> list[tuple[bool, str]]:
        """Return what may stand in the way of a start: whether it does, and the words for it."""
        raise NotImplementedError

    def cancelled_sentence(self) -> str:
        """Return what the user should know after Cancel."""
        raise NotImplementedError

    def enable_start(self, start: QPushButton, wish: str) -> str | None:
        """Enable the button that starts and Cancel; return what stands in the way of a start, if anything.

        Parameters
        ----------
        start : QPushButton
        wish : str
            What the start is for, such as "predict".
        """
        obstacle = first_obstacle(self.obstacles())
        enable(start, obstacle)
        enable(self.cancel, None if self.job.running else "nothing is running")
        if not self.job.running:
            self.hint(obstacle, wish)
        return obstacle

    def on_failed(self, event: Failed) -> None:
        """Show why the job ended early."""
        self.bar.setFormat("")
        if event.cancelled:
            self.say(self.cancelled_sentence())
        else:
            self.complain(event.text)

    def on_ended(self) -> None:
        """Follow the end of a job, whatever way it ended."""
        self.update_buttons()

    def update_buttons(self) -> None:
        """Enable what can be done now, and say what stands in the way of the rest."""
        raise NotImplementedError
