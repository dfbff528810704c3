"""Step 1: open an image stack and its labels, or a saved session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QGridLayout, QGroupBox, QHBoxLayout

from emseg_napari.annotation.session.recovery import discard, recoverable
from emseg_napari.annotation.session.store import MissingImage
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import Convention
from emseg_napari.io.containers import FOLDER_SUFFIXES
from emseg_napari.io.open import FILE_SUFFIXES
from emseg_napari.io.samples import isbi2012
from emseg_napari.widgets.base.autosave import checked_source
from emseg_napari.widgets.base.dialogs import is_sure
from emseg_napari.widgets.base.preferences import recall_folder, remember_folder
from emseg_napari.widgets.base.step import StepWidget, enable, wrapping_label
from emseg_napari.widgets.base.threads import outcome_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.file_layers import (
    container_of,
    description_of,
    moved_to,
    opened_layers,
)
from emseg_napari.widgets.layers.label_files import labels_from
from emseg_napari.widgets.layers.labels_layer import add_labels, dense, is_managed
from emseg_napari.widgets.layers.layer_info import LayerData, info_in
from emseg_napari.widgets.layers.layer_pixels import fits
from emseg_napari.widgets.layers.session_layers import session_layers

_STACKS = f"Images ({' '.join(f'*{suffix}' for suffix in FILE_SUFFIXES)});;All files (*)"
_FOLDERS = "A folder of numbered PNG or TIFF slices, or a volume of any size in Zarr, OME-Zarr or N5."
_VALUES = "0/255 (ISBI: 0 = boundary) or 0/1/2 (1 = boundary, 2 = interior)."
_ISBI = "30 labelled slices of Drosophila nerve cord, for research; downloaded the first time."


class LoadStep(StepWidget):
    """Opens images, labels and sessions; any layer already in napari serves as well."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._described: Any = None
        self._build()
        self.autosave.noted.connect(self.say)
        self.autosave.trouble.connect(self._show_trouble)
        self.workspace.changed.connect(self._update)
        self.destroyed.connect(lambda: self._follow_size("disconnect"))
        self._update()

    def _build(self) -> None:
        self.rows.addLayout(self._build_actions())
        self.copy_image = QCheckBox("Save a copy of the image in the session")
        self.copy_image.setToolTip(
            "Off: the session stores only the path of the image. On: a copy moves with the session."
        )
        self.rows.addWidget(self.copy_image)
        self._build_recovery()
        self.add_choices("image", "labels")
        self.about = wrapping_label()
        self.about.setToolTip(
            "Size of the chosen image and of its voxels (z, y, x), and how its file was read."
        )
        self.rows.addWidget(self.about)
        self.rows.addWidget(self.status)

    def _build_actions(self) -> QGridLayout:
        actions = (
            ("Open image stack...", "TIFF, HDF5 or MRC of any size, or a single image.", self._ask_image),
            ("Open slice folder...", _FOLDERS, self._ask_folder),
            ("Open labels...", _VALUES, self._ask_labels),
            ("Open session...", "A folder NAME.emseg that emseg has saved.", self._ask_session),
            ("Open sample", "A made-up stack with exact labels, to try things out.", self.open_sample),
            ("Open ISBI 2012", _ISBI, self.open_isbi2012),
            ("Save session...", "Labels, confirmed slices and run, in a folder NAME.emseg.", self._ask_save),
        )
        self.buttons = {text: self.button(text, tooltip, action) for text, tooltip, action in actions}
        grid = QGridLayout()
        for i, button in enumerate(self.buttons.values()):
            grid.addWidget(button, i // 2, i % 2)
        return grid

    def _update(self) -> None:
        missing = None if self.workspace.labels is not None else "there are not labels to save"
        enable(self.buttons["Save session..."], missing)
        if self.workspace.image != self._described:
            self._follow_size("disconnect")
            self._described = self.workspace.image
            self._follow_size("connect")
        self._describe()

    def _follow_size(self, follow: str) -> None:
        """Connect to, or disconnect from, what may change the size of a voxel of the described image."""
        if self._described is not None:
            events = self._described.events
            for event in (events.scale, events.affine, events.units):
                getattr(event, follow)(self._describe)

    def _describe(self, *_: Any) -> None:
        self.about.setText("" if self._described is None else description_of(self._described))

    def _show_trouble(self, sentence: str) -> None:
        if sentence:
            self.complain(f"{sentence} Trying again; until then your last strokes are not on disk.")
        else:
            self.say("All is on disk again.")

    # -- asking -------------------------------------------------------------------------

    def _ask_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open an image stack", self._folder(), _STACKS)
        if path:
            self.open_image(Path(path))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder of slices", self._folder())
        if path:
            self.open_image(Path(path))

    def _ask_labels(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open labels", self._folder(), _STACKS)
        if path:
            self.open_labels(Path(path))

    def _ask_session(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a session", self._folder())
        if path:
            self.open_session(Path(path))

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the session", str(Path(self._folder()) / "session.emseg")
        )
        if path:
            self.save_session(Path(path))

    def _folder(self) -> str:
        return str(recall_folder("images", Path.home()))

    def open_sample(self) -> None:
        """Open the sample stack with its labels."""
        self.viewer.open_sample("emseg-napari", "phantom")
        self.say("Opened the sample: an image and its labels. Now press Train.")

    def open_isbi2012(self) -> None:
        """Download, unless that was done before, and show the ISBI 2012 training stack."""

        def show(pair: tuple[Any, Any]) -> None:
            image = self.viewer.add_image(pair[0], name="ISBI 2012")
            self.workspace.choose("image", image)
            self.workspace.choose("labels", add_labels(self.viewer, pair[1], "ISBI 2012 labels", image))
            self.say("Opened the ISBI 2012 training stack with its labels. Now press Train.")

        self._read("ISBI 2012 (the first time it is downloaded)", isbi2012, show)

    # -- opening ------------------------------------------------------------------------

    def open_image(self, path: Path) -> None:
        """Open an image in the background and show it; what is large is read as it is looked at."""
        self._read(path.name, lambda: opened_layers(path), lambda layers: self._show_layers(path, layers))

    def open_labels(self, path: Path, convention: Convention | None = None) -> None:
        """Read labels in the background; asks for the convention when the values leave it open."""
        image = self.workspace.image

        def read() -> tuple[np.ndarray, str]:
            labels, words = labels_from(path, convention, image, self.ask_convention, self.ask_dataset)
            return dense(labels), words

        self._read(path.name, read, lambda found: self._show_labels(path, *found))

    def _read(self, name: str, read: Callable[[], Any], show: Callable[[Any], None]) -> None:
        self.in_background(f"Reading {name}...", read, show)

    def _show_layers(self, path: Path, layers: list[LayerData]) -> None:
        shown = [self.viewer.add_layer(Layer.create(*one)) for one in layers]
        for kind, of_kind in (("labels", Labels), ("image", Image)):
            fit = [layer for layer in shown if isinstance(layer, of_kind)]
            if fit:
                self.workspace.choose(kind, fit[0])
        remember_folder("images", path.parent)
        self.say(f"Opened {path.name}: {description_of(shown[0])}.")

    def _show_labels(self, path: Path, labels: Any, described: str) -> None:
        image = self.workspace.image
        like = image if fits(image, labels.shape) else None
        self.workspace.choose("labels", add_labels(self.viewer, labels, path.stem, like))
        remember_folder("images", path.parent)
        warning = "" if like is not None or image is None else " Its shape differs from the image's."
        self.say(f"Opened {path.name}: {described}.{warning}")

    # -- sessions -----------------------------------------------------------------------

    def save_session(self, folder: Path) -> None:
        """Save image path, labels, confirmed slices and run, and autosave them there from then on."""
        folder = folder.absolute()
        folder = folder if folder.suffix == ".emseg" else folder.with_name(f"{folder.name}.emseg")
        image, labels = self.workspace.image, self.workspace.labels
        if not is_managed(labels) or image is None:
            raise UserError("Choose an image and a labels layer that emseg made or opened; then save.")
        copy, text = self.copy_image.isChecked(), f"Saving {folder.name}..."
        others = [layer.name for layer in self.workspace.candidates("labels") if layer != labels]
        warning = f" It contains '{labels.name}', not {', '.join(map(repr, others))}." if others else ""
        saved = f"Saved {folder.name}; your changes are saved there from now on.{warning}"

        def save(source: Path | None) -> None:
            save_as = self.autosave.saving(labels, image, folder, copy, source)
            self.in_background(text, save_as, done)

        def done(_: None) -> None:
            self.autosave.follow_state(labels)
            self.say(saved)

        self.in_background(text, lambda: checked_source(labels, image), save)

    def open_session(self, folder: Path, image: Path | None = None) -> None:
        """Open a saved session in the background; asks where its image is if that has moved."""

        def show(outcome: tuple[Any, Exception | None]) -> None:
            layers, error = outcome
            if isinstance(error, MissingImage):
                found = self._ask_moved(error)
                if found is not None:
                    self.open_session(folder, found)
                    return
            if error is not None:
                raise error
            self._show_session(folder, layers)

        self._read(folder.name, lambda: outcome_of(lambda: session_layers(folder, image)), show)

    def _ask_moved(self, error: MissingImage) -> Path | None:
        container = container_of(error.path)
        title = f"Where is {container.name} now?"
        if container.suffix.lower() in ("", *FOLDER_SUFFIXES):
            path = QFileDialog.getExistingDirectory(self, title, self._folder())
        else:
            path, _ = QFileDialog.getOpenFileName(self, title, self._folder(), _STACKS)
        return moved_to(error.path, Path(path)) if path else None

    def _show_session(self, folder: Path, layers: list[LayerData]) -> None:
        (pixels, of_image, _), (labels, of_labels, _) = layers
        image = self.viewer.add_layer(Layer.create(pixels, of_image, "image"))
        self.workspace.choose("image", image)
        opened = info_in(of_labels["metadata"]).opened
        assert opened is not None  # the labels of a session
        session = opened.session
        self.viewer.add_labels(labels, **of_labels)
        remember_folder("images", folder.parent)
        warnings = " ".join(["", *session.warnings])
        self.say(f"Opened the session ({len(session.confirmed)} slices confirmed).{warnings}")

    # -- work that was not saved ----------------------------------------------------------

    def _build_recovery(self) -> None:
        self.recovered = QComboBox()
        self.recovered.setToolTip(
            "Sessions with labels that were not closed properly and that no window has open."
        )
        self.restore = self.button("Restore", "Open the session and continue.", self._restore)
        self.discard = self.button("Discard", "Do not offer it again; a saved session stays.", self._discard)
        self.recovery = QGroupBox("Work that was not saved")
        line = QHBoxLayout(self.recovery)
        line.addWidget(self.recovered, 1)
        line.addWidget(self.restore)
        line.addWidget(self.discard)
        self.rows.addWidget(self.recovery)
        self.look_for_lost_work()

    def look_for_lost_work(self) -> None:
        """Offer the sessions that a window left behind."""
        self.recovered.clear()
        for one in recoverable():
            text = f"{one.when:%Y-%m-%d %H:%M} {one.image} ({one.slices} slices with labels)"
            self.recovered.addItem(text, one.folder)
        self.recovery.setVisible(self.recovered.count() > 0)

    def showEvent(self, event: Any) -> None:
        """Offer sessions whose layers were removed in the meantime."""
        self.look_for_lost_work()
        super().showEvent(event)

    def _restore(self) -> None:
        folder = self.recovered.currentData()
        self.recovered.removeItem(self.recovered.currentIndex())
        self.recovery.setVisible(self.recovered.count() > 0)
        self.open_session(folder)

    def _discard(self) -> None:
        work = self.recovered.currentText()
        if is_sure(self, f"The labels of {work} are deleted unless they were saved as a session.", "Discard"):
            discard(self.recovered.currentData())
            self.look_for_lost_work()
