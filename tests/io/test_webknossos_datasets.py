"""Datasets of webKnossos as its library writes them: layers, magnifications, a box in larger arrays."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.open import open_levels, open_volume
from emseg_napari.io.source_id import is_changed, state_of

SIZE, CORNER = (5, 40, 36), (3, 20, 10)  # z, y, x
VALUES = np.random.default_rng(0).integers(1, 255, SIZE).astype(np.uint8)
IDS = (VALUES // 64).astype(np.uint32)
AXES = {"c": 0, "x": 1, "y": 2, "z": 3}


def write_array(folder: Path, values: np.ndarray, corner: tuple[int, ...], version: int) -> None:
    """Write an array of 16 voxels a chunk that is larger than what it holds."""
    shape = (1, *(16 * -(-(c + s) // 16) for c, s in zip(corner[::-1], values.shape[::-1], strict=True)))
    names = ["c", "x", "y", "z"] if version == 3 else None
    array = zarr.create_array(
        folder,
        shape=shape,
        chunks=(1, 16, 16, 16),
        dtype=values.dtype,
        zarr_format=version,
        dimension_names=names,
    )
    z, y, x = (slice(c, c + s) for c, s in zip(corner, values.shape, strict=True))
    array[0, x, y, z] = values.T


def layer(name: str, category: str, values: np.ndarray, container: str, mags: list[dict]) -> dict:
    z, y, x = SIZE
    box = {"topLeft": list(CORNER[::-1]), "width": x, "height": y, "depth": z}
    kind = {"elementClass": str(values.dtype), "numChannels": 1, "dataFormat": container}
    return {"name": name, "category": category, "boundingBox": box, "mags": mags, **kind}


def write(folder: Path, container: str = "zarr3", **scale: object) -> Path:
    version = 2 if container == "zarr" else 3
    write_array(folder / "color" / "1", VALUES, CORNER, version)
    half = np.zeros((5, 20, 18), np.uint8) + VALUES[:, ::2, ::2]
    write_array(folder / "color" / "2-2-1", half, (3, 10, 5), version)
    write_array(folder / "segmentation" / "1", IDS, CORNER, version)
    for group in (folder, folder / "color"):  # its library writes the version of groups as text
        (group / ".zgroup").write_text('{"zarr_format": "2"}', "utf-8")
    one, two = [
        {"mag": [n, n, 1], "path": "./color/" + p, "axisOrder": AXES} for n, p in ((1, "1"), (2, "2-2-1"))
    ]
    layers = [
        layer("color", "color", VALUES, container, [two, one]),
        layer("segmentation", "segmentation", IDS, container, [{"mag": 1, "path": "./segmentation/1"}]),
    ]
    stated = {"scale": {"factor": [4.0, 5.0, 40.0], "unit": "nanometer"} | scale, "dataLayers": layers}
    (folder / "datasource-properties.json").write_text(json.dumps(stated), "utf-8")
    return folder


def state(dataset: Path, changed: Callable[[str], str]) -> None:
    """Change the text of the description."""
    file = dataset / "datasource-properties.json"
    file.write_text(changed(file.read_text("utf-8")), "utf-8")


@pytest.fixture(params=["zarr", "zarr3"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / "brain", request.param)


@pytest.mark.parametrize("path", ["", "color", "color/1"])
def test_the_image_is_the_bounding_box_of_the_colour_layer_in_its_finest_magnification(dataset, path):
    volume = open_volume(dataset / path)
    assert np.array_equal(volume[...], VALUES)
    assert np.array_equal(volume[1:4, 7:30, 15:], VALUES[1:4, 7:30, 15:])
    assert (volume.voxel.size, volume.voxel.unit) == ((40.0, 5.0, 4.0), "nanometer")
    assert volume.origin == (120.0, 100.0, 40.0)
    assert not volume.is_labels


def test_labels_are_the_segmentation_layer(dataset):
    volume = open_volume(dataset, labels=True)
    assert np.array_equal(volume[...], IDS)
    assert volume.is_labels


def test_each_magnification_is_opened_by_its_name_with_its_own_voxels(dataset):
    volume = open_volume(dataset / "color" / "2-2-1")
    assert np.array_equal(volume[...], VALUES[:, ::2, ::2])
    assert volume.voxel.size == (40.0, 10.0, 8.0)
    assert volume.origin == (120.0, 102.5, 42.0)  # its first voxel lies around four of the finest
    assert [one.shape for one in open_levels(dataset)] == [(5, 40, 36), (5, 20, 18)]


def test_the_source_opens_the_same_again(dataset):
    volume = open_volume(dataset, labels=True)
    assert np.array_equal(open_volume(volume.source)[...], IDS)


def test_lost_chunks_are_named_and_not_taken_for_black(dataset):
    for file in sorted((dataset / "color" / "1").rglob("*")):
        if file.is_file() and file.name not in (".zarray", ".zattrs", "zarr.json"):
            file.unlink()
    with pytest.raises(BrokenChunk, match="brain/color/1"):
        open_volume(dataset)[...]
    assert not open_volume(dataset, fills=True)[...].any()


def test_a_change_of_any_chunk_is_noticed(dataset):
    before = state_of(open_volume(dataset))
    array = zarr.open_array(dataset / "color" / "1")
    array[0, 30, 30, 4] += 1
    assert is_changed(before, state_of(open_volume(dataset)))


@pytest.mark.parametrize("inner", ["out.zarr", "out/o.zarr", "out", "slices"])
def test_what_else_lies_in_a_dataset_is_opened_as_what_it_is(dataset, inner):
    if inner == "slices":
        (dataset / inner).mkdir()
        for z, plane in enumerate(VALUES):
            tifffile.imwrite(dataset / inner / f"s{z}.tif", plane)
    else:
        zarr.create_array(dataset / inner, data=VALUES, chunks=(5, 8, 8))
    assert np.array_equal(open_volume(dataset / inner)[...], VALUES)


def test_the_arrays_of_a_layer_may_lie_in_a_folder_of_another_name(dataset):
    (dataset / "color").rename(dataset / "em")
    state(dataset, lambda text: text.replace("./color/", "./em/"))
    for path in (dataset, dataset / "color", dataset / "em/1", open_volume(dataset).source):
        volume = open_volume(path)
        assert np.array_equal(volume[...], VALUES)
        assert volume.voxel.size == (40.0, 5.0, 4.0)


def test_an_unknown_layer_is_answered_with_those_that_there_are(dataset):
    with pytest.raises(UserError, match=r"no dataset red; it has color \(5 x 40 x 36\), segmentation"):
        open_volume(dataset / "red")


def test_wkw_is_refused_with_how_to_convert_it(tmp_path):
    with pytest.raises(UserError, match=r"stored as wkw.*save it as zarr3"):
        open_volume(write(tmp_path / "brain", "wkw"))


@pytest.mark.parametrize("layers", [None, [{}], [{"name": "color", "boundingBox": {"topLeft": "here"}}]])
def test_a_damaged_description_is_a_sentence(dataset, layers):
    file = dataset / "datasource-properties.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | {"dataLayers": layers}), "utf-8")
    with pytest.raises(UserError, match=r"damaged datasource-properties.json"):
        open_volume(dataset)


def changed(dataset: Path, change: Callable[[dict], None]) -> Path:
    stated = json.loads((dataset / "datasource-properties.json").read_text("utf-8"))
    change(stated)
    state(dataset, lambda _: json.dumps(stated))
    return dataset


def test_a_magnification_of_nothing_is_a_sentence(dataset):
    changed(dataset, lambda stated: stated["dataLayers"][0]["mags"][0].update(mag=[0, 0, 0]))
    with pytest.raises(UserError, match=r"damaged datasource-properties.json"):
        open_volume(dataset)


@pytest.mark.parametrize("factor", [["a", None, 3], [0, 4, 4], [4, -4, 40], [float("nan"), 4, 4], 7])
def test_a_size_of_voxels_that_is_none_is_said(dataset, factor):
    changed(dataset, lambda stated: stated["scale"].update(factor=factor))
    volume = open_volume(dataset)
    assert volume.voxel is None
    assert "no size of a voxel is known" in volume.description.sentence()


def test_a_layer_without_any_magnification_does_not_hide_the_others(dataset):
    changed(dataset, lambda stated: stated["dataLayers"][1].update(mags=[]))
    assert np.array_equal(open_volume(dataset)[...], VALUES)
    with pytest.raises(UserError, match=r"no dataset segmentation; it has color"):
        open_volume(dataset / "segmentation")


@pytest.mark.parametrize("is_absolute", [True, False])
def test_an_array_outside_of_the_dataset_is_refused_and_the_others_are_opened(dataset, is_absolute):
    other = dataset.parent / "other"
    (dataset / "color" / "2-2-1").rename(other)
    path = str(other) if is_absolute else "../other"
    changed(dataset, lambda stated: stated["dataLayers"][0]["mags"][0].update(path=path))
    assert [one.shape for one in open_levels(dataset)] == [SIZE]
    changed(dataset, lambda stated: stated["dataLayers"][0]["mags"].pop(1))
    with pytest.raises(UserError, match=r"color of brain lies outside of it.*; copy the dataset"):
        open_volume(dataset)
    assert np.array_equal(open_volume(dataset, labels=True)[...], IDS)


def test_a_box_that_the_array_does_not_hold_is_refused(dataset):
    file = dataset / "datasource-properties.json"
    stated = json.loads(file.read_text("utf-8"))
    stated["dataLayers"][0]["boundingBox"]["depth"] = 500
    file.write_text(json.dumps(stated), "utf-8")
    with pytest.raises(UserError, match="smaller than the bounding box"):
        open_volume(dataset)
