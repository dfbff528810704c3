"""Layers, and what is made of them, lie where their files say, with the axes that these state."""

import json

import dask.array
import h5py
import numpy as np
import pytest
import zarr
from napari.layers import Image
from typer.testing import CliRunner

from emseg_napari.cli import app
from emseg_napari.io import stack_or_volume
from emseg_napari.io.open import open_volume
from emseg_napari.io.records import read_description
from emseg_napari.io.volume import Voxel
from emseg_napari.widgets.layers import file_layers
from emseg_napari.widgets.layers.file_layers import opened_layers
from emseg_napari.widgets.layers.layer_pixels import placed_volume, volume_of_layer
from emseg_napari.widgets.layers.volume_layers import volume_layers
from emseg_napari.widgets.plugin import write_isbi
from helpers.tiny_runs import tiny_network_run

STACK = np.random.default_rng(0).integers(0, 255, (4, 40, 48), np.uint8)
NM = Voxel((40.0, 5.0, 4.0), "nanometer")
ORIGIN = (400.0, 50.0, -8.0)


def write_ome(path, order="zyx", levels=1):
    by_axis = {"z": (40, 400), "y": (5, 50), "x": (4, -8)}
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in order]
    root = zarr.create_group(path)
    datasets = []
    for level in range(levels):
        step = 2**level
        steps = {"z": 1, "y": step, "x": step}
        scale = [by_axis[axis][0] * steps[axis] for axis in order]
        shift = [by_axis[a][1] + by_axis[a][0] * (steps[a] - 1) / 2 for a in order]
        placed = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": shift}]
        datasets.append({"path": str(level), "coordinateTransformations": placed})
        turned = STACK[:, ::step, ::step].transpose(["zyx".index(axis) for axis in order])
        root.create_array(str(level), data=turned, chunks=(2, 16, 16))
    root.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return path


def place_of(data):
    layer = Image(
        data[0], **{k: v for k, v in data[1].items() if k in ("scale", "translate", "units", "multiscale")}
    )
    return tuple(layer.scale), tuple(layer.translate), {str(unit) for unit in layer.units}


@pytest.fixture(params=[False, True], ids=["in memory", "lazy"])
def lazily(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", 1000)
        monkeypatch.setattr(file_layers, "LARGE_BYTES", 1000)
    return request.param


@pytest.mark.parametrize("order", ["zyx", "xyz"])
def test_an_ome_zarr_is_shown_where_it_lies(tmp_path, lazily, order):
    path = write_ome(tmp_path / "a.zarr", order, levels=2)
    (layer,) = opened_layers(path)
    assert place_of(layer) == (NM.size, ORIGIN, {"nanometer"})
    finest = layer[0][0] if lazily else layer[0]
    assert np.array_equal(np.asarray(finest), STACK)
    ((coarse, shown, _),) = opened_layers(path / "1")
    assert shown["translate"] == (400, 52.5, -6)
    assert np.array_equal(np.asarray(coarse), STACK[:, ::2, ::2])
    assert place_of(volume_layers(path)[0]) == place_of(layer)


def test_axes_of_ilastik_are_in_order_in_a_layer(tmp_path, lazily):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("exported_data", data=STACK.T[..., None], chunks=(16, 16, 2, 1))
        made.attrs["axistags"] = json.dumps({"axes": [{"key": axis} for axis in "xyzc"]})
        made.attrs["offset"], made.attrs["resolution"] = ORIGIN, NM.size
    (layer,) = opened_layers(tmp_path / "a.h5")
    assert place_of(layer) == (NM.size, ORIGIN, {"nanometer"})
    assert isinstance(layer[0], dask.array.Array) == lazily
    assert np.array_equal(np.asarray(layer[0]), STACK)


@pytest.mark.parametrize("suffix", ["zarr", "tif"])
def test_predicted_slices_and_their_cells_lie_on_their_image(tmp_path, lazily, suffix):
    image, run = write_ome(tmp_path / "a.zarr"), tiny_network_run(tmp_path / "run").folder
    made, cells = tmp_path / f"made.{suffix}", tmp_path / f"cells.{suffix}"
    fast = ("--orientations", "1", "--no-close-gaps", "--slices", "2:4", "--as", "probability")
    for words in (("predict", run, image, "--output", made, *fast), ("segment", made, "--output", cells)):
        done = CliRunner().invoke(app, list(map(str, words)))
        assert done.exit_code == 0, done.output
    for file in (made, cells):
        (layer,) = opened_layers(file)
        assert place_of(layer) == (NM.size, (400 + 2 * 40, 50, -8), {"nanometer"})


def test_cells_on_disk_of_a_tiff_file_lie_on_their_image(tmp_path):
    image, run = write_ome(tmp_path / "a.zarr"), tiny_network_run(tmp_path / "run").folder
    made, cells = tmp_path / "made.tif", tmp_path / "cells.zarr"
    fast = ("--orientations", "1", "--no-close-gaps", "--slices", "2:4", "--as", "probability")
    for words in (("predict", run, image, "--output", made, *fast), ("segment", made, "--output", cells)):
        assert CliRunner().invoke(app, list(map(str, words))).exit_code == 0
    volume = open_volume(cells)
    assert (volume.voxel, volume.origin) == (NM, (480, 50, -8))


@pytest.mark.parametrize("wrap", [np.asarray, lambda array: dask.array.from_array(array, 16)])
def test_what_a_layer_becomes_lies_where_the_layer_lies(wrap):
    layer = Image(wrap(STACK), name="em", scale=NM.size, translate=ORIGIN, units=("nm",) * 3)
    for volume in (placed_volume(layer), volume_of_layer(layer)):
        if not isinstance(volume, np.ndarray):
            assert (volume.name, volume.voxel, volume.origin) == ("em", NM, ORIGIN)
            assert np.array_equal(volume[...], STACK)
    flat = placed_volume(Image(wrap(STACK[0]), name="em", scale=(5, 4), translate=(1, 2)))
    assert (flat.voxel.size, flat.origin, flat.shape) == ((1, 5, 4), (0, 1, 2), (1, 40, 48))


def test_labels_saved_by_napari_keep_their_size_and_place(tmp_path):
    labels = np.where(STACK > 90, 2, 1).astype(np.uint8)
    layer = Image(labels, scale=NM.size, translate=ORIGIN, units=("nm",) * 3)
    attributes = {"name": "labels", **{key: getattr(layer, key) for key in ("scale", "translate", "units")}}
    path = str(tmp_path / "a.isbi.tif")
    assert write_isbi(path, labels, attributes) == [path]
    assert read_description(path)["origin"] == list(ORIGIN)
    assert (
        Voxel(**{k: tuple(v) if k == "size" else v for k, v in read_description(path)["voxel"].items()}) == NM
    )
    assert write_isbi(path, labels, {"name": "labels"}) == [path]
    assert "voxel" not in read_description(path)
