"""Live learning: the engine keeps training while the user corrects, and its proposals follow."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from emseg_napari.annotation.session.store import Origin
from emseg_napari.core.jobs import (
    Event,
    Failed,
    Finished,
    Message,
    PreviewReady,
    SliceLeftOut,
    UserError,
)
from emseg_napari.core.labels import from_probability
from emseg_napari.models.run import Run, open_run, starter_folder
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import BASELINES, LiveSettings
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.job_line import JobLine
from emseg_napari.widgets.base.job_step import JobListener
from emseg_napari.widgets.base.keys import bind, with_key
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.step import enable, first_obstacle
from emseg_napari.widgets.layers.destruction import connect_while
from emseg_napari.widgets.layers.labels_layer import (
    NO_LABELS_YET,
    confirmed_in,
    labels_of,
    stack_of,
    trusted_of,
    trusted_plane,
)
from emseg_napari.widgets.layers.layer_info import exchange_origin
from emseg_napari.widgets.layers.placement import slice_in_view, view_events
from emseg_napari.widgets.layers.proposal_layers import fill
from emseg_napari.widgets.layers.selection import show_alone

KEY = "Y"
_SEND_MS = 300  # after a stroke: painting that continues is not interrupted
_SEND_SECONDS = 0.05
_ABOUT = (
    "The network keeps learning while you correct, and its proposal in the slice in view follows within "
    "seconds. Press again to save what it learned as a run."
)


class LivePanel(JobListener, QWidget):
    """Starts and ends live learning on the chosen labels layer.

    Parameters
    ----------
    step : LabelsStep
        Knows the layer and says the sentences.

    Attributes
    ----------
    line : JobLine
        For the dock: what the network does now.

    Signals
    -------
    proposed : napari.layers.Labels, int
        This slice of a layer has a new proposal.
    """

    proposed = Signal(object, int)

    def __init__(self, step: LabelsStep) -> None:
        super().__init__()
        self._step = step
        self.job, self.bar = EngineJob(self), JobBar()
        self.listen(self.job, step.guard)
        self.job.ended.connect(self.update_buttons)
        self.layer: Any = None
        self._origin = Origin(Path())
        self._threshold = 0.5
        self._changed: set[int] = set()
        self._soon = QTimer(self, singleShot=True, interval=_SEND_MS)
        self._soon.timeout.connect(self._send_labels)
        self._build()
        bind(step.viewer, self, {KEY: lambda: step.guarded(self.toggle)})
        step.workspace.edited.connect(self._record_edit)
        for event in view_events(step.viewer):
            connect_while(self, event, self._follow_slice)

    def _build(self) -> None:
        self.switch = self._step.button(with_key("Live", KEY), _ABOUT, self.toggle)
        self.switch.setCheckable(True)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.switch)
        end = self._step.button("End", "Save what it learned as a run.", self.toggle)
        self.line = JobLine(self.job, "Live", self.bar, end)

    def update_buttons(self, *_: Any) -> None:
        """Enable what can be done now."""
        running, workspace = self.job.running, self._step.workspace
        missing = [
            (workspace.image is None, "open an image first"),
            (workspace.labels is None, NO_LABELS_YET),
        ]
        enable(self.switch, None if running else first_obstacle(missing))
        self.switch.setChecked(running)
        if not running:
            self.bar.setFormat("")

    def toggle(self) -> None:
        """Start, or end and save what was learned."""
        try:
            if self.job.preparing:
                self.job.cancel()
            elif self.job.running:
                self.bar.setFormat("saving what it learned...")
                self.job.steer(enough=True)
            else:
                self._start()
        finally:
            self.update_buttons()

    def _start(self) -> None:
        layer = self._step.managed_layer()
        image, run = self._step.image(), self._run_to_start_from()
        start = STARTER if run.folder == starter_folder() else str(run.folder)
        settings = LiveSettings(start=start, scale=self._step.workspace.scale)
        settings.training(run.settings)  # refuses at once what the engine would refuse after seconds
        show_alone(self._step.viewer, layer)  # cells would cover what is proposed
        self.layer, self._threshold, self._changed = layer, run.record.threshold, set()
        work: dict[str, Any] = {"image": image, "settings": settings}
        folder = work["folder"] = self._step.workspace.new_run_folder("live")
        self._origin = Origin(folder)
        self.job.start(
            "live", "Live learning", lambda: work | {"labels": trusted_of(layer, labels_of(layer))}
        )
        self.bar.setFormat("starting...")
        self._follow_slice()

    def _run_to_start_from(self) -> Run:
        folder = self._step.workspace.run or starter_folder()
        if folder is None:
            raise UserError("Train a network or choose one first.")
        run = open_run(folder)
        if run.settings.network in BASELINES:
            raise UserError(f"'{run.settings.network}' cannot continue to learn; choose another network.")
        return run

    def _follow_slice(self, *_: Any) -> None:
        if self.job.running:
            self.job.steer(z=slice_in_view(self._step.viewer, self.layer))

    def _record_edit(self, layer: Labels, slices: set[int]) -> None:
        if self.job.running and layer == self.layer:
            self._changed |= slices
            self._soon.start()

    def _send_labels(self) -> None:
        """Send a few slices to the engine, then the next: one undo may have changed hundreds."""
        labels, confirmed = stack_of(self.layer), confirmed_in(self.layer)
        if self.job.running and not self.job.preparing:  # until then what changed may still be copied
            end = time.monotonic() + _SEND_SECONDS
            while self._changed and time.monotonic() < end:
                z = self._changed.pop()
                self.job.update_labels(z, trusted_plane(labels[z], z in confirmed))
        if self._changed and self.job.running:
            self._soon.start()

    def handlers(self) -> dict[type[Event], Callable[[Any], None]]:
        """Return what shows which event; proposals come one by one."""
        return super().handlers() | {PreviewReady: self._show}

    def on_message(self, event: Message) -> None:
        """Show a sentence of the training."""
        self.bar.setFormat(event.text)

    def on_left_out(self, event: SliceLeftOut) -> None:
        """Say which slice cannot be read; the learning goes on."""
        self._step.complain(event.text)

    def on_finished(self, event: Finished) -> None:
        """Choose the run that was kept."""
        self._step.workspace.choose_run(event.result.folder)
        self._step.say(f"Saved what it learned as {event.result.folder.name}, the network from now on.")

    def on_failed(self, event: Failed) -> None:
        """Show why live learning ended early."""
        if not event.cancelled:
            self._step.complain(event.text)

    def _show(self, event: PreviewReady) -> None:
        if self.layer in self._step.viewer.layers:
            if event.z not in confirmed_in(self.layer):
                exchange_origin(self.layer, event.z, self._origin)
            fill(self.layer, event.z, from_probability(event.probability, self._threshold))
            self._step.autosave.record_edit(self.layer, {event.z})  # else its session would say it holds them
            self.proposed.emit(self.layer, event.z)
