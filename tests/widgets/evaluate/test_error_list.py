"""The list of errors, the history of rounds and the heading, without a window."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.annotation.session.store import Round
from emseg_napari.evaluation.errors import MERGE, SPLIT, SegmentationError
from emseg_napari.widgets.base.theme_colours import GREY
from emseg_napari.widgets.evaluate import error_list
from emseg_napari.widgets.evaluate.error_list import WORDS, ErrorList
from emseg_napari.widgets.evaluate.results import Headline
from emseg_napari.widgets.evaluate.rounds_table import BETTER, WORSE, RoundsTable
from emseg_napari.widgets.layers.layer_info import info_of

SHAPE = (3, 240, 250)


def error(kind, z, y, x, size=9):
    return SegmentationError(kind, z, size, (y, x), (1,), (np.array([y, y, y]), np.array([x - 1, x, x + 1])))


ERRORS = [error("merge", 1, 20, 30, 90), error("split", 2, 5, 6), error("merge", 1, 8, 9)]


@pytest.fixture
def found(qtbot):
    """The list over true labels, and the viewer that it steers."""
    viewer = ViewerModel()
    truth = viewer.add_labels(np.ones(SHAPE, np.uint8), name="truth", scale=(10, 2, 2))
    shown = ErrorList(viewer)
    qtbot.addWidget(shown)
    shown.viewer, shown.truth = viewer, truth
    shown.show()
    shown.show_errors(ERRORS, truth, SHAPE)
    return shown


def drawn(found):
    return found.viewer.layers["errors: merge red, split blue"]


def rows(table):
    return [[table.item(i, j).text() for j in range(table.columnCount())] for i in range(table.rowCount())]


def test_errors_are_counted_listed_and_drawn_where_they_are(found):
    assert found.summary.text() == "2 merges (red: membrane missing), 1 split (blue: false membrane)."
    assert rows(found.table)[:2] == [["merge", "1", "90", "20", "30"], ["split", "2", "9", "5", "6"]]
    colours = [found.table.item(i, 0).foreground().color() for i in (0, 1)]
    assert colours == [WORDS[kind].on(found.table) for kind in ("merge", "split")]
    layer = drawn(found)
    assert [layer.data[1, 20, 29], layer.data[2, 5, 6]] == [MERGE, SPLIT]
    assert (layer.data > 0).sum() == 9
    assert info_of(layer).is_aid
    assert layer.scale.tolist() == [10, 2, 2]
    assert found.viewer.layers.selection.active == found.truth


def test_only_the_largest_are_listed_and_all_are_drawn(found, monkeypatch):
    monkeypatch.setattr(error_list, "MOST_ROWS", 2)
    found.show_errors(ERRORS, found.truth, SHAPE)
    assert found.summary.text().endswith("(blue: false membrane). The 2 largest are listed.")
    assert len(rows(found.table)) == 2
    assert (drawn(found).data > 0).sum() == 9
    found.show_errors(ERRORS[:2], found.truth, SHAPE)
    assert "1 merge (red" in found.summary.text()
    assert "largest" not in found.summary.text()


def test_errors_in_slices_that_were_trained_on_are_grey_and_counted_apart(found):
    found.show_errors(ERRORS, found.truth, SHAPE, trained=[2])
    assert found.summary.text().endswith("1 of them (grey) in slices that were trained on.")
    grey = [found.table.item(i, 1).foreground().color() == GREY.on(found.table) for i in range(3)]
    assert grey == [False, True, False]
    assert "proves nothing" in found.table.item(1, 1).toolTip()


def test_the_layer_is_used_again_in_whatever_size_and_is_shown(found):
    before = drawn(found)
    found.truth.scale = (20, 2, 2)
    found.show_errors(ERRORS[:1], found.truth, SHAPE)
    assert drawn(found) == before
    assert (before.data > 0).sum() == 3
    assert before.scale.tolist() == [20, 2, 2]
    before.visible = False
    found.show_errors(ERRORS, found.truth, SHAPE)
    assert (drawn(found), before.visible) == (before, True)
    flat = found.viewer.add_labels(np.ones(SHAPE[1:], np.uint8), name="flat")
    found.show_errors([error("split", 0, 5, 6)], flat, (1, *SHAPE[1:]))
    assert not before.visible  # one of other axes takes its place
    assert found.viewer.layers[-1].data.shape == SHAPE[1:]


def test_errors_are_seen_over_the_image_only_while_their_page_is(found):
    found.hide_marks()
    assert not drawn(found).visible
    found.viewer.add_image(np.zeros(SHAPE), name="second image")
    found.show_marks()
    assert drawn(found).visible
    assert found.viewer.layers[-1] == drawn(found)
    drawn(found).visible = False  # by the user
    found.hide_marks()
    found.show_marks()
    assert not drawn(found).visible
    found.hide()
    found.show_errors(ERRORS, found.truth, SHAPE)
    assert not drawn(found).visible  # the evaluation ended while another page was open
    found.viewer.layers.remove(found.truth)
    found.show_marks()
    assert not drawn(found).visible


def test_the_error_that_the_user_goes_to_is_described_and_lies_over_an_image_that_came_later(found):
    said = []
    found.described.connect(said.append)
    found.viewer.add_image(np.zeros(SHAPE), name="second image")
    for _ in ERRORS[:2]:
        found.table.step(1)
    assert said == [
        "Merge of two cells (slice 1, red): the membrane between them was not found.",
        "Split of a cell (slice 2, blue): a false membrane cuts it.",
    ]
    assert found.viewer.layers[-1] == drawn(found)


def test_a_row_brings_its_wall_into_the_middle_as_large_as_it_can(found):
    found.table.setCurrentCell(0, 0)
    assert found.viewer.dims.point[0] == 10
    assert found.viewer.scene.camera.center[-2:] == (40, 60)
    assert found.viewer.scene.camera.zoom == 4 / 2  # screen pixels for one of the world, two nm each


def test_a_deleted_layer_comes_back_with_the_next_row_unless_the_labels_are_gone(found):
    found.viewer.layers.remove(drawn(found))
    found.table.step(1)
    assert (drawn(found).data > 0).sum() == 9
    found.table.step(1)
    assert found.viewer.dims.point[0] == 20
    found.viewer.layers.clear()
    found.table.step(1)
    assert found.summary.text() == "The true labels were removed; evaluate again."
    assert not found.viewer.layers


def test_a_long_wall_fits_as_a_whole(found):
    along, across = np.arange(200), np.full(200, 7)
    for pixels in ((along, across), (across, along)):
        found.show_errors([replace(ERRORS[0], pixels=pixels)], found.truth, SHAPE)
        found.table.setCurrentCell(0, 0)
        assert found.viewer.scene.camera.zoom == 1


# -- the history ----------------------------------------------------------------------------

FIRST = Round("2026-03-04T05:06:07", "a run with a long name", 3, 2, (1, 2), 0.9, 0.8, 0.95, "truth", "i")


def test_a_round_is_compared_with_the_last_one_on_the_same_slices(qtbot):
    table = RoundsTable()
    qtbot.addWidget(table)
    other = replace(FIRST, slices=(4,), v_rand=0.1)
    better = replace(FIRST, when="2026-03-05T05:06:07", v_rand=0.95, v_info=0.7, run="")
    table.show_rounds([FIRST, other, better])
    texts = rows(table)
    assert texts[0][1:] == ["3 painted\n2 \u2713", "0.9500\n+0.0500", "0.7000\n-0.1000", "95.00\n+0.00"]
    assert [row[2] for row in texts] == ["0.9500\n+0.0500", "0.1000", "0.9000"]
    colours = [table.item(0, j).foreground().color() for j in (2, 3, 4)]
    assert colours[:2] == [BETTER.on(table), WORSE.on(table)]
    assert colours[2] not in colours[:2]
    assert texts[0][0].splitlines()[:2] == ["05 Mar 05:06", "no run"]
    assert texts[2][0].splitlines()[2] == "slices 1-2"
    assert table.item(2, 2).toolTip() == "The first round on these slices."
    assert "a run with a long name" in table.item(2, 0).toolTip()
    assert texts[2][0].splitlines()[1] == "a run w\u2026ame"


def test_a_narrow_history_cuts_names_and_does_not_scroll_sideways(qtbot):
    table = RoundsTable()
    qtbot.addWidget(table)
    table.resize(345, 150)  # of the dock at its least width
    rounds = [replace(FIRST, when=f"2026-03-{day:02d}T05:06:07", v_rand=day / 100) for day in range(10, 20)]
    table.show_rounds(rounds)
    table.show()
    assert table.verticalScrollBar().isVisible()
    assert table.horizontalScrollBar().maximum() == 0
    assert all(table.columnWidth(i) >= table.sizeHintForColumn(i) for i in range(table.columnCount()))


@pytest.mark.parametrize(("field", "mark"), [("held_out", "held out"), ("unknown", "not known")])
def test_a_round_on_slices_that_are_not_new_is_grey_marked_and_no_progress_on_new_ones(qtbot, field, mark):
    table = RoundsTable()
    qtbot.addWidget(table)
    seen = replace(FIRST, v_rand=0.95, **{field: (2,)})
    table.show_rounds([FIRST, seen])
    assert [row[2] for row in rows(table)] == ["0.9500", "0.9000"]
    assert rows(table)[0][0].endswith(f"\n{mark}")
    greys = [table.item(i, 2).foreground().color() == GREY.on(table) for i in (0, 1)]
    assert greys == [True, False]
    assert mark in table.item(0, 0).toolTip()


# -- the heading ----------------------------------------------------------------------------


@pytest.mark.parametrize("has_threshold", [True, False])
def test_of_labels_no_best_threshold_is_said(qtbot, has_threshold):
    headline = Headline()
    qtbot.addWidget(headline)
    own = SimpleNamespace(v_rand=0.9, v_info=0.8, accuracy=0.95, boundary_f1=0.7)
    headline.show_evaluation(
        SimpleNamespace(
            at_threshold=own,
            v_rand=0.91,
            v_rand_threshold=0.3,
            v_info=0.81,
            v_info_threshold=0.4,
            threshold=0.55,
            pixel_error=0.05,
            averaged=(1, 2),
        ),
        has_threshold,
        "",
    )
    texts = [[headline.figures[i, j].text() for j in range(3)] for i in range(6)]
    best = ["best (too optimistic)", "0.9100 at 0.7", "0.8100 at 0.6", "", ""]
    assert [row[2] for row in texts] == [*(best if has_threshold else [""] * 5), "0.0500"]
    assert texts[0][1] == ("at threshold 0.45" if has_threshold else "labels as they are")
    assert [row[1] for row in texts[1:]] == [
        "<b>0.9000</b>",
        "<b>0.8000</b>",
        "<b>95.00 %</b>",
        "<b>0.7000</b>",
        "",
    ]
