"""Base of the steps: what each says, what is missing, and a guard that turns errors into sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import Convention
from emseg_napari.io.datasets import SeveralVolumes
from emseg_napari.io.sparse_stack import SparseStack
from emseg_napari.widgets.base.autosave import autosave_of
from emseg_napari.widgets.base.choice import Choice
from emseg_napari.widgets.base.dialogs import ask_convention, ask_dataset
from emseg_napari.widgets.base.threads import in_thread, in_window, make_room, sentence_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import converted, dense, understood

# On the dark and on the light theme; a disabled button looks as all disabled ones do.
_PRIMARY = "QPushButton:enabled { background-color: #1f6fb2; color: white; font-weight: bold; }"


class StepWidget(QWidget):
    """Base of the steps.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    workspace : Workspace, optional
        Shared by the steps of the dock.

    Attributes
    ----------
    status : QLabel
        The last sentence of this step, which the dock shows in its status line.
    is_wrong : bool
        Whether that says that something is wrong.
    job_lines : list of JobLine
        Of the jobs of this step; the dock shows them while they run.
    hint_line : QLabel
        What is missing; the first row of the page.

    Signals
    -------
    said : str, bool
        A sentence, and whether it says that something is wrong.
    unsaid : str
        This sentence of the step is no longer true.
    closing
        The dock is being closed: what the step shows in the viewer has to go, and its job goes on.
    """

    said = Signal(str, bool)
    unsaid = Signal(str)
    closing = Signal()

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__()
        make_room()
        self.viewer = napari_viewer
        self.workspace = workspace or Workspace(napari_viewer, self)
        self.autosave = autosave_of(self.workspace)
        self._workers: list[Any] = []  # or Python would delete them
        self.rows = QVBoxLayout(self)
        self.rows.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.rows.setSpacing(4)
        self.status, self.hint_line = QLabel(self), WrappingLabel()
        self.status.hide()
        self.job_lines: list[QWidget] = []
        self.is_wrong = False
        self.hint_line.hide()
        self.rows.addWidget(self.hint_line)

    def button(self, text: str, tooltip: str, action: Callable[[], Any]) -> QPushButton:
        """Make a button whose errors become sentences in the step."""
        button = QPushButton(text)
        button.setToolTip(tooltip)
        button.clicked.connect(partial(self.guarded, action))
        return button

    def guarded(self, action: Callable[[], Any], *_: Any) -> None:
        """Do something whose errors become sentences in the step."""
        with self.guard():
            action()

    def known_labels(self, layer: Any) -> tuple[Any, SparseStack]:
        """Return a labels layer and its labels (0, 1, 2); takes a while, and may be called in any thread.

        If the user has to say what its values mean, the layer is a converted copy.
        """
        labels, named = understood(layer, self.ask_convention)
        return (layer if named is None else self.show_converted(layer, labels)), labels

    def ask_convention(self, error: UserError) -> Convention | None:
        """Ask what the values of labels mean, from any thread."""
        return in_window(lambda: ask_convention(self, error))

    def ask_dataset(self, several: SeveralVolumes) -> str | None:
        """Ask which dataset of a container is meant, from any thread."""
        return in_window(lambda: ask_dataset(self, several))

    def show_converted(self, layer: Any, labels: SparseStack) -> Any:
        """Add the labels of a foreign layer as a managed layer, and choose it; from any thread."""
        pixels = dense(labels)

        def show() -> Any:
            copy = converted(self.viewer, layer, pixels)
            self.workspace.choose("labels", copy)
            return copy

        return in_window(show)

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Show errors of the body as a sentence; the user loses nothing by them."""
        try:
            yield
        except Exception as error:
            self.complain(sentence_of(error))

    def in_background(
        self,
        sentence: str | None,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        thread: Callable[..., Any] = in_thread,
    ) -> None:
        """Say a sentence, if any, call `work` in a thread, then `done` with its result here.

        What only reads, perhaps from an address, is done `in_daemon`.
        """
        if sentence is not None:
            self.say(sentence)

        def finish(result: Any, error: Exception | None) -> None:
            if not isalive(self):
                return  # the window was closed meanwhile
            self._workers.remove(worker)
            with self.guard():
                if error is not None:
                    raise error
                done(result)

        worker = thread(work, finish)
        self._workers.append(worker)

    def hint(self, obstacle: str | None, wish: str) -> None:
        """Say in the page what is missing, None if nothing is."""
        self.hint_line.setText(f"To {wish}, {obstacle}." if obstacle else "")
        self.hint_line.setVisible(bool(obstacle))

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self._tell(sentence, wrong=False)

    def complain(self, sentence: str) -> None:
        """Show what is wrong and what to do."""
        self._tell(sentence, wrong=True)

    def unsay(self) -> None:
        """Take the last sentence of this step back; the dock goes on to show one of another step."""
        sentence = self.status.text()
        self.is_wrong = False
        self.status.setText("")
        self.unsaid.emit(sentence)

    def _tell(self, sentence: str, wrong: bool) -> None:
        self.is_wrong = wrong
        self.status.setText(sentence)
        self.said.emit(sentence, wrong)


def in_row(*widgets: QWidget) -> QHBoxLayout:
    """Lay widgets out beside each other."""
    line = QHBoxLayout()
    for widget in widgets:
        line.addWidget(widget)
    return line


def primary(button: QPushButton) -> QPushButton:
    """Mark the button that people press most on a page, and return it."""
    button.setStyleSheet(_PRIMARY)
    return button


def choice_of(options: Sequence[str], tooltip: str) -> Choice:
    """Make a chooser of one of several texts, whose longest leaves room for a title beside it."""
    choice = Choice()
    choice.addItems(options)
    choice.setToolTip(tooltip)
    return choice


def in_columns(buttons: Sequence[QPushButton], grid: QGridLayout, columns: int = 3) -> None:
    """Lay buttons out in columns of equal width, which do not widen the dock."""
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(4)
    for i, button in enumerate(buttons):
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.setStyleSheet("padding: 4px 1px;")
        grid.addWidget(button, i // columns, i % columns)


_RESIZING = (QEvent.Type.Resize, QEvent.Type.FontChange, QEvent.Type.ContentsRectChange)


class WrappingLabel(QLabel):
    """A label that wraps, and whose long words do not widen the dock.

    Parameters
    ----------
    text : str
    least_lines : int
        It is never lower, so that what lies below stays where it is.
    """

    def __init__(self, text: str = "", least_lines: int = 0) -> None:
        super().__init__(text)
        self._least_lines = least_lines
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setWordWrap(True)  # after the policy, which forgets that the height depends on the width

    def setText(self, text: str) -> None:
        """Show a text, and take the height that it needs."""
        super().setText(text)
        before = self.minimumHeight()
        self._fit()
        if self.isVisible() and self.minimumHeight() != before:
            _lay_out_above(self)

    def event(self, event: QEvent) -> bool:
        """Ask for another height with another width, font or margin."""
        done = bool(super().event(event))
        if event.type() in _RESIZING:
            self._fit()
        return done

    def _fit(self) -> None:
        # A minimum: layouts above do not always ask for the height at a width, and none that is aligned does.
        self.setMinimumHeight(0)
        self.setMinimumHeight(max(self._least_height(), self.heightForWidth(self.width())))

    def _least_height(self) -> int:
        lines = "\n".join("x" * self._least_lines)
        return self.fontMetrics().boundingRect(self.rect(), 0, lines).height() if lines else 0


def _lay_out_above(widget: QWidget) -> None:
    """Lay out now, from the inside outwards, what Qt would lay out with one more picture for each level.

    In these pictures the widget would be drawn over what is below it.
    """
    above = widget.parentWidget()
    while above is not None and not above.isWindow():
        if (layout := above.layout()) is not None:
            layout.activate()
        above = above.parentWidget()


def first_obstacle(obstacles: Iterable[tuple[bool, str]]) -> str | None:
    """Return the words of the first obstacle that is there, None if none is."""
    return next((words for is_there, words in obstacles if is_there), None)


def enable(button: QPushButton, obstacle: str | None) -> None:
    """Enable a button, or disable it and say in its tooltip what is in the way."""
    tooltip = button.property("about") or button.toolTip()
    button.setProperty("about", tooltip)
    button.setEnabled(obstacle is None)
    button.setToolTip(tooltip if obstacle is None else f"{tooltip}\n\nNot yet: {obstacle}")
