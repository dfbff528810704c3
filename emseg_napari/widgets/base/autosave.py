"""Autosave of a workspace: every edit of managed labels is written to disk, from the first stroke on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QTimer, Signal

from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.recovery import keep_unsaved_in, open_elsewhere, recovery_folder
from emseg_napari.annotation.session.scratch import low_disk_warning
from emseg_napari.annotation.session.store import Session
from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location
from emseg_napari.widgets.base.layer_autosave import LayerAutosave, unknown_file
from emseg_napari.widgets.base.preferences import recall_folder
from emseg_napari.widgets.base.session_contents import scale_in, session_of, work_in
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.destruction import when_destroyed
from emseg_napari.widgets.layers.labels_layer import stack_of
from emseg_napari.widgets.layers.layer_info import OpenedSession, info_of, update_info
from emseg_napari.widgets.layers.layer_pixels import fits, volume_of_layer

_ASK_MS = 500


class SessionAutosave(QObject):
    """Autosaves every managed labels layer of a workspace.

    Signals
    -------
    trouble : str
        Why something cannot be written; empty when all could be.
    noted : str
        What the user should know about the autosave.
    left : Path
        The session of a layer that was removed; its last labels are being written.
    """

    trouble = Signal(str)
    noted = Signal(str)
    left = Signal(object)

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(workspace)
        keep_unsaved_in(recall_folder("unsaved", recovery_folder().parent))
        self._workspace = workspace
        self._autosaved: list[LayerAutosave] = []
        self._leaving: list[LayerAutosave] = []  # of removed layers, until all is written
        self._work = work_in(workspace)
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(partial(_flush, self._autosaved))
        # Polled here, not signalled by the threads that write: they may outlive this object.
        self._reported = self._warned = ""
        self._ask = QTimer(self, interval=_ASK_MS)
        self._ask.timeout.connect(self._report_trouble)
        workspace.edited.connect(self.record_edit)
        workspace.changed.connect(self._record_work)
        workspace.managed_changed.connect(self.follow)
        when_destroyed(workspace, partial(_close, self._autosaved, self._leaving))
        self.follow()

    def folder(self, layer: Any) -> Path | None:
        """Return the session folder of a layer, None before its first stroke."""
        kept = self._kept(layer)
        return None if kept is None else kept.autosave.folder

    def folders(self) -> set[Path]:
        """Return the real folders of the sessions that layers are kept in."""
        found = [kept.autosave.folder for kept in self._autosaved]
        return {folder.resolve() for folder in found if folder is not None}

    def is_kept_in(self, layer: Any, folder: Path) -> bool:
        """Whether a layer is kept in a folder, by whichever of its names."""
        return _is_same(self.folder(layer), folder)

    def follow(self) -> None:
        """End the autosave of removed layers, and resume the sessions from which others were opened."""
        self.release(except_of=self._workspace.managed_labels)
        for layer in self._workspace.managed_labels:
            opened = info_of(layer).opened
            if opened is not None:
                update_info(layer, opened=None)
                self._resume(layer, opened)

    def release(self, except_of: Sequence[Labels] = ()) -> None:
        """End the autosave of all layers but these; what changed is still written."""
        _flush(self._autosaved)
        for kept in list(self._autosaved):
            if kept.layer not in except_of:
                kept.end_searching()
                folder = kept.autosave.folder
                kept.autosave.close(timeout=0)  # its thread writes what is left
                self._autosaved.remove(kept)
                self._leaving.append(kept)
                if folder is not None:
                    self.left.emit(folder)

    def _resume(self, layer: Labels, opened: OpenedSession) -> None:
        """Keep a layer where it was opened from, with what was painted since."""
        session, kept = opened.session, self._ensure(layer)
        found = self._workspace.candidates("image")
        images = [one for one in found if info_of(one).session_folder == opened.folder]
        # The layer's own array, if any: what the session has read would be a second one.
        pixels = volume_of_layer(images[-1]) if images else session.image
        session = replace(
            session, labels=stack_of(layer), image=pixels if session.image_path is None else None
        )
        kept.start(opened.folder, session, images[-1] if images else None)
        kept.compare(opened.checksums)
        if images:
            self._workspace.choose("image", images[-1])
        self._workspace.choose("labels", layer)
        self._workspace.choose_run(session.run)
        self._workspace.choose_scale(scale_in(session))
        self._workspace.add_rounds(session.rounds)

    def saving(
        self, layer: Labels, image: Image, folder: Path, copy_image: bool, source: Location | None = None
    ) -> Callable[[], None]:
        """Return what saves a layer as a named session, where it is autosaved from then on; takes a while.

        Parameters
        ----------
        layer : napari.layers.Labels
        image : napari.layers.Image
        folder : Path
            NAME.emseg.
        copy_image : bool
            Copy the image in although it has a file.
        source : Path or Address, optional
            That file, as `checked_source` found it.

        Raises
        ------
        UserError
            From this call or from the returned one, if it cannot be written.
        """
        if open_elsewhere(folder) and not self.is_kept_in(layer, folder):
            raise UserError(f"{folder.name} is open in a window; choose another name.")
        if source is not None:
            update_info(image, source=str(source))
        session, kept = self._session(layer, image, folder), self._ensure(layer)
        if session.image is None and session.image_path is None and not copy_image:
            raise UserError(
                f"{unknown_file(image)}; tick 'Sessions hold a copy of the image' in the Menu, then save "
                "again."
            )
        if not kept.is_current:  # strokes during the saving have a place then, too
            kept.start(None, self._session(layer, image), image)
        if copy_image:
            session = replace(session, image_path=None, image=volume_of_layer(image))
        kept.image = image
        kept.forget_search()
        kept.flush()
        return partial(kept.save_as, folder, session)

    def follow_state(self, layer: Labels) -> None:
        """Record what was confirmed or evaluated while a layer was being saved, or that it was removed."""
        kept, workspace = self._kept(layer), self._workspace
        if kept is None:
            return
        kept.flush()
        if layer == workspace.labels:  # the run of another layer is not its own
            kept.autosave.record_state(**work_in(workspace))
        if layer not in workspace.managed_labels:
            kept.autosave.close(timeout=0)

    @property
    def unwritten(self) -> str:
        """Why something is not on disk, of removed layers, too; empty if nothing is known to be missing."""
        troubles = (kept.autosave.trouble for kept in (*self._autosaved, *self._leaving))
        return next(filter(None, troubles), "")

    def _report_trouble(self) -> None:
        sentence = self.unwritten
        if sentence != self._reported:
            self._reported = sentence
            self.trouble.emit(sentence)
        for kept in (*self._autosaved, *self._leaving):
            if kept.note:
                self.noted.emit(kept.note)
                kept.note = ""
            if kept in self._leaving and (kept in self._autosaved or kept.autosave.left):
                self._leaving.remove(kept)
        room = next(filter(None, (low_disk_warning(kept.layer.data) for kept in self._autosaved)), "")
        if room and room != self._warned:
            self.noted.emit(room)
        self._warned = room

    def _kept(self, layer: Any) -> LayerAutosave | None:
        kept = info_of(layer).autosave
        return kept if kept is not None and kept.layer == layer else None  # a duplicate shares metadata

    def _ensure(self, layer: Labels) -> LayerAutosave:
        kept = self._kept(layer)
        if kept is None:
            kept = LayerAutosave(layer, Autosave())
            update_info(layer, autosave=kept)
        if kept not in self._autosaved:
            self._autosaved.append(kept)
            self._ask.start()
        return kept

    def record_edit(self, layer: Labels, slices: set[int]) -> None:
        """Record that labels or confirmation of slices changed, and begin to autosave a layer with that."""
        kept = self._kept(layer)
        is_current = kept is not None and kept.is_current
        image = None if is_current else self._image_of(layer)
        if not is_current and image is None:
            return  # there is nothing that these labels would belong to
        kept = self._ensure(layer)
        if not is_current:
            kept.start(None, self._session(layer, image), image)
        kept.record_edit(slices)
        self._soon.start()

    def _record_work(self) -> None:
        layer, work = self._workspace.labels, work_in(self._workspace)
        kept = None if layer is None else self._kept(layer)
        if kept is not None and work != self._work:  # not where only another layer was chosen
            kept.autosave.record_state(**work)
        self._work = work

    def _image_of(self, layer: Labels) -> Any:
        """Return the image that labels belong to; the chosen one only if nothing names another."""
        shape = volume_of_layer(layer).shape
        return next((image for image in self._images_for(layer) if fits(image, shape)), None)

    def _images_for(self, layer: Labels) -> Iterator[Any]:
        kept, found, chosen = self._kept(layer), self._workspace.candidates("image"), self._workspace.image
        if kept is not None and kept.image in found:
            yield kept.image
        yield from (image for image in found if image.unique_id == info_of(layer).made_over)
        if chosen is not None:
            yield chosen
        yield from found

    def _session(self, layer: Labels, image: Image, folder: Path | None = None) -> Session:
        """Return the session of a layer in a folder, or in its own, where a copy of the image stays."""
        kept = self._kept(layer)
        holds_copy = kept is not None and kept.copied == image
        if kept is not None and folder is not None:
            holds_copy = holds_copy and _is_same(kept.folder, folder)
        return session_of(self._workspace, layer, image, holds_copy)


def autosave_of(workspace: Workspace) -> SessionAutosave:
    """Return the autosave of a workspace, made for the first of its steps that asks."""
    return workspace.findChild(SessionAutosave) or SessionAutosave(workspace)


def _is_same(known: Path | None, folder: Path) -> bool:
    return known is not None and os.path.realpath(known) == os.path.realpath(folder)


def _flush(autosaved: list[LayerAutosave]) -> None:
    for kept in autosaved:
        kept.flush()


def _close(autosaved: list[LayerAutosave], leaving: list[LayerAutosave]) -> None:
    """Write what is left."""
    for kept in autosaved:
        kept.end_searching()
    _flush(autosaved)
    for kept in (*autosaved, *leaving):
        if not kept.autosave.close():
            why = kept.autosave.trouble or "It could not be written in time."
            logging.getLogger(__name__).error("'%s' is not on disk: %s", kept.layer.name, why)
