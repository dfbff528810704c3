"""What every step widget has: a place for sentences, and a guard that turns errors into them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from emseg_napari.jobs import UserError
from emseg_napari.labels import AmbiguousLabels, UnknownLabels, normalise
from emseg_napari.widgets.dialogs import ask_convention
from emseg_napari.widgets.layers import converted, labels_of, stack_of
from emseg_napari.widgets.workspace import LayerChoice, Workspace


class Step(QWidget):
    """Base of the steps.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    workspace : Workspace, optional
        Shared by the steps of the dock; a step opened alone makes its own.
    """

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.workspace = workspace or Workspace(napari_viewer, self)
        self.rows = QVBoxLayout(self)
        self.rows.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.status = wrapping_label()
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def add_choices(self, *kinds: str) -> None:
        """Add the choosers of the layers that this step works on."""
        form = QFormLayout()
        for kind in kinds:
            form.addRow(kind.capitalize(), LayerChoice(self.workspace, kind))
        self.rows.addLayout(form)

    def button(self, text: str, tooltip: str, action: Callable[[], Any]) -> QPushButton:
        """Make a button whose errors become sentences in the step."""
        button = QPushButton(text)
        button.setToolTip(tooltip)
        button.clicked.connect(partial(self._guarded, action))
        return button

    def _guarded(self, action: Callable[[], Any], *_: Any) -> None:
        with self.guard():
            action()

    def known_labels(self) -> tuple[Any, np.ndarray]:
        """Return the chosen labels layer and its labels (0, 1, 2).

        If the user has to say what its values mean, the layer is a converted copy.
        """
        layer = self.workspace.labels
        try:
            return layer, labels_of(layer)
        except (AmbiguousLabels, UnknownLabels) as error:
            convention = ask_convention(self, error)
            if convention is None:
                raise
        labels = normalise(stack_of(layer), layer.name, convention)
        layer = converted(self.viewer, layer, labels)
        self.workspace.choose("labels", layer)
        return layer, labels

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Show errors of the body as a sentence; nothing of the user's is lost by them."""
        try:
            yield
        except UserError as error:
            self.complain(str(error))
        except MemoryError:
            self.complain("Out of memory; work on fewer slices or close other layers.")
        except Exception as error:
            logging.getLogger(__name__).exception("unexpected error in a step")
            self.complain(
                f"This should not have happened ({type(error).__name__}: {error}); your layers are untouched."
            )

    def hint(self, obstacle: str | None, wish: str) -> None:
        """Say what is missing, where nothing else stands, and take it back when it is there."""
        hinted = self.status.text().startswith(f"To {wish}, ")
        if obstacle and (hinted or not self.status.text()):
            self.say(f"To {wish}, {obstacle}.")
        elif hinted:
            self.say("")

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        self.status.setStyleSheet("")
        self.status.setText(sentence)

    def complain(self, sentence: str) -> None:
        """Show what is wrong and what to do."""
        self.status.setStyleSheet("color: #ff6b5e;")
        self.status.setText(sentence)
        show_info(sentence)


def wrapping_label() -> QLabel:
    """Make a label that wraps, and whose long words do not widen the dock."""
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return label


def enable(button: QPushButton, obstacle: str | None) -> None:
    """Enable a button, or disable it and say in its tooltip what is in the way."""
    tooltip = button.property("about") or button.toolTip()
    button.setProperty("about", tooltip)
    button.setEnabled(obstacle is None)
    button.setToolTip(tooltip if obstacle is None else f"{tooltip}\n\nNot yet: {obstacle}")
