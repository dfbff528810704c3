"""Slices that are drawn from their neighbours: from which, where, and what is said of it."""

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.core.jobs import UserError
from emseg_napari.widgets.correct.whole_slice_tools import Interpolation, free_in, redraw, redraws
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of
from helpers.window import striped

IMAGE = np.repeat(striped((1, 32, 48))[0], 3, axis=0)


def layer_of(labels, confirmed=()):
    return add_labels(ViewerModel(), labels, "mine", confirmed=confirmed)


def walls(*columns, dtype=np.uint8):
    """A stack with one wall of a column each, of which None is an empty slice."""
    labels = np.full((len(columns), 32, 48), 2, dtype)
    for z, x in enumerate(columns):
        labels[z] = 0 if x is None else labels[z]
        if x is not None:
            labels[z, :, x] = 1
    return labels


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_a_slice_is_redrawn_only_where_nothing_is_the_users_and_undone_at_once(dtype):
    labels = np.array([[[1, 2, 3, 4, 0, 0]], [[0, 0, 0, 0, 0, 0]]], dtype)
    layer = layer_of(labels.copy())
    assert free_in(labels[0]).tolist() == [[False, False, True, True, True, True]]
    assert redraw(layer, 0, np.array([[2, 1, 2, 0, 1, 2]], np.uint8)) == 3
    assert layer.data.tolist() == [[[1, 2, 2, 4, 1, 2]], [[0] * 6]]
    history_of(layer).undo()
    np.testing.assert_array_equal(layer.data, labels)


def test_between_confirmed_slices_a_wall_goes_as_far_as_the_slice_lies():
    layer, draw = layer_of(walls(8, None, None, None, 24), {0, 4}), Interpolation()
    for z, x in ((1, 12), (2, 16), (3, 20)):
        drawn, sentence = draw(layer, z)
        assert abs(np.nonzero(drawn == 1)[1].mean() - x) < 1.5
        assert sentence == f"Slice {z} is drawn between slices 0 and 4, where it had no labels of yours."


def test_it_is_drawn_between_the_nearest_confirmed_slices():
    layer = layer_of(walls(40, 8, None, 8, 40), {0, 1, 3, 4})
    drawn, sentence = Interpolation()(layer, 2)
    assert "between slices 1 and 3" in sentence
    assert abs(np.nonzero(drawn == 1)[1].mean() - 8) < 1


@pytest.mark.parametrize(("confirmed", "z"), [({0}, 2), ({4}, 2), ({2, 4}, 1), ({0, 2}, 3), (set(), 2)])
def test_without_a_confirmed_slice_on_both_sides_nothing_is_drawn(confirmed, z):
    with pytest.raises(UserError, match=f"Confirm a slice before and one after slice {z} first"):
        Interpolation()(layer_of(walls(8, 8, 8, 8, 8), confirmed), z)


def test_what_was_drawn_is_remembered_until_an_end_or_the_slice_is_another():
    layer, draw = layer_of(walls(8, None, None, None, 24), {0, 4}), Interpolation()
    first = draw(layer, 1)[0]
    assert draw(layer, 1)[0] is first
    assert (draw(layer, 2)[0] != first).any()
    layer.data[4] = walls(40)[0]
    assert (draw(layer, 1)[0] != first).any()


def copies(labels, confirmed=(), image=IMAGE):
    before, after, _ = redraws(SimpleNamespace(image_plane=lambda z: image[z]))
    return before, after, layer_of(labels, confirmed)


def test_the_tools_have_keys_and_say_where_they_copy_from():
    tools = redraws(SimpleNamespace())
    assert [(tool.name, tool.key, tool.points) for tool in tools] == [
        ("Copy before", "Q", 1),
        ("Copy after", "W", 1),
        ("Interpolate", "U", 1),
    ]
    assert tools[0].about.endswith("From the slice before.")
    assert tools[1].about.endswith("From the slice after.")


def test_a_copy_is_of_the_slice_on_that_side():
    before, after, layer = copies(walls(8, None, 30))
    for tool, z, x in ((before, 0, 8), (after, 2, 30)):
        drawn, sentence = tool.draw(layer, 1)
        assert set(np.nonzero(drawn == 1)[1]) == {x}
        assert sentence == f"Copied the labels of slice {z} to where slice 1 had no labels of yours."


def test_of_an_unconfirmed_slice_only_the_users_labels_are_copied():
    before, _, layer = copies(walls(8, None))
    layer.data[0, :, 20:] = 4
    assert not before.draw(layer, 1)[0][:, 24:].any()
    confirmed_in(layer).add(0)
    assert (before.draw(layer, 1)[0][:, 24:40] == 2).all()


def test_where_nothing_can_be_copied_it_is_said_why():
    before, after, layer = copies(np.full((3, 32, 48), 4, np.uint8), {1})
    for tool, z, sentence in (
        (before, 0, "Slice 0 has no neighbour on that side."),
        (after, 2, "Slice 2 has no neighbour on that side."),
        (before, 1, "Slice 1 is confirmed"),
    ):
        with pytest.raises(UserError, match=sentence):
            tool.draw(layer, z)
    confirmed_in(layer).clear()
    with pytest.raises(UserError, match="Slice 2 has no labels of yours to copy; confirm it first"):
        after.draw(layer, 1)
