"""What the steps share: which layers can be chosen, which are by themselves, and who hears of it."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.components.overlays import BrushCircleOverlay

from emseg_napari.widgets.base.workspace import LayerChoice, Workspace
from emseg_napari.widgets.layers.labels_layer import (
    add_empty_labels,
    add_labels,
    confirmed_in,
    history_of,
    set_pixels,
)
from emseg_napari.widgets.layers.layer_info import LayerInfo, update_info

SHAPE = (2, 8, 8)


@pytest.fixture
def workspace(qapp):
    return Workspace(ViewerModel())


def image(workspace, name="cells", **known):
    return workspace.viewer.add_image(np.zeros(SHAPE), name=name, metadata=LayerInfo(**known).as_metadata())


def labels(workspace, name="mine"):
    return add_labels(workspace.viewer, np.zeros(SHAPE, np.uint8), name)


def heard(signal):
    found = []
    signal.connect(lambda *given: found.append(given))
    return found


def test_aids_are_no_candidates_and_labels_are_no_images(workspace):
    aid, cells, mine = image(workspace, "aid", is_aid=True), image(workspace), labels(workspace)
    workspace.viewer.add_labels(np.zeros(SHAPE, int), metadata=LayerInfo(is_aid=True).as_metadata())
    assert workspace.candidates("image") == [cells]
    assert workspace.candidates("labels") == [mine]
    assert aid not in workspace.candidates("image")
    assert (workspace.image, workspace.labels) == (cells, mine)


def test_what_the_plugin_manages_is_chosen_before_what_it_does_not(workspace):
    foreign = workspace.viewer.add_labels(np.zeros(SHAPE, int), name="foreign")
    mine = labels(workspace)
    assert workspace.labels == foreign  # which was there first
    workspace.choose("labels", None)
    workspace.follow()
    assert workspace.labels == mine
    assert workspace.managed_labels == [mine]
    workspace.viewer.layers.remove(mine)
    assert workspace.labels == foreign
    assert workspace.managed_labels == []


def test_cells_are_chosen_only_by_the_user(workspace, qtbot):
    cells = workspace.viewer.add_labels(
        np.zeros(SHAPE, int), name="cells", metadata=LayerInfo(is_cells=True).as_metadata()
    )
    workspace.follow()
    assert workspace.labels is None
    assert workspace.candidates("labels") == [cells]
    choice = LayerChoice(workspace, "labels")
    qtbot.addWidget(choice)
    assert (choice.currentIndex(), choice.itemText(0)) == (-1, "cells")  # offered, and not shown as chosen
    workspace.choose("labels", cells)
    image(workspace)
    assert workspace.labels == cells


def test_napari_leaves_no_box_of_the_brush_on_the_canvas(workspace):
    brush = next(
        one for one in workspace.viewer.canvas.overlays.values() if isinstance(one, BrushCircleOverlay)
    )
    assert not brush.box


def test_a_choice_is_told_once(workspace):
    first, second = image(workspace, "first"), image(workspace, "second")
    told = heard(workspace.changed)
    for layer in (first, second, second):
        workspace.choose("image", layer)
    assert len(told) == 1
    for folder in ("a", "a", None):
        workspace.choose_run(folder)
    assert len(told) == 3
    for scale in (2.0, 2.0, None):
        workspace.choose_scale(scale)
    assert len(told) == 5


def test_edits_and_undo_of_managed_layers_are_told_while_they_are_there(workspace):
    mine = labels(workspace)
    edited, replayed = heard(workspace.edited), heard(workspace.replayed)
    set_pixels(mine, 1, np.array([2]), np.array([3]), 1)
    assert edited[-1] == (mine, {1})
    assert replayed == []
    history_of(mine).undo()
    assert replayed == [(mine, {1})]
    workspace.viewer.layers.remove(mine)
    edited.clear()
    history_of(mine).redo()
    assert (edited, len(replayed)) == ([], 1)
    assert confirmed_in(mine) == set()


def test_the_folder_of_a_run_is_named_by_image_kind_and_time(workspace, tmp_path):
    workspace.runs_folder = tmp_path
    for name, begin in (("a b/c.tif", "a-b-c-tif-live-"), ("***", "image-live-")):
        layer = image(workspace, name)
        workspace.choose("image", layer)
        folder = workspace.new_run_folder("live")
        assert folder.parent == tmp_path
        assert folder.name.startswith(begin)
        assert len(folder.name) == len(begin) + len("20260102-030405")


def test_rounds_of_another_session_are_added_by_their_time(workspace):
    told = heard(workspace.changed)
    first, second, third = (SimpleHashed(when) for when in (1, 2, 3))
    workspace.set_rounds([first, third])
    workspace.add_rounds([second, third])
    assert workspace.rounds == [first, second, third]
    assert len(told) == 2


class SimpleHashed(SimpleNamespace):
    """A round of which only the time counts."""

    def __init__(self, when):
        super().__init__(when=when)

    def __hash__(self):
        return self.when


@pytest.fixture
def other(workspace):
    """Image and labels of another stack beside those of the first."""
    first = image(workspace), labels(workspace)
    pixels = np.zeros((3, 16, 16), np.uint8)
    second = workspace.viewer.add_image(pixels, name="other"), add_labels(workspace.viewer, pixels, "theirs")
    return first, second


def chosen_by_user(workspace, qtbot, kind, name):
    chooser = LayerChoice(workspace, kind)
    qtbot.addWidget(chooser)
    chooser.activated.emit(chooser.findText(name))
    return workspace.image, workspace.labels


@pytest.fixture
def opened(workspace, tmp_path):
    """Opens an image of some shape as napari does, from a file."""

    def opened(shape, name="other"):
        np.save(tmp_path / f"{name}.npy", np.zeros(shape, np.uint8))
        (layer,) = workspace.viewer.open(tmp_path / f"{name}.npy", plugin="napari", layer_type="image")
        return layer

    return opened


def seen(*layers):
    return [layer.visible for layer in layers]


def test_an_image_of_another_stack_is_chosen_when_it_is_opened_and_hides_the_others(workspace, opened):
    first = image(workspace), labels(workspace)
    second = opened((3, 16, 16))
    assert (workspace.image, workspace.labels) == (second, None)
    assert seen(*first, second) == [False, False, True]
    theirs = add_labels(workspace.viewer, np.zeros((3, 16, 16), np.uint8), "theirs")
    assert workspace.labels == theirs


def test_no_image_is_chosen_that_is_opened_with_a_brush_in_hand_or_added_by_a_program(workspace, opened):
    first, mine = image(workspace), labels(workspace)
    workspace.viewer.add_image(np.zeros((3, 16, 16)), name="by a program")
    assert (workspace.image, workspace.labels) == (first, mine)
    mine.mode = "paint"
    opened((3, 20, 20))
    assert (workspace.image, workspace.labels, mine.mode) == (first, mine, "paint")


def test_an_image_of_the_same_width_and_height_is_not_chosen_when_it_is_opened(workspace, opened):
    first, mine = image(workspace), labels(workspace)
    part = opened((1, *SHAPE[1:]))
    assert (workspace.image, workspace.labels) == (first, mine)
    assert seen(first, part) == [True, True]


def test_labels_come_back_with_their_image(workspace, opened):
    first = image(workspace)
    mine = add_empty_labels(workspace.viewer, first)
    opened((3, 16, 16))
    workspace.choose("image", first)
    assert (workspace.labels, seen(first, mine)) == (mine, [True, True])


def test_labels_of_another_image_of_the_same_size_are_not_chosen_unasked(workspace):
    images = [image(workspace, name) for name in ("a", "b")]
    other = workspace.viewer.add_image(np.zeros((3, 16, 16)), name="other")
    mine = add_empty_labels(workspace.viewer, images[1])
    workspace.choose("image", other)
    workspace.choose("image", images[0])
    assert workspace.labels is None
    workspace.choose("image", other)
    workspace.choose("image", images[1])
    assert workspace.labels == mine
    workspace.choose("image", images[0])
    assert workspace.labels is None


@pytest.fixture
def stacks(workspace, tmp_path):
    """Two images of one size, of the files that are given, with labels over the first, which is chosen."""

    def stacks(*sources):
        first, second = (image(workspace, source, source=str(tmp_path / source)) for source in sources)
        workspace.choose("image", first)
        return first, add_empty_labels(workspace.viewer, first), second

    return stacks


def test_an_image_of_another_file_does_not_take_the_labels_of_another_unasked(workspace, stacks):
    first, mine, second = stacks("a.tif", "b.tif")
    workspace.choose("image", second)
    assert (workspace.image, workspace.labels) == (second, None)
    assert seen(first, mine, second) == [False, False, True]
    workspace.choose("image", first)
    assert (workspace.image, workspace.labels) == (first, mine)
    assert seen(first, mine, second) == [True, True, False]


def test_an_image_from_a_kind_of_address_that_is_not_read_here_takes_no_labels_of_another(workspace):
    first, second = (image(workspace, name, source=f"gcs://bucket/{name}") for name in ("a", "b"))
    workspace.choose("image", first)
    add_empty_labels(workspace.viewer, first)
    workspace.choose("image", second)
    assert (workspace.image, workspace.labels) == (second, None)


@pytest.mark.parametrize(
    "sources", [("a.tif", "a.tif"), ("a.h5/raw", "a.h5/stained"), ("a.zarr/0", "a.zarr/1")]
)
def test_channels_of_one_file_keep_the_chosen_labels(workspace, stacks, sources):
    first, mine, second = stacks(*sources)
    workspace.choose("image", second)
    assert (workspace.image, workspace.labels) == (second, mine)
    assert seen(first, mine, second) == [True, True, True]


def test_labels_that_the_user_chose_for_an_image_of_another_file_stay_and_are_seen(workspace, stacks, qtbot):
    first, mine, second = stacks("a.tif", "b.tif")
    layers = workspace.viewer.layers
    layers.move(layers.index(second), len(layers))  # as where it was opened last
    workspace.choose("image", second)
    for _ in range(2):
        assert chosen_by_user(workspace, qtbot, "labels", mine.name) == (second, mine)
        assert seen(mine, second) == [True, True]
        assert layers.index(mine) > layers.index(second)
    for one in (first, second):
        workspace.choose("image", one)
        assert workspace.labels == mine
    own = add_empty_labels(workspace.viewer, second)
    workspace.choose("image", first)
    workspace.choose("image", second)
    assert workspace.labels == own


def test_an_image_that_the_user_chooses_selects_its_labels_unless_a_tool_is_in_hand(workspace, twins, qtbot):
    selection = workspace.viewer.layers.selection
    (_, mine), (_, theirs) = twins
    chosen_by_user(workspace, qtbot, "image", "b")
    assert selection.active == theirs
    chosen_by_user(workspace, qtbot, "image", "a")
    assert selection.active == mine
    beside = workspace.viewer.add_shapes(name="beside")
    beside.mode = "add_rectangle"
    chosen_by_user(workspace, qtbot, "image", "b")
    assert (selection.active, beside.mode) == (beside, "add_rectangle")


def test_an_image_without_labels_is_selected_itself_when_the_user_chooses_it(workspace, stacks, qtbot):
    _, mine, second = stacks("a.tif", "b.tif")
    workspace.viewer.layers.selection.active = mine
    chosen_by_user(workspace, qtbot, "image", "b.tif")
    assert workspace.viewer.layers.selection.active == second


def test_after_the_chosen_image_was_removed_one_of_the_labels_or_another_stack_is_shown(workspace, other):
    (first, mine), (second, theirs) = other
    again = workspace.viewer.add_image(np.zeros((3, 16, 16)), name="a new version")
    workspace.choose("image", second)
    workspace.viewer.layers.remove(second)
    assert (workspace.image, workspace.labels) == (again, theirs)
    for layer in (again, theirs):
        workspace.viewer.layers.remove(layer)
    assert (workspace.image, workspace.labels) == (first, mine)
    assert seen(first, mine) == [True, True]


@pytest.mark.parametrize(("kind", "names"), [("image", ("cells", "other")), ("labels", ("mine", "theirs"))])
def test_image_and_labels_follow_each_other_to_another_stack(workspace, other, qtbot, kind, names):
    for name, here, there in zip(names[::-1], reversed(other), other, strict=True):
        assert chosen_by_user(workspace, qtbot, kind, name) == here
        assert [layer.visible for layer in (*here, *there)] == [True, True, False, False]


@pytest.fixture
def twins(workspace):
    """Two images of one size, each with labels that were made over it; the first is chosen."""
    images = [image(workspace, name) for name in ("a", "b")]
    for one in images:
        add_empty_labels(workspace.viewer, one).name = f"of {one.name}"
    of_images = [workspace.viewer.layers[f"of {one.name}"] for one in images]
    workspace.choose("image", images[0])
    workspace.choose("labels", of_images[0])
    return list(zip(images, of_images, strict=True))


@pytest.mark.parametrize(("kind", "names"), [("image", ("a", "b")), ("labels", ("of a", "of b"))])
def test_image_and_labels_follow_each_other_to_a_stack_of_the_same_size(workspace, twins, qtbot, kind, names):
    for name, here, there in zip(names[::-1], reversed(twins), twins, strict=True):
        assert chosen_by_user(workspace, qtbot, kind, name) == here
        assert seen(*here, *there) == [True, True, False, False]


def test_after_an_image_was_removed_its_labels_are_not_those_of_another_that_has_its_own(workspace, twins):
    first, second = twins
    workspace.viewer.layers.remove(first[0])
    assert (workspace.image, workspace.labels) == second
    workspace.choose("labels", first[1])  # which the user may still want
    assert (workspace.image, workspace.labels) == (second[0], first[1])


def test_an_image_whose_only_labels_are_proposals_in_a_layer_of_their_own_keeps_the_chosen_ones(workspace):
    images = [image(workspace, name, source="a.tif") for name in ("a", "b")]
    mine = add_empty_labels(workspace.viewer, images[0])
    update_info(add_empty_labels(workspace.viewer, images[1]), proposal_of=images[1].unique_id)
    workspace.choose("labels", mine)
    workspace.choose("image", images[1])
    assert (workspace.image, workspace.labels) == (images[1], mine)


def test_an_image_without_labels_of_its_size_has_none_chosen(workspace, other, qtbot):
    chosen_by_user(workspace, qtbot, "image", "cells")
    workspace.viewer.layers.remove("theirs")
    assert chosen_by_user(workspace, qtbot, "image", "other") == (other[1][0], None)
    workspace.follow()
    assert workspace.labels is None


def test_a_probability_that_was_predicted_is_no_image_to_work_on(workspace):
    cells = image(workspace)
    found = image(workspace, "probability", proposal_of=cells.unique_id)
    assert (workspace.candidates("image"), workspace.images) == ([cells], [cells, found])
    workspace.viewer.layers.remove(cells)
    assert workspace.image is None


def test_a_chooser_shows_the_layers_and_the_chosen_one(workspace, qtbot):
    choice = LayerChoice(workspace, "labels")
    qtbot.addWidget(choice)

    def shown():
        return [choice.itemText(n) for n in range(choice.count())], choice.currentText(), choice.isEnabled()

    assert shown() == (["no labels layer"], "no labels layer", False)
    choice.activated.emit(0)
    assert workspace.labels is None
    labels(workspace, "first")
    second = labels(workspace, "second")
    assert shown() == (["first", "second"], "first", True)
    choice.activated.emit(1)
    assert workspace.labels == second
    assert shown()[1] == "second"
    assert choice.toolTip() == "The labels layer that all pages work on."
    second.name = "renamed"
    choice.showPopup()
    choice.hidePopup()
    assert shown()[0] == ["first", "renamed"]
