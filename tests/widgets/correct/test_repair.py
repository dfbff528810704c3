"""The repair tools through real mouse events, on a grid of cells with walls 3 pixels thick every 16."""

import numpy as np
import pytest
import zarr
from qtpy.QtCore import Qt
from scipy import ndimage

from emseg_napari.io.open import open_volume
from emseg_napari.widgets.correct.repair_tools import TOOLS
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of, is_managed
from emseg_napari.widgets.layers.layer_info import LayerInfo
from emseg_napari.widgets.layers.selection import selection_kept
from helpers.slow import slow_case
from helpers.window import at, canvas_of, click, drag, middle, move, striped, wait_for

Z = 2
NAMES = {tool.name: tool for tool in TOOLS}


@pytest.fixture
def desk(dock):
    """The dock with the grid, its labels as proposals of a network, and step Correct in front."""
    image, labels = striped()
    layer = dock.workspace.viewer.add_image(image, name="cells")
    add_labels(dock.workspace.viewer, labels + 2, "proposal", layer)
    dock.workspace.viewer.dims.set_point(0, Z)
    dock.show_step(dock.correct)
    return dock


def plane(dock):
    return dock.workspace.labels.data[Z]


def cells(labels):
    """How many cells there are."""
    return ndimage.label((labels == 2) | (labels == 4))[1]


def take(dock, name):
    dock.correct.repairs.tools[name].click()
    assert dock.correct.repairs.repair.tool == NAMES[name]
    return canvas_of(dock)


def test_a_click_drops_the_false_membrane_in_one_step_to_undo(desk):
    before, count, told = plane(desk).copy(), cells(plane(desk)), []
    canvas = take(desk, "Drop piece")
    desk.correct.repairs.repair.repaired.connect(lambda *where: told.append(where))
    click(canvas, at(desk, 25, 17))
    ((z, rows, columns),) = told
    assert (z, set(zip(rows, columns, strict=True))) == (
        Z,
        set(zip(*np.nonzero(plane(desk) != before), strict=True)),
    )
    assert cells(plane(desk)) == count - 1
    changed = plane(desk) != before
    assert set(np.unique(plane(desk)[changed])) == {2}  # the user's now
    assert changed[:, 14:21].sum() == changed.sum()
    history_of(desk.workspace.labels).undo()
    np.testing.assert_array_equal(plane(desk), before)


def test_a_repair_that_changes_nothing_answers_no_question(desk):
    told = []
    desk.correct.repairs.repair.repaired.connect(lambda *where: told.append(where))
    plane(desk)[16:34, 15:20] = 1
    canvas = take(desk, "Close gap")
    for end in (at(desk, 22, 17), at(desk, 28, 17)):
        click(canvas, end)
    assert "0 pixels changed" in desk.correct.status.text()
    assert told == []


@pytest.mark.parametrize("by_drag", [True, slow_case(False)])
def test_two_clicks_or_a_drag_close_a_gap(desk, by_drag):
    plane(desk)[22:28, 16:19] = 4
    count = cells(plane(desk))
    canvas = take(desk, "Close gap")
    ends = at(desk, 20, 17), at(desk, 30, 17)
    if by_drag:
        drag(canvas, *ends)
    else:
        for end in ends:
            click(canvas, end)
    assert cells(plane(desk)) == count + 1
    assert set(np.unique(plane(desk)[23:27, 16:19])) <= {1, 4}


def test_clicks_in_two_cells_join_them(desk):
    count = cells(plane(desk))
    canvas = take(desk, "Join cells")
    click(canvas, at(desk, 25, 10))
    assert "Now click the other one" in desk.correct.status.text()
    click(canvas, at(desk, 25, 24))
    assert cells(plane(desk)) == count - 1


def test_a_stroke_across_a_cell_parts_it(desk):
    count = cells(plane(desk))
    canvas = take(desk, "Split cell")
    drag(canvas, at(desk, 18, 25), at(desk, 33, 25))
    assert cells(plane(desk)) == count + 1
    assert (plane(desk) == 1).any()


def test_a_click_removes_an_island(desk):
    plane(desk)[24:27, 24:27] = 3
    canvas = take(desk, "Drop island")
    click(canvas, at(desk, 25, 25))
    assert (plane(desk)[24:27, 24:27] == 2).all()


def test_what_would_change_is_shown_under_the_cursor_before_the_click(desk, qtbot):
    viewer = desk.workspace.viewer
    before = plane(desk).copy()
    canvas = take(desk, "Drop piece")
    move(canvas, at(desk, 25, 17))
    wait_for(qtbot, lambda: "repair preview" in viewer.layers and viewer.layers["repair preview"].visible)
    preview = viewer.layers["repair preview"]
    y, x = np.nonzero(preview.data[0])
    top, left = (round(n) for n in preview.translate[-2:])
    np.testing.assert_array_equal(plane(desk), before)
    move(canvas, at(desk, 25, 25))  # nothing can be dropped there
    wait_for(qtbot, lambda: not preview.visible)
    move(canvas, at(desk, 25, 17))
    wait_for(qtbot, lambda: preview.visible)
    click(canvas, at(desk, 25, 17))
    changed = np.zeros_like(before, bool)
    changed[y + top, x + left] = True
    np.testing.assert_array_equal(changed, plane(desk) != before)
    assert not preview.visible
    assert desk.workspace.labels.name == "proposal"  # the preview is nobody's labels


@pytest.mark.parametrize("brush", [0, slow_case(4)])
def test_the_first_preview_leaves_the_tool_in_hand_after_a_brush_and_a_proposal(desk, qtbot, brush):
    viewer, count = desk.workspace.viewer, cells(plane(desk))
    desk.correct.tools[brush].click()
    with selection_kept(viewer):  # as a proposal does
        viewer.add_image(np.zeros((6, 64, 64)), name="probability", visible=False)
    canvas = take(desk, "Drop piece")
    move(canvas, at(desk, 25, 17))
    wait_for(qtbot, lambda: "repair preview" in viewer.layers and viewer.layers["repair preview"].visible)
    assert desk.correct.repairs.repair.tool == NAMES["Drop piece"]
    click(canvas, at(desk, 25, 17))
    assert cells(plane(desk)) == count - 1
    assert not viewer.layers["repair preview"].visible


def test_nothing_is_shown_under_the_cursor_where_nothing_would_change(desk, qtbot):
    layers = desk.workspace.viewer.layers
    plane(desk)[:, 16:19] = 1  # the user's own
    plane(desk)[22:28, 16:19] = 4
    canvas = take(desk, "Close gap")
    click(canvas, at(desk, 20, 17))
    move(canvas, at(desk, 30, 17))
    wait_for(qtbot, lambda: "repair preview" in layers and layers["repair preview"].visible)
    move(canvas, at(desk, 6, 17))
    wait_for(qtbot, lambda: not layers["repair preview"].visible)


def test_a_click_where_nothing_can_be_done_is_a_sentence_and_changes_nothing(desk):
    before = plane(desk).copy()
    canvas = take(desk, "Drop piece")
    click(canvas, at(desk, 25, 25))
    assert "membrane" in desk.correct.status.text()
    np.testing.assert_array_equal(plane(desk), before)


def test_keys_take_a_tool_and_escape_or_a_brush_puts_it_away(desk, qtbot):
    repair, canvas = desk.correct.repairs.repair, canvas_of(desk)
    qtbot.keyClick(canvas, "g")
    assert repair.tool == NAMES["Close gap"]
    assert desk.correct.repairs.tools["Close gap"].isChecked()
    click(canvas, at(desk, 20, 17))
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)  # only the first click is forgotten
    assert repair.tool == NAMES["Close gap"]
    assert desk.correct.status.text() == NAMES["Close gap"].about
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert repair.tool is None
    assert desk.correct.status.text() == "Close gap is put away."
    qtbot.keyClick(canvas, "d")
    qtbot.keyClick(canvas, "d")
    assert repair.tool is None
    assert desk.correct.status.text() == "Drop piece is put away."
    qtbot.keyClick(canvas, "d")
    assert repair.tool == NAMES["Drop piece"]
    desk.correct.tools[0].click()
    assert repair.tool is None
    assert desk.workspace.labels.mode == "paint"
    assert not any(button.isChecked() for button in desk.correct.repairs.tools.values())
    qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    assert desk.workspace.labels.mode == "pan_zoom"


def test_a_tool_is_put_away_with_its_page(desk):
    before = plane(desk).copy()
    canvas = take(desk, "Drop piece")
    desk.show_step(desk.train)
    assert desk.correct.repairs.repair.tool is None
    click(canvas, at(desk, 25, 17))
    np.testing.assert_array_equal(plane(desk), before)


@pytest.mark.parametrize(("key", "mode"), [("4", "fill"), ("f", "fill"), ("3", "polygon")])
def test_a_key_that_fills_fills_with_interior_after_a_boundary_was_painted(desk, qtbot, key, mode):
    canvas, layer = canvas_of(desk), desk.workspace.labels
    desk.correct.tools[0].click()
    qtbot.keyClick(canvas, key)
    assert (layer.mode, layer.selected_label) == (mode, 2)
    qtbot.keyClick(canvas, key)  # again is no other tool
    assert layer.mode == mode
    desk.correct.tools[0].click()
    assert (layer.mode, layer.selected_label) == ("paint", 1)


@pytest.mark.parametrize("end", ["escape", "other tool"])
def test_a_polygon_that_is_not_complete_goes_with_its_tool(desk, qtbot, end):
    canvas, viewer = canvas_of(desk), desk.workspace.viewer
    desk.correct.tools[4].click()
    before = viewer.screenshot(flash=False)
    for point in ((20, 20), (30, 20), (30, 30)):
        click(canvas, at(desk, *point))
    assert (viewer.screenshot(flash=False) != before).any()
    if end == "escape":
        qtbot.keyClick(canvas, Qt.Key.Key_Escape)
    else:
        desk.correct.repairs.tools["Drop piece"].click()
    assert desk.workspace.labels.mode == "pan_zoom"
    np.testing.assert_array_equal(viewer.screenshot(flash=False), before)


@pytest.mark.slow
def test_the_picture_can_be_moved_again_once_the_tool_is_away(desk):
    layer = desk.workspace.labels
    take(desk, "Close gap")
    assert not layer.mouse_pan
    desk.correct.repairs.tools["Close gap"].click()
    assert layer.mouse_pan
    assert not layer.mouse_drag_callbacks or all(
        "_drag" not in repr(callback) for callback in layer.mouse_drag_callbacks
    )


@pytest.mark.slow
def test_the_tool_goes_with_its_layer(desk):
    take(desk, "Drop piece")
    desk.workspace.viewer.layers.remove(desk.workspace.labels)
    assert desk.correct.repairs.repair.tool is None


def preview_of(dock, qtbot):
    """Wait for the preview, which may have to be compiled first, and return it."""
    layers = dock.workspace.viewer.layers
    wait_for(qtbot, lambda: "repair preview" in layers and layers["repair preview"].visible, 180)
    return layers["repair preview"]


def test_a_neighbour_is_copied_to_where_nothing_is_the_users_and_undone_at_once(desk, qtbot):
    layer = desk.workspace.labels
    right = layer.data[Z] - 2
    for pixels in (desk.workspace.image.data, layer.data):  # the slice before lies three pixels further right
        pixels[Z - 1] = np.roll(pixels[Z], 3, axis=1)
    layer.data[Z] = 0
    layer.data[Z, :4] = 1
    before = layer.data.copy()
    desk.correct.repairs.copies[0].click()
    wait_for(qtbot, lambda: "no labels of yours" in desk.correct.status.text())  # proposals are nobody's
    assert desk.correct.repairs.repair.tool is None
    confirmed_in(layer).add(Z - 1)
    desk.correct.repairs.copies[0].click()
    preview = preview_of(desk, qtbot)
    assert not preview.data[0, :4].any()
    np.testing.assert_array_equal(layer.data, before)
    click(canvas_of(desk), at(desk, 30, 30))
    assert (layer.data[Z, :4] == 1).all()
    assert np.mean(layer.data[Z, 8:56, 8:56] == right[8:56, 8:56]) > 0.95
    history_of(layer).undo()
    np.testing.assert_array_equal(layer.data, before)


def test_between_two_confirmed_slices_labels_are_shown_then_interpolated_and_undone_at_once(desk, qtbot):
    layer, repairs, viewer = desk.workspace.labels, desk.correct.repairs, desk.workspace.viewer
    repairs.interpolate.click()
    wait_for(qtbot, lambda: "Confirm a slice before" in desk.correct.status.text())
    assert not repairs.interpolate.isChecked()
    layer.data[Z] = 0
    layer.data[Z, :, 30] = 1
    confirmed_in(layer).update([Z - 1, Z + 1])
    before = layer.data.copy()
    repairs.interpolate.click()
    preview = preview_of(desk, qtbot)
    assert repairs.interpolate.isChecked()
    assert preview.translate[0] == Z
    shown = preview.data[0].copy()
    assert not shown[:, 30].any()  # what is the user's stays
    np.testing.assert_array_equal(layer.data, before)
    click(canvas_of(desk), at(desk, 30, 40))
    assert "is drawn between slices 1 and 3" in desk.correct.status.text()
    np.testing.assert_array_equal(layer.data[Z], np.where(shown > 0, shown, before[Z]))
    assert np.mean(layer.data[Z] == layer.data[Z - 1] - 2) > 0.95
    move(canvas_of(desk), at(desk, 20, 20))
    wait_for(qtbot, lambda: not preview.visible)  # nothing is left to be drawn
    viewer.layers.selection.active = layer
    qtbot.keyClick(canvas_of(desk), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    np.testing.assert_array_equal(layer.data, before)
    move(canvas_of(desk), at(desk, 25, 25))
    wait_for(qtbot, lambda: preview.visible)
    np.testing.assert_array_equal(preview.data[0], shown)


@pytest.mark.slow
def test_the_picture_of_an_interpolation_follows_the_confirmed_slices_and_the_slice_in_view(desk, qtbot):
    layer, viewer = desk.workspace.labels, desk.workspace.viewer
    confirmed_in(layer).update([0, 5])
    qtbot.keyClick(canvas_of(desk), "u")
    preview = preview_of(desk, qtbot)
    first = preview.data.copy()
    layer.data[0, 20:40, 20:40] = 4  # a wall goes from a neighbour
    layer.data[5, 20:40, 20:40] = 4
    move(canvas_of(desk), at(desk, 30, 22))
    wait_for(qtbot, lambda: (preview.data != first).any())
    assert (preview.data[0, 22:38, 22:38] == 2).all()
    viewer.dims.set_point(0, Z + 1)
    move(canvas_of(desk), at(desk, 20, 20))
    wait_for(qtbot, lambda: preview.translate[0] == Z + 1)
    viewer.dims.set_point(0, 0)
    move(canvas_of(desk), at(desk, 25, 25))
    wait_for(qtbot, lambda: not preview.visible)
    click(canvas_of(desk), at(desk, 25, 25))
    assert "Slice 0 is confirmed" in desk.correct.status.text()


@pytest.mark.slow
def test_labels_of_another_size_than_the_image_are_refused_with_a_sentence(desk):
    add_labels(desk.workspace.viewer, np.ones((2, 8, 8), np.uint8), "small")
    desk.workspace.choose("labels", desk.workspace.viewer.layers["small"])
    desk.correct.repairs.tools["Close gap"].click()
    assert "differ in size" in desk.correct.status.text()
    assert desk.correct.repairs.repair.tool is None


def test_a_confirmed_slice_keeps_its_labels_whatever_is_pressed(desk):
    layer = desk.workspace.labels
    confirmed_in(layer).update([Z - 1, Z, Z + 1])
    before = layer.data.copy()
    for button in (desk.correct.drop, *desk.correct.repairs.copies, desk.correct.repairs.interpolate):
        desk.correct.say("")
        button.click()
        assert f"Slice {Z} is confirmed" in desk.correct.status.text()
    np.testing.assert_array_equal(layer.data, before)


@pytest.mark.parametrize("dtype", [np.int32, slow_case(np.int64)])
def test_layers_of_larger_numbers_are_repaired_alike(desk, qtbot, dtype):
    viewer = desk.workspace.viewer
    plain = viewer.add_labels(striped()[1].astype(dtype), name="own", translate=(0, 0, 0))
    desk.workspace.choose("labels", plain)
    desk.correct.tools[0].click()
    wait_for(qtbot, lambda: is_managed(plain))  # looked through in a thread first
    assert desk.workspace.labels == plain
    count = cells(plane(desk))
    canvas = take(desk, "Drop piece")
    click(canvas, at(desk, 25, 17))
    assert cells(plane(desk)) == count - 1


def test_a_tool_put_away_with_the_button_held_down_does_nothing(desk, qtbot):
    before = plane(desk).copy()
    canvas = take(desk, "Split cell")
    with qtbot.captureExceptions() as wrong:
        qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=at(desk, 18, 25))
        move(canvas, at(desk, 25, 25))
        qtbot.keyClick(canvas, Qt.Key.Key_Escape)
        move(canvas, at(desk, 30, 25))
        qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=at(desk, 33, 25))
    assert wrong == []
    np.testing.assert_array_equal(plane(desk), before)


@pytest.mark.slow
def test_repairs_in_another_view_are_refused(desk):
    before = plane(desk).copy()
    canvas = take(desk, "Drop piece")
    desk.workspace.viewer.dims.order = (1, 0, 2)
    click(canvas, middle(canvas))
    assert "slice view" in desk.correct.status.text()
    np.testing.assert_array_equal(plane(desk), before)


@pytest.mark.parametrize("three", [slow_case(False), True], ids=["axes rolled", "3-D"])
def test_nothing_is_done_to_the_slice_in_view_where_no_slice_is(desk, qtbot, monkeypatch, three):
    correct, layer, dims = desk.correct, desk.workspace.labels, desk.workspace.viewer.dims
    before, canvas = layer.data.copy(), canvas_of(desk)
    if three:
        dims.ndisplay = 3
    else:
        dims.order = (1, 0, 2)
    # It says so before anything is pressed.
    wait_for(qtbot, lambda: "slice view" in correct.slices.state.text())
    buttons = (correct.confirm, correct.drop, *correct.repairs.copies, correct.repairs.interpolate)
    for press in (*(button.click for button in buttons), lambda: qtbot.keyClick(canvas, "c")):
        correct.say("")
        press()
        assert "slice view" in correct.status.text()
    desk.cells.source.choose(layer)
    desk.cells.scope.setCurrentText("slice in view")
    for step, button in ((desk.predict, desk.predict.this_slice), (desk.cells, desk.cells.find)):
        button.click()
        assert "slice view" in step.status.text()
    assert not confirmed_in(layer)
    np.testing.assert_array_equal(layer.data, before)
    correct.strip.clicked.emit(4)  # whoever goes to a slice sees it
    assert (tuple(dims.displayed), dims.current_step[0]) == ((1, 2), 4)


def test_a_probability_on_disk_is_read_once_and_left_aside_where_it_is_not_all_there(desk, tmp_path):
    image = desk.workspace.image
    array = zarr.create_array(tmp_path / "p.zarr", shape=image.data.shape, chunks=(1, 32, 64), dtype="uint8")
    array[Z] = 51
    array[Z + 1, :32] = 51
    known = LayerInfo(proposal_of=image.unique_id, volume=(array, open_volume(tmp_path / "p.zarr")))
    desk.workspace.viewer.add_image(
        array, name="on disk", metadata=known.as_metadata(), contrast_limits=(0, 255)
    )
    desk.workspace.choose("image", image)
    take(desk, "Drop piece")
    repair = desk.correct.repairs.repair
    first = repair._scene()[0].probability
    np.testing.assert_allclose(first, 0.2)
    assert repair._scene()[0].probability is first
    desk.workspace.viewer.dims.set_point(0, Z + 1)
    assert repair._scene()[0].probability is None
