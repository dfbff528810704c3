"""The places of one layer: which are left, in which order they come, and when they are outdated."""

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from emseg_napari.annotation.session.store import Origin
from emseg_napari.annotation.suggest import Place
from emseg_napari.widgets.correct.place_queue import MOST, PlaceQueue
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in
from emseg_napari.widgets.layers.layer_info import exchange_origin


def place(z, x, gain=0.1):
    return Place(z, 5, x, "membrane", gain, 6.0, 0.5, (np.array([5]), np.array([x])))


@pytest.fixture
def queue():
    """Three places in slice 1 and one in each of the slices 3 and 5."""
    queue = PlaceQueue(add_labels(ViewerModel(), np.full((7, 16, 64), 4, np.uint8), "mine"), None)
    queue.add(1, [place(1, 10, 0.3), place(1, 20, 0.2), place(1, 30, 0.1)])
    for z in (3, 5):
        queue.add(z, [place(z, 10)])
    return queue


def at(queue):
    return queue.place.z, queue.place.x


def test_the_places_of_the_slice_in_view_come_first_and_then_those_of_the_next_slices(queue):
    way = []
    for z in (1, 1, 1):
        assert queue.move(1, z)
        way.append(at(queue))
    assert not queue.move(1, 1)
    assert way == [(1, 10), (1, 20), (1, 30)]
    assert queue.next_slice(1) == 3
    assert queue.move(1, 3)
    assert queue.next_slice(3) == 5
    assert queue.move(1, 5)
    assert queue.next_slice(5) is None


def test_after_the_last_slice_comes_the_first(queue):
    assert [queue.next_slice(z) for z in (5, 6, 0, 4)] == [1, 1, 1, 5]


def test_back_goes_through_all_slices_and_forth_again_through_that_in_view(queue):
    for z in (1, 3):
        queue.move(1, z)
    assert queue.move(-1, 3)
    assert at(queue) == (1, 10)
    assert not queue.has_previous
    assert not queue.move(-1, 1)
    assert queue.move(1, 5)  # another slice came into view
    assert at(queue) == (5, 10)
    assert queue.move(1, 5)  # which was looked at before
    assert at(queue) == (3, 10)


def test_of_a_slice_the_best_are_asked_about_and_all_count_for_its_error(queue):
    queue.add(2, [place(2, x, 0.001) for x in range(30)])
    assert len(queue.waiting(2)) == MOST
    assert queue.rank(queue.waiting(2)[2]) == (3, MOST)
    assert queue.errors[2] == pytest.approx(1 - np.exp(-0.03))


def test_a_place_that_another_search_finds_again_is_not_asked_about_again(queue):
    queue.move(1, 1)
    queue.settle(place(1, 20))
    queue.add(1, [place(1, 20, 0.5), place(1, 10, 0.4), place(1, 40, 0.01)])
    assert [one.x for one in queue.waiting(1)] == [40]
    assert queue.rank(queue.place) == (2, 3)
    queue.drop(1)
    assert queue.rank(queue.place) == (0, 0)


def test_a_confirmed_slice_has_no_places_left_until_it_is_unconfirmed(queue):
    confirmed_in(queue.layer).update({1, 3})
    assert queue.waiting(1) == []
    assert queue.next_slice(1) == 5
    assert queue.slice_to_label() == 5
    confirmed_in(queue.layer).clear()
    assert len(queue.waiting(1)) == 3


def test_places_are_dropped_where_labels_were_predicted_anew_and_only_there(queue):
    first, second = Origin(Path("first")), Origin(Path("second"))
    for z in (1, 3):
        exchange_origin(queue.layer, z, first)
        queue.add(z, [place(z, 10)], first)
    assert not queue.drop_outdated()
    exchange_origin(queue.layer, 1, second)
    assert queue.drop_outdated()
    assert [queue.is_searched(z) for z in (1, 3, 5)] == [False, True, True]
    assert sorted(queue.errors) == [3, 5]


def test_a_slice_that_cannot_be_read_is_not_searched_again_until_it_was(queue):
    queue.left_out.add(2)
    assert queue.is_searched(2)
    queue.add(2, [])
    assert queue.left_out == set()
