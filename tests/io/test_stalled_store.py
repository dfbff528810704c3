"""A server that does not answer keeps only those waiting who asked it."""

from threading import Thread

import numpy as np
import pytest

from emseg_napari.io.ome_zarr_writer import Layout, VolumeOutput
from emseg_napari.io.open import open_volume
from helpers.paths import CHECKOUT
from helpers.timing import wait_until

IMAGE = np.arange(32, dtype=np.uint8).reshape(2, 4, 4)


@pytest.fixture
def folder(tmp_path):
    layout = Layout(IMAGE.shape, "uint8", (1, 4, 4), None)
    output = VolumeOutput.prepare(tmp_path / "a.zarr", layout, {"kind": "probability"})
    for block in output.blocks:
        output.write(block, IMAGE[block.window])
    output.finish()
    return tmp_path / "a.zarr"


def test_a_volume_on_disk_is_read_while_one_at_an_address_is_opened(store, folder):
    store.upload(folder, "a.zarr")
    remote, local = open_volume(f"{store.web}/a.zarr"), open_volume(folder)
    store.fault = lambda *_: None if store.released.is_set() else "silent"
    store.requests.clear()
    came = []
    thread = Thread(target=lambda: came.append(remote[0]))
    thread.start()
    wait_until(lambda: store.requests)
    np.testing.assert_array_equal(local[0], IMAGE[0])
    assert thread.is_alive()
    store.fault = lambda *_: None
    store.released.set()
    thread.join()
    np.testing.assert_array_equal(came, IMAGE[:1])


@pytest.mark.parametrize("package", ["io", "inference"])
def test_no_property_of_what_reads_has_one_lock_for_all_objects(package):
    files = (CHECKOUT / "emseg_napari" / package).rglob("*.py")
    assert [file.name for file in files if "cached_property" in file.read_text("utf-8")] == []
