"""What opens images, labels and sessions: a card while no image is open, and entries of the menu."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from emseg_napari.annotation.session.recovery import open_elsewhere
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import Convention
from emseg_napari.io.address import Location
from emseg_napari.io.samples import isbi2012
from emseg_napari.widgets.base.closing import CloseQuestion
from emseg_napari.widgets.base.dialogs import ask_address
from emseg_napari.widgets.base.header import MenuEntry
from emseg_napari.widgets.base.lost_work import LostWork
from emseg_napari.widgets.base.reading_line import Reading
from emseg_napari.widgets.base.session_step import STACKS, SessionStep
from emseg_napari.widgets.base.status_line import StatusLine
from emseg_napari.widgets.base.step import WrappingLabel, enable, in_row, primary
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.destruction import connect_while
from emseg_napari.widgets.layers.file_layers import description_of, opened_layers
from emseg_napari.widgets.layers.label_files import labels_from
from emseg_napari.widgets.layers.labels_layer import add_empty_labels, add_labels, dense, is_managed
from emseg_napari.widgets.layers.layer_info import LayerData
from emseg_napari.widgets.layers.layer_pairs import made_elsewhere
from emseg_napari.widgets.layers.layer_pixels import fits
from emseg_napari.widgets.layers.selection import hide_covered

_FILE = "An image: TIFF, PNG, HDF5 or MRC of any size. For labels: Menu > Open labels..."
_FOLDERS = (
    "A folder: numbered PNG or TIFF slices, a volume of any size in Zarr, OME-Zarr or N5, or a session "
    "(NAME.emseg)."
)
_ADDRESS = "An OME-Zarr, Zarr or N5 in an object store or on a web server: s3://, gs:// or https://."
_VALUES = "Boundary masks (0/255, 0/1, 0/1/2) or cells with numbers; if two readings fit, you are asked."
_LABELS_FOLDER = f"Numbered PNG or TIFF slices, or a volume in Zarr, OME-Zarr or N5. {_VALUES}"
_SAMPLE = "A made-up stack with exact labels, to try things out."
_ISBI = "30 labelled slices of Drosophila nerve cord, for research; downloaded the first time."
_NEW_LABELS = "Make an empty labels layer over the image: 1 boundary, 2 interior."
_LOST = "Offer sessions that were not closed properly, or whose layers were removed."
_WRITTEN_MS = 1000
_WELCOME = "Open an image stack, or drop it into the window. The sample shows how everything works."


class LoadStep(SessionStep):
    """Opens images, labels and sessions; any layer already in napari serves as well.

    It is a card with the most important buttons; the dock shows it while no image is open.

    Attributes
    ----------
    lost_work : LostWork
        Offers work that was not saved.
    about : QLabel
        Size of the image and of its voxels.
    trouble : StatusLine
        Why the last strokes are not on disk; empty and hidden if they are.
    """

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._described: Any = None
        self._followed: set[Any] = set()  # unique ids of images
        self._build()
        self._close_question = CloseQuestion(self, self._loss)
        self.autosave.noted.connect(self.say)
        self.autosave.trouble.connect(self._show_trouble)
        self.workspace.changed.connect(self._update)
        self._left: set[Path] = set()  # sessions of removed labels, until they are written
        self._soon = QTimer(self, singleShot=True, interval=_WRITTEN_MS)
        self._soon.timeout.connect(self._offer_left)
        self.autosave.left.connect(self._note_left)
        self.not_opened.connect(lambda folder: self.lost_work.offer([folder]))
        self.saved.connect(lambda: self.lost_work.offer([]))  # it may have replaced one of them
        self._update()

    def _build(self) -> None:
        self.lost_work = LostWork(self, lambda folder: self.open_session(folder), self.taken)
        self.about = WrappingLabel(least_lines=2)
        self.about.setParent(self)  # the header takes it
        self.about.setToolTip(
            "Size of the chosen image and of its voxels (z, y, x), and how its file was read."
        )
        self.trouble = StatusLine()
        self.trouble.setParent(self)  # the dock takes it
        self.trouble.hide()
        self.rows.setContentsMargins(0, 6, 0, 0)
        self.open = primary(self.button("Open...", _FILE, self._ask_file))
        self.open_folder = self.button("Open a folder...", _FOLDERS, self._ask_folder)
        self.sample = self.button("Sample", _SAMPLE, self.open_sample)
        self.isbi2012 = self.button("ISBI 2012", _ISBI, self.open_isbi2012)
        self.new_labels_button = self.button("New", _NEW_LABELS, self.new_labels)
        self.rows.addWidget(WrappingLabel(_WELCOME))
        self.rows.addLayout(in_row(self.open, self.open_folder))
        self.rows.addLayout(in_row(self.sample, self.isbi2012))

    def menu_entries(self) -> tuple[list[MenuEntry], list[MenuEntry]]:
        """Return the entries of the menu that open something, and those that save."""
        return [
            MenuEntry("Open...", _FILE, partial(self.guarded, self._ask_file)),
            MenuEntry("Open a folder...", _FOLDERS, partial(self.guarded, self._ask_folder)),
            MenuEntry("Open an address...", _ADDRESS, partial(self.guarded, self._ask_address)),
            MenuEntry("Open labels...", _VALUES, partial(self.guarded, self._ask_labels)),
            MenuEntry(
                "Open a folder of labels...", _LABELS_FOLDER, partial(self.guarded, self._ask_labels_folder)
            ),
            MenuEntry(
                "Open an address of labels...", _ADDRESS, partial(self.guarded, self._ask_labels_address)
            ),
            MenuEntry("Open the sample", _SAMPLE, partial(self.guarded, self.open_sample)),
            MenuEntry("Open ISBI 2012", _ISBI, partial(self.guarded, self.open_isbi2012)),
        ], [
            *self.save_entries(),
            MenuEntry("Work that was not saved...", _LOST, self.offer_lost_work),
        ]

    def _update(self) -> None:
        enable(self.new_labels_button, None if self.workspace.image is not None else "open an image first")
        if self.workspace.image != self._described:
            self._described = self.workspace.image
            self._follow_size()
        self._describe()

    def _follow_size(self) -> None:
        """Follow what may change the size of a voxel of the described image, once for each image."""
        if self._described is not None and self._described.unique_id not in self._followed:
            self._followed.add(self._described.unique_id)
            events = self._described.events
            for event in (events.scale, events.affine, events.units):
                connect_while(self, event, self._describe)

    def _describe(self, *_: Any) -> None:
        image, labels, images = self._described, self.workspace.labels, self.workspace.candidates("image")
        self.about.setText(
            "" if image is None else description_of(image) + made_elsewhere(labels, image, images)
        )
        self.about.setVisible(image is not None)

    def new_labels(self) -> None:
        """Add an empty labels layer over the image, and choose it."""
        if self.workspace.image is None:
            raise UserError("Open an image first; the labels layer takes its size.")
        layer = add_empty_labels(self.viewer, self.workspace.image)
        self.workspace.choose("labels", layer)
        self.say(f"'{layer.name}' is empty: paint some boundary and some interior, or propose labels.")

    def _show_trouble(self, sentence: str) -> None:
        text = f"{sentence} Trying again; until then your last strokes are not on disk." if sentence else ""
        self.trouble.show_sentence(text, wrong=True)
        self.trouble.setVisible(bool(text))
        if text:
            self._close_question.watch()
            self.complain(text)
        else:
            self.say("All is on disk again.")

    def _loss(self) -> str:
        """Return what is lost if the window is closed now; empty if nothing."""
        sentence = self.autosave.unwritten
        return f"{sentence} The last strokes are not on disk and would be lost." if sentence else ""

    # -- asking -------------------------------------------------------------------------

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open an image", self.last_folder(), STACKS)
        if path:
            self.open_path(Path(path))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(
            self, "Open a folder of slices, or a session", self.last_folder()
        )
        if path:
            self.open_path(Path(path))

    def _ask_address(self) -> None:
        address = ask_address(self, "Open an address")
        if address is not None:
            self.open_path(address)

    def _ask_labels_address(self) -> None:
        address = ask_address(self, "Open an address of labels")
        if address is not None:
            self.open_labels(address)

    def _ask_labels(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open labels", self.last_folder(), STACKS)
        if path:
            self.open_labels(Path(path))

    def _ask_labels_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder of labels", self.last_folder())
        if path:
            self.open_labels(Path(path))

    def open_sample(self) -> None:
        """Open the sample stack with empty labels, and its true ones hidden."""
        with self.first_view.of_new_layers():
            image, truth = self.viewer.open_sample("emseg-napari", "phantom")
        self.workspace.choose("image", image)
        self.workspace.choose("labels", add_empty_labels(self.viewer, image))
        self.say(f"Opened the sample. Press 'Propose this slice'; '{truth.name}' has the true labels.")

    def open_isbi2012(self) -> None:
        """Download, unless that was done before, and show the ISBI 2012 training stack."""

        def show(pair: tuple[Any, Any]) -> None:
            with self.first_view.of_new_layers():
                image = self.viewer.add_image(pair[0], name="ISBI 2012")
            self.workspace.choose("image", image)
            self.workspace.choose("labels", add_labels(self.viewer, pair[1], "ISBI 2012 labels", image))
            self.say(
                "Opened the ISBI 2012 training stack with its labels. They are complete: to propose labels "
                "yourself, press 'New' beside Labels."
            )

        self.read(Reading("ISBI 2012 (the first time it is downloaded)"), isbi2012, show)

    # -- opening ------------------------------------------------------------------------

    def open_path(self, path: Location) -> None:
        """Open an image, labels or a session, whichever a file, folder or address holds."""
        if isinstance(path, Path) and path.suffix == ".emseg":
            self.open_session(path)
        else:
            self.open_image(path)

    def open_image(self, path: Location) -> None:
        """Open an image in the background and show it; what is large is read as it is looked at."""
        show = partial(self._show_layers, path)
        reading = Reading(path.name)
        self.read(reading, lambda: opened_layers(path, reading.context), show)

    def open_labels(self, path: Location, convention: Convention | None = None) -> None:
        """Read labels in the background; asks for the convention when the values leave it open."""
        image, reading = self.workspace.image, Reading(path.name)
        ask, ask_dataset = reading.while_wanted(self.ask_convention), reading.while_wanted(self.ask_dataset)

        def read() -> tuple[np.ndarray, str]:
            labels, words = labels_from(path, convention, image, ask, ask_dataset)
            return dense(labels), words

        self.read(reading, read, lambda found: self._show_labels(path, *found))

    def _show_layers(self, path: Location, layers: list[LayerData]) -> None:
        before = self.workspace.labels
        with self.first_view.of_new_layers():
            shown = [self.viewer.add_layer(Layer.create(*one)) for one in layers]
        for kind, of_kind in (("labels", Labels), ("image", Image)):
            fit = [layer for layer in shown if isinstance(layer, of_kind)]
            if fit:
                self.workspace.choose(kind, fit[0])
            if fit and kind == "labels":
                hide_covered(self.viewer, fit[0])
        self.remember_folder_of(path)
        instead = _instead_of(before, self.workspace.labels)
        self.say(f"Opened {path.name}: {description_of(shown[0])}.{instead}")

    def _show_labels(self, path: Location, labels: Any, described: str) -> None:
        image, before = self.workspace.image, self.workspace.labels
        images = filter(None, [image, *self.workspace.candidates("image")])
        like = next((one for one in images if fits(one, labels.shape)), None)
        self.workspace.choose("labels", add_labels(self.viewer, labels, path.stem, like))
        self.remember_folder_of(path)
        warning = "" if like is not None or image is None else " Its shape differs from the image's."
        self.say(f"Opened {path.name}: {described}.{_instead_of(before, self.workspace.labels)}{warning}")

    # -- work that was not saved ----------------------------------------------------------

    def offer_lost_work(self) -> None:
        """Offer work that was not saved, or say that there is none."""
        self.lost_work.refresh()
        if not self.lost_work.choice.count():
            self.say("There is no work that was not saved.")

    def _note_left(self, folder: Path) -> None:
        self._left.add(folder.resolve())
        self._soon.start()

    def _offer_left(self) -> None:
        """Offer the labels that were removed, once they are written."""
        self._left -= self.autosave.folders()  # opened again
        if not self._workers:  # one may read the session that is being restored
            written = {folder for folder in self._left if not open_elsewhere(folder)}
            self._left -= written
            self.lost_work.offer(written)
        if self._left:
            self._soon.start()


def _instead_of(before: Any, now: Any) -> str:
    """Return in a sentence that a layer that was opened took the place of the user's own labels."""
    if not is_managed(before) or now == before:
        return ""
    if now is None:
        return f" To go on with '{before.name}', choose its image in Image again."
    return f" Tools and Train work on '{now.name}' now; for '{before.name}' choose that in Labels again."
