"""What all steps have: sentences, obstacles of buttons, hints, and work in the background."""

import threading

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtWidgets import (
    QApplication,
    QGridLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from emseg_napari.core.jobs import UserError
from emseg_napari.widgets.base.step import (
    StepWidget,
    WrappingLabel,
    choice_of,
    enable,
    first_obstacle,
    in_columns,
    in_row,
)
from helpers.window import wait_for


@pytest.fixture
def step(qtbot):
    step = StepWidget(ViewerModel())
    qtbot.addWidget(step)
    step.told = []
    step.said.connect(lambda *told: step.told.append(told))
    return step


def fail(error):
    raise error


def test_a_button_does_its_work_and_turns_an_error_into_a_red_sentence(step, qtbot):
    done = []
    good = step.button("Go", "What it does.", lambda: done.append(True))
    bad = step.button("Fail", "", lambda: fail(UserError("Open an image.")))
    for button in (good, bad):
        qtbot.addWidget(button)
    good.click()
    assert (done, good.text(), good.toolTip()) == ([True], "Go", "What it does.")
    bad.click()
    assert (step.status.text(), step.is_wrong) == ("Open an image.", True)
    step.say("Well.")
    assert (step.status.text(), step.is_wrong) == ("Well.", False)
    assert step.told == [("Open an image.", True), ("Well.", False)]


def test_rows_keep_their_height_beside_a_long_sentence(step, qtbot):
    area, row, sentence = QScrollArea(), QWidget(), WrappingLabel("A long sentence about the run. " * 12)
    qtbot.addWidget(area)
    row.setMinimumHeight(200)
    step.rows.addWidget(row)
    step.rows.addWidget(sentence)
    area.setWidgetResizable(True)
    area.setWidget(step)
    for width, height in ((300, 900), (300, 100), (240, 900)):
        area.resize(width, height)
        area.show()
        QApplication.processEvents()
        assert row.height() == 200
        assert sentence.height() >= sentence.heightForWidth(sentence.width())
    area.takeWidget()


def test_a_sentence_that_becomes_longer_moves_what_is_below_it_before_it_is_drawn(qtbot):
    window, page, panel, sentence, below = (
        *(QWidget() for _ in range(3)),
        WrappingLabel("Short."),
        QPushButton(),
    )
    qtbot.addWidget(window)
    rows = QVBoxLayout(panel)
    rows.addWidget(sentence)
    rows.addWidget(below)
    QVBoxLayout(page).addWidget(panel, alignment=Qt.AlignmentFlag.AlignTop)
    QVBoxLayout(window).addWidget(page)
    window.resize(200, 400)
    window.show()
    QApplication.processEvents()
    sentence.setText("A long sentence about the slice in view.")
    assert sentence.height() >= sentence.heightForWidth(sentence.width())
    assert below.y() >= sentence.geometry().bottom()


def test_a_long_choice_leaves_room_for_its_title(qtbot):
    short, long = (choice_of((text,), "") for text in ("short", "a choice with a long text " * 4))
    for choice in (short, long):
        qtbot.addWidget(choice)
    assert long.minimumSizeHint().width() == short.minimumSizeHint().width()


def test_of_several_obstacles_the_first_is_said():
    assert first_obstacle([(False, "a"), (True, "b"), (True, "c")]) == "b"
    assert first_obstacle([(False, "a")]) is None


def test_a_button_says_what_it_does_and_what_is_in_the_way(qtbot):
    button = QPushButton()
    qtbot.addWidget(button)
    button.setToolTip("Trains.")
    seen = []
    for obstacle in ("open an image", "choose labels", None, ""):
        enable(button, obstacle)
        seen.append((button.isEnabled(), button.toolTip()))
    assert seen == [
        (False, "Trains.\n\nNot yet: open an image"),
        (False, "Trains.\n\nNot yet: choose labels"),
        (True, "Trains."),
        (False, "Trains.\n\nNot yet: "),
    ]


def test_a_hint_says_what_is_missing_and_goes_with_its_reason(step):
    seen = []
    for obstacle in ("open an image", "choose labels", None):
        step.hint(obstacle, "train")
        seen.append((step.hint_line.text(), step.hint_line.isHidden()))
    assert seen == [("To train, open an image.", False), ("To train, choose labels.", False), ("", True)]
    assert step.told == []


def test_work_in_the_background_is_announced_and_its_result_or_error_comes_back(step, qtbot):
    results, threads = [], []

    def work():
        threads.append(threading.current_thread())
        return 7

    step.in_background("Counting...", work, results.append)
    assert step.status.text() == "Counting..."
    wait_for(qtbot, lambda: results == [7])
    assert threads[0] is not threading.main_thread()
    step.in_background(None, lambda: fail(UserError("Not there.")), results.append)
    assert step.status.text() == "Counting..."
    wait_for(qtbot, lambda: step.status.text() == "Not there.")
    step.in_background(None, lambda: 8, lambda found: fail(UserError(f"Not {found}.")))
    wait_for(qtbot, lambda: step.status.text() == "Not 8.")
    assert results == [7]
    assert QThreadPool.globalInstance().maxThreadCount() >= 16


def test_buttons_lie_in_rows_of_three_and_may_be_narrow(qtbot):
    parent = QLabel()
    qtbot.addWidget(parent)
    grid, buttons = QGridLayout(parent), [QPushButton(str(n)) for n in range(5)]
    in_columns(buttons, grid)
    assert [grid.getItemPosition(n)[:2] for n in range(5)] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert {button.sizePolicy().horizontalPolicy() for button in buttons} == {QSizePolicy.Policy.Ignored}
    margins = grid.contentsMargins()
    assert {margins.left(), margins.top(), margins.right(), margins.bottom()} == {0}


def test_small_parts_are_as_asked(qtbot):
    choice, label, buttons = choice_of(("a", "b"), "Which."), WrappingLabel(), [QPushButton(), QPushButton()]
    for widget in (choice, label, *buttons):
        qtbot.addWidget(widget)
    assert [choice.itemText(n) for n in range(choice.count())] == ["a", "b"]
    assert choice.toolTip() == "Which."
    assert label.wordWrap()
    row = in_row(*buttons)
    assert [row.itemAt(n).widget() for n in range(row.count())] == buttons


def test_a_label_with_least_lines_keeps_its_height_whether_its_text_wraps_or_not(qtbot):
    label = WrappingLabel(least_lines=2)
    qtbot.addWidget(label)
    label.resize(200, 10)
    heights = set()
    for text in ("short", "words " * 8):
        label.setText(text)
        heights.add(label.minimumHeight())
    assert len(heights) == 1
