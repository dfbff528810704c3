"""Images at addresses in the window, and sessions that remember them."""

import numpy as np
import pytest
from qtpy.QtWidgets import QInputDialog

from emseg_napari.annotation.session.contents import read_contents
from emseg_napari.io.ome_zarr_writer import Layout, VolumeOutput
from emseg_napari.widgets.layers import file_layers, volume_layers
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.session_layers import session_layers
from helpers.window import striped, wait_for

IMAGE, LABELS = striped((3, 64, 64))


@pytest.fixture
def address(store, tmp_path):
    output = VolumeOutput.prepare(tmp_path / "a.zarr", Layout(IMAGE.shape, "uint8", (1, 32, 32), None), {})
    for block in output.blocks:
        output.write(block, IMAGE[block.window])
    output.finish()
    store.upload(tmp_path / "a.zarr", "a.zarr")
    return f"{store.web}/a.zarr"


def choose_entry(dock, text):
    entries = [entry for part in dock.load.menu_entries() for entry in part]
    next(entry for entry in entries if entry.text == text).action()


def open_address(dock, qtbot, monkeypatch, text):
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: (text, True))
    choose_entry(dock, "Open an address...")
    wait_for(qtbot, lambda: not dock.load.status.text().endswith("..."))


def test_an_address_is_opened_from_the_menu(dock, qtbot, monkeypatch, address):
    open_address(dock, qtbot, monkeypatch, f" {address}?sig=secret ")
    layer = dock.workspace.image
    np.testing.assert_array_equal(layer.data, IMAGE)
    assert info_of(layer).source == f"{address}"
    assert "secret" not in dock.load.status.text()


def test_what_cannot_be_opened_is_a_sentence(dock, qtbot, monkeypatch, store, address):
    store.fault = lambda method, key: 403
    open_address(dock, qtbot, monkeypatch, f"{address}?sig=secret")
    assert "may not be read (403)" in dock.load.status.text()
    assert "secret" not in dock.load.status.text()
    assert dock.workspace.image is None


def test_a_session_remembers_the_address_of_its_image(dock, qtbot, monkeypatch, address, tmp_path):
    open_address(dock, qtbot, monkeypatch, f"{address}?sig=secret")
    dock.workspace.choose("labels", add_labels(dock.workspace.viewer, LABELS, "mine", dock.workspace.image))
    folder = tmp_path / "mine.emseg"
    dock.load.save_session(folder)
    wait_for(qtbot, lambda: (folder / "session.json").exists())
    wait_for(qtbot, lambda: "Saved" in dock.load.status.text())
    assert read_contents(folder).image == address
    assert "secret" not in (folder / "session.json").read_text("utf-8")
    dock.workspace.viewer.layers.clear()
    wait_for(qtbot, lambda: not (folder / ".mine.emseg-lock").exists())
    qtbot.waitUntil(lambda: _opens(folder), timeout=30000)


def _opens(folder):
    from emseg_napari.annotation.session.recovery import open_elsewhere

    if open_elsewhere(folder):
        return False
    (pixels, _, _), (labels, _, _) = session_layers(folder)
    np.testing.assert_array_equal(pixels, IMAGE)
    np.testing.assert_array_equal(np.asarray(labels), LABELS)
    return True


def test_a_large_image_at_an_address_is_read_where_it_is_looked_at(store, address, monkeypatch):
    monkeypatch.setattr(file_layers, "_LARGE_AT_ADDRESS_BYTES", 10)
    ((levels, shown, kind),) = file_layers.opened_layers(volume_layers.location_of(address))
    assert (kind, shown["name"]) == ("image", "a.zarr/0")
    store.requests.clear()
    finest = levels[0] if isinstance(levels, list) else levels
    np.testing.assert_array_equal(finest[1], IMAGE[1])
    assert not [key for _, key in store.requests if "/c/2/" in key]
