"""The top of the dock: which image, labels and network the user works with, and the menu."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QLabel,
    QMenu,
    QPushButton,
    QToolButton,
    QWidget,
    QWidgetAction,
)

from emseg_napari.widgets.base.workspace import LayerChoice, Workspace


@dataclass(frozen=True)
class MenuEntry:
    """An entry of the menu.

    Attributes
    ----------
    text, tooltip : str
    action : callable
        What it does; with whether it is ticked if it can be.
    ticked : bool or None
        Whether it is ticked at first; None if it cannot be.
    """

    text: str
    tooltip: str
    action: Callable[..., Any]
    ticked: bool | None = None


class Header(QWidget):
    """Choosers of image, labels and network; a button for new labels, and one that opens the menu.

    Parameters
    ----------
    workspace : Workspace
    network : QWidget
        Chooses the network.
    new_labels : QPushButton
    about : QWidget
        Describes the image.
    """

    def __init__(
        self, workspace: Workspace, network: QWidget, new_labels: QPushButton, about: QWidget
    ) -> None:
        super().__init__()
        self.image, self.labels = (LayerChoice(workspace, kind) for kind in ("image", "labels"))
        self.menu_button = QToolButton()
        self.menu_button.setText("Menu")
        self.menu_button.setToolTip("Open, save, and what is rarely needed.")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.menu_button.setMenu(self.menu)
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        new_labels.setMaximumWidth(70)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for row, (title, widget, beside) in enumerate(
            (
                ("Image", self.image, self.menu_button),
                ("", about, None),
                ("Labels", self.labels, new_labels),
                ("Network", network, None),
            )
        ):
            if title:
                grid.addWidget(QLabel(title), row, 0)
            grid.addWidget(widget, row, 1, 1, 1 if beside else 2)
            if beside is not None:
                grid.addWidget(beside, row, 2)

    def add_entries(self, *groups: Sequence[MenuEntry]) -> None:
        """Add entries to the menu, a line between the groups."""
        for group in groups:
            if self.menu.actions():
                self.menu.addSeparator()
            for entry in group:
                self.menu.addAction(_action(entry, self.menu))

    def add_submenu(self, title: str, entries: Sequence[MenuEntry]) -> None:
        """Add entries as a menu of their own behind a line."""
        self.menu.addSeparator()
        menu = self.menu.addMenu(title)
        menu.setToolTipsVisible(True)
        for entry in entries:
            menu.addAction(_action(entry, menu))


def _action(entry: MenuEntry, menu: QMenu) -> QAction:
    if entry.ticked is not None:
        return _tick_box(entry, menu)
    action = QAction(entry.text, menu)
    action.setToolTip(entry.tooltip)
    action.triggered.connect(lambda *_: entry.action())
    return action


def _tick_box(entry: MenuEntry, menu: QMenu) -> QAction:
    """Return an entry with a box: napari's menus show none where nothing is ticked."""
    box = QCheckBox(entry.text)
    box.setToolTip(entry.tooltip)
    box.setStyleSheet("margin: 3px 14px;")  # as the other entries
    box.setChecked(bool(entry.ticked))
    box.toggled.connect(entry.action)
    action = QWidgetAction(menu)
    action.setText(entry.text)
    action.setDefaultWidget(box)
    action.triggered.connect(box.toggle)
    return action
