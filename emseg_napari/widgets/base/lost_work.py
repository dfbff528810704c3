"""Offer of work that was not saved: sessions that a window left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QGroupBox, QVBoxLayout

from emseg_napari.annotation.session.recovery import discard, recoverable
from emseg_napari.widgets.base.dialogs import is_sure
from emseg_napari.widgets.base.step import StepWidget, in_row, primary


class LostWork(QGroupBox):
    """A list of sessions to restore or to discard; hidden while there are none.

    Parameters
    ----------
    step : StepWidget
        Shows the errors.
    open_session : callable
        Opens the session in a folder.
    """

    def __init__(self, step: StepWidget, open_session: Callable[[Path], None]) -> None:
        super().__init__("Work that was not saved")
        self._open_session = open_session
        self.choice = QComboBox()
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.choice.setMinimumContentsLength(12)
        self.choice.setToolTip("Sessions with labels that were not closed properly, and that no window has.")
        self.restore = primary(step.button("Restore", "Open the session and continue.", self._restore))
        about = "Delete these labels; a session that has a name stays."
        self.discard = step.button("Discard", about, self._discard)
        self.later = step.button("Later", "Offer it again at the next start.", self.hide)
        layout = QVBoxLayout(self)
        layout.addWidget(self.choice)
        layout.addLayout(in_row(self.restore, self.discard, self.later))
        self.refresh()

    def refresh(self) -> None:
        """Offer what is there now."""
        self.choice.clear()
        for one in recoverable():
            slices = "1 slice" if one.slices == 1 else f"{one.slices} slices"
            self.choice.addItem(f"{one.when:%d %b %H:%M} {one.image} ({slices})", one.folder)
            about = f"{one.image}: {slices} with labels, last changed {one.when:%Y-%m-%d %H:%M}."
            self.choice.setItemData(self.choice.count() - 1, about, Qt.ItemDataRole.ToolTipRole)
        self._show_if_any()

    def _show_if_any(self) -> None:
        self.setVisible(self.choice.count() > 0)

    def _restore(self) -> None:
        folder = self.choice.currentData()
        self.choice.removeItem(self.choice.currentIndex())
        self._show_if_any()
        self._open_session(folder)

    def _discard(self) -> None:
        work = self.choice.currentText()
        if is_sure(self, f"The labels of {work} are deleted unless they were saved as a session.", "Discard"):
            discard(self.choice.currentData())
            self.refresh()
