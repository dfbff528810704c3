"""An address whose server does not answer: the window goes on, and what was asked for comes when it does."""

import sys
from copy import deepcopy
from subprocess import PIPE, Popen
from threading import Thread

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEventLoop, QTimer

from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import location_of
from emseg_napari.io.ome_zarr_writer import Layout, VolumeOutput
from emseg_napari.widgets.layers import file_layers, remote_layers
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.remote_layers import arrays_of
from emseg_napari.widgets.layers.volume_layers import volume_layers
from helpers.timing import PATIENCE_S
from helpers.window import settle, striped, wait_for

IMAGE = striped((3, 64, 64))[0]


@pytest.fixture
def stalls(store):
    """Lets requests of keys with a text wait for an answer until the store is released."""

    def stall(text=""):
        store.released.clear()
        store.fault = lambda _, key: "silent" if text in key and not store.released.is_set() else None

    return stall


@pytest.fixture
def address(store, tmp_path):
    layout = Layout(IMAGE.shape, "uint8", (1, 32, 32), None)
    output = VolumeOutput.prepare(tmp_path / "a.zarr", layout, {"kind": "probability"})
    for block in output.blocks:
        output.write(block, IMAGE[block.window])
    output.finish()
    store.upload(tmp_path / "a.zarr", "a.zarr")
    return location_of(f"{store.web}/a.zarr")


@pytest.fixture
def warned(monkeypatch):
    sentences = []
    monkeypatch.setattr(remote_layers, "show_warning", sentences.append)
    return sentences


def opened(dock, qtbot, address, monkeypatch):
    """The layer of a volume that is read where it is looked at, once its first slice is drawn."""
    monkeypatch.setattr(file_layers, "_LARGE_AT_ADDRESS_BYTES", 10)
    dock.load.open_path(address)
    wait_for(qtbot, lambda: dock.workspace.image is not None)
    dock.workspace.viewer.dims.set_current_step(0, 0)
    wait_for(qtbot, lambda: is_drawn(dock.workspace.image, 0))
    return dock.workspace.image


def shown(layer, z):
    """What is drawn of the slice in view, in two of its chunks."""
    values = [layer.get_value((z, y, x)) for y, x in ((10, 10), (40, 33))]
    return [value[1] if layer.multiscale else value for value in values]


def is_drawn(layer, z):
    return shown(layer, z) == [IMAGE[z, 10, 10], IMAGE[z, 40, 33]]


def is_read(layer):
    return not any(array.is_reading for array in arrays_of(layer))


def test_while_an_address_is_opened_the_window_goes_on(dock, qtbot, store, address, stalls):
    stalls()
    dock.load.open_path(address)
    wait_for(qtbot, dock.load.reading_line.isVisible)
    assert dock.load.reading_line.title.text() == "Reading a.zarr"
    store.released.set()
    wait_for(qtbot, lambda: dock.workspace.image is not None)
    np.testing.assert_array_equal(dock.workspace.image.data, IMAGE)
    assert not dock.load.reading_line.isVisible()


def test_an_opening_that_was_cancelled_opens_nothing_and_the_next_one_does(
    dock, qtbot, store, address, stalls
):
    stalls()
    dock.load.open_path(address)
    wait_for(qtbot, dock.load.reading_line.isVisible)
    dock.load.cancel.click()
    assert dock.load.status.text() == "Cancelled: a.zarr was not opened."
    assert not dock.load.reading_line.isVisible()
    store.released.set()
    dock.load.open_path(address)
    settle(dock.load)
    wait_for(qtbot, lambda: not dock.load._workers)
    assert len(dock.workspace.viewer.layers) == 1


def test_an_opening_that_was_cancelled_asks_for_nothing_more(
    dock, qtbot, store, address, stalls, monkeypatch
):
    monkeypatch.setattr(file_layers, "_CHUNKS", 1)
    stalls("/0/c/1/")
    dock.load.open_path(address)
    wait_for(qtbot, lambda: dock.load.reading_line.bar.value() == 33)
    dock.load.cancel.click()
    store.released.set()
    wait_for(qtbot, lambda: not dock.load._workers)
    assert not [key for _, key in store.requests if "/0/c/2/" in key]


def test_a_failure_after_cancel_is_not_said(dock, qtbot, store, address, stalls):
    stalls()
    dock.load.open_path(address)
    wait_for(qtbot, dock.load.reading_line.isVisible)
    dock.load.cancel.click()
    store.fault = lambda *_: 500
    store.released.set()
    wait_for(qtbot, lambda: not dock.load._workers)
    assert dock.load.status.text() == "Cancelled: a.zarr was not opened."


def test_a_slice_that_does_not_come_is_empty_until_it_does(dock, qtbot, monkeypatch, store, address, stalls):
    layer = opened(dock, qtbot, address, monkeypatch)
    stalls("/0/c/2/")
    dock.workspace.viewer.dims.set_current_step(0, 2)
    assert shown(layer, 2) == [0, 0]
    wait_for(qtbot, dock.load.slices_line.isVisible)
    dock.workspace.viewer.dims.set_current_step(0, 1)
    wait_for(qtbot, lambda: is_drawn(layer, 1))
    dock.workspace.viewer.dims.set_current_step(0, 2)
    assert shown(layer, 2) == [0, 0]
    store.released.set()
    wait_for(qtbot, lambda: is_drawn(layer, 2))
    wait_for(qtbot, lambda: not dock.load.slices_line.isVisible())


def test_the_line_goes_with_the_layer_that_is_read(dock, qtbot, monkeypatch, address, stalls):
    layer = opened(dock, qtbot, address, monkeypatch)
    stalls("/0/c/2/")
    dock.workspace.viewer.dims.set_current_step(0, 2)
    wait_for(qtbot, dock.load.slices_line.isVisible)
    dock.workspace.viewer.layers.remove(layer)
    assert not dock.load.slices_line.isVisible()


def test_a_slice_that_was_read_is_not_read_again(make_napari_viewer, qtbot, store, address):
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(address), plugin="emseg-napari")
    for z in (0, 1):
        viewer.dims.set_current_step(0, z)
        wait_for(qtbot, lambda z=z: is_drawn(layer, z) and is_read(layer))
    store.requests.clear()
    viewer.dims.set_current_step(0, 0)
    assert is_drawn(layer, 0)
    assert is_read(layer)
    assert store.requests == []


def test_a_slice_that_cannot_be_read_is_said_once_and_asked_for_when_looked_at_again(
    dock, qtbot, monkeypatch, store, address, warned
):
    layer = opened(dock, qtbot, address, monkeypatch)
    store.fault = lambda _, key: 500 if "/0/c/2/" in key else None
    dock.workspace.viewer.dims.set_current_step(0, 2)
    wait_for(qtbot, lambda: bool(warned))
    wait_for(qtbot, lambda: is_read(layer))
    assert len(warned) == 1
    assert "the server answers with the error 500" in warned[0]
    assert shown(layer, 2) == [0, 0]
    store.fault = lambda *_: None
    layer.refresh()
    assert shown(layer, 2) == [0, 0]
    dock.workspace.viewer.dims.set_current_step(0, 0)
    dock.workspace.viewer.dims.set_current_step(0, 2)
    wait_for(qtbot, lambda: is_drawn(layer, 2))
    assert len(warned) == 1


def test_a_duplicate_is_drawn_when_its_slice_comes_and_is_read_for_work_like_the_layer(
    dock, qtbot, monkeypatch, store, address, stalls
):
    layer = opened(dock, qtbot, address, monkeypatch)
    data, state, _ = layer.as_layer_data_tuple()
    twin = dock.workspace.viewer.add_image(deepcopy(data), **state | {"name": "twin"})
    stalls("/0/c/2/")
    dock.workspace.viewer.dims.set_current_step(0, 2)
    assert shown(twin, 2) == [0, 0]
    store.released.set()
    wait_for(qtbot, lambda: is_drawn(twin, 2) and is_drawn(layer, 2))
    assert volume_of_layer(twin).source == volume_of_layer(layer).source


def test_tools_get_the_volume_of_an_array_that_the_user_put_into_a_layer_of_its_own(
    make_napari_viewer, address
):
    ((levels, _, _),) = volume_layers(address)
    layer = make_napari_viewer().add_image(levels[0], contrast_limits=(0, 255))
    np.testing.assert_array_equal(volume_of_layer(layer)[2], IMAGE[2])


def test_who_asks_for_pixels_otherwise_than_napari_gets_no_others_than_those_of_the_file(address):
    ((levels, _, _),) = volume_layers(address)
    data = levels[0]
    np.testing.assert_array_equal(np.asarray(data), IMAGE)
    np.testing.assert_array_equal(data[2], IMAGE[2])
    np.testing.assert_array_equal(data[1:, 5], IMAGE[1:, 5])
    found = []
    thread = Thread(target=lambda: found.append(np.asarray(data[:, 3:9, 4:40][1, :, ::2])))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(found[0], IMAGE[1, 3:9, 4:40:2])


def test_a_tool_does_not_wait_for_a_slice_of_the_image_and_has_it_once_it_came(
    dock, qtbot, monkeypatch, store, address, stalls
):
    opened(dock, qtbot, address, monkeypatch)
    stalls("/0/c/2/")
    for _ in range(2):
        with pytest.raises(UserError, match=r"Slice 2 of a\.zarr/0 is still being read"):
            dock.correct.image_plane(2)
    store.released.set()
    wait_for(qtbot, lambda: not dock.correct._workers)
    np.testing.assert_array_equal(dock.correct.image_plane(2), IMAGE[2])


def in_loop(action):
    """Do something in an event loop, as a window that is in use does."""
    loop = QEventLoop()
    QTimer.singleShot(0, action)
    QTimer.singleShot(0, loop.quit)
    loop.exec_()


def test_what_is_dropped_into_the_window_is_added_when_it_came(
    make_napari_viewer, qtbot, store, address, stalls
):
    viewer = make_napari_viewer()
    stalls()
    in_loop(lambda: viewer.open(str(address), plugin="emseg-napari"))
    assert not viewer.layers
    store.released.set()
    wait_for(qtbot, lambda: len(viewer.layers) == 1)
    viewer.dims.set_current_step(0, 2)
    wait_for(qtbot, lambda: is_drawn(viewer.layers[0], 2))


def test_what_is_dropped_and_cannot_be_read_is_a_notification(make_napari_viewer, qtbot, store, address):
    viewer = make_napari_viewer()
    store.fault = lambda *_: 403
    in_loop(lambda: viewer.open(str(address), plugin="emseg-napari"))
    records = notification_manager.records
    wait_for(qtbot, lambda: any("may not be read (403)" in one.message for one in records))
    assert not viewer.layers


def test_a_script_gets_the_layers_at_once_and_they_are_drawn_when_they_came(
    make_napari_viewer, qtbot, address
):
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(address), plugin="emseg-napari")
    viewer.dims.set_current_step(0, 2)
    wait_for(qtbot, lambda: is_drawn(layer, 2))


CLOSES_WHILE_IT_READS = """
import sys
import napari
from qtpy.QtCore import QTimer
from emseg_napari.io.address import location_of
from emseg_napari.widgets.demo import open_window

viewer, dock = open_window()
(layer,) = viewer.open(sys.argv[1], plugin="emseg-napari")
print("opened", flush=True)
sys.stdin.readline()  # from now on, the server does not answer
viewer.dims.set_current_step(0, 1)  # of three, the last is in view: it is the nearest to the sample's
dock.load.open_path(location_of(sys.argv[1]))

def close_while_it_reads():
    if dock.load.reading_line.isVisible() and dock.load.slices_line.isVisible():
        timer.stop()
        dock.window().close()

timer = QTimer()
timer.timeout.connect(close_while_it_reads)
timer.start(50)
napari.run()
print("ended", flush=True)
"""


def test_a_window_closes_and_its_program_ends_while_a_volume_and_a_slice_do_not_come(store, address):
    command = [sys.executable, "-c", CLOSES_WHILE_IT_READS, str(address)]
    with Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as program:
        assert program.stdout.readline() == "opened\n"
        store.fault = lambda *_: store.released.wait()
        try:
            said, errors = program.communicate("\n", timeout=PATIENCE_S)
        finally:
            program.kill()  # where it has not ended by itself
    assert not store.released.is_set()
    assert (program.returncode, said) == (0, "ended\n")
    assert "Traceback" not in errors
