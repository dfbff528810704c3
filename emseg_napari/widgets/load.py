"""Step 1: open an image stack and its labels, or a saved session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtWidgets import QFileDialog, QGridLayout

from emseg_napari.jobs import UserError
from emseg_napari.labels import Convention
from emseg_napari.samples import isbi2012
from emseg_napari.sessions import Session, load_session, save_session
from emseg_napari.stacks import check_image, check_pair, read_image, read_labels
from emseg_napari.widgets.dialogs import ask_convention
from emseg_napari.widgets.layers import (
    CORRECTIONS,
    add_labels,
    corrections_of,
    fits,
    image_of,
    is_ours,
    labels_of,
)
from emseg_napari.widgets.preferences import recall_folder, remember_folder
from emseg_napari.widgets.step import Step, enable
from emseg_napari.widgets.workspace import Workspace

_STACKS = "Images (*.tif *.tiff *.png);;All files (*)"
SOURCE = "emseg source"


class LoadStep(Step):
    """Opens images, labels and sessions; any layer already in napari serves as well."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._workers: list[Any] = []
        values = "0/255 (ISBI: 0 = boundary) or 0/1/2 (1 = boundary, 2 = interior)."
        isbi = "30 labelled slices of Drosophila nerve cord, for research; downloaded at the first time."
        actions = (
            ("Open image stack...", "A TIFF file or a single image.", self._ask_image),
            ("Open slice folder...", "A folder of numbered PNG or TIFF slices.", self._ask_folder),
            ("Open labels...", values, self._ask_labels),
            ("Open session...", "A folder NAME.emseg that was saved here.", self._ask_session),
            ("Open sample", "A made-up stack with exact labels, to try things out.", self.open_sample),
            ("Open ISBI 2012", isbi, self.open_isbi2012),
            ("Save session...", "Labels, confirmed slices and run, in a folder NAME.emseg.", self._ask_save),
        )
        self.buttons = {text: self.button(text, tooltip, action) for text, tooltip, action in actions}
        grid = QGridLayout()
        for i, button in enumerate(self.buttons.values()):
            grid.addWidget(button, i // 2, i % 2)
        self.rows.addLayout(grid)
        self.add_choices("image", "labels")
        self.rows.addWidget(self.status)
        self.workspace.changed.connect(self._update)
        self._update()

    def _update(self) -> None:
        missing = None if self.workspace.labels is not None else "there are no labels to save"
        enable(self.buttons["Save session..."], missing)

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
        """Read an image stack in the background and show it."""
        self._read(path.name, lambda: _checked_image(path), lambda image: self._show_image(path, image))

    def open_labels(self, path: Path, convention: Convention | None = None) -> None:
        """Read labels in the background; asks for the convention when the values leave it open."""

        def show(outcome: tuple[Any, Exception | None]) -> None:
            labels, error = outcome
            answer = ask_convention(self, error) if isinstance(error, UserError) else None
            if answer is not None:
                self.open_labels(path, answer)
            elif error is not None:
                raise error
            else:
                self._show_labels(path, labels)

        self._read(path.name, lambda: outcome_of(lambda: read_labels(path, convention)), show)

    def open_session(self, folder: Path) -> None:
        """Open a saved session in the background."""
        self._read(folder.name, lambda: load_session(folder), lambda s: self._show_session(folder, s))

    def _read(self, name: str, read: Callable[[], Any], show: Callable[[Any], None]) -> None:
        """Call `read` in a thread, then `show` with its result here."""
        self.say(f"Reading {name}...")
        worker = create_worker(outcome_of, read, _start_thread=False)

        def take(outcome: tuple[Any, Exception | None]) -> None:
            self._workers.remove(worker)
            with self.guard():
                if outcome[1] is not None:
                    raise outcome[1]
                show(outcome[0])

        worker.returned.connect(take)
        self._workers.append(worker)
        worker.start()

    def _show_image(self, path: Path, image: Any) -> None:
        layer = self.viewer.add_image(image, name=path.stem, metadata={SOURCE: str(path)})
        self.workspace.choose("image", layer)
        remember_folder("images", path.parent)
        self.say(f"Opened {path.name}: {_shape(image)}, {image.dtype}.")

    def _show_labels(self, path: Path, labels: Any) -> None:
        image = self.workspace.image
        like = image if fits(image, labels.shape) else None
        self.workspace.choose("labels", add_labels(self.viewer, labels, path.stem, like))
        remember_folder("images", path.parent)
        warning = "" if like is not None or image is None else " Its shape differs from the image's."
        self.say(f"Opened {path.name}: {_shape(labels)}.{warning}")

    # -- sessions -----------------------------------------------------------------------

    def save_session(self, folder: Path) -> None:
        """Save the chosen image's place, labels, corrections and run."""
        folder = folder if folder.suffix == ".emseg" else folder.with_name(f"{folder.name}.emseg")
        image, labels = self.workspace.image, self.workspace.labels
        if not is_ours(labels) or image is None:
            raise UserError("Choose an image and a labels layer that was made or opened here; then save.")
        pixels, marks = image_of(image), labels_of(labels)
        check_pair(pixels, marks, image.name, labels.name)
        source = image.metadata.get(SOURCE)  # not napari's own: what its readers open, ours may not
        session = Session(
            image_path=Path(source) if source else None,
            image=None if source else pixels,
            labels=marks,
            corrections=corrections_of(labels),
            run=self.workspace.run,
            rounds=self.workspace.rounds,
        )
        save_session(folder, session)
        others = [layer.name for layer in self.workspace.candidates("labels") if layer != labels]
        warning = f" It holds '{labels.name}', not {', '.join(map(repr, others))}." if others else ""
        self.say(f"Saved {folder.name}.{warning}")

    def _show_session(self, folder: Path, session: Session) -> None:
        name = session.image_path.stem if session.image_path else "image"
        shown = self.viewer.add_image(
            session.image, name=name, metadata={SOURCE: str(session.image_path or "")}
        )
        layer = add_labels(self.viewer, session.labels, f"{name} labels", shown)
        layer.metadata[CORRECTIONS] = session.corrections
        self.workspace.choose("image", shown)
        self.workspace.choose("labels", layer)
        self.workspace.choose_run(session.run)
        self.workspace.set_rounds(session.rounds)
        remember_folder("images", folder.parent)
        self.say(f"Opened the session ({len(session.corrections.confirmed)} slices confirmed).")


def outcome_of(read: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return result or error: an error raised in a worker thread would be shown as a traceback."""
    try:
        return read(), None
    except Exception as error:
        return None, error


def _checked_image(path: Path) -> Any:
    image = read_image(path)
    check_image(image, path.name)
    return image


def _shape(array: Any) -> str:
    return " x ".join(map(str, array.shape))
