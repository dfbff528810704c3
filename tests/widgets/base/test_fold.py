"""What is folded is hidden, and what is open is whole however it grows."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from emseg_napari.widgets.base.fold import Fold
from helpers.window import wait_for


def lines(count):
    content = QWidget()
    layout = QVBoxLayout(content)
    for n in range(count):
        layout.addWidget(QLabel(f"line {n}"))
    return content


def test_a_fold_is_closed_at_first_and_follows_a_fold_within_it(qtbot):
    content, inner_content = lines(2), lines(20)
    inner = Fold("Advanced", inner_content)
    content.layout().addWidget(inner)
    page = QWidget()
    column = QVBoxLayout(page)
    column.setAlignment(Qt.AlignmentFlag.AlignTop)
    outer = Fold("More", content)
    column.addWidget(outer)
    qtbot.addWidget(page)
    page.resize(300, 1000)
    page.show()
    assert not content.isVisible()
    outer.button.click()
    assert content.isVisible()
    assert not inner_content.isVisible()
    inner.button.click()
    wait_for(qtbot, lambda: inner_content.height() >= inner_content.sizeHint().height())
    assert content.height() >= content.sizeHint().height()
    outer.button.click()
    assert not content.isVisible()
