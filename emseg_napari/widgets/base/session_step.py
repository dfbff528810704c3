"""Base of the step that opens and saves sessions: labels, what was confirmed, and where the image is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog

from emseg_napari.annotation.session.recovery import is_in_recovery
from emseg_napari.annotation.session.store import MissingImage
from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Location
from emseg_napari.io.containers import FOLDER_SUFFIXES
from emseg_napari.io.open import FILE_SUFFIXES
from emseg_napari.widgets.base.dialogs import ask_new_folder, is_sure
from emseg_napari.widgets.base.first_view import FirstView
from emseg_napari.widgets.base.header import MenuEntry
from emseg_napari.widgets.base.preferences import recall_folder, remember_folder
from emseg_napari.widgets.base.reading_line import Reading, ReadingLine, SlicesLine
from emseg_napari.widgets.base.session_contents import checked_source
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.base.text import slice_count
from emseg_napari.widgets.base.threads import in_daemon, outcome_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.file_layers import container_of, moved_to
from emseg_napari.widgets.layers.labels_layer import is_managed
from emseg_napari.widgets.layers.layer_info import LayerData, info_in, update_info
from emseg_napari.widgets.layers.selection import hide_covered, show_stack
from emseg_napari.widgets.layers.session_layers import session_layers, shown_image, units_over

STACKS = f"Images ({' '.join(f'*{suffix}' for suffix in FILE_SUFFIXES)});;All files (*)"
_LOOK_MS = 200
_SAVE = "Labels, confirmed slices and run, in a folder NAME.emseg."
_COPY = (
    "Off: a session stores only the path of an image that emseg opened. On: a copy moves with the session."
)
_COPIED = " The image was not opened from a file by emseg, so the session holds a copy of it."


class SessionStep(StepWidget):
    """Opens and saves sessions.

    Attributes
    ----------
    copies_image : bool
        Whether a session that is saved holds a copy of an image that has a file.

    Signals
    -------
    saved
        A session was saved.
    not_opened : Path
        The session in this folder could not be opened, or was not waited for.
    """

    saved = Signal()
    not_opened = Signal(object)

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self.copies_image = False
        self.first_view = FirstView(napari_viewer, self)
        self.workspace.changed.connect(lambda: self.first_view.follow(self.workspace.image))
        self._opening: set[Path] = set()  # real folders of sessions that are being read
        self._readings: list[Reading] = []
        self._look_again = QTimer(self, singleShot=True, interval=_LOOK_MS)
        self._look_again.timeout.connect(self._follow_readings)
        self.cancel = self.button("Cancel", "Stop waiting for it; nothing is opened.", self.cancel_reading)
        self.reading_line = ReadingLine("It is opened when all that is needed has come.", self.cancel)
        self.slices_line = SlicesLine(napari_viewer)
        self.job_lines += [self.reading_line, self.slices_line]

    def save_entries(self) -> list[MenuEntry]:
        """Return the entries of the menu that save."""
        return [
            MenuEntry("Save session...", _SAVE, partial(self.guarded, self._ask_save)),
            MenuEntry("Sessions hold a copy of the image", _COPY, self._copy_image, ticked=False),
        ]

    def _copy_image(self, copies: bool) -> None:
        self.copies_image = copies

    def _ask_save(self) -> None:
        if self.workspace.labels is None:
            raise UserError("There are no labels to save yet; paint, propose or open some.")
        _, labels = self._savable()
        path = ask_new_folder(self, "Save the session", self._session_name(labels))
        if path is not None and self._may_replace(session_folder(path)):
            self.save_session(path)

    def _session_name(self, labels: Labels) -> Path:
        """Return the name that labels were saved under last, or a first one."""
        known = self.autosave.folder(labels)
        if known is None or is_in_recovery(known):
            return Path(self.last_folder()) / "session.emseg"
        return known

    def _savable(self) -> tuple[Image, Labels]:
        """Return image and labels that a session can hold, or raise what is missing."""
        image, labels = self.workspace.image, self.workspace.labels
        if not is_managed(labels) or image is None:
            raise UserError("Choose an image and a labels layer that emseg made or opened; then save.")
        return image, labels

    def _may_replace(self, folder: Path) -> bool:
        """Ask before another session is lost; the dialog has not seen the ending."""
        is_own = self.autosave.is_kept_in(self.workspace.labels, folder)
        if is_own or not (folder / "session.json").exists():
            return True
        return is_sure(self, f"{folder.name} in {folder.parent} is replaced, with its labels.", "Replace")

    def last_folder(self) -> str:
        """Return the folder in which a file dialog begins: that of the last file."""
        return str(recall_folder("images", Path.home()))

    def remember_folder_of(self, path: Location) -> None:
        """Let file dialogs begin beside a path, but not among the work that was not saved."""
        if isinstance(path, Path) and not is_in_recovery(path):
            remember_folder("images", path.parent)

    def read(self, reading: Reading, read: Callable[[], Any], show: Callable[[Any], None]) -> None:
        """Read something in the background, and say so; then show it, unless it was cancelled."""

        def take(outcome: tuple[Any, Exception | None]) -> None:
            if reading.is_cancelled:
                return
            self._readings.remove(reading)
            self._follow_readings()
            result, error = outcome
            if error is not None:
                raise error
            show(result)

        self._readings.append(reading)
        self._follow_readings()
        self.in_background(f"Reading {reading.name}...", lambda: outcome_of(read), take, in_daemon)

    def _follow_readings(self) -> None:
        """Show what is being read, and again while there is some: threads only note how far they are."""
        fractions = [reading.fraction for reading in self._readings]
        self.reading_line.follow(
            [reading.name for reading in self._readings], fractions[0] if len(fractions) == 1 else None
        )
        if self._readings:
            self._look_again.start()

    def cancel_reading(self) -> None:
        """Open nothing of what is being read."""
        for reading in self._readings:
            reading.is_cancelled = True
        names = ", ".join(reading.name for reading in self._readings)
        sessions = list(self._opening)
        self._readings.clear()
        self._opening.clear()
        self._follow_readings()
        for session in sessions:
            self.not_opened.emit(session)
        self.say(f"Cancelled: {names} was not opened.")

    def save_session(self, folder: Path) -> None:
        """Save image path, labels, confirmed slices and run, and autosave them there from then on."""
        folder = session_folder(folder)
        image, labels = self._savable()
        copy, text = self.copies_image, f"Saving {folder.name}..."
        others = [layer.name for layer in self.workspace.candidates("labels") if layer != labels]
        warning = f" It contains '{labels.name}', not {', '.join(map(repr, others))}." if others else ""
        saved = f"Saved {folder.name} in {folder.parent}"

        def save(source: Location | None) -> None:
            save_as = self.autosave.saving(labels, image, folder, copy, source)
            self.in_background(text, save_as, partial(done, _COPIED if source is None and not copy else ""))

        def done(copied: str, _: None) -> None:
            self.autosave.follow_state(labels)
            goes_on = labels in self.workspace.managed_labels  # else it was removed meanwhile
            where = f"{saved}{'; your changes are saved there from now on' if goes_on else ''}."
            self.say(f"{where}{copied}{warning}")
            self.saved.emit()

        self.in_background(text, lambda: checked_source(labels, image), save)

    def taken(self) -> set[Path]:
        """Return the real folders of sessions that this window has open, or is opening."""
        return self._opening | self.autosave.folders()

    def open_session(self, folder: Path, image: Path | None = None) -> None:
        """Open a saved session in the background; asks where its image is if that has moved."""
        real, images = folder.resolve(), self.workspace.candidates("image")
        if real in self.taken():
            self.complain(f"{folder.name} is open in a window already, or is being opened.")
            return
        self._opening.add(real)

        def read() -> tuple[list[LayerData], Any]:
            layers = session_layers(folder, image)
            return layers, shown_image(layers, images)

        def show(outcome: tuple[Any, Exception | None]) -> None:
            found, error = outcome
            moved = self._ask_moved(error) if isinstance(error, MissingImage) else None
            self._opening.discard(real)
            if moved is not None:
                self.open_session(folder, moved)
                return
            if error is not None:
                self.not_opened.emit(folder)
                raise error
            self._show_session(*found)

        self.read(Reading(folder.name), lambda: outcome_of(read), show)

    def _ask_moved(self, error: MissingImage) -> Path | None:
        container = container_of(error.path)
        title = f"Where is {container.name} now?"
        if container.suffix.lower() in ("", *FOLDER_SUFFIXES):
            path = QFileDialog.getExistingDirectory(self, title, self.last_folder())
        else:
            path, _ = QFileDialog.getOpenFileName(self, title, self.last_folder(), STACKS)
        return moved_to(error.path, Path(path)) if path else None

    def _show_session(self, layers: list[LayerData], image: Any) -> None:
        """Show a session over the layer that shows its image already, if there is one."""
        (pixels, of_image, _), (labels, of_labels, _) = layers
        opened = info_in(of_labels["metadata"]).opened
        assert opened is not None  # the labels of a session
        if image in self.viewer.layers:
            of_labels = of_labels | units_over(image, opened.session)
            update_info(image, session_folder=opened.folder)
            show_stack(self.viewer, image)
        else:
            with self.first_view.of_new_layers():
                image = self.viewer.add_layer(Layer.create(pixels, of_image, "image"))
        self.workspace.choose("image", image)
        layer = self.viewer.add_labels(labels, **of_labels)
        update_info(layer, made_over=image.unique_id)
        hide_covered(self.viewer, layer)
        self.remember_folder_of(opened.folder)
        session, warnings = opened.session, " ".join(["", *opened.session.warnings])
        self.say(f"Opened the session ({slice_count(len(session.confirmed))} confirmed).{warnings}")


def session_folder(path: Path) -> Path:
    """Return the folder of a session, which ends in .emseg."""
    path = path.absolute()
    return path if path.suffix == ".emseg" else path.with_name(f"{path.name}.emseg")
