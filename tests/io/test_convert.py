"""Stacks in the formats of other programs, read back by the library of each."""

import errno
import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tensorstore
import tifffile
import yaozarrs
import zarr

from emseg_napari.core import files
from emseg_napari.core.jobs import Cancelled, JobContext, Message, Progress, UserError
from emseg_napari.core.locks import Occupied, OutputLock
from emseg_napari.io.convert import FORMATS, Conversion, convert
from emseg_napari.io.open import open_volume
from emseg_napari.io.pyramid import reduced
from emseg_napari.io.records import record_of_path
from emseg_napari.io.stacks import write_stack
from emseg_napari.io.volume import Volume, Voxel, volume_of
from emseg_napari.io.writers import tiff
from emseg_napari.io.writers.tensors import TensorArray
from emseg_napari.io.writers.tiles import coloured
from helpers.faults import at_call, full_disk

EM = Voxel((50.0, 4.0, 4.0), "nanometer")
ORIGIN = (150.0, 20.0, 12.0)  # voxels 3, 5, 3
RECORD = {
    "software": "emseg-napari segment",
    "kind": "labels",
    "convention": "instances",
    "image": "em.tif",
    "slices": [3, 9],
    "fingerprints": list("abcdef"),
}
FOLDERS = ("precomputed", "webknossos", "tiles")


METADATA = {"shape": [1, 4, 4, 4], "data_type": "uint8"}


class Failing:
    """A tensor that cannot be written."""

    def __init__(self, told: str) -> None:
        self.told = told

    def __getitem__(self, key: object) -> "Failing":
        return self

    def write(self, values: np.ndarray) -> None:
        raise ValueError(self.told)


def cells(dtype=np.int32) -> np.ndarray:
    """Blocks of numbers, of which some are 0: (6, 300, 530)."""
    numbers = np.random.default_rng(0).integers(0, 200, (6, 30, 53))
    return np.kron(numbers, np.ones((1, 10, 10), int)).astype(dtype)


def stack(array: np.ndarray, voxel: Voxel | None = EM, origin=ORIGIN) -> Volume:
    return volume_of(array, "cells.tif", voxel, origin)


def written(folder: Path, to: str, array: np.ndarray | None = None, **choices) -> Path:
    output = folder / ("out.tif" if to == "tiff" else "out")
    given = stack(cells() if array is None else array)
    convert(Conversion(**{"volume": given, "output": output, "to": to, "labels": True} | choices))
    return output


def said(folder: Path, to: str, volume: Volume, labels: bool = True) -> list[str]:
    events = []
    output = folder / ("out.tif" if to == "tiff" else "out")
    convert(Conversion(volume, output, to, labels=labels), JobContext(events.append))
    return [event.text for event in events if isinstance(event, Message)]


@pytest.mark.parametrize(("to", "version"), [("ome-zarr", "0.5"), ("ome-zarr-0.4", "0.4")])
def test_an_ome_zarr_is_valid_and_holds_numbers_size_and_place(to, version, tmp_path):
    output = written(tmp_path, to)
    yaozarrs.validate_zarr_store(str(output))
    attributes = zarr.open_group(output, mode="r").attrs.asdict()
    found = attributes["ome"] if version == "0.5" else attributes
    scale, translation = found["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [50, 4, 4]
    assert translation["translation"] == list(ORIGIN)
    assert found["image-label"] == {"version": version}
    assert (zarr.open_array(output / "0", mode="r")[:] == cells()).all()
    volume = open_volume(output)
    assert (volume.voxel, volume.origin, volume.is_labels) == (EM, ORIGIN, True)
    assert (volume[...] == cells()).all()


def precomputed(folder: Path, scale: int = 0) -> tensorstore.TensorStore:
    place = {"driver": "file", "path": f"{folder}/"}
    spec = {"driver": "neuroglancer_precomputed", "kvstore": place, "scale_index": scale}
    return tensorstore.open(spec, read=True).result()


@pytest.mark.parametrize(
    ("dtype", "kept"), [(np.int32, "uint32"), (np.uint16, "uint32"), (np.uint64, "uint64")]
)
def test_tensorstore_reads_cells_for_neuroglancer(dtype, kept, tmp_path):
    output = written(tmp_path, "precomputed", cells(dtype))
    array = precomputed(output)
    info = json.loads((output / "info").read_text())
    assert (info["type"], info["data_type"]) == ("segmentation", kept)
    assert info["scales"][0]["encoding"] == "compressed_segmentation"
    assert info["scales"][0]["resolution"] == [4, 4, 50]
    assert array.domain.origin == (3, 5, 3, 0)
    assert (cells(dtype) == array[..., 0].read().result().T).all()


def test_tensorstore_reads_images_for_neuroglancer(tmp_path):
    image = np.random.default_rng(1).integers(0, 2**16, (3, 200, 150)).astype(np.uint16)
    output = written(tmp_path, "precomputed", image, labels=False)
    info = json.loads((output / "info").read_text())
    assert (info["type"], info["data_type"], info["scales"][0]["encoding"]) == ("image", "uint16", "raw")
    assert (image == precomputed(output)[..., 0].read().result().T).all()


@pytest.mark.parametrize("labels", [True, False])
def test_coarser_scales_lie_on_the_voxels_of_the_finest(labels, tmp_path):
    output = written(tmp_path, "precomputed", labels=labels, array=cells(np.uint16))
    finest, coarse = precomputed(output), precomputed(output, 1)
    scale = json.loads((output / "info").read_text())["scales"][1]
    assert (scale["resolution"], scale["voxel_offset"]) == ([8, 8, 50], [1, 2, 3])
    # Voxel 1 of the coarse scale stands for 2 and 3, of which 2 is not there: 3 counts for both.
    values = np.pad(finest[..., 0].read().result().T, [(0, 0), (1, 1), (1, 1)], mode="edge")
    assert (reduced(values, (1, 2, 2), labels) == coarse[..., 0].read().result().T).all()


def test_imagej_knows_size_place_and_origin_of_a_tiff(tmp_path):
    output = written(tmp_path, "tiff", record=RECORD)
    with tifffile.TiffFile(output) as file:
        told = file.imagej_metadata
        assert (told["slices"], told["unit"], told["spacing"]) == (6, "nm", 50)
        assert (told["zorigin"], told["yorigin"], told["xorigin"]) == (-3, -5, -3)
        assert file.pages.first.tags["XResolution"].value == (1, 4)
        assert '"emseg-napari convert"' in told["Info"]
        assert (file.pages.first.compression, file.series[0].dtype) == (1, np.uint16)
        assert (file.asarray() == cells()).all()
    volume = open_volume(output)
    assert (volume.voxel, volume.origin) == (EM, ORIGIN)


def test_a_tiff_has_floats_where_16_bit_are_too_few(tmp_path):
    array = cells() * 1000
    assert (tifffile.imread(written(tmp_path, "tiff", array)) == array).all()
    assert tifffile.imread(tmp_path / "out.tif").dtype == np.float32
    with pytest.raises(
        UserError, match=r"number 16777217, but Fiji tells whole numbers apart only up to 16777216"
    ):
        written(tmp_path, "tiff", np.where(array, 2**24 + 1, 0))


def test_a_tiff_is_written_in_bands_where_slices_are_large(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "_BAND_PIXELS", 530 * 7)
    assert (tifffile.imread(written(tmp_path, "tiff")) == cells()).all()
    monkeypatch.setattr(tiff, "_MOST_PIXELS", 1000)
    with pytest.raises(UserError, match="ImageJ opens none of more"):
        written(tmp_path, "tiff")


def tile(output: Path, z: int, name: str) -> np.ndarray:
    return imagecodecs.png_decode((output / "tiles" / str(z) / f"{name}.png").read_bytes())


def test_catmaid_finds_images_in_grey_tiles(tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (2, 300, 530)).astype(np.uint8)
    output = written(tmp_path, "tiles", image, labels=False)
    assert sorted(path.stem for path in (output / "tiles" / "1").iterdir()) == ["0_0_0", "0_0_1", "0_1_0"]
    left, right = tile(output, 1, "0_0_0"), tile(output, 1, "0_1_0")
    assert (left[:300] == image[1, :, :512]).all()
    assert (right[:300, :18] == image[1, :, 512:]).all()
    assert not left[300:].any()
    assert not right[:, 18:].any()
    coarse = tile(output, 1, "0_0_1")
    assert (coarse[:150, :265] == reduced(image[1:], (1, 2, 2), False)[0]).all()
    project = json.loads((output / "project.yaml").read_text())["project"]
    (one,) = project["stacks"]
    assert one["dimension"] == "(530,300,2)"
    assert one["resolution"] == "(4,4,50)"
    assert one["translation"] == "(12,20,150)"
    assert one["zoomlevels"] == 1
    (mirror,) = one["mirrors"]
    assert (mirror["folder"], mirror["tile_source_type"], mirror["fileextension"]) == ("tiles/", 1, "png")


def test_catmaid_finds_labels_in_colours(tmp_path):
    output, numbers = written(tmp_path, "tiles"), cells()
    left = tile(output, 2, "0_0_0")
    assert left.shape == (512, 512, 4)
    assert (left[:300] == coloured(numbers[2])[:, :512]).all()
    assert (left[:300, :, 3] == np.where(numbers[2, :, :512], 255, 0)).all()
    colours = coloured(np.arange(1, 200)[np.newaxis])[0]
    assert len(np.unique(colours, axis=0)) == 199


def test_tiles_of_16_bit_say_what_becomes_black_and_white(tmp_path):
    image = np.linspace(1000, 3000, 2 * 40 * 50).reshape(2, 40, 50).astype(np.uint16)
    (sentence,) = said(tmp_path, "tiles", stack(image), labels=False)
    assert sentence == "Tiles have 8 bit: of cells.tif, 1002 and less becomes black, 2997 and more white."
    assert tile(tmp_path / "out", 1, "0_0_0")[39, 49] == 255


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize("record", [{}, {"kind": "probability"}])
def test_images_may_have_pixels_without_a_value(to, record, tmp_path):
    image = np.linspace(0, 1, 2 * 300 * 530).reshape(2, 300, 530).astype(np.float32)
    image[0, 7], image[1, 7] = np.nan, np.inf
    output = written(tmp_path, to, image, labels=False, record=record)
    if to == "tiles":
        assert not tile(output, 0, "0_0_0")[7].any()
        assert (tile(output, 1, "0_0_0")[7] == 255).all()
    elif to == "webknossos":
        values = zarr.open_array(output / "color" / "1", mode="r")[0, 3:533, 5:305, 3:5].T
        assert np.array_equal(values, image, equal_nan=True)
    else:
        assert np.array_equal(open_volume(output)[...], image, equal_nan=True)


def test_a_webknossos_dataset_has_a_layer_and_an_annotation(tmp_path):
    """What webKnossos' own library reads of it is tested in test_webknossos.py."""
    output = written(tmp_path, "webknossos")
    (layer,) = json.loads((output / "datasource-properties.json").read_text())["dataLayers"]
    assert layer["boundingBox"] == {"topLeft": [3, 5, 3], "width": 530, "height": 300, "depth": 6}
    assert layer["largestSegmentId"] == 199
    assert zarr.open_array(output / "segmentation" / "1", mode="r")[0, 3:533, 5:305, 3:9].T.tolist() == (
        cells().tolist()
    )
    with zipfile.ZipFile(output / "annotation.zip") as annotation:
        assert sorted(annotation.namelist()) == ["annotation.nml", "data_0_Cells.zip"]


@pytest.mark.parametrize("to", FORMATS)
def test_some_slices_lie_where_they_lay(to, tmp_path):
    output = written(tmp_path, to, slices=(2, 5), record=RECORD)
    if to in ("webknossos", "tiles"):
        return
    volume = open_volume(output, labels=True)
    assert (volume[...] == cells()[2:5]).all()
    assert volume.origin == (250, 20, 12)
    if to != "tiff":  # whose description is ImageJ's
        assert record_of_path(volume.source)["slices"] == [5, 8]


@pytest.mark.parametrize("to", ["ome-zarr", "ome-zarr-0.4", *FOLDERS])
def test_each_output_says_from_what_it_was_made(to, tmp_path):
    record = record_of_path(written(tmp_path, to, record=RECORD, slices=(1, 3)))
    assert record["software"] == "emseg-napari convert"
    assert record["converted_from"] == {"file": "cells.tif", "software": "emseg-napari segment"}
    assert (record["kind"], record["image"]) == ("labels", "em.tif")
    assert (record["slices"], record["fingerprints"]) == ([4, 6], ["b", "c"])


@pytest.mark.parametrize("to", FORMATS)
def test_progress_is_reported_with_the_time_left(to, tmp_path):
    events = []
    output = tmp_path / ("out.tif" if to == "tiff" else "out")
    convert(Conversion(stack(cells()), output, to, labels=True), JobContext(events.append))
    progress = [event for event in events if isinstance(event, Progress)]
    assert progress[-1].fraction == pytest.approx(1)
    assert all(event.seconds_left is not None for event in progress)


@pytest.mark.parametrize("to", ["tiff", *FOLDERS])
def test_nothing_is_left_of_what_was_cancelled_and_an_earlier_output_stays(to, tmp_path):
    output = written(tmp_path, to)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    seen = []
    with pytest.raises(Cancelled):
        convert(
            Conversion(stack(cells() + 1), output, to, labels=True),
            JobContext(seen.append, should_stop=lambda: len(seen) > 1),
        )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept


def test_a_cancelled_ome_zarr_is_resumed(tmp_path):
    write_stack(tmp_path / "cells.tif", cells().astype(np.uint16), RECORD, EM)
    volume, seen = open_volume(tmp_path / "cells.tif"), []
    task = Conversion(volume, tmp_path / "out.zarr", "ome-zarr", RECORD)
    with pytest.raises(Cancelled):
        convert(task, JobContext(seen.append, should_stop=lambda: len(seen) > 2))
    convert(task)
    assert (open_volume(tmp_path / "out.zarr")[...] == cells()).all()
    with pytest.raises(UserError, match="was begun with other choices"):
        convert(replace(task, slices=(0, 2)))


@pytest.mark.parametrize("to", ["tiff", *FOLDERS])
def test_what_was_not_converted_is_never_replaced(to, tmp_path):
    output = tmp_path / ("out.tif" if to == "tiff" else "out")
    if to == "tiff":
        write_stack(output, cells(np.uint8))
    else:
        output.mkdir()
        (output / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="exists and was not written by emseg convert"):
        written(tmp_path, to)


@pytest.mark.parametrize("to", FORMATS)
def test_the_input_is_never_replaced(to, tmp_path):
    name = "cells.tif" if to == "tiff" else "cells"
    source = written(tmp_path, "tiff" if to == "tiff" else "precomputed").rename(tmp_path / name)
    with pytest.raises(UserError, match="is the input"):
        convert(Conversion(open_volume(source), source, to, labels=True))
    assert open_volume(source).shape == cells().shape


@pytest.mark.parametrize("to", ["precomputed", "webknossos"])
def test_negative_numbers_are_refused_where_there_are_none(to, tmp_path):
    with pytest.raises(
        UserError, match=r"cells.tif holds the number -3, but here numbers from 0 to 4294967295"
    ):
        written(tmp_path, to, np.where(cells() == 7, -3, cells()).astype(np.int32))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", FOLDERS)
def test_a_voxel_of_unknown_size_is_said(to, tmp_path):
    sentences = said(tmp_path, to, stack(cells(), None))
    assert sentences[0] == (
        "cells.tif states no size of a voxel, and this format needs one: 1 x 1 x 1 nm is written."
    )


def test_slices_of_unknown_thickness_are_not_blended(tmp_path):
    output = written(tmp_path, "precomputed", volume=stack(cells(), None))
    scales = json.loads((output / "info").read_text())["scales"]
    assert {scale["resolution"][2] for scale in scales} == {1}
    assert len(scales) > 1


@pytest.mark.parametrize("to", ["precomputed", "webknossos"])
def test_a_place_between_voxels_is_said(to, tmp_path):
    sentences = said(tmp_path, to, stack(cells(), EM, (0.0, 2.0, 0.0)))
    assert "begins at a part of a voxel" in sentences[0]


def test_webknossos_has_nothing_before_its_origin(tmp_path):
    sentences = said(tmp_path, "webknossos", stack(cells(), EM, (-50.0, 0.0, 0.0)))
    assert "begins before the origin" in sentences[0]


def no_permission() -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.parametrize(
    ("fault", "reason"), [(full_disk, "the disk is full"), (no_permission, "it is not writable")]
)
def test_a_disk_that_takes_nothing_more_is_a_sentence(to, fault, reason, tmp_path):
    """At each call that changes the disk: what could not be written is no output."""
    refused = []
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            with at_call(number, fault):
                written(folder, to, cells()[:2, :20, :30])
        except UserError as error:
            refused.append(str(error))
            left = [path for path in folder.iterdir() if not files.is_temporary(path.name)]
            assert to.startswith("ome-zarr") or not left
    assert refused
    assert all(reason in sentence for sentence in refused)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (
            "RESOURCE_EXHAUSTED: Error: Failed to write: No space left on device [os_error_code='28']",
            "the disk is full",
        ),
        ("PERMISSION_DENIED: Failed to open: Permission denied [os_error_code='13']", "it is not writable"),
        ("INVALID_ARGUMENT: no such thing [source locations='a.cc:3']", "INVALID_ARGUMENT: no such thing."),
    ],
)
def test_what_tensorstore_says_becomes_a_sentence(told, reason, tmp_path):
    array = TensorArray(tmp_path, {"driver": "zarr3", "metadata": METADATA}, channel_first=True)
    array._array = Failing(told)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path} cannot be written: {reason}")):
        array.write(np.s_[0:1, 0:1, 0:1], np.zeros((1, 1, 1), np.uint8))


@pytest.mark.parametrize("to", FORMATS)
def test_one_writer_at_a_time(to, tmp_path):
    lock = OutputLock(tmp_path / ("out.tif" if to == "tiff" else "out"))
    try:
        with pytest.raises(Occupied):
            written(tmp_path, to)
    finally:
        lock.release()


def test_names_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(UserError, match="not a TIFF name"):
        convert(Conversion(stack(cells()), tmp_path / "out", "tiff"))
    with pytest.raises(UserError, match="is the name of a file"):
        convert(Conversion(stack(cells()), tmp_path / "out.tif", "tiles"))
    with pytest.raises(UserError, match="cells is not a format; choose one of"):
        convert(Conversion(stack(cells()), tmp_path / "out", "cells"))


def test_an_image_lies_below_labels_of_its_size_only(tmp_path):
    image = stack(cells(np.uint8))
    with pytest.raises(UserError, match="in a webKnossos dataset only"):
        written(tmp_path, "tiles", image=image)
    with pytest.raises(UserError, match="differ in size"):
        written(tmp_path, "webknossos", image=stack(cells(np.uint8)[1:]))
    output = written(tmp_path, "webknossos", image=image)
    layers = json.loads((output / "datasource-properties.json").read_text())["dataLayers"]
    assert [layer["name"] for layer in layers] == ["segmentation", "color"]


@pytest.mark.parametrize("to", FORMATS)
def test_deep_chunks_are_decoded_once_also_where_slices_begin_inside_of_one(to, tmp_path, monkeypatch):
    whole = cells(np.uint16)
    array = zarr.create_array(
        tmp_path / "deep.zarr", shape=whole.shape, chunks=(4, 300, 530), dtype=np.uint16, zarr_format=2
    )
    array[:] = whole
    volume, read = open_volume(tmp_path / "deep.zarr"), []
    pixels = type(volume.pixels)
    real = pixels.read
    monkeypatch.setattr(pixels, "read", lambda self, window: read.append(window) or real(self, window))
    output = written(tmp_path, to, volume=volume, slices=(1, 6), labels=True)
    assert len(read) <= 4, read  # of two layers of chunks, perhaps in two windows
    if to not in ("webknossos", "tiles"):
        assert (open_volume(output, labels=True)[...] == whole[1:6]).all()
