"""The way from place to place: view, ring and zoom, waiting for a search, and which places are kept."""

from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest

from emseg_napari.annotation.session.store import Origin
from emseg_napari.annotation.suggest.search_stack import SliceSearched
from emseg_napari.core.jobs import Failed
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of
from emseg_napari.widgets.layers.layer_info import exchange_origin, info_of
from helpers.places import end, place, search
from helpers.window import striped


def test_a_ring_as_large_as_the_place_moves_from_place_to_place_and_is_hidden_and_used_again(alone):
    layers = alone.step.viewer.layers
    search(alone, place(4, 25, 17, 0.3), replace(place(4, 40, 33, 0.2), radius_px=100.0), place(4, 9, 9, 0.1))
    alone.next.click()
    ring = layers["place to look at"]
    assert (ring.size[0], ring.face_color[0, 3], info_of(ring).is_aid) == (12, 0, True)
    assert layers.selection.active == alone.step.workspace.labels
    alone.next.click()
    assert layers["place to look at"] == ring
    assert ring.size[0] == 200
    alone.step.closing.emit()
    assert not ring.visible
    alone.next.click()
    assert ring.visible
    layers.remove(ring)
    alone.back.click()
    assert layers["place to look at"].data[0].tolist() == [4, 40, 33]


def test_dots_along_its_boundary_show_which_membrane_is_meant(alone):
    line = np.arange(20, 30), np.full(10, 17)
    search(alone, replace(place(4, 25, 17, 0.3), pixels=line), place(4, 40, 33, 0.2))
    alone.next.click()
    ring = alone.step.viewer.layers["place to look at"]
    assert ring.data.tolist() == [[4, 25, 17], *([4, y, 17] for y in (20, 24, 28))]
    assert (ring.size[1:] < 2).all()
    assert (ring.face_color[1:] == 1).all()
    alone.next.click()
    assert (len(ring.data), ring.size[0], ring.face_color[0, 3]) == (2, 12, 0)


def test_the_zoom_stays_where_a_place_is_well_seen(alone):
    camera, seen = alone.step.viewer.scene.camera, []
    search(alone, *(place(4, 25, x, 0.1) for x in range(4)), replace(place(4, 25, 40, 0.01), radius_px=100.0))
    for zoom in (1.0, 3.5, 12.0, 60.0, 3.0):
        camera.zoom = zoom
        alone.next.click()
        seen.append(camera.zoom)
    assert seen == [5, 3.5, 12, 5, 3]


def test_the_slice_to_label_has_the_largest_error_of_those_that_are_not_confirmed(alone):
    layer = alone.step.workspace.labels
    search(alone, place(3, 25, 17, 0.3), place(1, 40, 33, 0.2))
    for z in (3, 1):
        alone.next_slice.click()
        assert alone.step.viewer.dims.point[0] == z
        assert alone.step.status.text() == (
            f"The network would learn most from slice {z}: "
            f"estimated error {alone.errors[z]:.3f} (1 - V_rand)."
        )
        confirmed_in(layer).add(z)
    alone.next_slice.click()
    assert alone.step.status.text() == (
        "Every slice that was searched is confirmed; press 'All slices' to search all."
    )


# -- waiting for a search -----------------------------------------------------------------------


def test_n_searches_the_slice_in_view_waits_for_it_and_then_goes_there(running):
    running.next.click()
    (job,) = running.jobs
    assert job["confirmed"] == {0, 1, 2, 3, 5}
    assert job["image"].stored_slices == [4]
    assert job["labels"].stored_slices == [3, 4, 5]
    assert running.step.status.text() == running.about.text() == "Searching slice 4..."
    assert not running.line.isHidden()
    running.next.click()
    assert len(running.jobs) == 1  # of an impatient user
    running.job.event.emit(SliceSearched(4, [place(4, 25, 17, 0.3)]))
    assert running.place.z == 4
    assert running.step.status.text() == ""
    end(running)
    assert running.line.isHidden()


def test_a_slice_without_places_is_said_to_have_none_after_the_wait(running):
    running.next.click()
    running.job.event.emit(SliceSearched(4, []))
    end(running)
    assert running.step.status.text().startswith("No place is left in slice 4; ")
    assert running.about.text() == "No place is left in this slice."


def test_whoever_goes_to_another_slice_waits_no_longer(running):
    running.next.click()
    running.step.viewer.dims.set_point(0, 2)
    running.follow(may_search=False)
    running.job.event.emit(SliceSearched(4, [place(4, 25, 17, 0.3)]))
    assert running.place is None
    assert running.step.status.text() == ""


@pytest.mark.parametrize("leave", ["hide", "closing.emit"])
def test_a_search_that_ends_after_the_page_was_left_does_not_move_the_view(running, leave):
    running.next.click()
    attrgetter(leave)(running.step)()
    running.job.event.emit(SliceSearched(4, [place(4, 25, 17, 0.3)]))
    assert running.place is None
    assert "place to look at" not in running.step.viewer.layers
    assert running.step.status.text() == ""
    assert sorted(running.errors) == [4]


def test_what_was_said_during_the_wait_stays(running):
    running.next.click()
    running.step.say("Slice 3 is confirmed.")
    running.cancel.click()
    assert running.step.status.text() == "Slice 3 is confirmed."


def test_a_search_of_one_slice_gives_way_and_one_of_all_slices_does_not(running):
    running.next.click()
    running.step.viewer.dims.set_point(0, 2)
    running.next.click()
    assert running.cancelled == [1]
    running.job.event.emit(Failed("Cancelled.", cancelled=True))
    end(running)
    assert running.jobs[0]["first"] == 2
    running.search.click()
    assert running.cancelled == [1, 1]
    end(running)
    assert running.jobs[0]["confirmed"] == set()
    running.next.click()
    assert running.cancelled == [1, 1]
    assert running.step.status.text() == "Searching slice 2..."
    running.job.event.emit(SliceSearched(2, [place(2, 25, 17, 0.3)]))
    assert running.place.z == 2
    assert len(running.jobs) == 1


def test_cancel_ends_search_and_wait(running):
    running.next.click()
    running.cancel.click()
    assert running.cancelled == [1]
    assert running.step.status.text() == ""
    running.job.event.emit(SliceSearched(4, [place(4, 25, 17, 0.3)]))
    end(running)
    assert running.place is None
    assert running.jobs == []


def test_while_other_slices_are_searched_it_is_not_said_that_no_place_is_left_anywhere(running):
    running.search.click()
    running.job.event.emit(SliceSearched(4, []))
    running.next.click()
    assert running.step.status.text() == "No place is left in slice 4; other slices are being searched."
    for z in (3, 5, 2, 1, 0):
        running.job.event.emit(SliceSearched(z, []))
    end(running)
    running.next.click()
    assert running.step.status.text().startswith("No place is left in any slice; train on what")


def test_a_slice_without_labels_is_not_searched_and_it_is_said_why(alone):
    alone.step.workspace.labels.data[4] = 0
    alone.next.click()
    assert alone.step.status.text() == "Slice 4 has no labels yet; propose it first."
    assert alone.jobs == []


# -- when places are kept, and when not ---------------------------------------------------------


def test_places_are_kept_per_slice_and_dropped_where_it_is_predicted_anew(alone):
    layer = alone.step.workspace.labels
    search(alone, place(4, 25, 17, 0.3), place(1, 40, 33, 0.2))
    alone.step.viewer.dims.set_point(0, 1)
    alone.next.click()
    assert alone.place.z == 1
    exchange_origin(layer, 4, Origin(Path("another run")))
    alone.step.viewer.dims.set_point(0, 4)
    alone.follow(may_search=True)
    assert sorted(alone.errors) == [1]
    assert alone.about.text() == ""


def test_live_learning_drops_the_places_of_its_slice_but_for_one_that_the_user_looks_at(alone):
    search(alone, place(4, 25, 17, 0.3), place(1, 40, 33, 0.2))
    alone.next.click()
    for z in (4, 1):
        alone.step.live.proposed.emit(alone.step.workspace.labels, z)
    assert sorted(alone.errors) == [4]


def test_live_learning_on_a_layer_that_is_not_chosen_drops_the_places_of_that_layer(alone):
    viewer, first = alone.step.viewer, alone.step.workspace.labels
    second = add_labels(viewer, striped()[1] + 2, "other")
    search(alone, place(1, 40, 33, 0.2))
    alone.step.workspace.choose("labels", second)
    search(alone, place(1, 25, 17, 0.3))
    alone.step.live.proposed.emit(first, 1)
    assert sorted(alone.errors) == [1]
    alone.step.workspace.choose("labels", first)
    assert alone.errors == {}


def test_each_layer_has_places_of_its_own(alone):
    viewer, first = alone.step.viewer, alone.step.workspace.labels
    search(alone, place(4, 25, 17, 0.3))
    alone.next.click()
    ring = viewer.layers["place to look at"]
    second = add_labels(viewer, striped()[1] + 2, "other")
    alone.step.workspace.choose("labels", second)
    assert (alone.place, alone.errors, ring.visible) == (None, {}, False)
    alone.accept.click()
    alone.job.event.emit(SliceSearched(1, [place(1, 40, 33, 0.2)]))  # of the first, whose search goes on
    assert alone.errors == {}
    alone.step.workspace.choose("labels", first)
    assert alone.place.z == 4
    assert sorted(alone.errors) == [1, 4]
    assert alone.step.strip.sentence(4).endswith("estimated error 0.259")
    viewer.layers.remove(first)
    assert alone.place is None


def test_accepting_shows_labels_that_are_hidden(alone):
    layer = alone.step.workspace.labels
    search(alone, place(4, 25, 17, 0.3))
    alone.next.click()
    layer.visible = False
    alone.accept.click()
    assert layer.visible


def test_going_to_a_place_shows_labels_that_are_hidden_and_hides_what_covered_them(alone):
    layer = alone.step.workspace.labels
    search(alone, place(4, 25, 17, 0.3))
    above = add_labels(alone.step.viewer, striped()[1], "above")
    assert not layer.visible
    alone.next.click()
    assert (layer.visible, above.visible) == (True, False)


def test_the_ring_and_its_question_go_when_the_slice_is_confirmed(alone):
    search(alone, place(4, 25, 17, 0.3), place(1, 40, 33, 0.2))
    alone.next.click()
    ring = alone.step.viewer.layers["place to look at"]
    history_of(alone.step.workspace.labels).changed.emit({4})  # a stroke
    assert ring.visible
    alone.step.confirm.click()
    alone.follow(may_search=False)
    assert not ring.visible
    assert alone.about.text() == "No place is left in this slice."
    assert [button.isEnabled() for button in (alone.accept, alone.skip)] == [False, False]
    alone.step.confirm.click()
    alone.follow(may_search=False)
    assert alone.accept.isEnabled()
    alone.step.confirm.click()
    alone.next.click()
    assert alone.place.z == 1
    assert ring.visible


@pytest.mark.parametrize("answer", ["accept", "skip"])
def test_ring_and_question_go_with_the_answer_to_the_last_place(alone, answer):
    search(alone, place(4, 25, 17, 0.3), place(4, 40, 33, 0.2))
    alone.next.click()
    getattr(alone, answer).click()
    assert (alone.place.y, alone.place.x) == (40, 33)
    getattr(alone, answer).click()
    ring = alone.step.viewer.layers["place to look at"]
    assert (alone.place, ring.visible, alone.accept.isEnabled()) == (None, False, False)
    assert alone.about.text() == "No place is left in this slice."
    alone.back.click()
    assert ((alone.place.y, alone.place.x), ring.visible) == ((40, 33), True)


def test_a_place_out_of_view_is_not_accepted(alone):
    search(alone, place(4, 25, 17, 0.3))
    before = alone.step.workspace.labels.data.copy()
    alone.next.click()
    alone.step.viewer.dims.order = (1, 0, 2)
    alone.accept.click()
    assert "slice view" in alone.step.status.text()
    alone.step.viewer.dims.order = (0, 1, 2)
    alone.step.viewer.dims.set_point(0, 3)
    alone.accept.click()
    assert alone.step.status.text() == "Go to a place first (N)."
    np.testing.assert_array_equal(alone.step.workspace.labels.data, before)


def test_a_place_is_marked_while_its_question_is_seen(alone):
    search(alone, place(4, 25, 17, 0.3))
    alone.step.show()
    alone.next.click()
    ring = alone.step.viewer.layers["place to look at"]
    for leave in (alone.step.hide, alone.step.closing.emit):  # another page, and a dock that is closed
        leave()
        alone.step.hide()
        assert not ring.visible
        history_of(alone.step.workspace.labels).changed.emit({1})  # as live learning does
        assert not ring.visible
        alone.step.show()
        assert ring.visible


# -- several images -----------------------------------------------------------------------------


@pytest.fixture
def shared(alone):
    """The labels are chosen beside an image of another place, too; the first one is chosen."""
    workspace = alone.step.workspace
    first, mine = workspace.image, workspace.labels
    second = alone.step.viewer.add_image(first.data[::-1], name="second")
    workspace.choose("image", second)
    workspace.choose("labels", mine)
    workspace.choose("image", first)
    return alone, first, second


def test_places_of_another_image_are_not_those_of_the_first_though_the_labels_are(shared):
    panel, first, second = shared
    search(panel, place(4, 25, 17, 0.3))
    end(panel)
    for chosen, other in ((second, place(4, 9, 9, 0.4)), (first, None), (second, None)):
        panel.step.workspace.choose("image", chosen)
        if other is not None:
            assert panel.errors == {}
            search(panel, other)
            end(panel)
        panel.next.click()
        expected = (25, 17) if chosen == first else (9, 9)
        assert (panel.place.y, panel.place.x) == expected


def test_a_search_that_waits_for_another_looks_at_the_image_that_it_was_asked_for(shared, monkeypatch):
    panel, first, second = shared
    with monkeypatch.context() as patch:
        patch.setattr(type(panel.job), "running", property(lambda self: True))
        patch.setattr(panel.job, "cancel", lambda: None)
        panel.search.click()
    panel.step.workspace.choose("image", second)
    panel.job.ended.emit()
    assert np.array_equal(panel.jobs[-1]["image"], first.data)


def test_a_slice_that_was_proposed_anew_by_the_same_network_is_searched_anew(alone):
    layer, queue = alone.step.workspace.labels, alone.queue
    exchange_origin(layer, 4, Origin(Path("run")))
    search(alone, place(4, 25, 17, 0.3))
    alone.next.click()
    exchange_origin(layer, 4, Origin(Path("run")))  # equal, but its pixels may come from another image
    alone.follow(may_search=False)
    assert not queue.is_searched(4)


@pytest.mark.parametrize(("far", "asked"), [(0, False), (12, True)])
def test_a_repair_in_the_place_of_a_question_answers_it_and_the_view_stays(alone, far, asked):
    search(alone, place(4, 25, 17, 0.3), place(4, 40, 33, 0.2))
    alone.next.click()
    view = alone.step.viewer.scene.camera.center
    alone.step.repairs.repair.repaired.emit(4, np.array([25 + far]), np.array([17]))
    assert (alone.place is not None, alone.accept.isEnabled()) == (asked, asked)
    assert ("Is the dotted" in alone.about.text()) == asked
    assert alone.step.viewer.layers["place to look at"].visible == asked
    assert alone.step.viewer.scene.camera.center == view
