"""The status line: its sentences can be read on both themes."""

import pytest
from napari.utils.theme import get_theme
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QApplication

from emseg_napari.widgets.base.status_line import StatusLine


def drawn(line):
    """All colours of a line as it is drawn."""
    picture = line.grab().toImage()
    return {picture.pixelColor(x, y).rgb() for x in range(picture.width()) for y in range(picture.height())}


@pytest.mark.parametrize("first", ["light", "dark"])
def test_what_is_wrong_can_be_read_on_both_themes_and_follows_a_change(make_napari_viewer_proxy, first):
    viewer = make_napari_viewer_proxy(show=True)
    line = StatusLine()
    viewer.window.add_dock_widget(line)
    viewer.theme = first
    QApplication.processEvents()
    line.show_sentence("Open an image first.", wrong=True)
    for theme in (first, "dark", "light", "dark"):
        viewer.theme = theme
        QApplication.processEvents()
        ground = QColor(get_theme(theme).background.as_hex())
        is_dark = ground.lightness() < 128
        assert QColor("#ff8a80" if is_dark else "#b3261e").rgb() in drawn(line)
        assert ground.rgb() in drawn(line)


def test_the_next_sentence_has_the_colour_of_texts_again(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(show=True)
    line = StatusLine()
    viewer.window.add_dock_widget(line)
    line.show_sentence("Opened the sample.", wrong=False)
    plain = drawn(line)
    line.show_sentence("Open an image first.", wrong=True)
    line.show_sentence("Opened the sample.", wrong=False)
    viewer.theme = "light"
    viewer.theme = "dark"
    QApplication.processEvents()
    assert drawn(line) == plain
