"""What an evaluation shows: figures, slices, errors and the plot."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton

from emseg_napari.widgets.evaluate.step import EvaluateStep
from helpers.evaluations import IMAGE, PREDICTED, TRUTH, V_RAND, answer, click_row, column, layer_of
from helpers.reviews import a_review
from helpers.window import canvas_of, noting, wait_for


def test_the_own_threshold_stands_beside_the_best(evaluated):
    texts = {place: label.text() for place, label in evaluated.results.headline.figures.items()}
    assert texts[0, 1] == "at threshold 0.65"
    assert (texts[1, 1], texts[1, 2]) == ("<b>0.8300</b>", "0.8400 at 0.6")
    assert texts[2, 2] == "0.9200 at 0.5"
    assert texts[5, 2] == "0.0625"
    assert "thick ones cost nothing" in evaluated.results.headline.toolTip()


def test_the_pages_fit_into_the_narrowest_dock_with_all_figures(in_window, dock):
    scroll_bar_px = 20
    for page in (in_window, dock.cells, dock.export):
        assert page.minimumSizeHint().width() + scroll_bar_px <= dock.minimumWidth() - 12


@pytest.mark.slow
def test_slices_sort_by_value_and_trained_ones_are_marked(evaluated):
    table = evaluated.results.slices
    assert column(table, 0) == ["1", "2", "4", "5"]
    table.sortItems(1, Qt.SortOrder.AscendingOrder)
    assert column(table, 0) == ["4", "2", "5", "1"]
    row = column(table, 0).index("5")
    assert table.item(row, 6).text() == "trained on"
    assert "proves nothing" in table.item(row, 6).toolTip()
    assert "split 0.9700" in table.item(row, 1).toolTip()
    table.sortItems(5, Qt.SortOrder.DescendingOrder)
    assert sorted(column(table, 5)[:3]) == ["0+1", "1+0", "1+0"]
    assert column(table, 5)[3] == "0+0"
    at = column(table, 5).index("1+0")
    assert table.item(at, 5).toolTip() == "1 merge (two cells joined) + 0 splits (a cell cut)"
    assert "Merges + splits" in table.horizontalHeaderItem(5).toolTip()


@pytest.mark.slow
def test_numbers_sort_as_numbers_not_as_text(step, started):
    step.evaluate.click()
    truth = np.concatenate([TRUTH, TRUTH])
    answer(step, a_review(truth, truth, {2: 0.5, 10: 0.6, 9: 0.7}))
    table = step.results.slices
    table.sortItems(0, Qt.SortOrder.AscendingOrder)
    assert column(table, 0) == ["2", "9", "10"]


@pytest.mark.slow
def test_clicking_a_slice_shows_it_and_leaves_the_camera(in_window, qtbot):
    in_window.viewer.scene.camera.zoom = 3.5
    click_row(qtbot, in_window.results.slices, 2)
    assert in_window.viewer.dims.current_step[0] == 4
    assert in_window.viewer.scene.camera.zoom == 3.5
    qtbot.keyClick(in_window.results.slices, Qt.Key.Key_Up)
    assert in_window.viewer.dims.current_step[0] == 2


def test_errors_are_listed_largest_first_and_drawn_in_a_layer_that_is_nobodys_labels(evaluated):
    errors = evaluated.results.errors
    sizes = [int(text) for text in column(errors.table, 2)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 3
    assert "2 merges" in errors.summary.text()
    assert "1 split" in errors.summary.text()
    layer = layer_of(evaluated, "errors: merge red, split blue")
    assert set(np.unique(layer.data[4])) == {0, 1}
    assert set(np.unique(layer.data[5])) == {0, 2}
    assert not layer.data[3].any()
    assert (layer.data[4, 20:30, 16:19] == 1).all()
    assert layer not in evaluated.workspace.candidates("labels")
    assert evaluated.workspace.labels.name == "truth"


def test_clicking_an_error_brings_it_into_the_middle_large(in_window, qtbot):
    in_window.results.tabs.setCurrentWidget(in_window.results.errors)
    for i, error in enumerate(in_window.results.errors.errors):
        click_row(qtbot, in_window.results.errors.table, i)
        assert in_window.viewer.dims.current_step[0] == error.z
        assert tuple(in_window.viewer.scene.camera.center[-2:]) == error.centre
        assert in_window.viewer.scene.camera.zoom == 4


def test_keys_and_buttons_go_from_error_to_error_and_round(in_window, qtbot):
    canvas, errors = canvas_of(in_window), in_window.results.errors
    canvas.setFocus()
    for expected in (0, 1, 2, 0):
        qtbot.keyClick(canvas, "n")
        assert errors.table.currentRow() == expected
        assert in_window.viewer.dims.current_step[0] == errors.errors[expected].z
    qtbot.keyClick(canvas, "n", Qt.KeyboardModifier.ShiftModifier)
    assert errors.table.currentRow() == 2
    in_window.results.tabs.setCurrentWidget(errors)
    for button in errors.findChildren(QPushButton):
        button.click()
    assert errors.table.currentRow() == 2


def test_the_errors_lie_over_the_image_only_while_page_check_is_open(in_window, dock, qtbot):
    layer = layer_of(in_window, "errors: merge red, split blue")
    assert layer.visible
    for page in (dock.correct, dock.cells):
        dock.show_step(page)
        assert not layer.visible
        dock.show_step(in_window)
        assert layer.visible


def test_on_whichever_tab_the_status_line_says_which_error_is_shown(in_window, dock, qtbot):
    in_window.results.tabs.setCurrentWidget(in_window.results.slices)
    qtbot.keyClick(canvas_of(in_window), "n")
    error = in_window.results.errors.errors[0]
    assert dock.status.text().startswith(f"Merge of two cells (slice {error.z}, red)")


def test_the_keys_are_free_in_napari_and_given_back_with_the_step(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    layers = viewer.add_image(IMAGE), viewer.add_labels(TRUTH)
    taken = {str(key) for owner in (viewer, *layers) for key in (*owner.keymap, *owner.class_keymap)}
    assert "C" in taken | {str(key) for key in layers[0].class_keymap}
    assert not {"N", "Shift+N"} & taken
    step = EvaluateStep(viewer)
    assert {"N", "Shift+N"} <= {str(key) for key in viewer.keymap}
    step.deleteLater()
    wait_for(qtbot, lambda: not {"N", "Shift+N"} & {str(key) for key in viewer.keymap})


@pytest.mark.slow
def test_scale_and_place_of_the_truth_are_kept_by_errors_and_camera(alone, monkeypatch):
    viewer, step = alone.viewer, alone
    place = {"scale": (50, 4, 4), "translate": (100, 10, 20)}
    viewer.add_image(IMAGE, name="cells", **place)
    viewer.add_labels(TRUTH, name="truth", **place)
    step.prediction.choose(viewer.add_labels(PREDICTED, name="mine", **place))
    monkeypatch.setattr(step.job, "start", noting([]))
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    layer = layer_of(step, "errors: merge red, split blue")
    assert layer.scale.tolist() == [50, 4, 4]
    assert layer.translate.tolist() == [100, 10, 20]
    error = step.results.errors.errors[0]
    step.results.errors.table.step(1)
    y, x = error.centre
    assert tuple(viewer.scene.camera.center[-2:]) == (10 + 4 * y, 20 + 4 * x)
    assert viewer.dims.point[0] == 100 + 50 * error.z
    assert viewer.scene.camera.zoom == 1
    for moved in ("cells", "truth", "mine"):
        viewer.layers[moved].translate = (0, 0, 8)
    step.evaluate.click()
    answer(step, a_review(TRUTH, PREDICTED, V_RAND))
    assert layer.translate.tolist() == [0, 0, 8]


def test_evaluating_again_replaces_the_errors_and_their_layer_may_be_deleted(evaluated):
    viewer = evaluated.viewer
    viewer.layers.remove("errors: merge red, split blue")
    evaluated.results.errors.table.step(1)
    viewer.layers.remove("errors: merge red, split blue")
    for predicted in (PREDICTED, TRUTH):
        evaluated.evaluate.click()
        answer(evaluated, a_review(TRUTH, predicted, V_RAND))
        assert layer_of(evaluated, "errors: merge red, split blue").data.any() == (predicted is PREDICTED)
    assert [layer.name for layer in viewer.layers].count("errors: merge red, split blue") == 1
    shown = layer_of(evaluated, "errors: merge red, split blue")
    shown.visible = False
    assert evaluated.results.errors.table.rowCount() == 0
    assert "0 merges" in evaluated.results.errors.summary.text()
    evaluated.prediction.choose(viewer.add_labels(PREDICTED[4], name="flat"))
    evaluated.truth.choose(viewer.add_labels(TRUTH[4], name="flat truth"))
    evaluated.evaluate.click()
    answer(evaluated, a_review(TRUTH[4:5], PREDICTED[4:5], {0: 0.7}))
    assert not shown.visible  # one of other axes takes its place
    assert viewer.layers[-1].ndim == 2


@pytest.mark.slow
def test_the_plot_has_both_curves_and_marks_own_and_best(evaluated):
    plot = evaluated.results.thresholds
    assert len(plot._curves["v_rand"].getData()[0]) == 11
    assert plot._own.value() == 0.65
    assert plot._marks["own"].getData()[1].tolist() == pytest.approx([0.83, 0.9])
    assert plot._marks["best"].getData()[0].tolist() == [0.6, 0.5]
