"""Offer of work that was not saved: sessions that a window left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGroupBox, QVBoxLayout

from emseg_napari.annotation.session.recovery import Recovery, discard, recoverable
from emseg_napari.widgets.base.choice import Choice
from emseg_napari.widgets.base.dialogs import is_sure
from emseg_napari.widgets.base.step import StepWidget, in_row, primary
from emseg_napari.widgets.base.text import shortened, slice_count

_ABOUT = "Sessions with labels that were not closed properly, and that no window has."
_LETTERS = 16  # of a name, so that the rest is not cut


class LostWork(QGroupBox):
    """A list of sessions to restore or to discard; hidden while there are none.

    Parameters
    ----------
    step : StepWidget
        Shows the errors.
    open_session : callable
        Opens the session in a folder.
    taken : callable
        Returns the real folders of the sessions that this window has open or is opening.
    """

    def __init__(
        self, step: StepWidget, open_session: Callable[[Path], None], taken: Callable[[], set[Path]]
    ) -> None:
        super().__init__("Work that was not saved", step)  # without a parent it would be shown as a window
        self._open_session, self._taken = open_session, taken
        self._works: list[Recovery] = []
        self.choice = Choice()
        self.choice.setToolTip(_ABOUT)
        self.restore = primary(step.button("Restore", "Open the session and continue.", self._restore))
        about = "Delete these labels; a session that has a name stays."
        self.discard = step.button("Discard", about, self._discard)
        about = "Offer it again at the next start. Before that: Menu > Work that was not saved..."
        self.later = step.button("Later", about, lambda: self._list([]))
        layout = QVBoxLayout(self)
        layout.addWidget(self.choice)
        layout.addLayout(in_row(self.restore, self.discard, self.later))
        self.refresh()

    def refresh(self) -> None:
        """Offer all that is there now."""
        self._list(recoverable())

    def offer(self, folders: Iterable[Path]) -> None:
        """Offer sessions beside those that are offered already."""
        wanted = {one.folder for one in self._works}.union(folder.resolve() for folder in folders)
        self._list([one for one in recoverable() if one.folder in wanted])

    def _list(self, works: Sequence[Recovery]) -> None:
        """Show these sessions, of which none is opened yet; the chosen one stays chosen."""
        chosen, taken = self._chosen().folder if self._works else None, self._taken()
        self._works = [one for one in works if one.folder not in taken]
        self.choice.clear()
        for i, one in enumerate(self._works):
            self.choice.addItem(_title(one))
            self.choice.setItemData(i, _details(one), Qt.ItemDataRole.ToolTipRole)
            if one.folder == chosen:
                self.choice.setCurrentIndex(i)
        self.setVisible(bool(self._works))

    def _chosen(self) -> Recovery:
        return self._works[self.choice.currentIndex()]

    def _restore(self) -> None:
        chosen = self._chosen()
        self._list([one for one in self._works if one != chosen])
        self._open_session(chosen.folder)

    def _discard(self) -> None:
        chosen = self._chosen()
        if is_sure(self, _consequence(chosen), "Discard"):
            discard(chosen.folder)
            self.offer([])


def _title(work: Recovery) -> str:
    name = shortened(work.folder.name if work.named else work.image, _LETTERS)
    return f"{name} \u00b7 {work.when:%d %b %H:%M} \u00b7 {slice_count(work.slices)}"


def _details(work: Recovery) -> str:
    slices = slice_count(work.slices)
    return f"{work.image}: {slices} with labels, last changed {work.when:%Y-%m-%d %H:%M}.\n{work.folder}"


def _consequence(work: Recovery) -> str:
    """Return what becomes of a session that is discarded."""
    if work.named:
        return f"{work.folder.name} stays in {work.folder.parent}. It is only not offered here any more."
    return f"The labels of {work.image} ({slice_count(work.slices)}, {work.when:%Y-%m-%d %H:%M}) are deleted."
