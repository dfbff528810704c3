"""Output of any size: an OME-Zarr on disk, and the processes that compute it."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QWidget

from emseg_napari.core.blockwise import BATCH_SYSTEMS, Scheduler
from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import local_path
from emseg_napari.io.containers import FOLDER_SUFFIXES
from emseg_napari.widgets.base.dialogs import ask_new_folder
from emseg_napari.widgets.base.number_text import whole_number
from emseg_napari.widgets.base.preferences import recall, recall_folder, remember, remember_folder

FILE = "an OME-Zarr on disk (any size)"
MOST_VOXELS = 2**30  # that a layer in memory may hold
_HERE = ""
_WITH_WORKERS = ("local", *BATCH_SYSTEMS)  # schedulers of which the user chooses how many workers they start


def refuse_many(name: str, shape: tuple[int, ...], doing: str, instead: str) -> None:
    """Raise `UserError` if a stack, (z, y, x), is too large for a layer in memory.

    Parameters
    ----------
    name : str
        What the user calls it.
    shape : tuple of int
    doing : str
        What would be done to all of it, such as "propose at once".
    instead : str
        What to do.
    """
    voxels = math.prod(shape)
    if voxels > MOST_VOXELS:
        raise UserError(
            f"{name} has {voxels / 1e9:.1f} billion voxels, which are too many to {doing}; {instead}."
        )


class VolumeTarget(QWidget):
    """Chooses where a result of any size is written, and which processes compute it.

    Parameters
    ----------
    kind : str
        What the result is, in a word; it ends the name that is proposed.
    values : str
        What its voxels mean.
    """

    def __init__(self, kind: str, values: str) -> None:
        super().__init__()
        self._kind = kind
        rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("File", self._path_line(values))
        self._add_scheduler(rows)
        self._update()

    def _path_line(self, values: str) -> QHBoxLayout:
        self.path = QLineEdit(placeholderText="a new name.zarr, or one to resume")
        self.path.setToolTip(
            f"Folder of the OME-Zarr: {values}. If the same job was stopped there before, it resumes "
            "where it stopped."
        )
        browse = QPushButton("...")
        browse.setToolTip("Choose the folder.")
        browse.clicked.connect(self._ask)
        line = QHBoxLayout()
        line.addWidget(self.path)
        line.addWidget(browse)
        return line

    def _add_scheduler(self, rows: QFormLayout) -> None:
        self.scheduler = QLineEdit(placeholderText="this computer")
        self.scheduler.setToolTip(
            "Where to compute: empty for this window, 'local' for several processes of this "
            f"computer, jobs of a batch system ({', '.join(BATCH_SYSTEMS)}), or tls://HOST:PORT of a Dask "
            "scheduler. All workers must see the same folders."
        )
        self.workers = QLineEdit(placeholderText="one per core")
        self.workers.setToolTip("Processes that 'local' or a batch system starts.")
        self.scheduler.setText(str(recall("volume").get("scheduler", _HERE)))
        self.scheduler.textChanged.connect(self._update)
        rows.addRow("Scheduler", self.scheduler)
        rows.addRow("Workers", self.workers)

    def suggest(self, image_name: str) -> None:
        """Propose a name for the result of an image, where the user has given none."""
        folder = recall_folder("volumes", Path.home())
        name = image_name.removesuffix(".zarr").replace(".zarr/", "-").replace("/", "-")
        self.path.setPlaceholderText(str(folder / f"{name}-{self._kind}.zarr"))

    def chosen(self) -> tuple[Path, Scheduler]:
        """Return the folder and the processes.

        Raises
        ------
        UserError
            If the scheduler's address is not an address, the workers are not a number, or the folder is none
            of this machine or lies in another container.
        """
        path = self._folder()
        if any(parent.suffix in FOLDER_SUFFIXES for parent in path.parents):
            raise UserError(f"{path} lies inside another volume; choose a folder beside it.")
        scheduler = self.scheduler.text().strip() or None
        workers = self.workers.text().strip() if scheduler in _WITH_WORKERS else ""
        chosen = Scheduler(scheduler, whole_number(workers, "Workers") if workers else None)
        remember("volume", {"scheduler": scheduler or _HERE})
        remember_folder("volumes", path.parent)
        return path, chosen

    def _folder(self) -> Path:
        text = self.path.text().strip() or self.path.placeholderText()
        try:
            return local_path(text).expanduser().absolute()
        except RuntimeError:
            raise UserError(f"{text} names the folder of a user who is not known; give the path.") from None

    def _update(self) -> None:
        self.workers.setEnabled(self.scheduler.text().strip() in _WITH_WORKERS)

    def _ask(self) -> None:
        start = Path(self.path.placeholderText())
        with suppress(UserError):  # which is said when the job starts
            start = self._folder()
        path = ask_new_folder(self, "Write to", start, "OME-Zarr (*.zarr)")
        if path is not None:
            self.path.setText(f"{str(path).removesuffix('.zarr')}.zarr")
