"""Lists of networks: the one that predicts, and what they share with the one that a training starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QFileDialog

from emseg_napari.core.jobs import UserError
from emseg_napari.models.run import open_run, starter_folder
from emseg_napari.models.run_list import ListedRun, add_missing, listed_run, recent_runs, shipped_runs
from emseg_napari.widgets.base.choice import Choice
from emseg_napari.widgets.base.network_import import FILTER, NetworkImport
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.base.text import chosen, listed_details, listed_title

ANOTHER = "Another run folder..."
IMPORT = "Import a network file..."
_IMPORT = "A bioimage.io package (.zip), a .keras or a .onnx file becomes a run in the runs folder."


class NetworkList(QObject):
    """The newest runs of the workspace's runs folder, and others that were chosen.

    They are read in a thread: when a list is shown or opened, and when a run is chosen.

    Parameters
    ----------
    step : StepWidget
        Knows the workspace and reads in the background.

    Attributes
    ----------
    runs : list of ListedRun
        The newest of the runs folder first, then all others that were chosen.

    Signals
    -------
    changed
        Runs came, went or were written.
    """

    changed = Signal()

    def __init__(self, step: StepWidget) -> None:
        super().__init__(step.workspace)
        self._step = step
        self._chosen: list[Path] = []  # older ones, and those of other folders
        self.runs: list[ListedRun] = []
        self._reading: object = None
        self._soon = QTimer(self, singleShot=True, interval=0)
        self._soon.timeout.connect(self._read)
        step.workspace.changed.connect(self._follow)

    @property
    def shipped(self) -> list[ListedRun]:
        """The networks that come with the package."""
        return shipped_runs()

    def find(self, folder: Path | None) -> ListedRun | None:
        """Return the run of a folder, None if it is not in the list."""
        return next((one for one in self.runs if one.folder == folder), None)

    def add(self, folder: Path) -> ListedRun:
        """Put a run that the user has chosen into the list; one that is in it is looked at again."""
        listed = listed_run(folder)
        if folder not in self._chosen:
            self._chosen.append(folder)
        self._show([one for one in self.runs if one.folder != folder] + [listed])
        self.refresh()  # which puts it in its place
        return listed

    def refresh(self) -> None:
        """Look soon at all folders again."""
        self._soon.start()

    def _follow(self) -> None:
        run = self._step.workspace.run
        is_shipped = run in [one.folder for one in self.shipped]
        if run is not None and not is_shipped and self.find(run) is None:
            self.add(run)

    def _read(self) -> None:
        folder, others = self._step.workspace.runs_folder, list(self._chosen)
        self._reading = asked = object()

        def show(runs: list[ListedRun]) -> None:
            if asked is self._reading:  # else it is being read again
                self._show(runs)

        self._step.in_background(None, lambda: add_missing(recent_runs(folder), others), show)

    def _show(self, runs: list[ListedRun]) -> None:
        if runs != self.runs:
            self.runs = runs
            self.changed.emit()


def networks_of(step: StepWidget) -> NetworkList:
    """Return the list of the workspace's networks, made for the first step that asks."""
    return step.workspace.findChild(NetworkList) or NetworkList(step)


@dataclass(frozen=True)
class Entry:
    """A line of a list: what is shown, what it stands for, and why it cannot be chosen."""

    title: str
    value: Any
    details: str
    obstacle: str | None = None


class RunChoice(Choice):
    """Base of the lists of networks.

    Parameters
    ----------
    step : StepWidget
        Knows the workspace and says the sentences.
    """

    def __init__(self, step: StepWidget) -> None:
        super().__init__()
        self.step, self.networks = step, networks_of(step)
        self.importing = NetworkImport(step)
        self.networks.changed.connect(self.fill)
        self.activated.connect(lambda index: step.guarded(partial(self._activate, index)))

    def entries(self) -> list[Entry]:
        """Return what can be chosen, without `ANOTHER`."""
        raise NotImplementedError

    def value(self) -> Any:
        """Return the value of the entry that is chosen."""
        raise NotImplementedError

    def accept(self, value: Any) -> None:
        """Follow the user's choice of an entry."""
        raise NotImplementedError

    def accept_folder(self, folder: Path) -> None:
        """Follow the user's choice of a folder that is perhaps not in the list.

        Raises
        ------
        UserError
            If there is no run that can be used; the earlier choice stays.
        """
        raise NotImplementedError

    def fill(self) -> None:
        """Show the present entries; an open list is opened again."""
        is_open, value = self.view().isVisible(), self.value()
        if is_open:
            self.hidePopup()
        with QSignalBlocker(self):
            self.clear()
            for entry in self._with_chosen(self.entries(), value):
                self._add(entry)
            self.addItem(IMPORT, None)
            self.setItemData(self.count() - 1, _IMPORT, Qt.ItemDataRole.ToolTipRole)
            self.addItem(ANOTHER, None)
            self._show_chosen(value)
        if is_open:
            super().showPopup()

    def _with_chosen(self, entries: list[Entry], value: Any) -> list[Entry]:
        """Return the entries, and the chosen one if it is not among them: none yet, or a run that is gone."""
        if value in [entry.value for entry in entries]:
            return entries
        if value is None:
            return [Entry("none yet", None, "Train a network, or choose a run folder."), *entries]
        return [Entry(Path(value).name, value, str(value)), *entries]

    def _add(self, entry: Entry) -> None:
        self.addItem(entry.title, entry.value)
        last, model = self.count() - 1, self.model()
        assert isinstance(model, QStandardItemModel)
        model.item(last).setEnabled(entry.obstacle is None)
        about = f"{entry.title}\n{entry.obstacle or entry.details}"
        self.setItemData(last, about, Qt.ItemDataRole.ToolTipRole)

    def _show_chosen(self, value: Any) -> None:
        index = next(i for i in range(self.count()) if self.itemData(i) == value)
        self.setCurrentIndex(index)
        self.setToolTip(self.itemData(index, Qt.ItemDataRole.ToolTipRole))

    def _activate(self, index: int) -> None:
        try:
            if self.itemText(index) == IMPORT:
                self._import()
            elif index < self.count() - 1:
                self.accept(self.itemData(index))
            elif folder := self._ask():
                self.accept_folder(folder)
        finally:
            self.fill()

    def _ask(self) -> Path | None:
        start = self.step.workspace.runs_folder
        path = QFileDialog.getExistingDirectory(self, "Choose a run folder", str(start))
        return Path(path) if path else None

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import a network", str(Path.home()), FILTER)
        if path:
            self.importing.start(Path(path), self.accept_folder)

    def showEvent(self, event: Any) -> None:
        """Read the runs that there are."""
        super().showEvent(event)
        self.networks.refresh()

    def showPopup(self) -> None:
        """Show the list, and look if it has changed."""
        self.networks.refresh()
        super().showPopup()

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the page: it would ask for a folder."""
        event.ignore()


class NetworkChoice(RunChoice):
    """Chooses the workspace's run, whose network predicts; without one it is the starter."""

    def __init__(self, step: StepWidget) -> None:
        super().__init__(step)
        step.workspace.changed.connect(self.fill)
        self.fill()

    @property
    def run(self) -> Path | None:
        """The run that predicts: the chosen one, or the starter while there is none."""
        return self.step.workspace.run or starter_folder()

    def set_run(self, folder: Path) -> None:
        """Choose the run whose network predicts.

        Raises
        ------
        UserError
            If the folder holds none.
        """
        run = open_run(folder)
        self.step.workspace.choose_run(run.folder)
        self.step.say(chosen(run))

    def entries(self) -> list[Entry]:
        """Return the networks of the package, and the runs."""
        listed = [*self.networks.shipped, *self.networks.runs]
        return [Entry(listed_title(one), one.folder, listed_details(one), one.problem) for one in listed]

    def value(self) -> Path | None:
        """Return the run that predicts."""
        return self.run

    def accept(self, value: Path | None) -> None:
        """Choose a run of the list."""
        if value is not None:
            self.set_run(value)

    def accept_folder(self, folder: Path) -> None:
        """Choose the run of a folder, unless it was interrupted before it had a network."""
        found = listed_run(folder)
        if found.problem:
            raise UserError(found.problem)
        self.set_run(folder)
