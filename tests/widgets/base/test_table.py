"""Tables of figures: their order, what a row is, and which row comes next."""

import pytest
from qtpy.QtCore import Qt

from emseg_napari.widgets.base.table import Cell, ScoreTable

ROWS = [
    (key, [Cell(key), Cell(str(value), value, "a tip", "#ff0000")])
    for key, value in (("a", 9), ("b", 10), ("c", 2))
]


@pytest.fixture
def table(qtbot):
    table = ScoreTable({"Name": "Who.", "A very long title of a column": "How much."})
    qtbot.addWidget(table)
    table.went = []
    table.chosen.connect(table.went.append)
    table.fill(ROWS)
    return table


def keys(table):
    return [table.key(row) for row in range(table.rowCount())]


def test_rows_keep_their_order_until_they_are_sorted_as_numbers(table):
    assert keys(table) == ["a", "b", "c"]
    table.sortItems(1, Qt.SortOrder.AscendingOrder)
    assert keys(table) == ["c", "a", "b"]
    table.fill(ROWS[:2])
    assert keys(table) == ["a", "b"]
    assert table.isSortingEnabled()
    assert table.went == []  # what fills it goes nowhere
    assert table.currentRow() == -1


def test_cells_have_tips_colours_and_titles_that_can_be_read(table):
    item = table.item(0, 1)
    assert (item.text(), item.toolTip(), item.foreground().color().name()) == ("9", "a tip", "#ff0000")
    assert table.item(0, 0).foreground().style() == Qt.BrushStyle.NoBrush
    assert [table.horizontalHeaderItem(n).toolTip() for n in (0, 1)] == ["Who.", "How much."]
    letters = table.horizontalHeader().fontMetrics()
    assert table.columnWidth(1) > letters.horizontalAdvance("A very long title of a column")
    assert not item.flags() & Qt.ItemFlag.ItemIsEditable or not table.editTriggers()


def test_from_row_to_row_it_goes_round_as_they_are_sorted_now(table):
    table.sortItems(1, Qt.SortOrder.AscendingOrder)
    for by in (1, 1, 1, 1, -1, -1):
        table.step(by)
    assert table.went == ["c", "a", "b", "c", "b", "a"]


def test_the_first_step_back_is_to_the_last_row(table):
    table.step(-1)
    assert table.went == ["c"]


def test_a_click_on_the_row_that_is_current_goes_there_again(table):
    table.setCurrentCell(1, 0)
    table.cellClicked.emit(1, 0)
    assert table.went == ["b", "b"]


def test_an_empty_table_has_no_next_row(table):
    table.fill([])
    table.step(1)
    assert table.went == []
