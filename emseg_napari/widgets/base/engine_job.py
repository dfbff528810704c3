"""One job of the engine process, run from the window through a napari thread worker."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal, cast

from napari.qt.threading import create_worker
from napari.utils import progress
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from emseg_napari.core.jobs import Event, Failed, Progress
from emseg_napari.engine.client import Engine
from emseg_napari.widgets.base.closing import main_window_of
from emseg_napari.widgets.base.threads import in_thread, sentence_of, with_field_locations
from emseg_napari.widgets.layers.destruction import when_destroyed

Prepare = Callable[[], dict[str, Any]]
_IDLE_MS = 120_000  # a process keeps up to 1 GB


class EngineJob(QObject):
    """One engine and the job that it does now; its process ends when it did nothing for a while.

    Signals
    -------
    started
        A job is being prepared.
    event : Event
        Every event of the job, on the GUI thread; an impossible job ends with `Failed`, too.
    ended
        The job is over, however it ended.
    """

    started = Signal()
    event = Signal(object)
    ended = Signal()

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self._engine = Engine(spared_cores=1)
        self._worker: Any = None
        self._prepare: Prepare | None = None  # while that is being called
        self._bar: progress | None = None
        self._idle = QTimer(owner, singleShot=True, interval=_IDLE_MS)
        self._idle.timeout.connect(self._engine.rest)
        when_destroyed(owner, self._engine.close)

    @property
    def running(self) -> bool:
        """Whether a job is being prepared or done."""
        return self._worker is not None or self.preparing

    @property
    def preparing(self) -> bool:
        """Whether the arguments are still being prepared."""
        return self._prepare is not None

    @property
    def process_id(self) -> int | None:
        """Of the engine process."""
        return self._engine.process_id

    @property
    def batch_system(self) -> str:
        """The batch system that works for the job, such as "slurm"; empty if none does."""
        return self._engine.batch_system

    def start(self, job: str, title: str, prepare: Prepare, begin: Callable[[], None] = lambda: None) -> None:
        """Start a job.

        Parameters
        ----------
        job : str
            One of `emseg_napari.engine.protocol.Request`.
        title : str
            Names it in the activity dock.
        prepare : callable
            Returns the arguments of the job, or raises the error that prevents it; called in a thread, since
            it may look through whole stacks.
        begin : callable
            Called here once the job was found possible, just before the engine starts it.
        """
        self._watch_window()
        self._idle.stop()
        self._prepare = prepare
        bar = progress(total=100, desc=title)  # serves the event loop, in which the job may be cancelled
        if prepare is not self._prepare:
            bar.close()
            return
        self._bar = bar

        def prepared(arguments: dict[str, Any], error: Exception | None) -> None:
            # Else the window was closed, or it was cancelled, and perhaps another one was started.
            if isalive(self) and prepare is self._prepare:
                self._start_engine(job, begin, arguments, error)

        self._worker = in_thread(prepare, prepared)
        self.started.emit()

    def _start_engine(
        self, job: str, begin: Callable[[], None], arguments: dict[str, Any], error: Exception | None
    ) -> None:
        self._prepare = None
        if error is not None:
            self._end_before_start(Failed(sentence_of(error)))
            return
        begin()
        self._worker = create_worker(_safely, self._engine.run(job, **arguments), _start_thread=False)
        self._worker.yielded.connect(self._pass_on)
        self._worker.errored.connect(self._fail)
        self._worker.finished.connect(self._finish)  # not before: until then the engine takes no other job
        self._worker.start()

    def warm_up(self, job: Literal["train", "predict"]) -> None:
        """Prepare the engine for a job, unless it does or did something already."""
        if not self.running:
            self._watch_window()
            self._engine.warm_up(job)
            self._idle.start()

    def cancel(self) -> None:
        """Stop the job within a second, or once the jobs of a `batch_system` are ended."""
        if self.preparing:
            self._prepare = None
            self._end_before_start(Failed("Cancelled.", cancelled=True))
        else:
            self._engine.cancel()

    def steer(self, **changes: Any) -> None:
        """Change the `JobControl` of the job that runs or is about to start."""
        self._engine.steer(**changes)

    def update_labels(self, z: int, labels: Any) -> None:
        """Send the labels of slice `z` to a live job: uint8 (y, x), 0, 1, 2."""
        self._engine.update_labels(z, labels)

    def close(self) -> None:
        """End the job and the engine process."""
        self.cancel()
        self._engine.close()
        self._close_bar()

    def _pass_on(self, event: Event) -> None:
        if isinstance(event, Failed) and event.details:
            logging.getLogger(__name__).error("%s\n%s", event.text, event.details)
        if isinstance(event, Failed):
            event = replace(event, text=with_field_locations(event), settings=())
        self.event.emit(event)
        # Last, since napari's bar serves the event loop and with it the next event; and only for
        # whole per cents, since each time it paints the whole window.
        percent = round(100 * event.fraction) if isinstance(event, Progress) else 0
        if self._bar is not None and percent > self._bar.n:
            self._bar.update(percent - self._bar.n)

    def _fail(self, error: Exception) -> None:
        self._pass_on(Failed(f"The job failed: {error}"))

    def _end_before_start(self, failure: Failed) -> None:
        """End a job that the engine has not started."""
        self._pass_on(failure)
        self._finish()

    def _finish(self) -> None:
        self._worker = None
        self._idle.start()
        bar, self._bar = self._bar, None
        self.ended.emit()
        if bar is not None:
            bar.close()  # last, since it serves the event loop, in which another job may start

    def _close_bar(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()

    def _watch_window(self) -> None:
        """End the engine with the window, before napari waits for its workers."""
        window = main_window_of(self._owner())
        if window is not None:
            window.installEventFilter(self)  # a second call has no effect: Qt keeps one

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Check whether a close event did close the window."""
        if event.type() == QEvent.Type.Close:
            QTimer.singleShot(0, self._close_if_gone)
        return False

    def _close_if_gone(self) -> None:
        if not isalive(self):  # the window went, and this with it
            return
        window = main_window_of(self._owner())
        if window is None or not window.isVisible():
            self.close()

    def _owner(self) -> QWidget:
        return cast(QWidget, self.parent())


def _safely(events: Iterator[Event]) -> Iterator[Event]:
    """Pass events on; a RuntimeError that left a generator worker would vanish without a signal."""
    try:
        yield from events
    except Exception as error:
        yield Failed(f"The job failed: {type(error).__name__}: {error}")
