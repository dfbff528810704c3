"""Volumes of any size through napari's own File > Open: shown with their voxels, read as they are shown."""

import dask.array
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Image, Labels, Layer

from emseg_napari.io.open import open_levels
from emseg_napari.io.volume import BrokenChunk, volume_of
from emseg_napari.widgets.layers import file_layers
from emseg_napari.widgets.layers.file_layers import opened_layers
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.volume_layers import lazy
from helpers.window import settle

OURS = "emseg-napari"


def grey(shape=(4, 60, 80)):
    return np.random.default_rng(0).integers(20, 200, shape).astype(np.uint8)


def write_ome(path, array):
    root = zarr.create_group(path)
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    levels = []
    for level in range(2):
        step = 2**level
        root.create_array(str(level), data=array[:, ::step, ::step], chunks=(1, 32, 32))
        scale = [{"type": "scale", "scale": [40.0, 4.0 * step, 4.0 * step]}]
        levels.append({"path": str(level), "coordinateTransformations": scale})
    root.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    return path


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer()


def test_an_ome_zarr_opens_with_all_levels_and_its_voxel(viewer, tmp_path):
    array = grey()
    path = write_ome(tmp_path / "a.zarr", array)
    (layer,) = viewer.open(path, plugin=OURS)
    assert isinstance(layer, Image)
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(4, 60, 80), (4, 30, 40)]
    assert layer.scale.tolist() == [40, 4, 4]
    assert {str(unit) for unit in layer.units} == {"nanometer"}
    assert info_of(layer).source == str(path)  # a session opens all levels again
    assert len(open_levels(info_of(layer).source)) == 2
    assert layer.contrast_limits[0] < 40 < 180 < layer.contrast_limits[1]
    assert np.array_equal(np.asarray(layer.data[0][2]), array[2])


def test_a_file_with_several_volumes_opens_as_images_and_labels(viewer, tmp_path):
    array = grey()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["em"] = array
        file["labels/cells"] = array.astype(np.uint64)
    image, labels = viewer.open(tmp_path / "a.h5", plugin=OURS)
    assert isinstance(image, Image)
    assert isinstance(labels, Labels)
    assert info_of(labels).source == str(tmp_path / "a.h5/labels/cells")
    assert np.array_equal(np.asarray(labels.data[1]), array[1])


def test_a_chunk_that_cannot_be_read_is_shown_as_0_and_told_once(viewer, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("emseg_napari.widgets.layers.volume_layers.show_warning", told.append)
    array = grey()
    path = zarr.create_array(tmp_path / "a.zarr", data=array, chunks=(1, 60, 80)).store.root
    (path / "c/2/0/0").write_bytes(b"damaged")
    (layer,) = viewer.open(path, plugin=OURS)
    viewer.dims.set_point(0, 1)
    assert isinstance(layer.data, dask.array.Array)
    assert np.array_equal(np.asarray(layer.data[1]), array[1])
    assert told == []  # it was not looked at
    for _ in range(2):
        assert not np.asarray(layer.data[2]).any()
    assert len(told) == 1
    assert told[0].startswith("chunk (2, 0, 0) of a.zarr is damaged")


@pytest.mark.parametrize("large", [False, True])
def test_a_chunk_without_a_file_is_shown_as_empty_but_nothing_works_with_it(
    viewer, tmp_path, monkeypatch, large
):
    monkeypatch.setattr("emseg_napari.widgets.layers.file_layers.LARGE_BYTES", 0 if large else 2**30)
    array = grey()
    path = zarr.create_array(tmp_path / "a.zarr", data=array, chunks=(1, 60, 80)).store.root
    (path / "c/2/0/0").unlink()
    (shown,) = opened_layers(path)
    layer = viewer.add_layer(Layer.create(*shown))
    assert not np.asarray(layer.data[2]).any()
    work = volume_of_layer(layer)
    assert np.array_equal(work[1], array[1])
    with pytest.raises(BrokenChunk, match=r"chunk \(2, 0, 0\) of a.zarr is missing"):
        work[2]


def test_what_cannot_be_opened_is_said_in_a_notification(viewer, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("emseg_napari.widgets.plugin.show_error", told.append)
    (tmp_path / "a.mrc").write_bytes(b"no MRC")
    assert viewer.open(tmp_path / "a.mrc", plugin=OURS) == []
    assert len(told) == 1
    assert told[0].startswith("a.mrc is damaged or not an MRC file")


@pytest.mark.parametrize("name", ["a.zarr", "a.n5", "a.h5", "a.hdf5", "a.hdf", "a.mrc", "a.rec"])
def test_napari_knows_that_we_read_volumes(viewer, tmp_path, name):
    from npe2 import PluginManager

    (tmp_path / name).mkdir() if name in ("a.zarr", "a.n5") else (tmp_path / name).touch()
    readers = PluginManager.instance().iter_compatible_readers([str(tmp_path / name)])
    assert "emseg-napari.read_volume" in {reader.command for reader in readers}


def test_tiff_stays_with_napari(viewer, tmp_path):
    from npe2 import PluginManager

    (tmp_path / "a.tif").touch()
    readers = PluginManager.instance().iter_compatible_readers([str(tmp_path / "a.tif")])
    assert OURS not in {reader.plugin_name for reader in readers}


def test_small_chunks_are_read_many_at_once():
    volume = volume_of(zarr.zeros((4, 5000, 3000), chunks=(2, 64, 64), dtype="uint8"))
    assert lazy(volume).chunksize == (2, 2048, 2048)


@pytest.mark.parametrize("limit", [100, 10**9], ids=["large", "small"])
def test_the_window_says_how_a_file_was_read_when_it_opens_it(dock, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(file_layers, "LARGE_BYTES", limit)
    tifffile.imwrite(tmp_path / "w.tif", 255 - grey(), photometric="miniswhite")
    dock.load.open_image(tmp_path / "w.tif")
    settle(dock.load)
    said = "4 slices of 60 x 80, 8 bit; 0 = white in the file, shown inverted back"
    assert dock.load.status.text() == f"Opened w.tif: {said}."
    assert dock.load.about.text() == said
    np.testing.assert_array_equal(volume_of_layer(dock.workspace.image)[:], grey())
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), np.uint16)
    labels = (grey() > 90).astype(np.uint8) + 1
    tifffile.imwrite(tmp_path / "l.tif", labels, photometric="palette", colormap=colours)
    dock.load.open_labels(tmp_path / "l.tif")
    settle(dock.load)
    np.testing.assert_array_equal(dock.workspace.labels.data, labels)
    assert "the numbers in its table of colours are read as labels" in dock.load.status.text()


def test_files_with_other_endings_open_too(viewer, tmp_path):
    tifffile.imwrite(tmp_path / "a.btf", 255 - grey(), photometric="miniswhite", bigtiff=True)
    (layer,) = viewer.open(tmp_path / "a.btf", plugin=OURS)
    np.testing.assert_array_equal(np.asarray(layer.data), grey())
