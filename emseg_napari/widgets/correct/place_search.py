"""Search for places in the engine: of the slice in view, or of all slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.annotation.suggest.search_stack import SliceSearched
from emseg_napari.core.jobs import Event, Failed, Finished, SliceLeftOut
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.io.volume import Volume
from emseg_napari.models.run import starter_folder
from emseg_napari.settings import PredictionSettings
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.job_step import JobListener
from emseg_napari.widgets.base.labels_step import LabelsStep, image_beside
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.correct.place_queue import PlaceQueue
from emseg_napari.widgets.layers.labels_layer import confirmed_in, stack_of
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import fits
from emseg_napari.widgets.layers.placement import slice_in_view

NO_RUN = "Train a network or choose one first."


@dataclass(frozen=True)
class _Search:
    """What is searched: one slice of a layer or all (None); what its labels came from, and what is done."""

    queue: PlaceQueue
    z: int | None
    origins: Mapping[int, Any]
    done: set[int] = field(default_factory=set)

    def comes_to(self, queue: PlaceQueue | None, z: int) -> bool:
        """Whether a slice is about to be searched."""
        return self.queue is queue and self.z in (z, None) and z not in self.done


class PlaceSearch(JobListener, QObject):
    """Fills the queues of places, one search after the other.

    Parameters
    ----------
    step : LabelsStep
        Knows image and network.
    owner : QWidget

    Signals
    -------
    searched : PlaceQueue, int
        The places of this slice are known.
    failed : str, object
        A sentence, and the slice that is left out or that alone was searched; None for all.
    changed
        Another search runs, or none.
    """

    searched = Signal(object, int)
    failed = Signal(str, object)
    changed = Signal()

    def __init__(self, step: LabelsStep, owner: QWidget) -> None:
        super().__init__(owner)
        self._step = step
        self._now: _Search | None = None
        self._next: _Search | None = None  # once the one that runs has ended
        self._failures: dict[tuple[PlaceQueue, int], str] = {}  # another network or image may do better
        step.workspace.changed.connect(self._failures.clear)
        self.job, self.bar = EngineJob(owner), JobBar()
        self.listen(self.job, step.guard)
        self.job.ended.connect(self._follow_end)

    @property
    def run(self) -> Path | None:
        """The run folder whose network doubts."""
        return self._step.workspace.run or starter_folder()

    @property
    def searches_all(self) -> bool:
        """Whether a search of all slices runs."""
        return self.job.running and self._now is not None and self._now.z is None

    def comes_to(self, queue: PlaceQueue | None, z: int) -> bool:
        """Whether a slice is being searched, or about to be."""
        searches = filter(None, (self._now, self._next))
        return self.job.running and any(search.comes_to(queue, z) for search in searches)

    def can_start(self, queue: PlaceQueue, z: int) -> bool:
        """Whether a slice can be searched, and was not."""
        ready = self._step.workspace.image is not None and self.run is not None
        labelled = z not in confirmed_in(queue.layer) and stack_of(queue.layer)[z].any()
        return bool(ready and labelled and not queue.is_searched(z))

    def can_start_by_itself(self, queue: PlaceQueue, z: int) -> bool:
        """Whether a slice can be searched unasked: where that failed, or is bound to, it is not."""
        same_size = fits(self._step.workspace.image, tuple(queue.layer.data.shape))
        return same_size and self.can_start(queue, z) and not self.failure(queue, z)

    def failure(self, queue: PlaceQueue, z: int) -> str:
        """Say why the search of a slice failed, nothing if it did not."""
        return self._failures.get((queue, z), "")

    def start(self, queue: PlaceQueue, z: int | None) -> None:
        """Search a slice, or all (None), now or after the search that runs; that of one slice is stopped."""
        if z is not None and self.comes_to(queue, z):
            return
        self._next = _Search(queue, z, info_of(queue.layer).origins)
        if not self.job.running:
            self._start_next()
        elif not self.searches_all:
            self.job.cancel()

    def cancel(self) -> None:
        """End the search; what was found stays."""
        self._next = None
        self.job.cancel()

    def _start_next(self) -> None:
        search, self._next = self._next, None
        assert search is not None  # else nothing is started
        with self._step.guard():
            work, stack = self._work(search), stack_of(search.queue.layer)
            self._now = search
            title = "Finding places" if search.z is None else f"Finding places in slice {search.z}"
            self.job.start("search", title, lambda: work | {"labels": _copy_of(stack, search.z)})
        self.changed.emit()

    def _work(self, search: _Search) -> dict[str, Any]:
        layer, z = search.queue.layer, search.z
        image = image_beside(search.queue.image, layer)
        others = confirmed_in(layer) if z is None else set(range(len(image))) - {z}
        return {
            "image": image if z is None else _part_of(image, z),
            "run": self.run,
            "confirmed": frozenset(others),
            "settings": PredictionSettings(scale=self._step.workspace.scale),
            "first": slice_in_view(self._step.viewer, layer) or 0,
        }

    def handlers(self) -> dict[type[Event], Callable[[Any], None]]:
        """Return what takes which event; the places of a slice come slice by slice."""
        return super().handlers() | {SliceSearched: self._add}

    def _add(self, event: SliceSearched) -> None:
        search = self._now
        assert search is not None  # it runs
        search.done.add(event.z)
        search.queue.add(event.z, event.places, search.origins.get(event.z))
        self._failures.pop((search.queue, event.z), None)
        self.searched.emit(search.queue, event.z)

    def on_left_out(self, event: SliceLeftOut) -> None:
        """Report which slice cannot be read; a search of all slices goes on."""
        assert self._now is not None  # it runs
        self._now.done.add(event.z)
        self._now.queue.left_out.add(event.z)
        self.failed.emit(event.text, event.z if self._now.z is not None else None)

    def on_finished(self, event: Finished) -> None:
        """Say what was found in all slices; that of one slice is seen in the page."""
        if self.searches_all:
            assert self._now is not None  # it runs
            queue = self._now.queue
            which = "All slices that can be read" if queue.left_out else "All slices"
            self._step.say(f"{which} are searched: {queue.count()}.")

    def on_failed(self, event: Failed) -> None:
        """Report why the search ended early, unless it was cancelled."""
        if event.cancelled:
            if self.searches_all:
                self._step.say("The search was cancelled; what was found stays.")
            return
        search = self._now
        assert search is not None  # it runs
        if search.z is not None:
            self._failures[search.queue, search.z] = event.text
        self.failed.emit(event.text, search.z)

    def _follow_end(self) -> None:
        self._now = None
        if self._next is not None:
            self._start_next()
        else:
            self.changed.emit()


def _part_of(image: np.ndarray | Volume, z: int) -> SparseStack | Volume:
    """Return a stack that has one slice of an image: to send all of an array takes a while."""
    return image if isinstance(image, Volume) else SparseStack(image.shape, image.dtype, {z: image[z]})


def _copy_of(labels: np.ndarray, z: int | None) -> SparseStack:
    """Copy the labels of a slice and its neighbours, which are looked at, too; of all slices if None."""
    slices = slices_in_use(labels) if z is None else range(max(0, z - 1), min(len(labels), z + 2))
    return SparseStack.of(labels, slices).mapped(lambda plane: np.array(plane, np.uint8))
