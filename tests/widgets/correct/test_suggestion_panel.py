"""The queue of places, with a real search in the engine, and live learning, from the window."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from emseg_napari.annotation.session.slicefiles import read_slices
from emseg_napari.annotation.suggest import places_of_slice, ranked
from emseg_napari.annotation.suggest.search_stack import SliceSearched
from emseg_napari.core.jobs import Failed, Finished, PreviewReady, SliceLeftOut
from emseg_napari.inference import load_predictor
from emseg_napari.models.run import open_run
from emseg_napari.settings import PredictionSettings
from emseg_napari.training.live.idle import WAITING
from emseg_napari.widgets.correct.place_queue import MOST
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of
from helpers.places import end, place, search
from helpers.tiny_runs import tiny_network_run
from helpers.window import canvas_of, drag, middle, noting, striped, wait_for


@pytest.fixture
def desk(dock):
    """The dock with a grid of cells as proposals, step Correct in front."""
    image, labels = striped()
    layer = dock.workspace.viewer.add_image(image, name="cells", scale=(10, 2, 2))
    add_labels(dock.workspace.viewer, labels + 2, "proposal", layer)
    dock.show_step(dock.correct)
    return dock


@pytest.fixture
def found(desk, monkeypatch):
    """The same in slice 3, with two places that a search found there and one in slice 1."""
    desk.workspace.viewer.dims.set_point(0, 30)
    monkeypatch.setattr(desk.correct.places.job, "start", noting([]))
    desk.correct.places.search.click()
    best, middling, least = place(3, 25, 17, 0.3), place(1, 40, 33, 0.2), place(3, 20, 33, 0.1)
    for z, places in ((1, [middling]), (3, [best, least])):
        desk.correct.places.job.event.emit(SliceSearched(z, places))
    return desk, [best, middling, least]


def wait_until_seen(dock, qtbot):
    """Wait until the place could be seen."""
    wait_for(qtbot, lambda: not dock.correct.places.walk._frame.is_awaited)


def in_view(dock):
    """Slice, row and column in the middle of the canvas."""
    viewer, layer = dock.workspace.viewer, dock.workspace.labels
    return tuple(np.round(layer.world_to_data((viewer.dims.point[0], *viewer.scene.camera.center[-2:]))))


def test_n_stays_in_the_slice_until_its_places_are_done_then_goes_on_and_says_so(found, qtbot):
    dock, (best, middling, least) = found
    canvas, said = canvas_of(dock), []
    for there in (best, least, middling):
        qtbot.keyClick(canvas, "n")
        said.append(dock.correct.status.text())
        assert in_view(dock) == (there.z, there.y, there.x)
        ring = dock.workspace.viewer.layers["place to look at"]
        assert tuple(ring.data[0]) == (there.z, there.y, there.x)
        assert tuple(ring.scale) == (10, 2, 2)
    assert said == ["", "", "No place is left in slice 3; this is slice 1."]
    qtbot.keyClick(canvas, "n")
    assert dock.correct.status.text() == "No place is left in slice 1; confirm it (C), or press 'All slices'."
    dock.correct.places.back.click()
    assert in_view(dock) == (least.z, least.y, least.x)
    assert dock.workspace.labels.name == "proposal"


def test_buttons_say_their_keys_in_full_and_what_accept_takes(found):
    dock, _ = found
    places = dock.correct.places
    assert places.back.text() == "Back (Shift+N)"
    assert "all proposed labels inside the ring" in places.accept.toolTip()
    for button in places.buttons:
        letters = button.fontMetrics().horizontalAdvance(button.text())
        assert letters < button.width()


def test_keys_of_the_places_are_those_of_the_page_in_view(found, qtbot):
    dock, _ = found
    canvas, before = canvas_of(dock), in_view(found[0])
    dock.show_step(dock.evaluate)
    for key in "nash":
        qtbot.keyClick(canvas, key)
    assert dock.correct.places.place is None
    assert in_view(dock) == before
    dock.show_step(dock.correct)
    qtbot.keyClick(canvas, "n")
    assert dock.correct.places.place is not None


def test_h_shows_the_whole_slice_again(found, qtbot):
    dock, _ = found
    canvas, camera = canvas_of(dock), dock.workspace.viewer.scene.camera
    dock.workspace.viewer.reset_view()
    whole = camera.zoom
    camera.zoom = 4 * whole
    qtbot.keyClick(canvas, "n")
    assert camera.zoom == 4 * whole
    qtbot.keyClick(canvas, "h")
    assert camera.zoom < 1.2 * whole
    assert in_view(dock)[0] == 3


def test_accepting_makes_what_lies_around_the_users_in_one_step_and_goes_on(found, qtbot):
    dock, (best, _, least) = found
    layer = dock.workspace.labels
    before = layer.data.copy()
    canvas = canvas_of(dock)
    qtbot.keyClick(canvas, "n")
    wait_until_seen(dock, qtbot)
    qtbot.keyClick(canvas, "a")
    own = layer.data[best.z] < 3
    y, x = np.nonzero(own)
    assert own.any()
    assert np.hypot(y - best.y, x - best.x).max() <= best.radius_px
    np.testing.assert_array_equal(layer.data[best.z][own], before[best.z][own] - 2)
    assert dock.correct.places.place == least
    history_of(layer).undo()
    np.testing.assert_array_equal(layer.data, before)
    assert dock.correct.status.text() == "Undone: accept place, slice 3."


@pytest.mark.parametrize("key", ["a", "s"])
def test_a_place_that_is_not_drawn_yet_is_neither_accepted_nor_skipped(found, qtbot, key):
    dock, (best, _, least) = found
    before, canvas = dock.workspace.labels.data.copy(), canvas_of(dock)
    qtbot.keyClick(canvas, "n")
    canvas.repaint()  # the key was pressed while it was drawn
    qtbot.keyClick(canvas, key)
    assert "not drawn yet" in dock.correct.status.text()
    assert dock.correct.places.place == best
    np.testing.assert_array_equal(dock.workspace.labels.data, before)
    wait_until_seen(dock, qtbot)
    qtbot.keyClick(canvas, key)
    assert dock.correct.places.place == least
    qtbot.keyClick(canvas, key)  # the next one came by the same key
    assert dock.correct.places.place == least


def test_skipped_places_and_confirmed_slices_are_not_asked_about(found, qtbot):
    dock, (best, middling, least) = found
    canvas = canvas_of(dock)
    qtbot.keyClick(canvas, "n")
    wait_until_seen(dock, qtbot)
    qtbot.keyClick(canvas, "s")
    assert dock.correct.places.place == least
    confirmed_in(dock.workspace.labels).add(middling.z)
    qtbot.keyClick(canvas, "n")
    assert "No place is left" in dock.correct.status.text()
    dock.correct.places.search.click()
    dock.correct.places.job.event.emit(SliceSearched(3, [best]))
    qtbot.keyClick(canvas, "n")
    assert "No place is left" in dock.correct.status.text()  # skipped for good


def test_the_strip_and_the_next_slice_follow_the_estimated_error(found):
    dock, _ = found
    assert "estimated error" in dock.correct.strip.sentence(3)
    dock.correct.places.next_slice.click()
    assert in_view(dock)[0] == 3


def test_the_slice_in_view_is_searched_by_itself_once_the_user_rests_there(
    search_by_itself, desk, qtbot, tiny_run
):
    dock, places = desk, desk.correct.places
    dock.workspace.labels.data[2] = 0
    dock.workspace.choose_run(tiny_run.folder)
    dock.workspace.viewer.dims.set_point(0, 30)
    wait_for(qtbot, lambda: places.queue.is_searched(3))
    for z in (2, 4):  # of slice 2 there is nothing to be searched
        dock.workspace.viewer.dims.set_point(0, 10 * z)
        qtbot.wait(700)
    wait_for(qtbot, lambda: places.queue.is_searched(4) and not places.job.running)
    assert sorted(places.errors) == [3, 4]
    dock.show_step(dock.train)
    dock.workspace.viewer.dims.set_point(0, 50)
    qtbot.wait(700)
    assert not places.job.running  # nobody sees the places


@pytest.mark.slow
def test_a_real_search_of_all_slices_begins_with_the_one_in_view(desk, qtbot, tiny_run):
    places = desk.correct.places
    desk.workspace.choose_run(tiny_run.folder)
    desk.workspace.viewer.dims.set_point(0, 40)
    searched = []
    places.searches.searched.connect(lambda queue, z: searched.append(z))
    places.search.click()
    assert places.line.isVisible()
    wait_for(qtbot, lambda: not places.job.running)
    assert searched == [4, 3, 5, 2, 1, 0]
    assert sorted(places.errors) == list(range(6))
    assert not places.line.isVisible()


def test_after_a_prediction_at_scale_two_the_places_are_those_of_that_scale(dock, qtbot, tmp_path):
    image, _ = striped((2, 96, 96))
    run = tiny_network_run(tmp_path / "run", patch_px=64)
    dock.workspace.viewer.add_image(image, name="cells")
    dock.predict.set_run(run.folder)
    dock.show_step(dock.predict)
    dock.predict.form.widgets["scale"].value = "2"
    dock.predict.whole_stack.click()
    wait_for(qtbot, lambda: not dock.predict.job.running)
    dock.show_step(dock.correct)
    dock.correct.places.search.click()
    wait_for(qtbot, lambda: not dock.correct.places.job.running)
    labels = dock.workspace.labels.data
    twice, own = (places_at(scale, image, labels, run) for scale in (2, None))
    found = dock.correct.places.queue
    assert ranked([*found.waiting(0), *found.waiting(1)]) == twice
    assert twice
    assert twice != own


def places_at(scale, image, labels, run):
    """The places of a stack of two slices by a run's network at a scale."""
    predictor = load_predictor(run, PredictionSettings(scale=scale))
    found = []
    for z in range(2):
        around = [labels[n] if 0 <= n < 2 else None for n in (z - 1, z + 1)]
        found += places_of_slice(z, labels[z], *predictor.probability_and_spread(image[z]), around)[:MOST]
    return ranked(found)


def not_yet(panel):
    return [None if one.isEnabled() else one.toolTip().rpartition("Not yet: ")[2] for one in panel.buttons]


def test_a_search_is_given_what_is_chosen_and_begins_at_the_slice_in_view(alone, tiny_run):
    layer = alone.step.workspace.labels
    confirmed_in(layer).add(3)
    alone.search.click()
    (job,) = alone.jobs
    assert (job["run"], job["confirmed"], job["first"]) == (tiny_run.folder, {3}, 4)
    assert job["settings"] == PredictionSettings()
    np.testing.assert_array_equal(job["image"], striped()[0])
    before = layer.data.copy()
    layer.data[:] = 1
    np.testing.assert_array_equal(job["labels"][:], before)  # strokes meanwhile do not count
    alone.step.viewer.dims.order = (1, 0, 2)
    alone.search.click()
    assert alone.jobs[1]["first"] == 0


def test_each_button_of_the_places_says_what_comes_first(alone, monkeypatch):
    all_slices, go, first = "search all slices first", "go to a place first", "this is the first place"
    assert not_yet(alone) == [None, first, go, go, None, None, all_slices]
    search(alone, place(4, 25, 17, 0.3), place(4, 40, 33, 0.2))
    assert not_yet(alone) == [None, first, go, go, None, None, None]
    alone.next.click()
    assert not_yet(alone) == [None, first, None, None, None, None, None]
    alone.next.click()
    assert not_yet(alone) == [None] * 7
    monkeypatch.setattr(type(alone.job), "running", True)
    alone.update_buttons()
    assert not_yet(alone)[5] == "a search is running"
    monkeypatch.setattr(type(alone.job), "running", False)
    alone.job.ended.emit()
    alone.step.workspace.choose_run(None)
    assert not_yet(alone) == ["train a network first", None, None, None, None, "train a network first", None]


def test_the_place_its_question_and_how_many_the_slice_has_are_said(alone):
    gap, other = replace(place(4, 40, 33, 0.2), kind="gap"), place(1, 9, 9, 0.1)
    search(alone, place(4, 25, 17, 0.3), gap, other)
    alone.follow(may_search=False)
    assert alone.about.text() == "2 places to look at in this slice (N)."
    alone.next.click()
    assert alone.about.text() == (
        "Is the dotted membrane real? Accept (A) keeps it; Drop piece (D) removes it. "
        "1 of the best 2 in this slice."
    )
    alone.next.click()
    assert alone.about.text() == (
        "Are both sides of the dotted line one cell? Accept (A) leaves it open; Close gap (G) closes it. "
        "2 of the best 2 in this slice."
    )
    alone.back.click()
    assert alone.about.text().endswith("1 of the best 2 in this slice.")
    alone.job.event.emit(SliceLeftOut("Slice 0 is left out.", 0))
    alone.job.event.emit(SliceLeftOut("Slice 5 is left out.", 5))
    alone.job.event.emit(Finished(None))
    alone.job.ended.emit()
    assert alone.about.text().endswith("in this slice. Slices that cannot be read: 0, 5.")
    alone.step.viewer.dims.set_point(0, 1)
    alone.follow(may_search=False)
    assert alone.about.text().startswith("1 place to look at in this slice (N).")
    alone.step.viewer.dims.set_point(0, 2)
    alone.follow(may_search=False)
    assert alone.about.text() == "Slices that cannot be read: 0, 5."


def test_the_end_of_a_search_of_all_slices_is_said(running):
    said = running.step.status
    search(running, place(4, 25, 17, 0.3), place(4, 40, 33, 0.2), place(1, 9, 9, 0.1))
    running.job.event.emit(Finished(None))
    assert said.text() == "All slices are searched: 3 places to look at in 2 slices (N)."
    confirmed_in(running.step.workspace.labels).add(4)
    running.job.event.emit(Finished(None))
    assert said.text() == "All slices are searched: 1 place to look at in 1 slice (N)."
    confirmed_in(running.step.workspace.labels).add(1)
    running.job.event.emit(Finished(None))
    assert said.text() == "All slices are searched: no place is left."
    running.job.event.emit(Failed("Cancelled.", cancelled=True))
    assert said.text() == "The search was cancelled; what was found stays."


def test_a_search_that_fails_is_said_and_one_that_is_cancelled_is_not(alone):
    alone.search.click()
    alone.job.event.emit(Failed("Cancelled.", cancelled=True))
    assert alone.step.status.text() == ""
    alone.job.event.emit(Failed("The engine is gone."))
    assert alone.step.status.text() == "The engine is gone."


def rest(panel):
    """Let the user rest in the slice in view."""
    panel.follow(may_search=True)
    panel._rest.timeout.emit()


def test_a_search_that_nobody_asked_for_complains_in_the_page_only_and_is_not_tried_again(running, tmp_path):
    rest(running)
    assert len(running.jobs) == 1
    running.job.event.emit(Failed("The engine is gone."))
    end(running)
    rest(running)  # as after each stroke
    assert running.jobs == []
    assert (running.about.text(), running.step.status.text()) == ("The engine is gone.", "")
    running.step.workspace.choose_run(tmp_path)  # with another network it may go well
    rest(running)
    assert len(running.jobs) == 1


def test_the_user_may_try_a_search_again_that_failed(running):
    rest(running)
    running.job.event.emit(Failed("The engine is gone."))
    end(running)
    running.next.click()
    assert len(running.jobs) == 1
    running.job.event.emit(Failed("The engine is gone again."))
    end(running)
    said_once = "The engine is gone again."
    assert running.step.status.text() == said_once
    assert running.about.text() == "This slice could not be searched."
    running.step.unsay()  # as with the next stroke
    running.follow(may_search=False)
    assert running.about.text() == said_once
    running.next.click()
    running.job.event.emit(SliceSearched(4, []))
    end(running)
    assert running.about.text() == "No place is left in this slice."


def test_labels_of_another_size_than_the_image_are_not_searched_unasked(alone):
    alone.step.show()
    viewer, first = alone.step.viewer, alone.step.workspace.image
    alone.step.workspace.choose("image", viewer.add_image(np.zeros((6, 8, 8)), name="small"))
    viewer.layers.remove(first)
    rest(alone)
    assert (alone.jobs, alone.step.status.text()) == ([], "")
    alone.next.click()
    assert "differ in size" in alone.step.status.text()


def test_slices_that_cannot_be_read_are_said_with_the_places_and_by_live_learning(found):
    dock, _ = found
    dock.correct.places.job.event.emit(SliceLeftOut("Slice 2 is left out: it is damaged.", 2))
    assert dock.correct.status.text() == "Slice 2 is left out: it is damaged."
    dock.correct.places.job.ended.emit()
    assert "Slices that cannot be read: 2." in dock.correct.places.about.text()
    dock.correct.live.job.event.emit(SliceLeftOut("Slice 4 is left out: it is damaged.", 4))
    assert dock.correct.status.text() == "Slice 4 is left out: it is damaged."


@pytest.mark.slow
def test_a_layer_removed_while_it_is_counted_is_no_trouble(desk, qtbot):
    with qtbot.captureExceptions() as wrong:
        desk.correct.strip.count(range(6))
        desk.workspace.viewer.layers.clear()
        qtbot.wait(200)
    assert wrong == []


# -- the strip ----------------------------------------------------------------------------------


def test_the_strip_knows_raw_proposed_touched_and_confirmed_slices_and_a_click_goes_there(desk, qtbot):
    layer, strip = desk.workspace.labels, desk.correct.strip
    layer.data[0] = 0
    layer.data[1, :3] = 1
    confirmed_in(layer).add(2)
    strip.count(range(6))
    wait_for(qtbot, lambda: strip.totals() == {"raw": 1, "proposed": 3, "touched": 1, "confirmed": 1})
    desk.workspace.viewer.dims.set_point(0, 0)
    qtbot.mouseClick(
        strip, Qt.MouseButton.LeftButton, pos=strip.rect().center() + QPoint(strip.width() // 4, 0)
    )
    assert in_view(desk)[0] == int(0.75 * 6)


def test_the_strip_follows_strokes(desk, qtbot):
    strip, z = desk.correct.strip, int(desk.workspace.viewer.dims.current_step[0])
    wait_for(qtbot, lambda: len(strip.found) == 6)
    assert strip.found[z].own == 0
    desk.correct.tools[0].click()
    canvas = canvas_of(desk)
    drag(canvas, middle(canvas, -40), middle(canvas, 40))
    wait_for(qtbot, lambda: z in strip.found and strip.found[z].own > 0)


# -- live ---------------------------------------------------------------------------------------


def test_strokes_are_taught_and_previews_fill_only_what_is_not_the_users(desk, qtbot, monkeypatch, tiny_run):
    live, layer = desk.correct.live, desk.workspace.labels
    taught, began = {}, []
    monkeypatch.setattr(live.job, "start", noting(began))
    monkeypatch.setattr(type(live.job), "running", property(lambda self: bool(began)))
    monkeypatch.setattr(live.job, "update_labels", lambda z, labels: taught.__setitem__(z, labels))
    desk.predict.set_run(tiny_run.folder)
    live.switch.click()
    assert (live.bar.format(), live.switch.isChecked()) == ("starting...", True)
    assert began[0]["labels"].stored_slices == []  # proposals teach nobody
    assert began[0]["settings"].start == str(tiny_run.folder)
    z = int(desk.workspace.viewer.dims.current_step[0])
    desk.correct.tools[0].click()
    canvas = canvas_of(desk)
    drag(canvas, middle(canvas, -40), middle(canvas, 40))
    own = layer.data[z] == 1
    assert own.any()
    wait_for(qtbot, lambda: z in taught and np.array_equal(taught[z], own.astype(np.uint8)))
    live.job.event.emit(PreviewReady(1, z, np.ones(layer.data.shape[1:], np.float32)))
    assert (layer.data[z][own] == 1).all()
    assert (layer.data[z][~own] == 3).all()
    folder = desk.autosave.folder(layer)  # which states that they are of this run
    wait_for(qtbot, lambda: np.array_equal(read_slices(folder / "labels", 0 * layer.data).labels, layer.data))
    began.clear()
    live.job.ended.emit()
    assert (live.bar.format(), live.switch.isChecked()) == ("", False)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_live_learning_follows_a_stroke_and_keeps_what_it_learned(desk, qtbot, tiny_run):
    """In the engine, with real training."""
    live, layer = desk.correct.live, desk.workspace.labels
    z = int(desk.workspace.viewer.dims.current_step[0])
    layer.data[z, :, :32] = striped()[1][z, :, :32]
    desk.predict.set_run(tiny_run.folder)
    previews = []
    live.job.event.connect(lambda event: isinstance(event, PreviewReady) and previews.append(event))
    live.switch.click()
    wait_for(qtbot, lambda: bool(previews), 120)
    desk.correct.tools[0].click()
    canvas = canvas_of(desk)
    count = len(previews)
    drag(canvas, middle(canvas, -40), middle(canvas, 40))
    wait_for(qtbot, lambda: len(previews) > count)
    live.switch.click()
    wait_for(qtbot, lambda: not live.job.running)
    assert "Saved what it learned" in desk.correct.status.text()
    run = open_run(desk.workspace.run)
    assert run.folder != tiny_run.folder
    assert z in run.record.trained_slices
    assert (layer.data[z, :, :32] < 3).all()


@pytest.mark.slow
def test_without_labels_live_shows_what_the_network_thinks_and_waits(desk, qtbot, tiny_run):
    live, layer = desk.correct.live, desk.workspace.labels
    layer.data[:] = 0
    z = int(desk.workspace.viewer.dims.current_step[0])
    desk.predict.set_run(tiny_run.folder)
    live.switch.click()
    wait_for(qtbot, lambda: bool((layer.data[z] >= 3).all()), 120)
    wait_for(qtbot, lambda: WAITING in live.bar.format())
    live.job.cancel()
    wait_for(qtbot, lambda: not live.job.running)
    assert not live.switch.isChecked()
