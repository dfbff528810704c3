"""Records of predictions and cells: found by every path, and what they state."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.evaluation.predictions import read_prediction
from emseg_napari.io.layout import Layout
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.records import (
    complement,
    first_slice,
    kind_of,
    meaning_of,
    record_of_path,
    record_of_volume,
)
from emseg_napari.io.stack_or_volume import open_labels
from emseg_napari.io.stacks import read_labels, recorded_convention, write_stack
from emseg_napari.io.volume import volume_of
from emseg_napari.segmentation.boundary import open_boundary

RECORD = {"software": "emseg-napari predict", "kind": "interior", "slices": [3, 5]}
VALUES = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8)


@pytest.fixture(params=["p.tif", "p.zarr"])
def path(request, tmp_path: Path) -> Path:
    """A prediction that has a record."""
    path = tmp_path / request.param
    if path.suffix == ".tif":
        write_stack(path, VALUES, RECORD)
        return path
    output = VolumeOutput.prepare(path, Layout(VALUES.shape, "uint8"), RECORD)
    for block in output.blocks:
        output.write(block, VALUES[block.window])
    return path


def test_a_file_and_the_volume_that_reads_it_have_one_record(path):
    assert record_of_path(path) == record_of_path(str(path)) == RECORD
    assert record_of_volume(open_volume(path)) == RECORD


def test_a_level_has_the_record_of_the_whole(tmp_path):
    VolumeOutput.prepare(tmp_path / "p.zarr", Layout(VALUES.shape, "uint8"), RECORD)
    assert record_of_path(tmp_path / "p.zarr" / "0") == RECORD
    assert record_of_path(tmp_path / "p.zarr" / "7") == {}


def test_what_is_of_other_origin_in_memory_or_missing_has_none(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", VALUES, photometric="minisblack")
    zarr.create_array(tmp_path / "a.zarr", data=VALUES)
    for name in ("a.tif", "a.zarr", "missing.tif", "missing.zarr", ""):
        assert record_of_path(tmp_path / name) == {}
    assert record_of_volume(volume_of(VALUES)) == {}


def test_what_is_given_counts_before_the_record_and_must_not_contradict_it():
    assert kind_of("p", {}) is None
    assert kind_of("p", {"kind": "cake"}) is None
    assert kind_of("p", {}, "labels") == "labels"
    assert kind_of("p", RECORD) == kind_of("p", RECORD, "interior") == "interior"
    assert kind_of("p", {"kind": "labels"}, "interior") == "interior"  # 0 and 255: the same picture
    with pytest.raises(UserError, match="p states in its record that it holds interior probability, not"):
        kind_of("p", RECORD, "labels")


def test_words_and_numbers_of_a_record():
    assert meaning_of("labels", 255) == "0 = boundary, 255 = interior"
    assert meaning_of("interior", 255) == "interior probability, 0 to 255"
    assert meaning_of("probability", 1) == "boundary probability, 0 to 1"
    assert (first_slice(RECORD), first_slice({})) == (3, 0)


@pytest.mark.parametrize("values", [VALUES, VALUES / np.float32(255)])
def test_the_complement_keeps_the_type_and_is_its_own_inverse(values):
    assert complement(values).dtype == values.dtype
    assert complement(values)[0, 0, 0] == (255 if values.dtype == np.uint8 else 1)
    np.testing.assert_allclose(complement(complement(values)), values, atol=1e-7)


@pytest.mark.parametrize(
    "damaged",
    [
        {"slices": 3},
        {"slices": [3]},
        {"slices": ["a", "b"]},
        {"slices": [5, 3]},
        {"kind": ["interior"]},
        {"convention": ["isbi"]},
        {"convention": "of a later version"},
        {"threshold": "x"},
        {"fingerprints": 7},
        {"run_folder": {}},
        {"levels_of_a_part": {"first": 1}},
        {"settings": []},
    ],
)
def test_a_record_with_values_of_a_wrong_kind_is_named(path, damaged):
    if path.suffix == ".tif":
        write_stack(path, VALUES, RECORD | damaged)
    else:
        VolumeOutput(path).update_record(damaged)
    (name,) = damaged
    with pytest.raises(UserError, match=rf"^p\.\w+ has a damaged record of emseg-napari \({name}: "):
        record_of_path(path)


def test_what_a_record_leaves_open_is_as_if_it_were_not_there(path):
    empty = {"slices": None, "convention": None, "threshold": None}
    if path.suffix == ".tif":
        write_stack(path, VALUES, RECORD | empty)
    else:
        VolumeOutput(path).update_record(empty)
    assert record_of_path(path) == {name: RECORD[name] for name in ("software", "kind")}


def test_labels_with_a_damaged_record_are_refused_in_a_sentence(tmp_path):
    write_stack(tmp_path / "l.tif", VALUES % 3, {"convention": ["isbi"]})
    for read in (read_labels, open_labels):
        with pytest.raises(UserError, match=r"l\.tif has a damaged record of emseg-napari \(convention"):
            read(tmp_path / "l.tif")


def _beside(output, group, values):
    """Add labels of another program to an output, as napari-ome-zarr does."""
    axes = [{"name": axis, "type": "space"} for axis in "zyx"]
    transformations = [{"type": "scale", "scale": [1, 1, 1]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": transformations}]}
    attributes = {"ome": {"version": "0.5", "multiscales": [image], "image-label": {}}}
    made = zarr.open_group(output, mode="r+").create_group(group, attributes=attributes)
    made.create_array("0", data=values, chunks=values.shape)


@pytest.mark.parametrize("kind", ["probability", "interior", "labels"])
def test_an_output_is_itself_and_not_the_labels_that_lie_in_it(tmp_path, kind):
    path, record = tmp_path / "p.zarr", {"software": "emseg-napari predict", "kind": kind}
    values = VALUES * 2 if kind != "labels" else (VALUES > 9) * np.uint8(255)
    record |= {"convention": "isbi"} if kind == "labels" else {}
    layout = Layout(VALUES.shape, "uint8", labels=kind == "labels")
    output = VolumeOutput.prepare(path, layout, record)
    for block in output.blocks:
        output.write(block, values[block.window])
    others = np.where(VALUES > 20, 1, 2).astype(np.uint8)
    _beside(path, "labels/proofread", others)
    boundary, found = open_boundary(path)
    assert (boundary.kind, found["kind"]) == (kind, kind)
    np.testing.assert_array_equal(boundary.volume[...], values)
    assert read_prediction(path).kind == kind
    assert record_of_path(path / "0") == record_of_path(path) == record
    assert record_of_path(path / "labels") == record_of_path(path / "labels/proofread/0") == {}
    with pytest.raises(UserError, match="does not say what its uint8 values mean"):
        open_boundary(path / "labels")
    np.testing.assert_array_equal(read_labels(path / "labels", "napari"), others)
    if kind == "labels":
        np.testing.assert_array_equal(read_labels(path), np.where(values, 2, 1))
        np.testing.assert_array_equal(open_labels(path)[:], np.where(values, 2, 1))
    else:
        np.testing.assert_array_equal(read_labels(path, "napari"), others)


def test_labels_beside_those_of_an_output_keep_their_own_meaning(tmp_path):
    record = {"software": "emseg-napari predict", "kind": "labels", "convention": "isbi"}
    VolumeOutput.prepare(tmp_path / "p.zarr", Layout(VALUES.shape, "uint8", labels=True), record)
    others = np.where(VALUES > 20, 1, 2).astype(np.uint8)
    _beside(tmp_path / "p.zarr", "labels/proofread", others)
    assert recorded_convention(tmp_path / "p.zarr/labels/proofread/0") is None
    assert recorded_convention(tmp_path / "p.zarr/0") == "isbi"


@pytest.mark.parametrize("slices", ["abc", [-1], [1.5], {}, 3])
def test_slices_that_are_no_list_of_slices_are_a_damaged_record(tmp_path, slices):
    write_stack(tmp_path / "p.tif", VALUES, {"convention": "isbi", "slices": slices})
    with pytest.raises(UserError, match=r"p\.tif has a damaged record of emseg-napari \(slices: "):
        record_of_path(tmp_path / "p.tif")


@pytest.mark.parametrize("slices", [None, []])
def test_a_record_without_slices_begins_with_the_first(slices):
    assert first_slice({"slices": slices}) == first_slice({}) == 0
