"""Questions to the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QDialog, QFileDialog, QInputDialog, QMessageBox, QWidget

from emseg_napari.annotation.session.contents import CONTENTS, SUFFIX
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import CONVENTIONS, AmbiguousLabels, Convention, UnknownLabels
from emseg_napari.io.address import Location, location_of
from emseg_napari.io.containers import FOLDER_SUFFIXES, N5, ZARR
from emseg_napari.io.datasets import SeveralVolumes
from emseg_napari.io.export import RECORD

# The field is as wide as this line, and most addresses are long.
_ADDRESS = (
    "Address of an OME-Zarr, Zarr or N5, such as s3://bucket/folder/name.zarr or "
    "https://server/folder/name.zarr/images/em:"
)


def ask_convention(parent: QWidget, error: UserError) -> Convention | None:
    """Ask which convention labels follow, when their values leave it open.

    Returns
    -------
    Convention or None
        None if the user gives up, or nothing can be offered.
    """
    choices: list[Convention] = []
    if isinstance(error, AmbiguousLabels):
        choices = list(error.readings)
    elif isinstance(error, UnknownLabels) and error.looks_like is not None:
        choices = [error.looks_like]
    if not choices:
        return None
    box = QMessageBox(QMessageBox.Icon.Question, "Which labels are these?", str(error), parent=parent)
    buttons = {}
    for convention in choices:
        text = f"{convention}: {CONVENTIONS[convention]}"
        buttons[box.addButton(text, QMessageBox.ButtonRole.AcceptRole)] = convention
    return buttons.get(_answer(box))


def ask_dataset(parent: QWidget, several: SeveralVolumes) -> str | None:
    """Ask which dataset of a container is meant; None if the user gives up."""
    sentence = str(several).split(";")[0]
    chosen, is_chosen = QInputDialog.getItem(
        parent, "Which dataset?", f"{sentence}. Which one is meant?", list(several.datasets), 0, False
    )
    return chosen if is_chosen else None


def ask_address(parent: QWidget, title: str) -> Location | None:
    """Ask for an address; a path is taken, too. None if the user gives up.

    Raises
    ------
    UserError
        If it is not a whole address.
    """
    text, is_given = QInputDialog.getText(parent, title, _ADDRESS)
    return location_of(text) if is_given and text.strip() else None


def ask_new_file(parent: QWidget, title: str, start: Path, kind: str) -> Path | None:
    """Ask for the name of a file to write; one without the suffix of `start` gets it.

    Parameters
    ----------
    parent : QWidget
    title : str
    start : Path
        Offered at first.
    kind : str
        Such as "CSV (*.csv)".

    Returns
    -------
    Path or None
        None if the user gives up.
    """
    name, _ = QFileDialog.getSaveFileName(parent, title, str(start), kind)
    if not name or Path(name).suffix.lower() == start.suffix:
        return Path(name) if name else None
    path = Path(name + start.suffix)  # which the dialog has not looked for
    return path if not path.exists() or is_sure(parent, f"{path} is there already.", "Replace") else None


class FolderDialog(QFileDialog):
    """Asks for a folder to write: the one that it offers, or another output, is taken although it exists.

    Qt's own function would enter it, and the next output would lie in the last one.

    Parameters
    ----------
    parent : QWidget or None
    title : str
    start : Path
        Offered at first, beside what lies in the same folder.
    kind : str
        Such as "OME-Zarr (*.zarr)".
    """

    def __init__(self, parent: QWidget | None, title: str, start: Path, kind: str) -> None:
        super().__init__(parent, title, str(start.parent), kind)
        self._offered = start
        self.setOption(QFileDialog.Option.DontUseNativeDialog)  # others enter every folder that exists
        self.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        self.selectFile(start.name)

    def accept(self) -> None:
        """Take the folder that is named; one that exists and is no output is entered."""
        named = Path(self.selectedFiles()[0])
        if named.is_dir() and (named == self._offered or _is_output(named)):
            self.done(int(QDialog.DialogCode.Accepted))
        else:
            super().accept()


def _is_output(folder: Path) -> bool:
    """Whether a folder is a session, a container or an export, in which no other output lies."""
    is_container = any(one.is_node(folder) for one in (ZARR, N5))
    holds_record = any((folder / name).is_file() for name in (CONTENTS, RECORD))
    return folder.suffix in (SUFFIX, *FOLDER_SUFFIXES) or is_container or holds_record


def ask_new_folder(
    parent: QWidget | None, title: str, start: Path, kind: str = "All files (*)"
) -> Path | None:
    """Ask for the name of a folder to write, as `FolderDialog` does; None if the user gives up."""
    dialog = FolderDialog(parent, title, start, kind)
    return Path(dialog.selectedFiles()[0]) if _run(dialog) else None


def is_sure(parent: QWidget, sentence: str, action: str) -> bool:
    """Ask before something that cannot be undone; `action` is the button that does it."""
    box = QMessageBox(QMessageBox.Icon.Warning, f"{action}?", sentence, parent=parent)
    yes = box.addButton(action, QMessageBox.ButtonRole.DestructiveRole)
    return _answer(box) == yes


def _answer(box: QMessageBox) -> Any:
    box.addButton(QMessageBox.StandardButton.Cancel)
    _run(box)
    return box.clickedButton()


def _run(dialog: QDialog) -> int:
    """Show a dialog until it is answered; PyQt5 and PyQt6 name that differently."""
    return int(dialog.exec_() if hasattr(dialog, "exec_") else dialog.exec())
