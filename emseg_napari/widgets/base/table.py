"""Tables of figures, sorted by value; a row that is clicked or reached with the arrows sends a signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QSizePolicy, QTableWidget, QTableWidgetItem

from emseg_napari.widgets.base.theme_colours import ThemeColour, is_theme_change

# Narrow, so that all figures fit into the dock.
_STYLE = (
    "QTableView { font-size: 11px; } QTableView::item { padding: 1px 2px; }"
    "QHeaderView::section { font-size: 11px; padding: 2px 3px; }"
)
_MARGIN_PX = 10
_VALUE, _KEY = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, the number by which it is sorted, what it means, and its colour, if any."""

    text: str
    value: float = 0.0
    tooltip: str = ""
    colour: ThemeColour | None = None


class _Item(QTableWidgetItem):
    def __init__(self, cell: Cell, row: int) -> None:
        super().__init__(cell.text)
        self.colour = cell.colour
        self.setData(_VALUE, cell.value)
        self.setData(_KEY, row)
        self.setToolTip(cell.tooltip)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return bool(self.data(_VALUE) < other.data(_VALUE))


class ScoreTable(QTableWidget):
    """A table to look at.

    Parameters
    ----------
    columns : dict
        Title to what it means.

    Signals
    -------
    chosen : object
        The key of the row that the user went to.
    """

    chosen = Signal(object)

    def __init__(self, columns: dict[str, str]) -> None:
        super().__init__(0, len(columns))
        self._keys: list[Any] = []
        self.setHorizontalHeaderLabels(list(columns))
        for i, meaning in enumerate(columns.values()):
            self.horizontalHeaderItem(i).setToolTip(meaning)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setWordWrap(False)
        self.setStyleSheet(_STYLE)
        self.verticalHeader().hide()
        self.horizontalHeader().setMinimumSectionSize(20)
        self.horizontalHeader().setStretchLastSection(True)
        self.currentCellChanged.connect(self._moved)
        self.cellClicked.connect(lambda row, _: self._moved(row))
        self._fit_columns()

    def fill(self, rows: Sequence[tuple[Any, Sequence[Cell]]]) -> None:
        """Show rows of a key and its cells, in this order until the user sorts them."""
        blocked = self.blockSignals(True)
        self.setSortingEnabled(False)
        self.setRowCount(len(rows))
        self._keys = [key for key, _ in rows]
        for i, (_, cells) in enumerate(rows):
            for j, cell in enumerate(cells):
                self.setItem(i, j, _Item(cell, i))
        self._recolour()
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(bool(rows))  # an empty one shows no arrow
        self.resizeRowsToContents()
        self._fit_columns()
        self.setCurrentCell(-1, -1)
        self.blockSignals(blocked)

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if is_theme_change(event):
            self._recolour()

    def _recolour(self) -> None:
        for i, j in product(range(self.rowCount()), range(self.columnCount())):
            item = self.item(i, j)
            if isinstance(item, _Item) and item.colour:
                item.setForeground(item.colour.on(self))

    def _fit_columns(self) -> None:
        """Make columns as wide as they must be; Qt would keep room for an arrow in each."""
        letters = self.horizontalHeader().fontMetrics()
        for i in range(self.columnCount()):
            title = letters.horizontalAdvance(self.horizontalHeaderItem(i).text()) + _MARGIN_PX
            self.setColumnWidth(i, max(title, self.sizeHintForColumn(i)))

    def key(self, row: int) -> Any:
        """Return the key of the row that stands there now."""
        return self._keys[self.item(row, 0).data(_KEY)]

    def step(self, by: int) -> None:
        """Go to the next (1) or previous (-1) row as they are sorted now; after the last comes the first."""
        if self.rowCount():
            start = self.currentRow() if self.currentRow() >= 0 else (-1 if by > 0 else 0)
            self.setCurrentCell((start + by) % self.rowCount(), 0)

    def _moved(self, row: int, *_: int) -> None:
        if row >= 0:
            self.chosen.emit(self.key(row))
