"""Autosave of one labels layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.qt.threading import create_worker

from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.recovery import new_recovery
from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.annotation.session.store import Session
from emseg_napari.widgets.layers.labels_layer import confirmed_in, stack_of
from emseg_napari.widgets.layers.layer_info import info_of, update_info
from emseg_napari.widgets.layers.layer_sources import found_source
from emseg_napari.widgets.layers.placement import placement_of
from emseg_napari.widgets.layers.slice_checksums import slice_checksums

_MANY_SLICES = 8  # copies of more at once would be felt


class LayerAutosave:
    """The autosave of one labels layer, shared by all workspaces that show it.

    Attributes
    ----------
    folder : Path or None
        Of its session; an autosave that was closed resumes there when labels change again.
    image : napari.layers.Image or None
        That the session names.
    note : str
        What the user should know; empty again once it is shown.
    """

    def __init__(self, layer: Labels, autosave: Autosave) -> None:
        self.layer, self.autosave = layer, autosave
        self.folder: Path | None = None
        self.image: Any = None
        self.note = ""
        self._searched: Any = None  # the image whose file is looked for
        self._array: Any = None
        self._changed: dict[int, None] = {}
        self._read: Mapping[int, int] | None = None  # while it is compared

    @property
    def is_current(self) -> bool:
        """Whether the layer's present pixels are autosaved."""
        return self.autosave.folder is not None and self._array is self.layer.data

    def start(self, folder: Path | None, session: Session, image: Image | None) -> None:
        """Autosave the layer to a folder, or to its earlier one, or to a new recovery folder."""
        self.image = image
        before, self.folder = self.folder, folder or self.folder or new_recovery()
        self._array = self.layer.data
        self.autosave.start_session(self.folder, session)
        if image is not None and session.image is None and session.image_path is None:
            self._search_file(image)
        if before is not None:  # changes in between were not recorded
            self.record_edit(slices_in_use(session.labels))

    def record_edit(self, slices: Iterable[int]) -> None:
        """Record that slices changed or are about to change: napari often sends the event before it acts."""
        self._changed.update(dict.fromkeys(slices))

    def compare(self, read: Mapping[int, int]) -> None:
        """Find out in the background what was painted since the labels were read, with these marks."""
        labels, self._read = stack_of(self.layer), read
        worker = create_worker(_changed_since, labels, read, _start_thread=False)
        worker.returned.connect(self._found)
        worker.start()

    def _search_file(self, image: Image) -> None:
        """Find out in the background where an image of another reader can be opened again."""
        self._searched = image
        worker = create_worker(found_source, image, _start_thread=False)
        worker.returned.connect(lambda found: self._name_file(image, found))
        worker.start()

    def _name_file(self, image: Image, found: Path | None) -> None:
        if self._searched != image:
            return  # it was found meanwhile, or the session has another image
        self._searched = None
        if found is None:
            self.note = (
                f"{unknown_file(image)}: '{self.layer.name}' is saved without it, and to restore it you will "
                "be asked for a file of the image."
            )
            return
        update_info(image, source=str(found))
        if self.image == image:
            self.autosave.record_state(image_path=found)

    def forget_search(self) -> None:
        """Do not look for the image's file any more: the session is saved with it, or with a copy."""
        self._searched = None

    def end_searching(self) -> None:
        """Compare and look for the file at once: the window is closing."""
        if self._searched is not None:
            try:
                found = found_source(self._searched)
            except Exception:  # of another program's reader; the labels must be kept all the same
                found = None
            self._name_file(self._searched, found)
        if self._read is not None:
            self._found(_changed_since(stack_of(self.layer), self._read))

    def _found(self, changed: list[int]) -> None:
        if self._read is not None:
            self._read = None
            self.record_edit(changed)
            self.flush()

    def flush(self) -> None:
        """Pass what changed to the autosave."""
        labels, changed = stack_of(self.layer), self._changed
        self._changed = {}
        self.autosave.record_state(
            confirmed=set(confirmed_in(self.layer)),
            origins=dict(info_of(self.layer).origins),
            name=self.layer.name,
            labels_place=placement_of(self.layer),
        )
        if self.image is not None:
            self.autosave.record_state(image_name=self.image.name, image_place=placement_of(self.image))
        for z in changed:
            if z < len(labels):
                self.autosave.record_edit(z, labels[z] if len(changed) <= _MANY_SLICES else None)
        self.folder = self.autosave.folder or self.folder  # it may have been saved under a name


def unknown_file(image: Image) -> str:
    """Return the words for an image of which nothing can be kept in a session."""
    return f"{image.name} is too large to be copied automatically, and has no file that can be opened again"


def _changed_since(labels: np.ndarray, read: Mapping[int, int]) -> list[int]:
    return [z for z, mark in slice_checksums(labels).items() if mark != read.get(z)]
