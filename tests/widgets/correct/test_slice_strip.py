"""The strip of slices: what it counts, where a slice lies in it, and what it says of one."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QHelpEvent, QMouseEvent

from emseg_napari.annotation.label_state import SliceSummary
from emseg_napari.widgets.correct import slice_strip
from emseg_napari.widgets.correct.slice_strip import COLOURS, SliceStrip, state_of
from emseg_napari.widgets.layers.labels_layer import add_labels

RAW = COLOURS["raw"]


@pytest.fixture
def strip(qtbot):
    """A strip of 600 pixels over six slices, of which 0 and 4 are empty and 3 and 5 confirmed."""
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[1], labels[2], labels[3] = 3, 4, 2
    labels[2, :2] = 1
    return shown(labels, {3, 5}, 600, qtbot)


def shown(labels, confirmed, width, qtbot):
    strip = SliceStrip()
    qtbot.addWidget(strip)
    strip.resize(width, 44)
    with qtbot.waitSignal(strip.counted):
        strip.show_layer(add_labels(ViewerModel(), labels, "mine", confirmed=confirmed))
    return strip


def press(strip, x, button=Qt.MouseButton.LeftButton):
    none = Qt.KeyboardModifier.NoModifier
    strip.mousePressEvent(
        QMouseEvent(QEvent.Type.MouseButtonPress, QPointF(x, 20), QPointF(x, 20), button, button, none)
    )


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ((9, 0, 0, False), "raw"),
        ((0, 9, 0, False), "proposed"),
        ((0, 8, 1, False), "touched"),
        ((9, 0, 0, True), "confirmed"),
    ],
)
def test_a_slice_has_the_state_of_the_most_that_was_done_to_it(counts, state):
    assert state_of(SliceSummary(*counts)) == state


def test_empty_slices_are_known_at_once_and_confirmed_ones_are_counted(strip, monkeypatch, qtbot):
    assert strip.totals() == {"raw": 2, "proposed": 1, "touched": 1, "confirmed": 2}
    monkeypatch.setattr(slice_strip, "slices_in_use", lambda labels: [1])
    layer = add_labels(ViewerModel(), np.zeros((4, 4, 5), np.uint8), "almost empty", confirmed={3})
    with qtbot.waitSignal(strip.counted):
        strip.show_layer(layer)
        assert strip.found == dict.fromkeys((0, 2, 3), SliceSummary(20, 0, 0, False))
    assert strip.totals() == {"raw": 3, "proposed": 0, "touched": 0, "confirmed": 1}


def test_what_is_known_of_a_slice_is_said_in_per_cent(strip):
    assert strip.sentence(2) == "Slice 2: unlabelled 0.0 %, proposed 75.0 %, yours 25.0 %"
    assert strip.sentence(3) == "Slice 3: unlabelled 0.0 %, proposed 0.0 %, yours 100.0 %; confirmed"
    strip.show_errors({0: 0.1234})
    assert strip.sentence(0) == (
        "Slice 0: unlabelled 100.0 %, proposed 0.0 %, yours 0.0 %; estimated error 0.123"
    )
    strip.found.clear()  # as before they are counted
    assert strip.sentence(0) == "Slice 0; estimated error 0.123"
    assert strip.sentence(1) == "Slice 1"


def test_a_left_click_goes_to_the_slice_of_its_column_and_beside_it_nowhere(strip):
    clicked = []
    strip.clicked.connect(clicked.append)
    for x in (0, 99, 100, 599, 600, -101):
        press(strip, x)
    press(strip, 250, Qt.MouseButton.RightButton)
    assert clicked == [0, 0, 1, 5]


def test_the_tooltip_is_of_the_slice_under_the_cursor(strip, monkeypatch):
    said = []
    monkeypatch.setattr(slice_strip, "QToolTip", SimpleNamespace(showText=lambda *given: said.append(given)))
    for x in (250, 700):
        assert strip.event(QHelpEvent(QEvent.Type.ToolTip, QPoint(x, 9), QPoint(7, 8)))
    assert said == [(QPoint(7, 8), strip.sentence(2), strip), (QPoint(7, 8), "", strip)]


def test_columns_have_a_gap_a_margin_and_a_colour_until_they_are_counted(strip):
    strip.found.pop(4)
    drawn = strip.grab().toImage()
    colour = {(x, y): drawn.pixelColor(x, y).name() for x in (0, 98, 99, 100, 450) for y in (3, 4, 39, 40)}
    inside = {place for place, found in colour.items() if found in (RAW, COLOURS["proposed"], "#303338")}
    assert inside == {(x, y) for x in (0, 98, 100, 450) for y in (4, 39)}
    assert colour[450, 20 - 16] == "#303338"
    assert colour[98, 4] == RAW
    assert colour[100, 4] == COLOURS["proposed"]


def test_where_columns_are_narrower_than_a_pixel_done_covers_raw(qtbot):
    strip = shown(np.zeros((60, 4, 4), np.uint8), {30}, 20, qtbot)
    drawn = strip.grab().toImage()
    assert [drawn.pixelColor(x, 20).name() for x in (9, 10, 11)] == [RAW, COLOURS["confirmed"], RAW]


def test_the_largest_error_fills_the_height_also_of_one_slice_of_which_none_is_wrong(strip):
    def dark(errors):
        strip.show_errors(errors)
        drawn = strip.grab().toImage()
        return [
            sum(drawn.pixelColor(100 * z + 10, y).name() == "#101114" for y in range(44)) for z in range(6)
        ]

    assert dark({1: 0.4, 2: 0.1}) == [0, 36, 9, 0, 0, 0]
    assert dark({1: 0.0}) == [0] * 6


def test_without_a_layer_there_is_nothing_to_count_or_click(strip):
    clicked = []
    strip.clicked.connect(clicked.append)
    strip.show_pixel(2)
    strip.show_layer(None)
    press(strip, 20)
    assert clicked == []
    assert not any(strip.totals().values())
    assert not strip.grab().toImage().isNull()
