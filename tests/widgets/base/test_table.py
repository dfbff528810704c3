"""Tables of figures: their order, what a row is, and which row comes next."""

import pytest
from qtpy.QtCore import QPoint, Qt

from emseg_napari.widgets.base.table import Cell, ScoreTable
from emseg_napari.widgets.base.theme_colours import VERMILLION

ROWS = [
    (key, [Cell(key), Cell(str(value), value, "a tip", VERMILLION)])
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
    assert (item.text(), item.toolTip(), item.foreground().color()) == ("9", "a tip", VERMILLION.on(table))
    assert table.item(0, 0).foreground().style() == Qt.BrushStyle.NoBrush
    assert [table.horizontalHeaderItem(n).toolTip() for n in (0, 1)] == ["Who.", "How much."]
    letters = table.horizontalHeader().fontMetrics()
    assert table.columnWidth(1) > letters.horizontalAdvance("A very long title of a column")
    assert not item.flags() & Qt.ItemFlag.ItemIsEditable or not table.editTriggers()


def test_colours_follow_the_theme(table):
    shades = set()
    for style in ("background: #ffffff; color: #000000", "background: #000000; color: #ffffff"):
        table.parent() or table.setStyleSheet(f"QTableWidget {{ {style} }}")
        table.ensurePolished()
        shades.add(table.item(0, 1).foreground().color().name())
    assert shades == {shade.lower() for shade in VERMILLION}


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


def test_an_empty_table_is_not_sorted_and_shows_no_arrow(table, qtbot):
    header = table.horizontalHeader()
    table.fill([])
    assert not header.isSortIndicatorShown()
    table.show()
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(5, header.height() // 2))
    table.fill(ROWS)
    assert keys(table) == ["a", "b", "c"]
    assert header.isSortIndicatorShown()
    assert header.sortIndicatorSection() == -1


def test_a_new_table_shows_no_arrow(qtbot):
    table = ScoreTable({"Name": "Who."})
    qtbot.addWidget(table)
    assert not table.horizontalHeader().isSortIndicatorShown()


def test_an_empty_table_has_no_next_row(table):
    table.fill([])
    table.step(1)
    assert table.went == []
