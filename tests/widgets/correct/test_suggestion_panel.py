"""The queue of places, with a real search in the engine, and live learning, from the window."""

from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt

from emseg_napari.annotation.session.slicefiles import read_slices
from emseg_napari.annotation.suggest import Place, places_of_slice, ranked
from emseg_napari.annotation.suggest.search_stack import SliceSearched
from emseg_napari.core.jobs import Failed, Finished, PreviewReady, SliceLeftOut
from emseg_napari.inference import load_predictor
from emseg_napari.models import run as run_module
from emseg_napari.models.run import open_run
from emseg_napari.settings import PredictionSettings
from emseg_napari.training.live.idle import WAITING
from emseg_napari.widgets.correct.slice_strip import COLOURS
from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of
from emseg_napari.widgets.layers.layer_info import info_of
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


def place(z, y, x, gain):
    pixels = np.array([y]), np.array([x])
    return Place(z, y, x, "membrane", gain, 6.0, 0.5, pixels)


@pytest.fixture
def found(desk, monkeypatch):
    """The same, with three places that a search found."""
    monkeypatch.setattr(desk.correct.places.job, "start", noting([]))
    desk.correct.places.search.click()
    best, middling, least = place(3, 25, 17, 0.3), place(1, 40, 33, 0.2), place(3, 20, 33, 0.1)
    for z, places in ((1, [middling]), (3, [best, least])):
        desk.correct.places.job.event.emit(SliceSearched(z, places))
    return desk, [best, middling, least]


def in_view(dock):
    """Slice, row and column in the middle of the canvas."""
    viewer, layer = dock.workspace.viewer, dock.workspace.labels
    return tuple(np.round(layer.world_to_data((viewer.dims.point[0], *viewer.scene.camera.center[-2:]))))


def test_n_goes_through_the_places_by_expected_gain_and_back(found, qtbot):
    dock, (best, middling, least) = found
    canvas = canvas_of(dock)
    for there in (best, middling, least):
        qtbot.keyClick(canvas, "n")
        assert in_view(dock) == (there.z, there.y, there.x)
        ring = dock.workspace.viewer.layers["place to look at"]
        assert tuple(ring.data[0]) == (there.z, there.y, there.x)
        assert tuple(ring.scale) == (10, 2, 2)
    qtbot.keyClick(canvas, "n")
    assert "No place is left" in dock.correct.status.text()
    dock.correct.places.back.click()
    assert in_view(dock) == (middling.z, middling.y, middling.x)
    assert dock.workspace.labels.name == "proposal"


def test_accepting_makes_what_lies_around_the_users_in_one_step_and_goes_on(found, qtbot):
    dock, (best, middling, _) = found
    layer = dock.workspace.labels
    before = layer.data.copy()
    canvas = canvas_of(dock)
    qtbot.keyClick(canvas, "n")
    qtbot.keyClick(canvas, "a")
    own = layer.data[best.z] < 3
    y, x = np.nonzero(own)
    assert own.any()
    assert np.hypot(y - best.y, x - best.x).max() <= best.radius_px
    np.testing.assert_array_equal(layer.data[best.z][own], before[best.z][own] - 2)
    assert dock.correct.places.place == middling
    history_of(layer).undo()
    np.testing.assert_array_equal(layer.data, before)


def test_skipped_places_and_confirmed_slices_are_not_asked_about(found, qtbot):
    dock, (best, middling, least) = found
    canvas = canvas_of(dock)
    qtbot.keyClick(canvas, "n")
    qtbot.keyClick(canvas, "s")
    assert dock.correct.places.place == middling
    confirmed_in(dock.workspace.labels).add(least.z)
    with dock.correct.guard():
        dock.correct.places.go(1)
    assert "No place is left" in dock.correct.status.text()
    dock.correct.places.search.click()
    dock.correct.places.job.event.emit(SliceSearched(3, [best]))
    confirmed_in(dock.workspace.labels).clear()
    dock.correct.say("")
    with dock.correct.guard():
        dock.correct.places.go(1)
    assert "No place is left" in dock.correct.status.text()  # skipped for good


def test_the_strip_and_the_next_slice_follow_the_estimated_error(found):
    dock, _ = found
    assert "estimated error" in dock.correct.strip.sentence(3)
    dock.correct.places.next_slice.click()
    assert in_view(dock)[0] == 3


@pytest.mark.slow
def test_a_real_search_finds_the_wall_that_is_missing(desk, qtbot, tiny_run):
    desk.predict.set_run(tiny_run.folder)
    desk.correct.places.search.click()
    wait_for(qtbot, lambda: not desk.correct.places.job.running)
    assert sorted(desk.correct.places.errors) == list(range(6))
    assert desk.correct.status.text() == "" or "should not" not in desk.correct.status.text()


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
    assert dock.correct.places.places == twice
    assert twice
    assert twice != own


def places_at(scale, image, labels, run):
    """The places of a stack of two slices by a run's network at a scale."""
    predictor = load_predictor(run, PredictionSettings(scale=scale))
    found = []
    for z in range(2):
        around = [labels[n] if 0 <= n < 2 else None for n in (z - 1, z + 1)]
        found += places_of_slice(z, labels[z], *predictor.probability_and_spread(image[z]), around)
    return ranked(found)


@pytest.fixture
def alone(qtbot, tmp_path, monkeypatch, tiny_run):
    """The panel of places without a window, and the jobs that it begins."""
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")
    step = CorrectStep(ViewerModel())
    qtbot.addWidget(step)
    image, labels = striped()
    add_labels(step.viewer, labels + 2, "proposal", step.viewer.add_image(image, name="cells"))
    step.workspace.choose_run(tiny_run.folder)
    step.viewer.dims.set_point(0, 4)
    panel = step.places
    panel.step, panel.jobs = step, []
    monkeypatch.setattr(panel.job, "start", noting(panel.jobs))
    return panel


def search(panel, *found):
    """Let a search find places, slice by slice."""
    panel.search.click()
    for z in sorted({place.z for place in found}):
        panel.job.event.emit(SliceSearched(z, [place for place in found if place.z == z]))


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
    find, go, first = "find places first", "go to a place first", "this is the first place"
    assert not_yet(alone) == [None, find, first, go, go, find]
    search(alone, place(3, 25, 17, 0.3), place(1, 40, 33, 0.2))
    assert not_yet(alone) == [None, None, first, go, go, None]
    alone.next.click()
    assert not_yet(alone) == [None, None, first, None, None, None]
    alone.next.click()
    assert not_yet(alone) == [None] * 6
    assert alone.bar.isHidden()
    monkeypatch.setattr(type(alone.job), "running", True)
    alone.update_buttons()
    assert not_yet(alone)[0] == "a search is running"
    assert not alone.bar.isHidden()
    alone.step.workspace.choose_run(None)
    assert not_yet(alone)[0] == "a search is running"
    monkeypatch.setattr(type(alone.job), "running", False)
    alone.job.ended.emit()
    assert not_yet(alone)[0] == "train a network first"
    assert alone.bar.isHidden()


def test_the_place_its_question_and_what_is_left_are_said(alone):
    gap = replace(place(1, 40, 33, 0.2), kind="gap")
    search(alone, place(3, 25, 17, 0.3), gap)
    assert alone.about.text() == "2 places left (V_rand +0.250 per slice if all are right)."
    alone.next.click()
    assert alone.about.text() == (
        "Slice 3, y 25, x 17: Is this membrane false, and are its two cells one? "
        "1 places left (V_rand +0.100 per slice if all are right)."
    )
    alone.next.click()
    assert alone.about.text().startswith("Slice 1, y 40, x 33: Is a membrane missing here")
    alone.back.click()
    assert alone.about.text().startswith("Slice 3")
    alone.job.event.emit(SliceLeftOut("Slice 4 is left out.", 4))
    alone.job.event.emit(SliceLeftOut("Slice 5 is left out.", 5))
    alone.job.event.emit(Finished(None))
    assert alone.about.text().endswith("if all are right). Slices that cannot be read: 4:6.")


def test_a_ring_as_large_as_the_place_moves_from_place_to_place(alone):
    layers = alone.step.viewer.layers
    search(alone, place(3, 25, 17, 0.3), replace(place(1, 40, 33, 0.2), radius_px=100.0), place(5, 9, 9, 0.1))
    alone.next.click()
    ring = layers["place to look at"]
    assert (set(np.ravel(ring.size)), ring.face_color[0, 3], info_of(ring).is_aid) == ({12}, 0, True)
    assert alone.step.viewer.scene.camera.zoom == 5
    assert layers.selection.active == alone.step.workspace.labels
    alone.next.click()
    assert layers["place to look at"] == ring
    assert set(np.ravel(ring.size)) == {200}
    assert alone.step.viewer.scene.camera.zoom == 2  # all of it
    layers.remove(ring)
    alone.next.click()
    assert layers["place to look at"].data.tolist() == [[5, 9, 9]]


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
    assert alone.step.status.text() == "Every slice is confirmed."


def test_a_search_that_fails_is_said_and_one_that_is_cancelled_is_not(alone):
    alone.job.event.emit(Failed("Cancelled.", cancelled=True))
    assert alone.step.status.text() == ""
    alone.job.event.emit(Failed("The engine is gone."))
    assert alone.step.status.text() == "The engine is gone."


def test_what_is_found_after_another_layer_was_chosen_is_not_asked_about(alone, monkeypatch):
    cancelled, errors = [], []
    monkeypatch.setattr(alone.job, "cancel", lambda: cancelled.append(True))
    alone.errors_estimated.connect(errors.append)
    search(alone, place(3, 25, 17, 0.3))
    alone.next.click()
    alone.step.workspace.choose("labels", add_labels(alone.step.viewer, striped()[1], "other"))
    assert cancelled == [True]
    alone.job.event.emit(SliceSearched(1, [place(1, 40, 33, 0.2)]))
    assert (alone.places, alone.errors, alone.place, alone.about.text()) == ([], {}, None, "")
    assert errors[-1] == {}


def test_keys_of_the_places_come_with_a_search(alone):
    bound = {"N", "Shift+N", "A", "S"}
    assert not bound & {str(key) for key in alone.step.viewer.keymap}
    search(alone, place(3, 25, 17, 0.3), place(1, 40, 33, 0.2))
    actions = {str(key): action for key, action in alone.step.viewer.keymap.items()}
    at = []
    for key in ("N", "N", "Shift+N", "Shift+N"):
        actions[key](alone.step.viewer)
        at.append(alone.place.z)
    assert at == [3, 1, 3, 3]


def test_places_are_accepted_only_where_slices_are_seen(alone):
    search(alone, place(3, 25, 17, 0.3))
    before = alone.step.workspace.labels.data.copy()
    alone.next.click()
    alone.step.viewer.dims.order = (1, 0, 2)
    alone.accept.click()
    assert "slice view" in alone.step.status.text()
    np.testing.assert_array_equal(alone.step.workspace.labels.data, before)


def test_slices_that_cannot_be_read_are_said_with_the_places_and_by_live_learning(found):
    dock, _ = found
    dock.correct.places.job.event.emit(SliceLeftOut("Slice 2 is left out: it is damaged.", 2))
    assert dock.correct.status.text() == "Slice 2 is left out: it is damaged."
    dock.correct.places.job.event.emit(Finished(None))
    assert "Slices that cannot be read: 2." in dock.correct.places.about.text()
    dock.correct.live.job.event.emit(SliceLeftOut("Slice 4 is left out: it is damaged.", 4))
    assert dock.correct.status.text() == "Slice 4 is left out: it is damaged."


def test_places_go_with_the_layer_that_they_are_of(found, qtbot):
    dock, _ = found
    viewer, first = dock.workspace.viewer, dock.workspace.labels
    dock.correct.places.go(1)
    second = add_labels(viewer, first.data.copy(), "second", dock.workspace.image)
    dock.workspace.choose("labels", second)
    before = first.data.copy()
    qtbot.keyClick(canvas_of(dock), "a")
    assert "Go to a place first" in dock.correct.status.text()
    np.testing.assert_array_equal(first.data, before)
    assert "place to look at" not in viewer.layers


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


@pytest.mark.slow
def test_the_strip_draws_state_estimated_error_and_the_slice_in_view(desk, qtbot):
    layer, strip = desk.workspace.labels, desk.correct.strip
    layer.data[0] = 0
    layer.data[1, :3] = 1
    confirmed_in(layer).add(2)
    strip.count(range(6))
    strip.show_errors({1: 0.2, 3: 0.1})
    wait_for(qtbot, lambda: (strip.totals()["raw"], strip.totals()["confirmed"]) == (1, 1))
    width, height = strip.width() / 6, strip.height()

    def colours(right, y):
        drawn = strip.grab().toImage()
        return [drawn.pixelColor(int((z + right) * width), y).name() for z in range(6)]

    states = ("raw", "touched", "confirmed", "proposed", "proposed", "proposed")
    assert colours(0.5, height // 2) == [COLOURS[state] for state in states]
    dark = "#101114"
    assert [colour == dark for colour in colours(0.2, height // 4)] == [z == 1 for z in range(6)]
    assert [colour == dark for colour in colours(0.2, 3 * height // 4)] == [z in (1, 3) for z in range(6)]
    for z in (1, 4):
        desk.workspace.viewer.dims.set_current_step(0, z)
        wait_for(
            qtbot, lambda z=z: [n for n, colour in enumerate(colours(0.5, 2)) if colour == "#ffffff"] == [z]
        )


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
    assert (live.state.text(), live.switch.isChecked()) == ("starting...", True)
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
    assert (live.state.text(), live.switch.isChecked()) == ("", False)


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
    wait_for(qtbot, lambda: WAITING in live.state.text())
    live.job.cancel()
    wait_for(qtbot, lambda: not live.job.running)
    assert not live.switch.isChecked()
