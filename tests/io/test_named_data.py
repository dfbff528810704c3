"""Data that people have, by the name of its source: what is read as it is, and what to do with the rest."""

import io
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from emseg_napari.core.jobs import UserError
from emseg_napari.io.formats.microscope_text import pixel_note
from emseg_napari.io.open import open_volume
from emseg_napari.io.stacks import read_labels

IMAGE = np.random.default_rng(0).integers(1, 255, (6, 40, 50)).astype(np.uint8)
CELLS = np.repeat(np.arange(1, 11, dtype=np.uint16), 5) * np.ones((6, 40, 1), np.uint16)


def test_isbi_2012(tmp_path):
    tifffile.imwrite(tmp_path / "train-volume.tif", IMAGE)
    tifffile.imwrite(tmp_path / "train-labels.tif", np.where(IMAGE > 40, 255, 0).astype(np.uint8))
    assert np.array_equal(open_volume(tmp_path / "train-volume.tif")[...], IMAGE)
    labels = read_labels(tmp_path / "train-labels.tif", "isbi")
    assert np.array_equal(labels == 1, IMAGE <= 40)


def test_cremi(tmp_path):
    with h5py.File(tmp_path / "sample_A.hdf", "w") as file:
        for path, values in (
            ("raw", IMAGE),
            ("labels/neuron_ids", CELLS.astype(np.uint64)),
            ("labels/clefts", CELLS),
        ):
            file[f"volumes/{path}"] = values
            file[f"volumes/{path}"].attrs["resolution"] = (40.0, 4.0, 4.0)
    image = open_volume(tmp_path / "sample_A.hdf")
    assert np.array_equal(image[...], IMAGE)
    assert image.voxel.size == (40.0, 4.0, 4.0)
    assert np.array_equal(open_volume(tmp_path / "sample_A.hdf", labels=True)[...], CELLS)


def test_snemi3d(tmp_path):
    tifffile.imwrite(tmp_path / "train-labels.tif", CELLS)  # cells that touch: boundary lies between them
    labels = read_labels(tmp_path / "train-labels.tif", "instances")
    assert set(np.unique(labels)) == {1, 2}
    with h5py.File(tmp_path / "snemi.h5", "w") as file:
        file["main"] = IMAGE
    assert np.array_equal(open_volume(tmp_path / "snemi.h5")[...], IMAGE)


def ilastik(path: Path, values: np.ndarray, axes: str) -> Path:
    tags = {"axes": [{"key": key, "typeFlags": 2, "resolution": 0, "description": ""} for key in axes]}
    with h5py.File(path, "w") as file:
        file["exported_data"] = values
        file["exported_data"].attrs["axistags"] = json.dumps(tags)
    return path


def test_ilastik(tmp_path):
    path = ilastik(tmp_path / "segmentation.h5", IMAGE[..., None], "zyxc")
    assert np.array_equal(open_volume(path)[...], IMAGE)
    turned = ilastik(tmp_path / "turned.h5", IMAGE.T, "xyz")
    assert np.array_equal(open_volume(turned)[...], IMAGE)


def test_probabilities_of_two_classes_by_ilastik_are_refused_with_what_to_do(tmp_path):
    both = np.stack([IMAGE, 255 - IMAGE], -1).astype(np.float32)
    with pytest.raises(UserError, match="has 2 channels; save one of them as greyscale"):
        open_volume(ilastik(tmp_path / "probabilities.h5", both, "zyxc"))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        (
            "brain.am",
            "is an Amira mesh, as MIB and Amira write it, which cannot be read: save it as TIFF in MIB",
        ),
        ("cells.model", "imodmop"),
        ("project.ilp", "export its results"),
        ("project.xml", "TrakEM2"),
        ("x0.wkw", "datasource-properties.json"),
        ("annotation.zip", "unpack it first"),
        ("grid.dm4", "Fiji"),
        ("stack.nii.gz", "unpack it first"),
        ("slice.JPG", "PNG or TIFF"),
        ("array.npy", "tifffile.imwrite"),
        ("unknown.xyz", "OME-Zarr, HDF5, MRC or TIFF"),
    ],
)
def test_what_is_not_read_is_refused_with_how_to_convert_it(name, advice, tmp_path):
    (tmp_path / name).write_bytes(b"\0" * 64)
    with pytest.raises(UserError, match=advice) as caught:
        open_volume(tmp_path / name)
    assert str(caught.value).startswith(name)


@pytest.fixture
def microscope(tmp_path: Path) -> Path:
    """A folder as a microscope leaves it: slices, and a text file beside each."""
    folder = tmp_path / "session"
    folder.mkdir()
    for z, plane in enumerate(IMAGE):
        tifffile.imwrite(folder / f"S{z:03}.tif", plane)
        (folder / f"S{z:03}.txt").write_text("[SemImageFile]\r\nPixelSize=4.960938\r\n", "utf-8")
    return folder


def test_the_text_beside_slices_is_quoted_where_it_states_a_pixel(microscope):
    volume = open_volume(microscope)
    assert np.array_equal(volume[...], IMAGE)
    assert volume.voxel is None
    assert 'S000.txt beside the slices says "PixelSize=4.960938"' in volume.description.sentence()


def test_other_texts_are_not_mentioned(microscope):
    for file in microscope.glob("*.txt"):
        file.write_bytes(b"\xff\xfe operator: me\n")
    assert ".txt" not in open_volume(microscope).description.sentence()


def test_a_text_in_two_bytes_a_letter_is_quoted(microscope):
    for file in microscope.glob("*.txt"):
        file.write_text("PixelSize=4.960938\r\n", "utf-16")
    assert '"PixelSize=4.960938"' in open_volume(microscope).description.sentence()


def test_texts_that_cannot_be_read_are_passed_over_and_long_ones_not_read_whole(microscope, monkeypatch):
    read = []

    def opened(path: Path, mode: str) -> io.BytesIO:
        if path.name == "S000.txt":
            raise PermissionError(13, "Permission denied")
        read.append(LongText())
        return read[-1]

    monkeypatch.setattr(Path, "open", opened)
    assert pixel_note(microscope) == ()
    assert [text.asked for text in read] == [[1 << 20], [1 << 20]]


class LongText(io.BytesIO):
    """A file that notes how much of it is asked for."""

    def __init__(self) -> None:
        super().__init__(b"nothing")
        self.asked: list[int | None] = []

    def read(self, size: int | None = -1) -> bytes:
        self.asked.append(size)
        return super().read(size)


def test_slices_in_the_only_folder_of_a_folder_are_opened_and_that_is_said(microscope):
    (microscope.parent / "summary.txt").write_text("six slices", "utf-8")
    volume = open_volume(microscope.parent)
    assert np.array_equal(volume[...], IMAGE)
    assert "its slices lie in session" in volume.description.sentence()


def test_what_is_written_beside_the_only_folder_of_slices_does_not_hide_it(microscope):
    source = open_volume(microscope.parent).source
    zarr.create_array(microscope.parent / "out.zarr", data=IMAGE + 1)
    (microscope.parent / "notes").mkdir()
    assert np.array_equal(open_volume(microscope.parent)[...], IMAGE)
    tifffile.imwrite(microscope.parent / "out.tif", IMAGE + 1)
    assert np.array_equal(open_volume(source)[...], IMAGE)
    with pytest.raises(UserError, match=r"holds out\.tif and session, and each may be the stack; choose one"):
        open_volume(microscope.parent)


def test_two_folders_of_slices_are_not_guessed_between(microscope):
    shutil.copytree(microscope, microscope.parent / "other")
    with pytest.raises(UserError, match="holds other and session, and each may be the stack"):
        open_volume(microscope.parent)
