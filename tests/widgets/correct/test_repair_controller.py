"""What a tool is given of the mouse, what it shows before, and what it does to layer and window."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QObject

from emseg_napari.annotation.repair.edit import Edit
from emseg_napari.core.jobs import UserError
from emseg_napari.widgets.correct.repair_controller import RepairController
from emseg_napari.widgets.correct.repair_tools import Tool
from emseg_napari.widgets.correct.whole_slice_tools import WholeSliceTool
from emseg_napari.widgets.layers.labels_layer import add_labels, history_of
from emseg_napari.widgets.layers.layer_info import info_of
from helpers.window import striped, wait_for

IMAGE, LABELS = striped((4, 40, 48))
Z = 2


@pytest.fixture
def hand(qapp):
    """A controller with its layer, what its tools were asked for, and what was said."""
    viewer = ViewerModel()
    layer = add_labels(viewer, LABELS + 2, "mine")
    viewer.dims.set_point(0, Z)
    owner = QObject()
    controller = RepairController(viewer, lambda: None, lambda z: IMAGE[z], owner)
    asked, said, changed = [], [], []
    controller.message.connect(lambda *sentence: said.append(sentence))
    controller.over.connect(said.append)
    controller.changed.connect(lambda: changed.append(controller.tool))

    def change(scene, points):
        asked.append([(y, x) for y, x in points])
        if points[-1][0] == 0:
            raise UserError("Nothing is there.")
        if points[-1][0] == 1:
            return Edit(*np.zeros((2, 0), int), np.zeros(0, np.uint8))
        return Edit(np.array([5, 7]), np.array([11, 10]), np.array([1, 2], np.uint8))

    def tool(points):
        return Tool(f"tool of {points}", "", "how it is used", points, change)

    yield SimpleNamespace(**locals())
    controller.deactivate()


def use(hand, *points, button=1):
    """Press there, move on, and release."""
    event = SimpleNamespace(button=button, type="mouse_press", position=(Z, *points[0]))
    for callback in hand.layer.mouse_drag_callbacks:
        drag = callback(hand.layer, event)
        next(drag, None)
        for point in points[1:]:
            event.type, event.position = "mouse_move", (Z, *point)
            next(drag, None)
        event.type = "mouse_release"
        next(drag, None)


def hover(hand, *point):
    for callback in hand.layer.mouse_move_callbacks:
        callback(hand.layer, SimpleNamespace(position=(Z, *point)))


def preview(hand):
    return hand.viewer.layers["repair preview"]


@pytest.mark.parametrize(
    ("points", "track", "asked"),
    [
        (1, [(5, 6)], [[(5, 6)]]),
        (1, [(5, 6), (9, 9), (20, 20)], [[(20, 20)]]),
        (2, [(5, 6), (5, 20)], [[(5, 6), (5, 20)]]),
        (2, [(5, 6), (7, 8), (5, 9.1)], [[(5, 6), (7, 8), (5, 9.1)]]),
        (2, [(5, 6), (5, 9)], []),
        (0, [(5, 6), (7, 8), (5, 20)], [[(5, 6), (7, 8), (5, 20)]]),
        (0, [(5, 6)], []),
    ],
)
def test_a_tool_is_given_the_point_the_ends_or_the_stroke(hand, points, track, asked):
    hand.controller.activate(hand.tool(points), hand.layer)
    use(hand, *track)
    assert hand.asked == asked


def test_two_clicks_are_the_ends_and_the_next_click_begins_again(hand):
    hand.controller.activate(hand.tool(2), hand.layer)
    for point in ((5, 6), (20, 21), (30, 31)):
        use(hand, point)
    assert hand.asked == [[(5, 6), (20, 21)]]
    other = ("Now click the other one (Escape to start again).", False)
    assert hand.said == [other, ("tool of 2: 2 pixels changed (Ctrl+Z undoes it).", False), other]


def test_only_the_left_button_repairs(hand):
    hand.controller.activate(hand.tool(1), hand.layer)
    for button in (2, 3):
        use(hand, (5, 6), button=button)
    assert hand.asked == []


def test_what_a_tool_changes_is_in_the_slice_in_view_and_undone_in_one_step(hand):
    before = hand.layer.data.copy()
    hand.controller.activate(hand.tool(1), hand.layer)
    use(hand, (5, 6))
    assert [hand.layer.data[Z, 5, 11], hand.layer.data[Z, 7, 10]] == [1, 2]
    assert (hand.layer.data != before).sum() == 2
    hand.layer.undo()
    np.testing.assert_array_equal(hand.layer.data, before)


def test_a_click_with_a_tool_shows_labels_that_were_hidden_meanwhile(hand):
    hand.controller.activate(hand.tool(1), hand.layer)
    hand.layer.visible = False
    use(hand, (5, 6))
    assert hand.layer.visible
    assert hand.controller.tool is not None


def test_what_cannot_be_done_is_said_as_wrong_and_changes_nothing(hand):
    before = hand.layer.data.copy()
    hand.controller.activate(hand.tool(1), hand.layer)
    use(hand, (0, 6))
    hand.controller.activate(hand.tool(0), hand.layer)
    use(hand, (5, 6))
    stroke = "Draw a stroke across the cell with the button held down."
    assert hand.said == [("Nothing is there.", True), "tool of 1 is put away.", (stroke, True)]
    np.testing.assert_array_equal(hand.layer.data, before)


def test_only_what_a_click_would_do_is_shown_under_the_cursor(hand, qtbot):
    for points in (0, 2):
        hand.controller.activate(hand.tool(points), hand.layer)
        hover(hand, 5, 6)
        qtbot.wait(60)
    assert hand.asked == []
    use(hand, (5, 6))
    hover(hand, 9, 9)
    wait_for(qtbot, lambda: hand.asked == [[(5, 6), (9, 9)]])
    hand.controller.activate(hand.tool(1), hand.layer)
    hover(hand, 9, 9)
    wait_for(qtbot, lambda: hand.asked[1:] == [[(9, 9)]])


def test_a_drag_shows_what_its_end_or_its_stroke_would_do(hand, qtbot):
    for points, shown in ((1, [(9, 9)]), (0, [(5, 6), (9, 9)])):
        hand.controller.activate(hand.tool(points), hand.layer)
        event = SimpleNamespace(button=1, type="mouse_press", position=(Z, 5, 6))
        drag = hand.layer.mouse_drag_callbacks[-1](hand.layer, event)
        next(drag)
        event.type, event.position = "mouse_move", (Z, 9, 9)
        next(drag)
        wait_for(qtbot, lambda shown=shown: hand.asked == [shown])
        hand.asked.clear()
        drag.close()


def test_the_preview_lies_where_the_pixels_would_change_and_hides_where_none_would(hand, qtbot):
    hand.layer.scale = (10, 2, 2)
    hand.viewer.dims.set_point(0, 10 * Z)
    hand.controller.activate(hand.tool(1), hand.layer)

    def at(y):
        for callback in hand.layer.mouse_move_callbacks:
            callback(hand.layer, SimpleNamespace(position=(10 * Z, 2 * y, 12)))

    for hidden in (0, 1):  # nothing can be done there, or nothing would change
        at(9)
        wait_for(qtbot, lambda: "repair preview" in hand.viewer.layers and preview(hand).visible)
        assert preview(hand).data.tolist() == [[[0, 1], [0, 0], [2, 0]]]
        assert preview(hand).translate.tolist() == [10 * Z, 10, 20]
        at(hidden)
        wait_for(qtbot, lambda: not preview(hand).visible)
    assert info_of(preview(hand)).is_aid
    assert hand.viewer.layers.selection.active == hand.layer


def test_a_tool_in_hand_has_the_mouse_and_gives_it_back(hand):
    one, two, layer = hand.tool(1), hand.tool(2), hand.layer
    hand.viewer.layers.selection.active = None
    layer.mode = "erase"
    hand.controller.activate(one, layer)
    assert (layer.mode, layer.mouse_pan, layer.cursor) == ("pan_zoom", False, "crosshair")
    assert hand.viewer.layers.selection.active == layer
    hand.controller.activate(two, layer)
    hand.controller.deactivate()
    assert (layer.mode, layer.mouse_pan, layer.cursor) == ("pan_zoom", True, "standard")
    own = [*layer.mouse_drag_callbacks, *layer.mouse_move_callbacks]
    assert not [one for one in own if getattr(one, "__self__", None) is hand.controller]
    assert hand.changed == [one, None, two, None]
    assert hand.controller.layer is None


def test_a_brush_that_is_taken_keeps_its_cursor(hand):
    hand.controller.activate(hand.tool(1), hand.layer)
    hand.layer.mode = "paint"
    assert hand.controller.tool is None
    assert (hand.layer.mouse_pan, hand.layer.cursor) != (True, "standard")


@pytest.mark.parametrize("drawn", [0, 1])
def test_a_tool_of_the_whole_slice_shows_at_once_what_is_free_and_draws_it_with_a_click(hand, qtbot, drawn):
    hand.layer.data[Z, :10] = 2
    asked = []

    def draw(layer, z):
        asked.append(z)
        return np.full(layer.data.shape[1:], drawn, np.uint8), "It is drawn."

    hand.controller.activate(WholeSliceTool("whole", "", "", draw), hand.layer)
    wait_for(qtbot, lambda: asked == [Z])
    if drawn:
        wait_for(qtbot, lambda: "repair preview" in hand.viewer.layers)
        assert np.unique(preview(hand).data[0, :10]).tolist() == [0]
        assert np.unique(preview(hand).data[0, 10:]).tolist() == [1]
        assert preview(hand).translate.tolist() == [Z, 0, 0]
    use(hand, (20, 20))
    count = 30 * 48 * drawn
    assert hand.said == [(f"It is drawn. {count} pixels (Ctrl+Z undoes it).", False)]
    assert (hand.layer.data[Z] == 1).sum() == count
    assert not [layer for layer in hand.viewer.layers if layer.name == "repair preview" and layer.visible]


def shows(hand):
    return "repair preview" in hand.viewer.layers and preview(hand).visible


def test_the_preview_is_one_layer_that_is_hidden_and_used_again_above_the_others(hand, qtbot):
    kept = None
    for name in ("first", "second"):
        hand.controller.activate(hand.tool(1), hand.layer)
        hover(hand, 9, 9)
        wait_for(qtbot, lambda: shows(hand))
        assert kept in (None, preview(hand))
        assert hand.viewer.layers[-1] == preview(hand)
        kept = preview(hand)
        hand.controller.deactivate()
        assert not kept.visible
        add_labels(hand.viewer, LABELS.copy(), name)
    hand.viewer.layers.remove(kept)
    hand.controller.activate(hand.tool(1), hand.layer)
    hover(hand, 9, 9)
    wait_for(qtbot, lambda: shows(hand))


@pytest.mark.parametrize("change", ["slice", "rolled"])
def test_the_first_point_is_forgotten_in_another_view(hand, qtbot, change):
    hand.controller.activate(hand.tool(2), hand.layer)
    use(hand, (5, 6))
    hover(hand, 9, 9)
    wait_for(qtbot, lambda: shows(hand))
    if change == "slice":
        hand.viewer.dims.set_point(0, Z + 1)
    else:
        hand.viewer.dims.order = (1, 0, 2)
    assert not shows(hand)
    assert hand.said[-1] == ("how it is used", False)
    hand.asked.clear()
    hand.viewer.dims.order = (0, 1, 2)
    hand.viewer.dims.set_point(0, Z)
    use(hand, (20, 21))
    assert hand.asked == []
    assert hand.said[-1][0].startswith("Now click the other one")


def test_what_a_tool_did_is_undone_under_its_name(hand):
    hand.controller.activate(hand.tool(1), hand.layer)
    use(hand, (5, 6))
    history_of(hand.layer).undo()
    assert history_of(hand.layer).sentence == f"Undone: tool of 1, slice {Z}."


def test_of_a_whole_slice_the_image_is_seen_through_its_preview(hand, qtbot):
    def draw(layer, z):
        return np.ones(layer.data.shape[1:], np.uint8), ""

    seen = {}
    for tool in (hand.tool(1), WholeSliceTool("whole", "", "", draw)):
        hand.controller.activate(tool, hand.layer)
        hover(hand, 9, 9)
        whole = isinstance(tool, WholeSliceTool)
        wait_for(qtbot, lambda whole=whole: shows(hand) and (preview(hand).data.shape[1] == 40) == whole)
        colours = preview(hand).colormap.color_dict
        seen[tool.name] = [float(colours[label][3]) for label in (0, 1, 2)]
    (_, boundary, interior), whole = seen["tool of 1"], seen["whole"]
    assert seen["tool of 1"][0] == whole[0] == 0
    assert boundary > interior > 0.8
    assert boundary > whole[1] > 0.5 > whole[2] > 0


def test_a_probability_on_disk_is_0_to_1_for_a_tool(hand):
    seen = []

    def change(scene, points):
        seen.append(scene)
        return Edit(np.array([1]), np.array([1]), np.array([1], np.uint8))

    for stack in (np.full(LABELS.shape, 51, np.uint8), np.full(LABELS.shape, 0.2, np.float32)):
        controller = RepairController(hand.viewer, lambda stack=stack: stack, lambda z: IMAGE[z], hand.owner)
        controller.activate(Tool("any", "", "", 1, change), hand.layer)
        use(hand, (5, 6))
        controller.deactivate()
    for scene in seen:
        np.testing.assert_allclose(scene.probability, 0.2, rtol=1e-6)
        np.testing.assert_array_equal(scene.image(), IMAGE[Z])
