"""Autosave of a workspace: every edit of managed labels is written to disk, from the first stroke on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QTimer, Signal

from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.recovery import keep_unsaved_in, open_elsewhere, recovery_folder
from emseg_napari.annotation.session.scratch import low_disk_warning
from emseg_napari.annotation.session.store import Round, Session
from emseg_napari.core.jobs import UserError
from emseg_napari.io.stacks import check_pair
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.widgets.base.layer_autosave import LayerAutosave, unknown_file
from emseg_napari.widgets.base.preferences import recall_folder
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.destruction import when_destroyed
from emseg_napari.widgets.layers.labels_layer import confirmed_in, labels_of, stack_of
from emseg_napari.widgets.layers.layer_info import OpenedSession, info_of, update_info
from emseg_napari.widgets.layers.layer_pixels import fits, volume_of_layer
from emseg_napari.widgets.layers.layer_sources import found_source, is_in_memory, known_source
from emseg_napari.widgets.layers.placement import placement_of

_ASK_MS = 500


class _Work(TypedDict):
    """What a session keeps of a workspace beside its layers, by the names of its fields."""

    run: Path | None
    rounds: list[Round]
    settings: dict[str, Any]


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
        self._work = _work_in(workspace)
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(partial(_flush, self._autosaved))
        # Polled here, not signalled by the threads that write: they may outlive this object.
        self._reported = self._warned = ""
        self._ask = QTimer(self, interval=_ASK_MS)
        self._ask.timeout.connect(self._report_trouble)
        workspace.edited.connect(self.record_edit)
        workspace.changed.connect(self._record_work)
        workspace.managed_changed.connect(self.follow)
        when_destroyed(workspace, partial(_close, self._autosaved))
        self.follow()

    def folder(self, layer: Any) -> Path | None:
        """Return the session folder of a layer, None before its first stroke."""
        kept = self._kept(layer)
        return None if kept is None else kept.autosave.folder

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
                if folder is not None:
                    self.left.emit(folder)

    def _resume(self, layer: Labels, opened: OpenedSession) -> None:
        """Keep a layer where it was opened from, with what was painted since."""
        labels, session = stack_of(layer), opened.session
        kept = self._ensure(layer)
        found = self._workspace.candidates("image")
        images = [one for one in found if info_of(one).session_folder == opened.folder]
        kept.start(opened.folder, replace(session, labels=labels), images[-1] if images else None)
        kept.compare(opened.checksums)
        if images:
            self._workspace.choose("image", images[-1])
        self._workspace.choose("labels", layer)
        self._workspace.choose_run(session.run)
        self._workspace.choose_scale(_scale_in(session))
        self._workspace.add_rounds(session.rounds)

    def saving(
        self, layer: Labels, image: Image, folder: Path, copy_image: bool, source: Path | None = None
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
        source : Path, optional
            That file, as `checked_source` found it.

        Raises
        ------
        UserError
            From this call or from the returned one, if it cannot be written.
        """
        if open_elsewhere(folder) and not _is_same(self.folder(layer), folder):
            raise UserError(f"{folder.name} is open in a window; choose another name.")
        if source is not None:
            update_info(image, source=str(source))
        session, kept = self._session(layer, image), self._ensure(layer)
        if session.image is None and session.image_path is None:
            if not copy_image:
                raise UserError(
                    f"{unknown_file(image)}; tick 'Sessions hold a copy of the image' in the Menu, then save "
                    "again."
                )
            session = replace(session, image=volume_of_layer(image))
        if not kept.is_current:  # strokes during the saving have a place then, too
            kept.start(None, session, image)
        kept.image = image
        kept.forget_search()
        kept.flush()
        return partial(kept.autosave.save_as, folder, session, copy_image)

    def follow_state(self, layer: Labels) -> None:
        """Record what was confirmed or evaluated while a layer was being saved, or that it was removed."""
        kept, workspace = self._kept(layer), self._workspace
        if kept is None:
            return
        kept.flush()
        if layer == workspace.labels:  # the run of another layer is not its own
            kept.autosave.record_state(**_work_in(workspace))
        if layer not in workspace.managed_labels:
            kept.autosave.close(timeout=0)

    def _report_trouble(self) -> None:
        sentence = next((kept.autosave.trouble for kept in self._autosaved if kept.autosave.trouble), "")
        if sentence != self._reported:
            self._reported = sentence
            self.trouble.emit(sentence)
        for kept in self._autosaved:
            if kept.note:
                self.noted.emit(kept.note)
                kept.note = ""
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
        layer, work = self._workspace.labels, _work_in(self._workspace)
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

    def _session(self, layer: Labels, image: Image) -> Session:
        source = known_source(image)
        keeps_pixels = source is None and image is not None and is_in_memory(image)
        return Session(
            image_path=source,
            image=volume_of_layer(image) if keeps_pixels else None,
            labels=stack_of(layer),
            confirmed=set(confirmed_in(layer)),
            origins=dict(info_of(layer).origins),
            **_work_in(self._workspace),
            name=layer.name,
            image_name="" if image is None else image.name,
            image_place=None if image is None else placement_of(image),
            labels_place=placement_of(layer),
        )


def _work_in(workspace: Workspace) -> _Work:
    return {"run": workspace.run, "rounds": workspace.rounds, "settings": {"scale": workspace.scale}}


def _scale_in(session: Session) -> float | None:
    """Return the scale that a session states; None if it states none, or one of another version."""
    try:
        return validated(PredictionSettings, scale=session.settings.get("scale")).scale
    except UserError:
        return None


def autosave_of(workspace: Workspace) -> SessionAutosave:
    """Return the autosave of a workspace, made for the first of its steps that asks."""
    return workspace.findChild(SessionAutosave) or SessionAutosave(workspace)


def checked_source(layer: Labels, image: Image) -> Path | None:
    """Return the file of an image with which a layer is to be saved; it reads, in any thread.

    Raises
    ------
    UserError
        If both do not fit each other, or cannot be saved.
    """
    check_pair(volume_of_layer(image), labels_of(layer), image.name, layer.name)
    return found_source(image)


def _is_same(known: Path | None, folder: Path) -> bool:
    return known is not None and os.path.realpath(known) == os.path.realpath(folder)


def _flush(autosaved: list[LayerAutosave]) -> None:
    for kept in autosaved:
        kept.flush()


def _close(autosaved: list[LayerAutosave]) -> None:
    """Write what is left."""
    for kept in autosaved:
        kept.end_searching()
    _flush(autosaved)
    for kept in autosaved:
        kept.autosave.close()
