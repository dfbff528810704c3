"""What the user paints is kept on disk without being asked, and comes back."""

import gc
import os
import shutil
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace

import dask.array
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from emseg_napari.annotation.session import autosave
from emseg_napari.annotation.session.autosave import Autosave
from emseg_napari.annotation.session.contents import read_contents
from emseg_napari.annotation.session.recovery import recoverable, recovery_folder
from emseg_napari.annotation.session.store import Session, load_session, save_session
from emseg_napari.io.address import location_of
from emseg_napari.io.open import open_volume
from emseg_napari.io.volume import BrokenChunk
from emseg_napari.widgets.base import session_step
from emseg_napari.widgets.base.autosave import autosave_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.correct.step import CorrectStep
from emseg_napari.widgets.dock import Dock
from emseg_napari.widgets.layers.file_layers import moved_to
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in, history_of
from emseg_napari.widgets.layers.layer_info import LayerInfo, info_in
from emseg_napari.widgets.layers.layer_sources import found_source
from emseg_napari.widgets.layers.placement import lie_together
from emseg_napari.widgets.layers.session_layers import session_layers
from helpers.timing import PATIENCE_S, within
from helpers.window import answer_with, canvas_of, drag, entry, middle, striped, wait_for, wait_until_left


@pytest.fixture
def desk(dock, qtbot, tmp_path):
    """The dock with a stack from a file, and labels for it."""
    image, labels = striped()
    tifffile.imwrite(tmp_path / "stack.tif", image, photometric="minisblack")
    dock.load.open_image(tmp_path / "stack.tif")
    wait_for(qtbot, lambda: dock.workspace.image is not None)
    return dock, labels


@pytest.fixture
def loaded(desk):
    dock, labels = desk
    add_labels(dock.workspace.viewer, labels, "mine", dock.workspace.image)
    dock.show_step(dock.correct)
    return dock


def stroke(dock):
    dock.correct.tools[0].click()
    canvas = canvas_of(dock)
    drag(canvas, middle(canvas, -60, 20), middle(canvas, 60, 25))


def is_session(folder):
    return folder is not None and (folder / "session.json").is_file()


def kept(dock):
    """The labels on disk of the chosen layer; None as long as there are none."""
    folder = dock.autosave.folder(dock.workspace.labels)
    return load_session(folder).labels if is_session(folder) else None


def test_a_stroke_is_on_disk_within_two_seconds_and_nothing_was_pressed(loaded, qtbot):
    stroke(loaded)
    folder = loaded.autosave.folder(loaded.workspace.labels)
    assert folder.parent == recovery_folder()
    wait_for(qtbot, lambda: np.array_equal(kept(loaded), loaded.workspace.labels.data), within(2))


def set_pixel(layer):
    layer.data_setitem((np.array([2]), np.array([5]), np.array([6])), 4)


def draw_polygon(layer):
    layer.paint_polygon([[2, 20, 20], [2, 20, 40], [2, 40, 40]], 3)


@pytest.mark.parametrize("change", [set_pixel, draw_polygon])
def test_what_tools_change_is_kept_without_a_stroke_after_it(loaded, qtbot, change):
    """Napari tells of these changes before it makes them."""
    layer = loaded.workspace.labels
    change(layer)
    wait_for(qtbot, lambda: np.array_equal(kept(loaded), layer.data), within(2))


def test_the_last_change_to_a_layer_that_is_removed_is_kept(loaded, qtbot, capsys):
    layer = loaded.workspace.labels
    set_pixel(layer)
    loaded.workspace.viewer.layers.clear()
    wait_for(qtbot, lambda: bool(recoverable()))
    assert "Traceback" not in capsys.readouterr().err  # of what still wanted to count it
    assert np.array_equal(load_session(recoverable()[0].folder).labels, layer.data)


def test_undo_and_confirmations_are_kept_too(loaded, qtbot):
    layer = loaded.workspace.labels
    stroke(loaded)
    loaded.correct.confirm.click()
    z = next(iter(confirmed_in(layer)))
    folder = loaded.autosave.folder(layer)
    wait_for(qtbot, lambda: is_session(folder) and load_session(folder).confirmed == {z})
    history_of(layer).undo()
    history_of(layer).undo()
    wait_for(qtbot, lambda: load_session(folder).confirmed == set())
    wait_for(qtbot, lambda: np.array_equal(kept(loaded), layer.data))


def test_nothing_is_written_of_labels_that_nobody_touched(loaded, qtbot):
    qtbot.wait(500)
    assert loaded.autosave.folder(loaded.workspace.labels) is None
    assert not list(recovery_folder().glob("*.emseg"))


def test_a_saved_session_is_kept_where_it_was_saved_and_no_longer_offered(loaded, qtbot, tmp_path):
    stroke(loaded)
    loaded.load.save_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    assert loaded.autosave.folder(loaded.workspace.labels) == tmp_path / "work.emseg"
    stroke(loaded)
    layer = loaded.workspace.labels
    wait_for(qtbot, lambda: np.array_equal(load_session(tmp_path / "work.emseg").labels, layer.data))
    wait_for(qtbot, lambda: not list(recovery_folder().glob("*.emseg")))


def lost_session(tmp_path, labels):
    """Work of a window that is gone: a session in the recovery folder that no process holds."""
    from emseg_napari.annotation.session.recovery import new_recovery
    from emseg_napari.annotation.session.store import Session, save_session

    folder = new_recovery()
    folder.parent.mkdir(parents=True, exist_ok=True)
    save_session(folder, Session(tmp_path / "stack.tif", None, labels, {1}, name="mine"))
    return folder


def test_lost_work_is_offered_at_the_next_start_and_restored(desk, qtbot, tmp_path):
    dock, labels = desk
    assert dock.load.lost_work.isHidden()
    lost_session(tmp_path, labels)
    dock.load.lost_work.refresh()
    assert not dock.load.lost_work.isHidden()
    assert "stack.tif" in dock.load.lost_work.choice.currentText()
    dock.load.lost_work.restore.click()
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    np.testing.assert_array_equal(dock.workspace.labels.data, labels)
    assert confirmed_in(dock.workspace.labels) == {1}
    wait_for(qtbot, dock.load.lost_work.isHidden)
    stroke(dock)  # it goes on there
    wait_for(qtbot, lambda: np.array_equal(kept(dock), dock.workspace.labels.data))


def test_the_labels_of_a_removed_layer_can_be_restored(loaded, qtbot):
    stroke(loaded)
    painted = loaded.workspace.labels.data.copy()
    folder = loaded.autosave.folder(loaded.workspace.labels)
    loaded.workspace.viewer.layers.clear()
    wait_for(qtbot, lambda: [one.folder for one in recoverable()] == [folder])
    wait_for(qtbot, loaded.load.lost_work.isVisible)
    loaded.load.lost_work.restore.click()
    wait_for(qtbot, lambda: loaded.workspace.labels is not None)
    np.testing.assert_array_equal(loaded.workspace.labels.data, painted)


def test_discarded_work_is_not_offered_again_and_is_asked_about(desk, tmp_path, monkeypatch):
    dock, labels = desk
    folder = lost_session(tmp_path, labels)
    dock.load.lost_work.refresh()
    asked = answer_with(monkeypatch, None)
    dock.load.lost_work.discard.click()
    assert "are deleted" in asked[0]
    assert folder.exists()
    answer_with(monkeypatch, "Discard")
    dock.load.lost_work.discard.click()
    assert dock.load.lost_work.isHidden()
    assert not folder.exists()
    assert recoverable() == []


def test_a_session_dropped_into_the_window_opens_and_is_kept_up_to_date(desk, qtbot, tmp_path):
    dock, labels = desk
    folder = lost_session(tmp_path, labels).rename(tmp_path / "dropped.emseg")
    viewer = dock.workspace.viewer
    viewer.layers.clear()
    viewer.open(str(folder), plugin="emseg-napari")  # what a drop does
    assert [layer.name for layer in viewer.layers] == ["stack", "mine"]
    assert dock.autosave.folder(dock.workspace.labels) == folder
    stroke(dock)
    wait_for(qtbot, lambda: np.array_equal(kept(dock), dock.workspace.labels.data))


def test_a_session_opened_before_the_dock_is_kept_by_the_dock(make_napari_viewer_proxy, tmp_path):
    viewer = make_napari_viewer_proxy(show=True)
    image, labels = striped()
    tifffile.imwrite(tmp_path / "stack.tif", image, photometric="minisblack")
    folder = lost_session(tmp_path, labels).rename(tmp_path / "early.emseg")
    viewer.open(str(folder), plugin="emseg-napari")
    dock = Dock(viewer).build()
    viewer.window.add_dock_widget(dock)
    assert dock.autosave.folder(dock.workspace.labels) == folder


@pytest.mark.parametrize("units", [("um", "nm", "nm"), ("nm", "nm", "nm")])
def test_labels_that_are_restored_lie_over_an_image_whose_axes_have_different_units(dock, qtbot, units):
    image, labels = striped()
    shown = dock.workspace.viewer.add_image(image, name="tissue", scale=(50, 4, 4), units=units)
    mine = add_labels(dock.workspace.viewer, labels, "mine", shown)
    set_pixel(mine)
    folder = dock.autosave.folder(mine)
    wait_for(qtbot, lambda: is_session(folder))
    dock.workspace.viewer.layers.remove(mine)
    wait_for(qtbot, dock.load.lost_work.isVisible)
    dock.load.lost_work.restore.click()
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert lie_together(dock.workspace.labels, shown)


def test_a_session_that_is_open_is_not_opened_twice(loaded, qtbot, tmp_path):
    loaded.load.save_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    loaded.load.open_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: "is open in a window" in loaded.load.status.text())


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_session_that_is_open_is_saved_through_a_link_to_it(loaded, qtbot, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    for place in (tmp_path, tmp_path / "link"):
        loaded.load.status.setText("")
        loaded.load.save_session(place / "work.emseg")
        wait_for(qtbot, lambda: loaded.load.status.text() not in ("", "Saving work.emseg..."))
        assert loaded.load.status.text().startswith("Saved")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_nobody_is_asked_about_a_session_of_ones_own_that_a_link_leads_to(
    loaded, qtbot, tmp_path, monkeypatch
):
    save_as(loaded, qtbot, tmp_path / "work.emseg")
    (tmp_path / "link").symlink_to(tmp_path)
    asked = answer_with(monkeypatch, None)
    monkeypatch.setattr(session_step, "ask_new_folder", lambda *_: tmp_path / "link/work.emseg")
    loaded.load.say("")
    entry(loaded, "Save session...").click()
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    assert asked == []


def test_a_session_whose_image_moved_asks_where_it_is(desk, qtbot, tmp_path, monkeypatch):
    dock, labels = desk
    folder = lost_session(tmp_path, labels).rename(tmp_path / "moved.emseg")
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "stack.tif", tmp_path / "elsewhere" / "stack.tif")
    asked = []
    answer = str(tmp_path / "elsewhere" / "stack.tif")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (asked.append(a[1]), (answer, ""))[1])
    dock.load.open_session(folder)
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert asked == ["Where is stack.tif now?"]
    np.testing.assert_array_equal(dock.workspace.labels.data, labels)


def test_a_session_whose_image_at_an_address_is_gone_asks_where_it_is(
    desk, store, qtbot, tmp_path, monkeypatch
):
    dock, labels = desk
    folder = tmp_path / "work.emseg"
    address = location_of(f"{store.web}/stack.zarr")
    save_session(folder, Session(address, None, labels, {1}, name="mine"))
    new, asked = Path(shutil.move(tmp_path / "stack.tif", tmp_path / "new.tif")), []
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a: (asked.append(a[1]), str(new))[1])
    dock.load.open_session(folder)
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert asked == ["Where is stack.zarr now?"]
    np.testing.assert_array_equal(dock.workspace.labels.data, labels)


def test_of_a_container_that_moved_the_same_dataset_is_opened(tmp_path):
    new = tmp_path / "new.h5"
    new.touch()
    assert moved_to(Path("/gone/a.h5/volumes/raw"), new) == new / "volumes/raw"
    folder = tmp_path / "new.zarr"
    (folder / "images" / "0").mkdir(parents=True)
    assert moved_to(Path("/gone/b.zarr/images/0"), folder) == folder / "images/0"
    assert moved_to(Path("/gone/b.zarr"), folder) == folder
    assert moved_to(Path("/gone/b.zarr/images/0"), folder / "images" / "0") == folder / "images/0"
    other = tmp_path / "exported.tif"
    other.touch()
    assert moved_to(Path("/gone/a.h5/volumes/raw"), other) == other


def test_labels_on_an_image_with_a_broken_chunk_come_back(tmp_path):
    image, labels = striped()
    path = zarr.create_array(tmp_path / "a.zarr", data=image, chunks=(1, 64, 64)).store.root
    save_session(tmp_path / "work.emseg", Session(path, None, labels))
    (path / "c/2/0/0").unlink()
    (_, shown, _), (pixels, *_) = session_layers(tmp_path / "work.emseg")
    np.testing.assert_array_equal(pixels, labels)
    work = info_in(shown["metadata"]).volume[1]
    np.testing.assert_array_equal(work[1], image[1])
    with pytest.raises(BrokenChunk):
        work[2]


def test_an_image_that_napari_opened_is_copied_into_the_session_said_and_keeps_its_name(
    dock, qtbot, tmp_path
):
    image, labels = striped()
    layer = dock.workspace.viewer.add_image(image, name="train-volume")
    add_labels(dock.workspace.viewer, labels, "mine", layer)
    dock.load.save_session(tmp_path / "a.emseg")
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Saved a.emseg"))
    assert dock.load.status.text().endswith(
        "The image was not opened from a file by emseg, so the session holds a copy of it."
    )
    shutil.copytree(tmp_path / "a.emseg", tmp_path / "b.emseg")
    assert [shown["name"] for _, shown, _ in session_layers(tmp_path / "b.emseg")] == ["train-volume", "mine"]
    layer.name = "slab"
    stroke(dock)
    wait_for(qtbot, lambda: read_contents(tmp_path / "a.emseg").image_name == "slab")


def test_an_image_with_a_file_comes_back_by_the_name_of_its_layer(loaded, qtbot, tmp_path):
    loaded.workspace.image.name = "slab"
    loaded.load.save_session(tmp_path / "a.emseg")
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved a.emseg"))
    assert "copy" not in loaded.load.status.text()
    shutil.copytree(tmp_path / "a.emseg", tmp_path / "b.emseg")
    assert session_layers(tmp_path / "b.emseg")[0][1]["name"] == "slab"


def test_a_copy_of_the_image_moves_with_the_session(loaded, qtbot, tmp_path):
    entry(loaded, "Sessions hold a copy of the image").click()
    loaded.load.save_session(tmp_path / "whole.emseg")
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    shutil.copytree(tmp_path / "whole.emseg", tmp_path / "other" / "copy.emseg")
    (tmp_path / "stack.tif").unlink()
    np.testing.assert_array_equal(
        load_session(tmp_path / "other" / "copy.emseg").image, loaded.workspace.image.data
    )


@pytest.fixture
def with_copy(loaded, qtbot, tmp_path):
    """The folder of a session that holds a copy of the image, which is in view from its file."""
    entry(loaded, "Sessions hold a copy of the image").click()
    save_as(loaded, qtbot, tmp_path / "whole.emseg")
    entry(loaded, "Sessions hold a copy of the image").click()
    return tmp_path / "whole.emseg"


def save_as(dock, qtbot, folder):
    dock.load.say("")
    dock.load.save_session(folder)
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Saved"))


def open_again(dock, qtbot, folder):
    """Open a session over the image that is in view."""
    dock.workspace.viewer.layers.remove(dock.workspace.labels)
    wait_until_left(qtbot, folder)
    dock.load.open_session(folder)
    wait_for(qtbot, lambda: dock.workspace.labels is not None)
    assert len(dock.workspace.candidates("image")) == 1


def replace_pixels(dock, qtbot):
    """Give the labels another array, with which their autosave begins anew."""
    labels = dock.workspace.labels
    labels.data = np.roll(labels.data, 3, axis=1)
    wait_for(qtbot, lambda: np.array_equal(kept(dock), labels.data))


@pytest.mark.parametrize("opened_again", [False, True])
@pytest.mark.parametrize("anew", [False, True])
def test_a_copy_of_the_image_stays_in_its_session(loaded, qtbot, with_copy, opened_again, anew):
    if opened_again:
        open_again(loaded, qtbot, with_copy)
    if anew:
        replace_pixels(loaded, qtbot)
    save_as(loaded, qtbot, with_copy)
    wait_for(qtbot, lambda: np.array_equal(kept(loaded), loaded.workspace.labels.data))
    assert load_session(with_copy).image_path is None
    np.testing.assert_array_equal(load_session(with_copy).image, loaded.workspace.image.data)
    assert len(list(with_copy.glob("*.tif"))) == 1


def test_a_session_with_another_name_holds_no_copy_unasked(loaded, qtbot, with_copy, tmp_path):
    open_again(loaded, qtbot, with_copy)
    save_as(loaded, qtbot, tmp_path / "light.emseg")
    assert load_session(tmp_path / "light.emseg").image_path == tmp_path / "stack.tif"
    assert load_session(with_copy).image_path is None
    replace_pixels(loaded, qtbot)
    assert load_session(tmp_path / "light.emseg").image_path == tmp_path / "stack.tif"


@pytest.mark.parametrize("copied", [False, True])
def test_a_session_over_an_image_in_view_keeps_no_second_one_in_memory(
    loaded, qtbot, tmp_path, monkeypatch, copied
):
    if copied:
        entry(loaded, "Sessions hold a copy of the image").click()
    save_as(loaded, qtbot, tmp_path / "work.emseg")
    read = []

    def noted(*given):
        session = load_session(*given)
        read.append(weakref.ref(session.image))
        return session

    monkeypatch.setattr("emseg_napari.widgets.layers.session_layers.load_session", noted)
    open_again(loaded, qtbot, tmp_path / "work.emseg")
    wait_for(qtbot, lambda: gc.collect() >= 0 and read[0]() is None)


def test_a_disk_that_fails_is_said_and_tried_again(loaded, qtbot, monkeypatch):
    stroke(loaded)
    folder = loaded.autosave.folder(loaded.workspace.labels)
    wait_for(qtbot, lambda: is_session(folder))
    from emseg_napari.annotation.session import writer as sessionwriter

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(sessionwriter, "write_slice", full)
        set_pixel(loaded.workspace.labels)  # the same stroke again would change nothing
        wait_for(qtbot, lambda: "not on disk" in loaded.load.status.text())
    wait_for(qtbot, lambda: loaded.load.status.text() == "All is on disk again.")
    wait_for(qtbot, lambda: np.array_equal(kept(loaded), loaded.workspace.labels.data))


@pytest.fixture
def full_disk(loaded, qtbot):
    """Labels that are in view, or were removed, while the disk is full; a pixel of them is not on disk."""
    stroke(loaded)
    folder = loaded.autosave.folder(loaded.workspace.labels)
    wait_for(qtbot, lambda: is_session(folder))

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr("emseg_napari.annotation.session.writer.write_slice", full)
        set_pixel(loaded.workspace.labels)
        wait_for(qtbot, loaded.load.trouble.isVisible)
        yield SimpleNamespace(labels=loaded.workspace.labels, folder=folder, free=broken.undo)
    wait_for(qtbot, loaded.load.trouble.isHidden)


def test_labels_that_were_removed_are_not_said_to_be_on_disk_before_they_are(loaded, qtbot, full_disk):
    loaded.workspace.viewer.layers.remove(full_disk.labels)
    with qtbot.assertNotEmitted(loaded.autosave.trouble, wait=1200):
        pass
    assert "not on disk" in loaded.load.trouble.text()
    full_disk.free()
    wait_for(qtbot, lambda: loaded.load.status.text() == "All is on disk again.")
    assert np.array_equal(load_session(full_disk.folder).labels, full_disk.labels.data)
    wait_for(qtbot, loaded.load.lost_work.isVisible)


@pytest.mark.parametrize("removed", [False, True])
def test_the_window_does_not_close_unasked_while_something_is_not_on_disk(
    loaded, qtbot, monkeypatch, full_disk, removed
):
    if removed:
        loaded.workspace.viewer.layers.remove(full_disk.labels)
    asked, window = answer_with(monkeypatch, None), loaded.window()
    event = QCloseEvent()
    QApplication.sendEvent(window, event)
    assert not event.isAccepted()
    assert window.isVisible()
    assert "No space left" in asked[0]
    assert asked[0].endswith("The last strokes are not on disk and would be lost.")


def test_strokes_that_are_lost_at_the_end_are_logged(loaded, monkeypatch, caplog):
    monkeypatch.setattr(Autosave, "close", lambda *_, **__: False)
    other = Workspace(loaded.workspace.viewer)
    set_pixel(loaded.workspace.labels)
    autosave_of(other).record_edit(loaded.workspace.labels, {2})
    other.deleteLater()
    QApplication.sendPostedEvents(other, QEvent.Type.DeferredDelete)
    assert "'mine' is not on disk" in caplog.text


def test_two_workspaces_keep_a_layer_in_one_session_and_one_may_go(loaded, qtbot, tmp_path):
    """Such as the dock beside a step that was opened as a widget of its own."""
    layer = loaded.workspace.labels
    other = Workspace(loaded.workspace.viewer)
    autosave_of(other)
    stroke(loaded)
    stroke(loaded)
    wait_for(qtbot, lambda: len(list(recovery_folder().glob("*.emseg"))) == 1)
    loaded.load.save_session(tmp_path / "work.emseg")
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    stroke(loaded)
    with qtbot.captureExceptions() as wrong:
        other.deleteLater()
        qtbot.wait(200)
        set_pixel(layer)
        stroke(loaded)
    assert wrong == []
    named = tmp_path / "work.emseg"
    wait_for(qtbot, lambda: np.array_equal(load_session(named).labels, layer.data))
    wait_for(qtbot, lambda: not list(recovery_folder().glob("*.emseg")))


def test_a_step_that_is_opened_alone_autosaves_too(make_napari_viewer_proxy, qtbot, tmp_path):
    viewer = make_napari_viewer_proxy()
    pixels, labels = striped()
    tifffile.imwrite(tmp_path / "stack.tif", pixels, photometric="minisblack")
    source = LayerInfo(source=str(tmp_path / "stack.tif")).as_metadata()  # as step Load leaves it
    layer = add_labels(viewer, labels, "mine", viewer.add_image(pixels, name="stack", metadata=source))
    step = CorrectStep(viewer)
    qtbot.addWidget(step)
    set_pixel(layer)
    wait_for(qtbot, lambda: is_session(step.autosave.folder(layer)))
    assert step.autosave.folder(layer).parent == recovery_folder()
    wait_for(qtbot, lambda: np.array_equal(kept(step), layer.data))


def test_a_dock_that_is_closed_and_opened_again_goes_on_in_the_same_session(loaded, qtbot, tmp_path):
    viewer, layer = loaded.workspace.viewer, loaded.workspace.labels
    first = Workspace(viewer)
    first.choose("labels", layer)
    autosave_of(first).saving(layer, loaded.workspace.image, tmp_path / "work.emseg", False)()
    for workspace in (first, loaded.workspace):  # as if both docks were closed
        autosave_of(workspace).release()
    set_pixel(layer)
    assert loaded.autosave.folder(layer) == tmp_path / "work.emseg"
    wait_for(qtbot, lambda: np.array_equal(load_session(tmp_path / "work.emseg").labels, layer.data))
    first.deleteLater()


@pytest.mark.slow
def test_a_dock_that_is_gone_hears_of_nothing(loaded, qtbot):
    viewer = loaded.workspace.viewer
    second = Dock(viewer).build()
    layer = loaded.workspace.labels
    with qtbot.captureExceptions() as wrong:
        second.deleteLater()
        qtbot.wait(200)
        stroke(loaded)
        set_pixel(layer)
        viewer.dims.set_point(0, 4)
        viewer.add_labels(np.zeros((6, 64, 64), np.uint8))
        viewer.layers.remove(layer)
        qtbot.wait(300)
    assert wrong == []


def test_pixels_that_are_replaced_as_a_whole_are_kept(loaded, qtbot):
    layer = loaded.workspace.labels
    stroke(loaded)
    layer.data = np.roll(layer.data, 3, axis=1)
    wait_for(qtbot, lambda: np.array_equal(kept(loaded), layer.data))
    stroke(loaded)
    wait_for(qtbot, lambda: np.array_equal(kept(loaded), layer.data))
    before = layer.data.copy()
    history_of(layer).undo()
    history_of(layer).undo()  # nothing of the time before is written over the new pixels
    assert (layer.data != before).any()
    np.testing.assert_array_equal(layer.data[0], before[0])


def test_a_session_comes_with_its_own_image_and_with_what_was_painted_before_the_dock(
    make_napari_viewer_proxy, qtbot, tmp_path
):
    viewer = make_napari_viewer_proxy(show=True)
    image, labels = striped()
    viewer.add_image(image, name="another stack of that size")
    tifffile.imwrite(tmp_path / "stack.tif", image, photometric="minisblack")
    folder = lost_session(tmp_path, labels).rename(tmp_path / "early.emseg")
    viewer.open(str(folder), plugin="emseg-napari")
    viewer.layers["mine"].data[4, :5] = 3
    dock = Dock(viewer).build()
    viewer.window.add_dock_widget(dock)
    assert dock.workspace.image.name == "stack"
    wait_for(qtbot, lambda: np.array_equal(kept(dock), viewer.layers["mine"].data))


def test_choosing_another_layer_mixes_no_runs_and_scales(loaded, qtbot, tmp_path):
    viewer, first = loaded.workspace.viewer, loaded.workspace.labels
    loaded.workspace.choose_run(tmp_path / "run-a")
    stroke(loaded)
    loaded.workspace.choose_scale(2.0)
    second = add_labels(viewer, first.data.copy(), "second", loaded.workspace.image)
    loaded.workspace.choose("labels", second)
    loaded.workspace.choose_run(tmp_path / "run-b")
    loaded.workspace.choose_scale(None)
    stroke(loaded)
    loaded.workspace.choose("labels", first)
    folder = loaded.autosave.folder(first)
    wait_for(qtbot, lambda: is_session(folder))
    qtbot.wait(500)
    session = load_session(folder)
    assert (session.run.name, session.settings) == ("run-a", {"scale": 2})


@pytest.mark.parametrize(("stated", "shown"), [(2.0, "2"), (None, ""), (99, ""), ("two", "")])
def test_a_session_comes_with_the_scale_at_which_its_user_predicts(desk, tmp_path, stated, shown):
    dock, labels = desk
    session = Session(None, dock.workspace.image.data, labels, settings={"scale": stated})
    save_session(tmp_path / "work.emseg", session)
    dock.workspace.choose_scale(3.0)
    dock.workspace.viewer.open(str(tmp_path / "work.emseg"), plugin="emseg-napari")
    assert dock.predict.form.widgets["scale"].value == shown


@pytest.mark.parametrize("white", [False, True])
def test_a_large_image_of_another_reader_is_found_in_its_file_only_if_it_is_read_alike(
    tmp_path, monkeypatch, white
):
    path, stored = tmp_path / "a.tif", striped()[0]
    tifffile.imwrite(path, stored, photometric="miniswhite" if white else "minisblack")
    monkeypatch.setattr(Image, "source", SimpleNamespace(path=str(path)))
    assert found_source(Image(dask.array.from_array(stored))) == (None if white else path)


def test_the_file_of_a_large_image_is_compared_with_it_beside_the_window(
    loaded, qtbot, tmp_path, monkeypatch
):
    """A slice of large chunks takes seconds."""
    threads = []
    path = zarr.create_array(tmp_path / "large.zarr", data=striped()[0], chunks=(6, 64, 64)).store.root
    others = dict.fromkeys(("reader_plugin", "sample", "widget", "parent"))
    monkeypatch.setattr(Image, "source", SimpleNamespace(path=str(path), **others))

    def opened(*given, **named):
        threads.append(threading.current_thread())
        return open_volume(*given, **named)

    monkeypatch.setattr("emseg_napari.widgets.layers.layer_sources.open_volume", opened)
    viewer = loaded.workspace.viewer
    image = viewer.add_image(dask.array.from_zarr(path), name="large")
    layer = add_labels(viewer, loaded.workspace.labels.data.copy(), "on it", image)
    set_pixel(layer)
    folder = loaded.autosave.folder(layer)
    wait_for(qtbot, lambda: is_session(folder) and read_contents(folder).image is not None)
    assert load_session(folder).image_path == Path(path)
    loaded.workspace.choose("image", image)
    loaded.workspace.choose("labels", layer)
    loaded.load.save_session(tmp_path / "named.emseg")
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    assert load_session(tmp_path / "named.emseg").image_path == Path(path)
    assert threads
    assert threading.main_thread() not in threads


def test_labels_are_kept_with_the_image_that_they_were_made_over_whichever_is_chosen(loaded, qtbot, tmp_path):
    viewer, layer = loaded.workspace.viewer, loaded.workspace.labels
    second = viewer.add_image(loaded.workspace.image.data[::-1].copy(), name="second")
    loaded.workspace.choose("image", second)
    loaded.workspace.choose("labels", layer)  # as a user may, who knows that both show one place
    set_pixel(layer)
    folder = loaded.autosave.folder(layer)
    wait_for(qtbot, lambda: is_session(folder))
    assert load_session(folder).image_path == tmp_path / "stack.tif"
    layer.data = layer.data[::-1].copy()  # it begins anew, and stays with its image
    wait_for(qtbot, lambda: np.array_equal(kept(loaded), layer.data))
    assert load_session(folder).image_path == tmp_path / "stack.tif"


@pytest.fixture
def saving(loaded, qtbot, monkeypatch):
    """Save under a name, of which nothing is written before `saving.gate` is set."""
    gate, asked, save_as = threading.Event(), [], Autosave.save_as
    monkeypatch.setattr(
        autosave, "save_session", lambda *given: gate.wait(PATIENCE_S) and save_session(*given)
    )
    monkeypatch.setattr(Autosave, "save_as", lambda *given: asked.append(given[1]) or save_as(*given))

    def save(folder):
        loaded.load.save_session(folder)
        wait_for(qtbot, lambda: folder in asked)

    save.gate = gate
    return save


def test_what_is_confirmed_while_two_names_are_given_is_saved_under_the_last(loaded, qtbot, tmp_path, saving):
    names = [tmp_path / "first.emseg", tmp_path / "second.emseg"]
    for name in names:
        saving(name)
    loaded.correct.confirm.click()
    saving.gate.set()
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved second"))
    confirmed = confirmed_in(loaded.workspace.labels)
    assert confirmed
    wait_for(qtbot, lambda: load_session(names[1]).confirmed == confirmed)


def test_a_session_whose_layer_is_removed_while_it_is_saved_can_be_opened_again(
    loaded, qtbot, tmp_path, saving
):
    saving(tmp_path / "work.emseg")
    loaded.workspace.viewer.layers.clear()
    saving.gate.set()
    wait_for(qtbot, lambda: loaded.load.status.text().startswith("Saved"))
    wait_until_left(qtbot, tmp_path / "work.emseg")


def test_labels_that_are_removed_while_they_are_saved_are_only_under_their_name(
    loaded, qtbot, tmp_path, saving
):
    stroke(loaded)
    labels, unsaved = loaded.workspace.labels, loaded.autosave.folder(loaded.workspace.labels)
    wait_for(qtbot, lambda: is_session(unsaved))
    saving(tmp_path / "work.emseg")
    loaded.workspace.viewer.layers.remove(labels)
    saving.gate.set()
    wait_for(qtbot, lambda: loaded.load.status.text() == f"Saved work.emseg in {tmp_path}.")
    wait_until_left(qtbot, tmp_path / "work.emseg")
    assert np.array_equal(load_session(tmp_path / "work.emseg").labels, labels.data)
    wait_for(qtbot, lambda: not unsaved.exists())
    assert recoverable() == []
