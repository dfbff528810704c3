"""Step Cells in a real window; the engine divides small stacks for real."""

import gc
import re
import threading
import weakref

import dask.array as da
import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtWidgets import QFileDialog

from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.core.jobs import Failed, Message
from emseg_napari.segmentation.linking import link
from emseg_napari.segmentation.stack import segment_stack
from emseg_napari.settings import CellSettings
from emseg_napari.widgets import segment
from emseg_napari.widgets.layers.cell_layers import CellLayers, axes_of_size
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, is_managed
from emseg_napari.widgets.layers.layer_info import LayerInfo, info_of
from emseg_napari.widgets.segment import SLICE, STACK, CellsStep
from helpers.timing import PATIENCE_S, within
from helpers.window import end_jobs, settle, striped, wait_for

IMAGE, TRUTH = striped((4, 64, 64))
PROBABILITY = np.where(TRUTH == 1, 0.9, 0.1).astype(np.float32)
PROBABILITY[:, 24:28] = 0.1  # every second wall leaks


@pytest.fixture
def step(make_napari_viewer_proxy, qtbot):
    """The step by itself in an empty window that is not shown."""
    viewer = make_napari_viewer_proxy()
    step = CellsStep(viewer)
    viewer.window.add_dock_widget(step)
    yield step
    end_jobs(qtbot, step, step.table)


@pytest.fixture
def predicted(step):
    """The same with an image, labels, and the probability that a prediction has left."""
    place = {"scale": (50, 4, 4), "translate": (100, 8, 12)}
    image = step.viewer.add_image(IMAGE, name="tissue", **place)
    add_labels(step.viewer, TRUTH.copy(), "truth", image)
    step.viewer.add_image(
        PROBABILITY.copy(),
        name="found",
        metadata=LayerInfo(proposal_of=image.unique_id).as_metadata(),
        **place,
    )
    return step


@pytest.fixture
def find(qtbot):
    """Press the button, wait for the end, and return the cells' layer."""

    def press(step: CellsStep, scope: str = STACK, **settings: object) -> Labels:
        step.scope.setCurrentText(scope)
        step.form.set_values(settings)
        before = list(step.viewer.layers)
        step.find.click()
        assert step.job.running, step.status.text()
        wait_for(qtbot, lambda: not step.job.running)
        assert re.match(r"\d+ cells? in ", step.status.text())
        new = [layer for layer in step.viewer.layers if layer not in before]
        return new[0] if new else step.viewer.layers["tissue cells"]

    return press


def test_cells_that_are_found_again_lie_where_the_probability_lies_now(predicted, find, monkeypatch):
    threads = []

    def in_use(labels):
        threads.append(threading.current_thread())
        return slices_in_use(labels)

    monkeypatch.setattr("emseg_napari.widgets.layers.cell_layers.slices_in_use", in_use)
    source = predicted.source.layer
    for scope in (STACK, SLICE):
        cells = find(predicted, scope)
        assert tuple(cells.translate) == tuple(source.translate)
        source.translate = (100, 80, 120)
    assert sum("cells" in layer.name for layer in predicted.viewer.layers) == 1
    assert threads
    assert threading.main_thread() not in threads  # all slices are looked at


def press_in_vain(step: CellsStep) -> str:
    """The sentence that comes of a press that starts nothing and adds no layer."""
    before = list(step.viewer.layers)
    step.find.click()
    settle(step)
    assert not step.job.running
    assert list(step.viewer.layers) == before
    return step.status.text()


# -- what it works on ----------------------------------------------------------------------


def test_a_probability_is_offered_unasked_and_an_image_is_not(step):
    image = step.viewer.add_image(IMAGE, name="tissue")
    assert step.source.layer is None
    assert not step.find.isEnabled()
    assert "choose a boundary probability first" in step.find.toolTip()
    found = step.viewer.add_image(PROBABILITY, metadata=LayerInfo(proposal_of=image.unique_id).as_metadata())
    assert step.source.layer == found
    assert step.find.isEnabled()
    assert not step.cancel.isEnabled()


def test_labels_of_boundary_and_interior_serve_too(predicted, find):
    labels = predicted.viewer.layers["truth"]
    before = labels.data.copy()
    predicted.source.choose(labels)
    cells = find(predicted)
    np.testing.assert_array_equal(cells.data, segment_stack((TRUTH == 1).astype(np.float32)))
    assert cells.name == "truth cells"
    np.testing.assert_array_equal(labels.data, before)


def test_labels_with_unlabelled_pixels_are_refused_where_they_would_be_used(predicted, find):
    labels = predicted.viewer.layers["truth"]
    labels.data[2, 5, 5] = 0
    predicted.source.choose(labels)
    assert "truth has unlabelled pixels, the first in slice 2" in press_in_vain(predicted)
    predicted.viewer.dims.set_current_step(0, 1)
    assert find(predicted, SLICE).data[1].all()


@pytest.mark.parametrize(("value", "said"), [(np.nan, "nan"), (1.5, "1.5"), (-1, "-1")])
def test_what_is_no_probability_is_refused_by_name_and_slice(predicted, value, said):
    predicted.viewer.layers["found"].data[3, 0, 0] = value
    sentence = press_in_vain(predicted)
    assert f"found holds {said} in slice 3, which is not a probability" in sentence


def test_a_slice_outside_of_the_stack_is_refused(predicted):
    predicted.viewer.add_image(np.zeros((30, 8, 8), np.uint8), scale=(50, 4, 4))
    predicted.viewer.dims.set_point(0, 50 * 20)
    predicted.scope.setCurrentText(SLICE)
    assert "shows no slice of found" in press_in_vain(predicted)


# -- what it makes -------------------------------------------------------------------------


def test_cells_lie_over_their_source_in_a_layer_named_after_the_image(predicted, find):
    others = {layer.name: np.array(layer.data) for layer in predicted.viewer.layers}
    cells = find(predicted)
    assert cells.name == "tissue cells"
    assert cells.scale.tolist() == [50, 4, 4]
    assert cells.translate.tolist() == [100, 8, 12]
    np.testing.assert_array_equal(cells.data, segment_stack(PROBABILITY))
    for name, data in others.items():
        np.testing.assert_array_equal(predicted.viewer.layers[name].data, data)


def test_linked_cells_keep_their_number_through_the_slices(predicted, find):
    cells = find(predicted, link=True)
    np.testing.assert_array_equal(cells.data, link(segment_stack(PROBABILITY)))
    assert (cells.data == cells.data[0]).all()
    assert "linked" in predicted.status.text()


def test_the_slice_in_view_is_tried_without_touching_the_others(predicted, find):
    predicted.viewer.dims.set_current_step(0, 2)
    cells = find(predicted, SLICE)
    assert cells.data.any(axis=(1, 2)).tolist() == [False, False, True, False]
    assert "in slice 2" in predicted.status.text()
    find(predicted)
    whole = cells.data.copy()
    find(predicted, SLICE, merge_threshold=1.0)
    np.testing.assert_array_equal(cells.data[[0, 1, 3]], whole[[0, 1, 3]])
    assert not np.isin(cells.data[2], whole[[0, 1, 3]]).any()
    assert len(np.unique(cells.data[2])) < len(np.unique(whole[2]))


@pytest.mark.slow
def test_a_second_run_replaces_the_cells_of_the_first(predicted, find):
    first = find(predicted)
    count = len(predicted.viewer.layers)
    find(predicted, outlines=True)
    assert len(predicted.viewer.layers) == count
    np.testing.assert_array_equal(first.data, segment_stack(PROBABILITY, CellSettings(outlines=True)))


def test_cells_that_the_user_has_painted_in_stay_and_the_next_get_a_layer_of_their_own(predicted, find):
    mine = find(predicted)
    mine.paint((1, 30, 30), 77)
    kept = mine.data.copy()
    other = find(predicted)
    assert other != mine
    np.testing.assert_array_equal(mine.data, kept)
    np.testing.assert_array_equal(other.data, segment_stack(PROBABILITY))


@pytest.mark.slow
def test_a_copy_of_the_cells_is_the_users(predicted, find):
    original = find(predicted)
    copy = Labels(original.data.copy(), name="copy", metadata=dict(original.metadata))
    predicted.viewer.add_layer(copy)
    kept = copy.data.copy()
    find(predicted, outlines=True)
    np.testing.assert_array_equal(predicted.viewer.layers["copy"].data, kept)


@pytest.mark.slow
def test_a_removed_layer_is_made_again(predicted, find):
    predicted.viewer.layers.remove(find(predicted))
    assert find(predicted) in predicted.viewer.layers


def test_a_single_slice_gives_a_flat_layer(step, find):
    image = step.viewer.add_image(IMAGE[0], name="tissue", scale=(4, 4))
    step.viewer.add_image(
        PROBABILITY[0], metadata=LayerInfo(proposal_of=image.unique_id).as_metadata(), scale=(4, 4)
    )
    cells = find(step)
    assert step.workspace.labels is None
    assert cells.data.shape == (64, 64)
    assert cells.scale.tolist() == [4, 4]


def test_cells_are_nobodys_training_labels_and_no_prediction_writes_into_them(predicted, find):
    labels = predicted.workspace.labels
    cells = find(predicted)
    assert predicted.workspace.labels == labels
    assert info_of(cells).proposal_of is None
    assert not is_managed(cells)


def test_a_slice_that_is_one_single_cell_is_told_of_by_its_number(predicted, find):
    predicted.viewer.layers["found"].data[3] = 0
    predicted.viewer.dims.set_current_step(0, 3)
    find(predicted, SLICE)
    assert "Slice 3 is one single cell" in predicted.status.text()


# -- while it works ------------------------------------------------------------------------


def test_cancel_stops_and_changes_nothing(predicted, qtbot):
    large = np.tile(PROBABILITY, (20, 6, 6))
    predicted.viewer.add_image(large, name="large", metadata=LayerInfo(proposal_of="?").as_metadata())
    predicted.source.choose(predicted.viewer.layers["large"])
    before = list(predicted.viewer.layers)
    predicted.find.click()
    wait_for(qtbot, lambda: predicted.bar.value() > 0)
    assert not predicted.find.isEnabled()
    assert predicted.bar.text().endswith(" left")
    predicted.cancel.click()
    wait_for(qtbot, lambda: not predicted.job.running, within(1))
    assert predicted.status.text() == "Cancelled; nothing was changed."
    assert list(predicted.viewer.layers) == before


def test_a_failure_of_the_engine_is_a_sentence(predicted):
    before = list(predicted.viewer.layers)
    predicted.job.event.emit(Message("something to know"))
    predicted.job.event.emit(Failed("The engine process ended unexpectedly."))
    assert predicted.status.text() == "The engine process ended unexpectedly."
    assert list(predicted.viewer.layers) == before


def test_settings_are_remembered(predicted, qtbot, find):
    find(predicted, SLICE, neck_px=2.5, link=True, size_px=33)
    later = CellsStep(predicted.viewer, predicted.workspace)
    qtbot.addWidget(later)
    settings = CellSettings(**later.form.values())
    assert settings == CellSettings(neck_px=2.5, link=True, size_px=33)
    assert later.scope.currentText() == SLICE


# -- beside what the user does --------------------------------------------------------------


def test_cells_hide_the_labels_that_they_cover_and_leave_the_selected_layer(predicted, find):
    truth, image = predicted.viewer.layers["truth"], predicted.viewer.layers["tissue"]
    predicted.viewer.layers.selection.active = image
    cells = find(predicted)
    assert (cells.visible, truth.visible) == (True, False)
    assert predicted.viewer.layers.selection.active == image
    truth.visible, cells.visible = True, False
    find(predicted)
    assert (cells.visible, truth.visible) == (True, False)


def test_labels_that_are_being_painted_stay_in_view_with_their_brush(predicted, find):
    truth = predicted.viewer.layers["truth"]
    predicted.viewer.layers.selection.active = truth
    truth.mode, truth.brush_size = "paint", 7
    for _ in ("in a new layer", "in the same"):
        assert find(predicted).visible
        assert truth.visible
        assert predicted.viewer.layers.selection.active == truth
        assert (truth.mode, truth.brush_size) == ("paint", 7)


def test_while_cells_are_found_the_dock_shows_a_line_with_cancel(predicted):
    line, of_table = predicted.job_lines
    assert of_table is predicted.table.line
    assert line.isAncestorOf(predicted.cancel)
    assert line.isAncestorOf(predicted.bar)
    assert not predicted.isAncestorOf(predicted.bar)


# -- beside the user's corrections ----------------------------------------------------------


def test_confirmed_slices_are_divided_as_the_user_labelled_them_and_others_as_the_network_sees_them(
    predicted, find
):
    labels = predicted.viewer.layers["truth"]
    labels.data[3] += 2  # a proposal, confirmed as it is
    labels.data[1, :8] = 0  # here only the network knows
    confirmed_in(labels).update({1, 3})
    cells = find(predicted)
    mixed = PROBABILITY.copy()
    mixed[1, 8:], mixed[3] = TRUTH[1, 8:] == 1, TRUTH[3] == 1
    np.testing.assert_array_equal(cells.data, segment_stack(mixed))
    assert (cells.data != segment_stack(PROBABILITY)).any()
    assert (
        "boundaries are 'truth' in slices 1, 3, which you confirmed, else 'found'" in predicted.status.text()
    )


def test_cells_of_the_network_alone_say_so(predicted, find):
    confirmed_in(predicted.viewer.layers["truth"]).add(3)
    predicted.viewer.dims.set_current_step(0, 0)
    cells = find(predicted, SLICE)
    np.testing.assert_array_equal(cells.data[0], segment_stack(PROBABILITY[:1])[0])
    assert "are those of 'found' alone" in predicted.status.text()


def test_confirmed_labels_of_another_image_do_not_count(predicted, find):
    other = predicted.viewer.add_image(IMAGE.copy(), name="other")
    labels = add_labels(predicted.viewer, TRUTH.copy(), "other labels", other, confirmed=range(4))
    predicted.workspace.choose("labels", labels)
    np.testing.assert_array_equal(find(predicted).data, segment_stack(PROBABILITY))
    assert (
        "Labels that you confirmed in 'other labels' do not count: they belong to another image than 'found'."
        in predicted.status.text()
    )


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"translate": (100, 8, 112)}, "they lie elsewhere than 'found'"),
        ({"scale": (50, 4, 4.1)}, "they lie elsewhere than 'found'"),
        ({"units": ("nm", "nm", "nm")}, "they have other units than 'found'"),
    ],
)
@pytest.mark.filterwarnings("ignore:Inconsistent units")  # napari's own word
def test_confirmed_labels_that_lie_elsewhere_do_not_count(predicted, find, place, reason):
    labels = predicted.viewer.layers["truth"]
    for name, value in place.items():
        setattr(labels, name, value)
    found = segment_stack(PROBABILITY)
    np.testing.assert_array_equal(find(predicted).data, found)
    assert "do not count" not in predicted.status.text()  # none is confirmed
    confirmed_in(labels).update(range(4))
    np.testing.assert_array_equal(find(predicted).data, found)
    assert f"confirmed in 'truth' do not count: {reason}." in predicted.status.text()


def test_confirmed_labels_of_another_size_do_not_count(predicted, find):
    larger = np.pad(TRUTH, ((0, 0), (0, 8), (0, 0)), constant_values=2)
    labels = add_labels(predicted.viewer, larger, "larger", predicted.viewer.layers["tissue"], confirmed=[1])
    predicted.workspace.choose("labels", labels)
    np.testing.assert_array_equal(find(predicted).data, segment_stack(PROBABILITY))
    assert "confirmed in 'larger' do not count: they have another size than 'found'." in (
        predicted.status.text()
    )


def test_a_probability_that_cannot_be_read_where_all_is_labelled_is_not_read(predicted, qtbot):
    def read(block, block_info=None):
        if block_info and block_info[0]["chunk-location"][0] == 1:
            raise OSError("broken")
        return block

    layer = predicted.source.layer
    lazy = da.from_array(layer.data, (1, 64, 64)).map_blocks(read, dtype=np.float32)
    confirmed_in(predicted.viewer.layers["truth"]).add(1)
    predicted.viewer.dims.set_current_step(0, 0)  # napari reads the slice in view
    broken = predicted.viewer.add_image(
        lazy, name="broken", scale=layer.scale, translate=layer.translate, contrast_limits=(0, 1)
    )
    predicted.source.choose(broken)
    predicted.scope.setCurrentText(STACK)
    predicted.find.click()
    wait_for(qtbot, lambda: not predicted.job.running)
    assert "'truth' in slice 1, which you confirmed" in predicted.status.text()


def test_what_a_cancelled_search_still_finds_out_does_not_get_into_the_next(predicted, qtbot, monkeypatch):
    go, stale_done, calls = threading.Event(), threading.Event(), []
    mixed = segment.mixed

    def slow(*given):
        calls.append(given)
        if len(calls) == 1:
            assert go.wait(PATIENCE_S)
            return mixed(*given)[0], ["A stale note."]
        go.set()
        assert stale_done.wait(PATIENCE_S)
        return mixed(*given)

    def highest(*_):
        is_stale = not stale_done.is_set()
        stale_done.set()
        return 1000 if is_stale else 0

    monkeypatch.setattr(segment, "mixed", slow)
    monkeypatch.setattr(CellLayers, "highest_beside", highest)
    predicted.find.click()
    wait_for(qtbot, lambda: bool(calls))
    predicted.cancel.click()
    predicted.find.click()
    wait_for(qtbot, lambda: not predicted.job.running)
    assert " in 4 slices" in predicted.status.text()
    assert "stale" not in predicted.status.text()


# -- cells of layers that were removed --------------------------------------------------------


def is_gone(pixels):
    gc.collect()
    return pixels() is None


def test_cells_of_a_removed_layer_are_gone_from_memory_and_their_numbers_count_no_more(
    predicted, find, qtbot
):
    cells = find(predicted)
    pixels = weakref.ref(cells.data)
    predicted.viewer.layers.remove(cells)
    del cells
    wait_for(qtbot, lambda: is_gone(pixels))
    again = find(predicted, SLICE)
    assert again.data[again.data > 0].min() == 1


def test_a_source_that_was_removed_is_gone_from_memory(predicted, find, qtbot):
    find(predicted)
    source = weakref.ref(predicted.source.layer.data)
    predicted.viewer.layers.remove("found")
    wait_for(qtbot, lambda: is_gone(source))


# -- their table ----------------------------------------------------------------------------


def saved(step, qtbot, path):
    """The lines of the table of cells."""
    step.table.write(path)
    wait_for(qtbot, lambda: step.status.text().startswith(f"Wrote {path}"))
    return path.read_text(encoding="utf-8").splitlines()


def test_cells_have_a_table_in_napari_and_as_a_file_with_slices_and_sizes(
    predicted, find, qtbot, tmp_path, monkeypatch
):
    save = predicted.table.save
    assert not save.isEnabled()
    cells = find(predicted, link=True)
    wait_for(qtbot, lambda: len(cells.features) > 0)
    assert cells.features["index"].tolist() == list(range(1, cells.data.max() + 1))
    assert cells.features["voxels"].sum() == cells.data.size
    assert cells.features["volume_unit3"].sum() == cells.data.size * 50 * 4 * 4
    cells.data[cells.data == 1] = 2  # as the user changes them
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    save.click()
    assert not save.isEnabled()
    wait_for(qtbot, lambda: predicted.status.text() == f"Wrote {tmp_path / 'mine.csv'}.")
    lines = (tmp_path / "mine.csv").read_text(encoding="utf-8").splitlines()
    sizes = "cell,first_slice,last_slice,slices,voxels,volume_unit3"
    assert lines[0] == f"{sizes},y_min,y_max,x_min,x_max,neighbours"
    assert lines[1].startswith(f"2,0,3,4,{(cells.data == 2).sum()},")
    wait_for(qtbot, save.isEnabled)
    predicted.viewer.layers.remove(cells)
    assert not save.isEnabled()


def test_linked_cells_stay_linked_when_one_slice_is_tried(predicted, find, qtbot):
    for scope, linked, size in (
        (STACK, True, "volume_unit3"),
        (SLICE, False, "volume_unit3"),
        (STACK, False, "area_unit2"),
        (SLICE, True, "area_unit2"),
    ):
        cells = find(predicted, scope, link=linked)
        wait_for(qtbot, lambda size=size, cells=cells: size in cells.features)
        assert axes_of_size(cells) == (3 if size.startswith("volume") else 2)


def test_cells_of_a_single_image_have_an_area_though_link_is_ticked(step, find, qtbot):
    image = step.viewer.add_image(IMAGE[0], name="tissue", scale=(4, 4))
    step.viewer.add_image(
        PROBABILITY[0], metadata=LayerInfo(proposal_of=image.unique_id).as_metadata(), scale=(4, 4)
    )
    cells = find(step, link=True)
    wait_for(qtbot, lambda: "area_unit2" in cells.features)
    assert cells.features["area_unit2"].sum() == 16 * 64 * 64


def test_axes_with_different_units_of_length_have_one_in_the_table(predicted, find, qtbot, tmp_path):
    for layer in predicted.viewer.layers:
        layer.scale, layer.units = (0.05, 4, 4), ("um", "nm", "nm")
    find(predicted, link=True)
    head, first, *_ = saved(predicted, qtbot, tmp_path / "cells.csv")
    assert ",voxels,volume_nanometer3,y_min," in head
    pixels, volume = first.split(",")[4:6]
    assert int(volume) == 800 * int(pixels)


def test_a_table_without_sizes_says_why(predicted, find, qtbot, tmp_path):
    for layer in predicted.viewer.layers:
        layer.units = ("nm", "pixel", "pixel")
    find(predicted, link=True)
    assert ",voxels,y_min," in saved(predicted, qtbot, tmp_path / "cells.csv")[0]
    assert predicted.status.text().endswith(
        "cells.csv. It has no volumes: the units of the axes differ (nanometer, pixel)."
    )


def test_features_are_those_of_all_slices_after_one_was_tried(predicted, find, qtbot, tmp_path):
    predicted.viewer.dims.set_current_step(0, 2)
    find(predicted)
    cells = find(predicted, SLICE, merge_threshold=1.0)
    lines = saved(predicted, qtbot, tmp_path / "cells.csv")
    numbers = [int(line.split(",")[0]) for line in lines[1:]]
    wait_for(qtbot, lambda: cells.features.get("index", np.zeros(0)).tolist() == numbers)
    assert cells.features["pixels"].tolist() == [int(line.split(",")[4]) for line in lines[1:]]


def test_only_slices_in_use_are_measured(predicted, find, qtbot, tmp_path, monkeypatch):
    find(predicted)
    monkeypatch.setattr("emseg_napari.widgets.layers.cell_layers.slices_in_use", lambda _: [2])
    lines = saved(predicted, qtbot, tmp_path / "one.csv")
    assert {line.split(",")[1] for line in lines[1:]} == {"2"}
    monkeypatch.setattr("emseg_napari.widgets.layers.cell_layers.slices_in_use", lambda _: [])
    assert len(saved(predicted, qtbot, tmp_path / "none.csv")) == 1


def test_a_table_that_takes_long_is_shown_though_cells_of_another_layer_were_found(
    predicted, find, qtbot, monkeypatch
):
    go, calls, measured = threading.Event(), [], segment.measured

    def slow(*given):
        calls.append(given)
        assert len(calls) > 1 or go.wait(PATIENCE_S)
        return measured(*given)

    monkeypatch.setattr(segment, "measured", slow)
    cells = find(predicted)
    predicted.source.choose(predicted.viewer.layers["truth"])
    others = find(predicted)
    assert others != cells
    wait_for(qtbot, lambda: len(others.features) > 0)
    go.set()
    wait_for(qtbot, lambda: len(cells.features) > 0)


def test_a_table_that_was_measured_before_the_cells_were_found_again_is_not_shown(
    predicted, find, qtbot, monkeypatch
):
    go, calls, measured = threading.Event(), [], segment.measured

    def slow(*given):
        calls.append(given)
        if len(calls) > 1:
            return measured(*given)
        assert go.wait(PATIENCE_S)
        return {"cell": np.array([77])}

    monkeypatch.setattr(segment, "measured", slow)
    cells = find(predicted)
    find(predicted)
    wait_for(qtbot, lambda: len(cells.features) > 1)
    go.set()
    wait_for(qtbot, lambda: not predicted._workers)
    assert len(cells.features) > 1


def test_a_table_is_a_job_with_a_line_and_cancel(predicted, find, qtbot, tmp_path, monkeypatch):
    go = threading.Event()
    find(predicted)

    def waiting(layer):
        assert go.wait(PATIENCE_S)
        return layer

    monkeypatch.setattr("emseg_napari.widgets.base.cell_table.cells_of", waiting)
    table = predicted.table
    assert table.line in predicted.job_lines
    assert table.line.isAncestorOf(table.cancel)
    table.write(tmp_path / "cells.csv")
    assert not table.line.isHidden()
    assert "a table is being written" in table.save.toolTip()
    assert predicted.find.isEnabled()
    table.cancel.click()
    go.set()
    assert predicted.status.text() == "Cancelled; no table was written."
    assert table.line.isHidden()
    assert table.save.isEnabled()
    assert not (tmp_path / "cells.csv").exists()


def test_a_table_that_cannot_be_written_is_a_sentence(predicted, find, qtbot, tmp_path):
    find(predicted)
    (tmp_path / "file").touch()
    predicted.table.write(tmp_path / "file" / "cells.csv")
    wait_for(qtbot, lambda: not predicted.table.job.running)
    assert predicted.is_wrong
    assert str(tmp_path / "file") in predicted.status.text()
