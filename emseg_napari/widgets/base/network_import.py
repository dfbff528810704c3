"""Import of a network file in the window: what it does not say is asked, and the engine does the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLabel, QSpinBox, QWidget

from emseg_napari.core.jobs import Event, Failed, Finished, Progress
from emseg_napari.exchange.answers import NORMALISATIONS, Activation, Answers, Meaning
from emseg_napari.exchange.source import FILES, OwnPackage, Source, read_source
from emseg_napari.widgets.base.engine_job import EngineJob
from emseg_napari.widgets.base.step import StepWidget

FILTER = f"Networks ({' '.join(f'*{suffix}' for suffix in FILES)});;All files (*)"


class NetworkImport:
    """Imports networks into the runs folder.

    Parameters
    ----------
    step : StepWidget
        Says the sentences.
    """

    def __init__(self, step: StepWidget) -> None:
        self._step, self._job = step, EngineJob(step)
        self._done: Callable[[Path], None] = lambda folder: None
        self._path, self._folder = Path(), Path()
        self._answers = Answers()
        self._missing: Failed | None = None  # the end of an import for want of answers
        self._job.event.connect(self._follow)
        self._job.ended.connect(self._ask_more)  # not before: until then no other import starts

    def start(self, path: Path, done: Callable[[Path], None]) -> None:
        """Import a file, and call `done` with its run folder; a sentence if that is not possible."""
        if self._job.running:
            self._step.complain("A network is being imported; wait for its end.")
            return
        self._done = done
        self._step.in_background(
            f"Reading {path.name}...", lambda: read_source(path), lambda source: self._ask(path, source)
        )

    def _ask(self, path: Path, source: Source | OwnPackage) -> None:
        self._path, self._answers = path, Answers()
        if isinstance(source, Source) and source.known.missing:
            about = f"{source.imported.title}: what its authors say elsewhere is kept with the run."
            self._answer(about, (*source.known.missing, *([] if source.known.activation else ["activation"])))
        else:
            self._import()

    def _ask_more(self) -> None:
        """Ask what only a trial of the network shows to be missing."""
        failed, self._missing = self._missing, None
        if failed is not None:
            self._answer(failed.text, failed.unanswered)

    def _answer(self, about: str, names: tuple[str, ...]) -> None:
        """Ask, and import with the answers."""
        answers = ask_answers(self._step, self._path.name, about, names)
        if answers is None:
            self._step.say(f"{self._path.name} was not imported.")
            return
        self._answers = Answers(**(self._answers.model_dump() | answers.model_dump(exclude_none=True)))
        self._import()

    def _import(self) -> None:
        path = self._path
        name = f"{path.stem or path.name}-imported-{time.strftime('%Y%m%d-%H%M%S')}"
        self._folder = self._step.workspace.runs_folder / name
        given = {"path": path, "folder": self._folder, "answers": self._answers}
        self._job.start("import_network", f"Importing {path.name}", lambda: given)

    def _follow(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._step.say(f"Importing a network: {event.text}...")
        elif isinstance(event, Failed) and event.unanswered:
            self._missing = event
        elif isinstance(event, Failed) and not event.cancelled:
            self._step.complain(event.text)
        elif isinstance(event, Finished):
            self._step.guarded(lambda: self._done(self._folder))


class AnswersDialog(QDialog):
    """Asks what must be known of a network and its file does not say.

    Parameters
    ----------
    parent : QWidget
    file : str
        Its name.
    about : str
        Stands above the questions.
    names : tuple of str
        Of the `Answers` to ask for.
    """

    def __init__(self, parent: QWidget, file: str, about: str, names: tuple[str, ...]) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"What {file} does not say")
        form = QFormLayout(self)
        self.about = QLabel(about)
        self.about.setWordWrap(True)
        form.addRow(self.about)
        self.fields: dict[str, Any] = {}
        for name in names:
            title, self.fields[name] = _FIELDS[name]()
            form.addRow(title, self.fields[name])
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form.addRow(buttons)

    @property
    def answers(self) -> Answers:
        """What is chosen."""
        given: dict[str, Any] = {}
        for name, field in self.fields.items():
            given[name] = field.value() if isinstance(field, QSpinBox) else field.currentText()
        return Answers(**given)


def ask_answers(parent: QWidget, file: str, about: str, names: tuple[str, ...]) -> Answers | None:
    """Ask what the file of a network does not say, see `AnswersDialog`; None if the user gives up."""
    dialog = AnswersDialog(parent, file, about, names)
    return dialog.answers if dialog.exec() == QDialog.DialogCode.Accepted else None


def _choice(names: list[str], tooltip: str, editable: bool = False) -> QComboBox:
    box = QComboBox()
    box.addItems(names)
    box.setEditable(editable)
    box.setToolTip(tooltip)
    return box


def _normalisation() -> tuple[str, QWidget]:
    about = "\n".join(f"{name}: {words}" for name, words in NORMALISATIONS.items())
    return "Grey values", _choice(["standard", *(n for n in NORMALISATIONS if n != "standard")], about, True)


def _channel() -> tuple[str, QWidget]:
    box = QSpinBox()
    box.setToolTip("Which channel of its output is used, from 0.")
    return "Channel", box


def _meaning() -> tuple[str, QWidget]:
    return "It is the probability of", _choice(list(get_args(Meaning)), "What large values in it mean.")


def _activation() -> tuple[str, QWidget]:
    about = "What makes probabilities of its output; none if it gives values from 0 to 1."
    return "Activation", _choice(list(get_args(Activation)), about)


_FIELDS: dict[str, Callable[[], tuple[str, QWidget]]] = {
    "normalisation": _normalisation,
    "channel": _channel,
    "channel_is": _meaning,
    "activation": _activation,
}
