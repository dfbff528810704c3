"""What a volume holds, and the boundary probability that is made of it."""

import numpy as np
import pytest
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io.layout import Layout
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.resume_check import PARTIAL
from emseg_napari.io.volume import volume_of
from emseg_napari.segmentation.boundary import Boundary, boundary_of, open_boundary, waiting_in, with_labels

PART = np.s_[0:1, 1:3]


def boundary(values, kind, dtype=np.uint8, **more) -> Boundary:
    """Of two slices: one of 0, and one of the values."""
    stack = np.array([np.zeros((1, 3)), [values]], dtype)
    return Boundary(volume_of(stack), kind, **more)


@pytest.mark.parametrize(
    ("kind", "values", "dtype", "expected"),
    [
        ("probability", [1, 10, 255], np.uint8, [10, 255]),
        ("interior", [1, 10, 255], np.uint8, [245, 0]),
        ("labels", [0, 255, 0], np.uint8, [0, 255]),
        ("labels", [0, 255, 0], np.int32, [0, 255]),
        ("interior", [1, 0.25, 1], np.float32, [0.75, 0]),
        ("probability", [1, 0.25, 1], np.float32, [0.25, 1]),
    ],
)
def test_every_kind_becomes_the_probability_of_the_boundary(kind, values, dtype, expected):
    found = boundary(values, kind, dtype)
    assert found.part(1, PART).tolist() == [expected]
    assert found.whole()[1, :, 1:].tolist() == [expected]
    assert found.whole().shape == (2, 1, 3)


@pytest.mark.parametrize(
    ("kind", "values", "dtype", "sentence"),
    [
        ("labels", [0, 7, 255], np.uint8, "holds 7 in slice 1; labels of 0"),
        ("probability", [0, 1.5, 1], np.float32, "1.5 in slice 1"),
        ("interior", [0, -1, 1], np.float32, "-1 in slice 1"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_slice(kind, values, dtype, sentence):
    for read in (lambda found: found.part(1, PART), Boundary.whole):
        with pytest.raises(UserError, match=sentence):
            read(boundary(values, kind, dtype))


def test_types_that_cannot_be_are_refused_at_once():
    with pytest.raises(UserError, match="holds float32 values, which are not labels"):
        boundary([0, 0, 1], "labels", np.float32)
    with pytest.raises(UserError, match="int32"):
        boundary([0, 0, 1], "interior", np.int32)


def test_a_slice_that_waits_is_refused_and_the_others_are_read():
    found = boundary([0, 1, 2], "probability", waiting=frozenset([1]))
    assert found.part(0, PART).tolist() == [[0, 0]]
    with pytest.raises(UserError, match=r"slice 1 of .* predict it again"):
        found.part(1, PART)


def written(path, record: dict) -> VolumeOutput:
    output = VolumeOutput.prepare(path, Layout((2, 8, 8), "uint8"), record)
    for block in output.blocks:
        output.write(block, np.full(block.shape, 255, np.uint8))
    return output


def test_a_record_says_what_a_file_holds_and_which_of_its_slices_wait(tmp_path):
    record = {"kind": "labels", "slices": [3, 5], PARTIAL: {"4": []}}
    written(tmp_path / "p.zarr", record)
    found, stated = open_boundary(tmp_path / "p.zarr")
    assert (found.kind, stated) == ("labels", record)
    assert boundary_of(found.volume).kind == "labels"
    assert boundary_of(found.volume, {"kind": "interior"}).kind == "interior"
    assert open_boundary(tmp_path / "p.zarr", "interior")[0].kind == "interior"
    assert waiting_in(found.volume) == {1}  # slice 4 of the image
    assert waiting_in(volume_of(np.zeros((1, 2, 2)))) == frozenset()


def test_what_states_nothing_is_a_probability_if_it_is_float_and_else_asked_about(tmp_path):
    zarr.create_array(tmp_path / "f.zarr", data=np.zeros((2, 8, 8), np.float32))
    zarr.create_array(tmp_path / "u.zarr", data=np.zeros((2, 8, 8), np.uint8))
    written(tmp_path / "other.zarr", {"note": "of other origin"})
    found, record = open_boundary(tmp_path / "f.zarr")
    assert (found.kind, record) == ("probability", {})
    for name in ("u.zarr", "other.zarr"):
        with pytest.raises(UserError, match="does not say what its uint8 values mean") as caught:
            open_boundary(tmp_path / name)
        assert caught.value.settings == ("input_kind",)
    assert open_boundary(tmp_path / "other.zarr", "labels")[1] == {}
    assert boundary_of(open_volume(tmp_path / "u.zarr")).kind == "probability"


def test_chunks_without_a_file_are_filled_only_if_that_is_said(tmp_path):
    array = zarr.create_array(tmp_path / "f.zarr", shape=(2, 8, 8), chunks=(1, 8, 8), dtype=np.float32)
    array[0] = 1
    assert not open_boundary(tmp_path / "f.zarr", fills=True)[0].part(1, PART).any()
    with pytest.raises(UserError):
        open_boundary(tmp_path / "f.zarr")[0].part(1, PART)


@pytest.mark.parametrize(("dtype", "most"), [(np.uint8, 255), (np.float32, 1), (np.float16, 1)])
def test_labels_make_a_probability_certain_and_unlabelled_pixels_keep_it(dtype, most):
    probability = np.array([[0, most, most]], dtype)
    found = with_labels(probability, np.array([[1, 2, 0]], np.uint8))
    assert found.dtype == dtype
    assert found.tolist() == [[most, 0, most]]
