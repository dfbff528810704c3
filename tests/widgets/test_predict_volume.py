"""Step Predict on stacks of any size: to an OME-Zarr on disk, shown while it is written."""

import dask.array as da
import numpy as np
import pytest

from emseg_napari.core.jobs import BlockDone, Finished, QuickLookReady, SlicePredicted
from emseg_napari.core.labels import PROPOSED_BOUNDARY, from_probability
from emseg_napari.inference import predict
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.settings import PredictionSettings
from emseg_napari.widgets.base import output_target
from emseg_napari.widgets.base.closing import main_window_of
from emseg_napari.widgets.base.output_target import FILE
from emseg_napari.widgets.base.prediction_options import OWN_LAYER
from emseg_napari.widgets.layers.layer_info import info_of
from helpers.slow import slow_case
from helpers.tiny_runs import tiny_network_run
from helpers.window import noting, wait_for

SHAPE = (4, 600, 700)
PLAIN = PredictionSettings(orientations=1, close_gaps=False)


@pytest.fixture
def volume():
    return np.random.default_rng(0).integers(0, 256, SHAPE).astype(np.uint8)


@pytest.fixture
def desk(dock, volume, tmp_path, qtbot):
    """Step Predict, with a lazy layer, a run and a place to write to."""
    layer = dock.workspace.viewer.add_image(
        da.from_array(volume, (1, 600, 700)), name="brain", scale=(50, 4, 4), contrast_limits=(0, 255)
    )
    dock.workspace.choose("image", layer)
    step = dock.predict
    dock.show_step(step)
    step.set_run(tiny_network_run(tmp_path / "tiny").folder)
    step.target.setCurrentText(FILE)
    step.volume.path.setText(str(tmp_path / "out.zarr"))
    step.form.set_values({"orientations": 1, "close_gaps": False})
    return step


def finish(step, qtbot, button="whole_stack"):
    getattr(step, button).click()
    wait_for(qtbot, lambda: not step.job.running)


def layer_of(step):
    """The layer that shows the output."""
    found = [layer for layer in step.viewer.layers if layer.name == "brain boundary probability"]
    assert len(found) == 1
    return found[0]


def test_a_lazy_stack_is_predicted_to_disk_and_shown_where_it_lies(desk, qtbot, volume, tmp_path):
    finish(desk, qtbot)
    assert "is in" in desk.status.text()
    assert desk.bar.format() == "done"
    output = VolumeOutput(tmp_path / "out.zarr")
    wanted = predict(volume, tmp_path / "tiny", PLAIN)
    assert np.abs(output[:] / 255 - wanted).max() < 1 / 255
    layer = layer_of(desk)
    assert layer.multiscale
    np.testing.assert_allclose(layer.scale, (50, 4, 4))
    np.testing.assert_array_equal(np.asarray(layer.data[0]), output[:])


def test_the_slice_in_view_comes_first(desk, qtbot):
    desk.viewer.dims.set_point(0, 2 * 50)
    events = []
    desk.job.event.connect(events.append)
    finish(desk, qtbot)
    blocks = [event.block for event in events if isinstance(event, BlockDone)]
    assert blocks[0].window[0] == slice(2, 3)


@pytest.mark.slow
def test_a_large_slice_is_drawn_at_once_until_its_blocks_are_there(desk, qtbot):
    large = np.random.default_rng(1).integers(0, 256, (2, 1100, 1300)).astype(np.uint8)
    layer = desk.viewer.add_image(large, name="large", translate=(7, 0, 0), contrast_limits=(0, 255))
    desk.workspace.choose("image", layer)
    desk.form.set_values({"orientations": 8})
    desk.viewer.dims.set_point(0, 8)
    looks = []

    def look(event):
        if isinstance(event, QuickLookReady):  # it has been drawn: the step was connected before
            shown = desk.viewer.layers["first look"]
            drawn = shown.data[(0, *event.window)]
            looks.append((event.z, shown.translate[0], np.abs(drawn / 255 - event.probability).max()))

    desk.job.event.connect(look)
    finish(desk, qtbot)
    assert len(looks) == 4
    assert {(z, where) for z, where, _ in looks} == {(1, 8)}
    assert max(wrong for *_, wrong in looks) < 1 / 255
    assert not desk.viewer.layers["first look"].visible


@pytest.mark.slow
def test_cancel_keeps_what_is_done_and_predict_goes_on(desk, qtbot, tmp_path):
    deep = np.random.default_rng(1).integers(0, 256, (16, *SHAPE[1:])).astype(np.uint8)
    desk.viewer.layers.remove("brain")
    image = desk.viewer.add_image(
        da.from_array(deep, (1, *SHAPE[1:])), name="brain", contrast_limits=(0, 255)
    )
    desk.workspace.choose("image", image)
    desk.form.set_values({"orientations": 8, "close_gaps": True})
    done = []
    desk.job.event.connect(lambda event: done.append(event) if isinstance(event, BlockDone) else None)
    desk.whole_stack.click()
    wait_for(qtbot, lambda: len(done) > 0)
    desk.cancel.click()
    wait_for(qtbot, lambda: not desk.job.running)
    missing = len(VolumeOutput(tmp_path / "out.zarr").missing())
    assert "stay on disk" in desk.status.text()
    assert 0 < missing < len(deep)
    done.clear()
    finish(desk, qtbot)
    assert len(done) == missing
    assert not VolumeOutput(tmp_path / "out.zarr").missing()
    layer_of(desk)


def test_labels_of_a_slice_are_proposed_from_what_is_on_disk(desk, qtbot, tmp_path):
    finish(desk, qtbot)
    desk.viewer.dims.set_point(0, 3 * 50)
    desk.target.setCurrentText(OWN_LAYER)
    started = []
    desk.job.event.connect(started.append)
    desk.this_slice.click()
    assert started == []
    labels = desk.workspace.labels
    stored = VolumeOutput(tmp_path / "out.zarr")[3] / np.float32(255)
    boundary = from_probability(stored, 0.6) == 1
    np.testing.assert_array_equal(np.asarray(labels.data[3]) == PROPOSED_BOUNDARY, boundary)
    assert not labels.data[:3].any()
    assert not layer_of(desk).visible


def test_what_cannot_be_predicted_is_told_with_its_block_and_the_rest_is_there(desk, qtbot, volume, tmp_path):
    broken = volume.astype(np.float32)
    broken[1, 7, 7] = np.nan
    layer = desk.viewer.add_image(
        da.from_array(broken, (1, 600, 700)), name="brain", contrast_limits=(0, 255)
    )
    desk.workspace.choose("image", layer)
    finish(desk, qtbot)
    assert "(1, 0, 0)" in desk.status.text()
    assert "not finite numbers" in desk.status.text()
    assert [block.index for block in VolumeOutput(tmp_path / "out.zarr").missing()] == [(1, 0, 0)]


@pytest.mark.parametrize(
    ("scheduler", "sentence"),
    [("nowhere", "is not a scheduler"), slow_case("tcp://127.0.0.1:1", "127.0.0.1:1")],
)
def test_a_scheduler_that_is_not_there_is_a_sentence(desk, qtbot, tmp_path, scheduler, sentence):
    desk.volume.scheduler.setText(scheduler)
    desk.whole_stack.click()
    wait_for(qtbot, lambda: not desk.job.running)
    assert sentence in desk.status.text()


def test_another_output_is_not_overwritten(desk, qtbot, tmp_path):
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr" / "mine.txt").write_text("mine")
    finish(desk, qtbot)
    assert "choose another name" in desk.status.text()
    assert (tmp_path / "out.zarr" / "mine.txt").read_text() == "mine"


@pytest.mark.slow
def test_a_slice_predicted_by_another_run_leaves_what_is_on_disk_to_its_own(desk, qtbot, tmp_path):
    finish(desk, qtbot)
    stored = VolumeOutput(tmp_path / "out.zarr")[:]
    desk.set_run(tiny_network_run(tmp_path / "other").folder)
    desk.target.setCurrentText(OWN_LAYER)
    finish(desk, qtbot, "this_slice")
    assert desk.workspace.labels.data.any()
    np.testing.assert_array_equal(np.asarray(layer_of(desk).data[0]), stored)
    assert info_of(layer_of(desk)).run == tmp_path / "tiny"


def test_more_than_can_be_proposed_at_once_is_sent_to_disk(desk, monkeypatch):
    monkeypatch.setattr(output_target, "MOST_VOXELS", 10**6)
    desk.target.setCurrentText(OWN_LAYER)
    desk.whole_stack.click()
    assert "too many to propose at once" in desk.status.text()
    assert not desk.job.running


@pytest.mark.slow
def test_a_slice_on_disk_by_other_settings_is_predicted_anew(desk, qtbot):
    finish(desk, qtbot)
    desk.target.setCurrentText(OWN_LAYER)
    desk.form.set_values({"orientations": 8})
    started = []
    desk.job.event.connect(started.append)
    finish(desk, qtbot, "this_slice")
    assert started


@pytest.mark.slow
def test_cells_of_a_broken_off_prediction_are_not_made_of_what_is_missing(desk, qtbot, dock, tmp_path):
    finish(desk, qtbot)
    one = VolumeOutput(tmp_path / "out.zarr")
    (tmp_path / "out.zarr" / "0" / "c" / "2" / "0" / "0").unlink()
    assert len(one.missing()) == 1
    cells = dock.cells
    cells.source.choose(layer_of(desk))
    cells.target.setCurrentText(FILE)
    cells.volume.path.setText(str(tmp_path / "cells.zarr"))
    cells.find.click()
    wait_for(qtbot, lambda: not cells.job.running)
    assert "1 part without cells, the first (2, 0, 0)" in cells.status.text()


def test_a_name_is_proposed_beside_the_volume_not_in_it(desk, monkeypatch, tmp_path):
    desk.volume.path.setText("")
    desk.volume.suggest("brain.zarr/0")
    assert desk.volume.path.placeholderText().endswith("brain-0-boundaries.zarr")
    desk.volume.path.setText(str(tmp_path / "brain.zarr" / "mine.zarr"))
    desk.whole_stack.click()
    assert "inside another volume" in desk.status.text()


def test_the_first_look_goes_when_its_slice_is_predicted(desk, monkeypatch):
    monkeypatch.setattr(desk.job, "start", noting([]))
    desk.target.setCurrentText(OWN_LAYER)
    desk.this_slice.click()
    part = slice(0, 10), slice(0, 20)
    desk.handle_event(QuickLookReady(0, part, np.full((10, 20), 0.9, np.float32)))
    assert desk.viewer.layers["first look"].visible
    desk.handle_event(SlicePredicted(0, np.full(SHAPE[1:], 0.9, np.float32)))
    assert not desk.viewer.layers["first look"].visible


def test_no_first_look_comes_while_the_dock_is_put_away(desk, dock, monkeypatch):
    monkeypatch.setattr(desk.job, "start", noting([]))
    desk.target.setCurrentText(OWN_LAYER)
    desk.this_slice.click()
    dock.put_away(main_window_of(dock))
    part = slice(0, 10), slice(0, 20)
    desk.handle_event(QuickLookReady(0, part, np.full((10, 20), 0.9, np.float32)))
    assert "first look" not in desk.viewer.layers


@pytest.mark.slow
def test_a_prediction_to_layers_after_one_to_disk_is_told_as_what_it_is(desk, monkeypatch):
    """Each start forgets the job before."""
    monkeypatch.setattr(desk.job, "start", noting([]))
    desk.whole_stack.click()
    assert "blocks stay on disk" in desk.cancelled_sentence()
    desk.target.setCurrentText(OWN_LAYER)
    desk.this_slice.click()
    assert desk.cancelled_sentence() == "Cancelled; finished slices stay."
    desk.handle_event(SlicePredicted(0, np.full(SHAPE[1:], 0.9, np.float32)))
    desk.handle_event(Finished(None))
    assert desk.status.text().startswith("Proposed in 'brain proposal'")
    desk.target.setCurrentText(FILE)  # and the other way round
    desk.whole_stack.click()
    assert "blocks stay on disk" in desk.cancelled_sentence()


def test_shards_are_chosen_under_options_and_those_that_do_not_fit_are_refused(desk, qtbot, tmp_path):
    desk.form.set_values({"shards": (5, 512, 512)})
    finish(desk, qtbot)
    assert (
        "'Shards (voxels)' under 'Advanced' of 5 x 512 x 512 are larger than the output" in desk.status.text()
    )
    assert not (tmp_path / "out.zarr").exists()
    desk.form.set_values({"shards": (2, 512, 512)})
    finish(desk, qtbot)
    assert VolumeOutput(tmp_path / "out.zarr").layout.shard == (2, 512, 512)
