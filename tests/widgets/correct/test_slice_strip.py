"""The strip of slices: what it counts, where a slice lies in it, and what it says of one."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPalette

from emseg_napari.annotation.label_state import SliceSummary
from emseg_napari.widgets.correct import slice_strip
from emseg_napari.widgets.correct.slice_strip import COLOURS, SliceStrip, state_of
from emseg_napari.widgets.layers.labels_layer import add_labels


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


def test_the_tooltip_is_of_the_slice_under_the_cursor_with_the_meaning_of_the_shapes(strip, monkeypatch):
    said = []
    monkeypatch.setattr(slice_strip, "QToolTip", SimpleNamespace(showText=lambda *given: said.append(given)))
    strip.setToolTip("Empty: no labels.")
    for x in (250, 700):
        assert strip.event(QHelpEvent(QEvent.Type.ToolTip, QPoint(x, 9), QPoint(7, 8)))
    assert said == [
        (QPoint(7, 8), f"{strip.sentence(2)}\nEmpty: no labels.", strip),
        (QPoint(7, 8), "", strip),
    ]


def painted(strip, theme="dark"):
    """The pixels of the strip on a theme, (y, x, 3), and its ink."""
    ground, ink = (
        (QColor("#262930"), QColor("#f0f1f2")) if theme == "dark" else (QColor("white"), QColor("black"))
    )
    palette = strip.palette()
    palette.setColor(QPalette.ColorRole.Window, ground)
    palette.setColor(QPalette.ColorRole.WindowText, ink)
    strip.setPalette(palette)
    strip.setAutoFillBackground(True)
    image = strip.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    pixels = np.array(image.constBits().asarray(image.sizeInBytes()), np.uint8)
    rows = pixels.reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3), rgb(ink)


def rgb(colour):
    return np.array(QColor(colour).getRgb()[:3])


def shares(pixels, x, width, colour):
    """In the upper and the lower half of a column: how much of it has a colour."""
    column = (pixels[6:38, x : x + width] == colour).all(axis=2)
    return column[:16].mean(), column[16:].mean()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_state_has_a_shape_of_its_own_on_both_themes(strip, theme):
    pixels, _ = painted(strip, theme)
    ground = pixels[2, 50]
    at = {"raw": 0, "proposed": 100, "touched": 200, "confirmed": 300}
    inside = {state: pixels[:, x + 3 : x + 96] for state, x in at.items()}
    empty = {state: shares(part, 0, 93, ground) for state, part in inside.items()}
    assert empty["raw"] == (1, 1)
    assert empty["touched"] == (1, 0)
    assert empty["proposed"] == (0, 0)
    assert max(empty["confirmed"]) < 0.02  # but for the tick
    full = {
        state: shares(part, 0, 93, rgb(COLOURS[state])) for state, part in inside.items() if state != "raw"
    }
    assert min(full["proposed"]) > 0.5
    assert max(full["proposed"]) < 0.95  # hatched
    assert 0.9 < min(full["confirmed"]) < 1  # but for the tick
    assert full["touched"] == (0, 1)


def test_columns_have_a_gap_a_margin_and_an_outline_and_nothing_until_they_are_counted(strip):
    strip.found.pop(4)
    pixels, _ = painted(strip)
    ground = pixels[2, 50]
    drawn = {(x, y): (pixels[y, x] != ground).any() for x in (0, 98, 99, 100, 450) for y in (3, 4, 38, 40)}
    assert {place for place, there in drawn.items() if there} == {
        (x, y) for x in (0, 98, 100) for y in (4, 38)
    }


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_slice_in_view_is_marked_in_the_ink_of_the_theme(strip, theme):
    for z in (0, 3):
        strip.show_pixel(z)
        pixels, ink = painted(strip, theme)
        above = (pixels[2] == ink).all(axis=1)
        assert above[100 * z + 20 : 100 * z + 80].all()
        assert above.sum() < 110


def test_where_columns_are_narrower_than_a_pixel_done_covers_raw(qtbot):
    strip = shown(np.zeros((60, 4, 4), np.uint8), {30}, 20, qtbot)
    pixels, _ = painted(strip)
    green = (pixels[20] == rgb(COLOURS["confirmed"])).all(axis=1)
    assert np.nonzero(green)[0].tolist() == [10]


def test_narrow_columns_are_told_apart_by_how_full_they_are(qtbot):
    labels = np.zeros((300, 4, 4), np.uint8)
    labels[100:], labels[200:, 0] = 3, 1
    pixels, _ = painted(shown(labels, set(), 600, qtbot))
    ground = pixels[1, 0]
    upper, lower = ((pixels[y] != ground).any(axis=1) for y in (10, 34))
    assert not upper[:198].any()
    assert upper[202:398].all()
    assert not upper[402:].any()
    assert not lower[:198].any()
    assert lower[202:].all()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_errors_are_bars_below_all_states_of_which_the_largest_fills_the_height(strip, theme):
    def heights(errors):
        strip.show_errors(errors)
        pixels, ink = painted(strip, theme)
        below = (pixels[-12:, 50::100] == ink).all(axis=2)
        return below.sum(axis=0).tolist()

    assert heights({0: 0.1, 1: 0.4, 2: 0.2, 4: 0.4}) == [pytest.approx(2.5, abs=0.5), 10, 5, 0, 10, 0]
    assert heights({1: 0.0}) == [0] * 6


def test_a_confirmed_slice_has_no_estimated_error(strip):
    strip.show_errors({1: 0.2, 3: 0.4})
    pixels, ink = painted(strip, "dark")
    assert (pixels[-12:, 50::100] == ink).all(axis=2).sum(axis=0).tolist() == [0, 10, 0, 0, 0, 0]
    assert strip.sentence(1).endswith("estimated error 0.200")
    assert strip.sentence(3).endswith("confirmed")


def test_without_a_layer_there_is_nothing_to_count_or_click(strip, qtbot):
    clicked = []
    strip.clicked.connect(clicked.append)
    strip.show_pixel(2)
    strip.show_layer(None)
    press(strip, 20)
    strip.count([2])
    qtbot.wait(60)  # three portions: to count nothing would raise
    assert clicked == []
    assert not any(strip.totals().values())
    assert not strip.grab().toImage().isNull()
