import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from emseg_napari.cli import app
from emseg_napari.core.jobs import Cancelled
from emseg_napari.core.locks import OutputLock
from emseg_napari.io.ome_zarr_writer import Layout, VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.records import read_description
from emseg_napari.io.stacks import read_labels, write_stack
from emseg_napari.io.volume import Voxel
from emseg_napari.segmentation import stack as segmentation
from emseg_napari.segmentation import volume
from emseg_napari.segmentation.linking import link
from emseg_napari.settings import CellSettings

RECORD = {
    "software": "emseg-napari predict",
    "kind": "probability",
    "run": "mine",
    "run_folder": "/runs/mine",
}


def emseg(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def probability() -> np.ndarray:
    """Four rooms with leaks, that move a little from slice to slice: float32 (5, 60, 60)."""
    stack = np.zeros((5, 60, 60), np.float32)
    for z in range(5):
        stack[z, 28 + z : 30 + z] = stack[z, :, 29 - z : 31 - z] = 0.9
        stack[z, 10:13] = 0
    return stack


@pytest.fixture
def predicted(tmp_path: Path, probability: np.ndarray) -> Path:
    """The same as `emseg predict` writes it."""
    write_stack(tmp_path / "predicted.tif", probability, RECORD | {"slices": [19, 24]})
    return tmp_path / "predicted.tif"


def segmented(source: Path, *options: object) -> np.ndarray:
    """The cells that a command which succeeds writes."""
    output = source.with_name("cells.tif")
    result = emseg("segment", source, "--output", output, *options)
    assert result.exit_code == 0, result.output
    return tifffile.imread(output)


def test_cells_of_a_container_lie_where_the_prediction_in_it_lies(tmp_path, probability) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/raw"], file["predictions/boundary"] = (probability * 255).astype(np.uint8), probability
        file["volumes/raw"].attrs["resolution"] = [50, 4, 4]
        file["predictions/boundary"].attrs.update({"resolution": [50, 8, 8], "offset": [100, 16, 24]})
    segmented(tmp_path / "a.h5")
    cells = open_volume(tmp_path / "cells.tif")
    assert (cells.voxel, cells.origin) == (Voxel((50, 8, 8), "nanometer"), (100, 16, 24))


def refused(source: Path, *options: object) -> str:
    """The sentence of a command that fails and writes nothing."""
    before = sorted(source.parent.iterdir())
    words = () if "--output" in options else ("--output", source.with_name("cells.tif"))
    result = emseg("segment", source, *words, *options)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    *notes, sentence = result.stderr.splitlines(keepends=True)
    assert all(" is taken for " in note for note in notes)
    assert sentence.startswith("emseg: ")
    assert sorted(source.parent.iterdir()) == before
    return sentence


def test_cells_are_those_of_the_function_and_the_file_says_what_they_are(predicted, probability):
    cells = segmented(predicted)
    assert cells.dtype == np.uint16
    np.testing.assert_array_equal(cells, segmentation.segment_stack(probability))
    said = read_description(predicted.with_name("cells.tif"))
    assert said["software"] == "emseg-napari segment"
    assert said["cells_per_slice"] == [4] * 5
    assert (said["run"], said["run_folder"], said["slices"]) == ("mine", "/runs/mine", [19, 24])
    assert CellSettings(**said["settings"]) == CellSettings()


@pytest.mark.parametrize("name", ["cells.tif", "cells.zarr"])
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("probability", "boundary probability"),
        ("interior", "interior probability"),
        ("labels", "boundary and interior labels"),
    ],
)
def test_what_cells_were_made_from_is_told(tmp_path, probability, kind, what, name):
    labels = np.where(probability >= 0.5, 0, 255).astype(np.uint8)
    values = {"probability": probability, "interior": 1 - probability, "labels": labels}[kind]
    write_stack(tmp_path / "p.tif", values, RECORD | {"kind": kind, "image": "i.tif", "slices": [19, 24]})
    emseg("segment", tmp_path / "p.tif", "--output", tmp_path / name, "--neck-px", 3)
    assert json.loads(emseg("info", tmp_path / name, "--json").stdout)["made_from"] == kind
    lines = emseg("info", tmp_path / name).stdout.splitlines()
    assert lines.pop(1).startswith("5 slices of 60 x 60, ")
    assert lines[:4] == [
        f"{tmp_path / name}: cells, every cell has a number of its own",
        f"made from the {what} p.tif",
        "predicted by the run mine in /runs/mine",
        "slices 19-23 of i.tif",
    ]
    assert "other than by default: neck_px 3.0" in lines


def test_link_gives_a_cell_one_number_through_the_slices(predicted, probability):
    cells = segmented(predicted, "--link")
    np.testing.assert_array_equal(cells, link(segmentation.segment_stack(probability)))
    assert set(np.unique(cells)) == {1, 2, 3, 4}


def test_written_cells_are_labels_to_the_other_commands(predicted):
    segmented(predicted, "--link")
    labels = read_labels(predicted.with_name("cells.tif"))
    assert set(np.unique(labels)) == {1, 2}
    boundary = predicted.with_name("boundary.tif")
    tifffile.imwrite(boundary, np.where(labels == 1, 0, 255).astype(np.uint8))
    result = emseg("evaluate", predicted.with_name("cells.tif"), boundary, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["v_rand"] == pytest.approx(1)


def test_json_gives_the_figures(predicted):
    result = emseg("segment", predicted, "--output", predicted.with_name("c.tif"), "--json", "--neck-px", 3)
    figures = json.loads(result.stdout)
    assert figures["cells"] == 20
    assert figures["settings"]["neck_px"] == 3
    assert figures["output"] == str(predicted.with_name("c.tif"))
    assert "fingerprints" not in figures


@pytest.mark.parametrize(
    ("convert", "options"),
    [
        (lambda p: np.round(255 * p).astype(np.uint8), ("--as", "probability")),
        (lambda p: np.round(255 * p).astype(np.uint8) + np.uint8(1), ()),  # not only 0 and 255
        (lambda p: np.round(255 * (1 - p)).astype(np.uint8), ("--interior",)),
        (lambda p: 1 - p, ("--interior",)),
        (lambda p: p.astype(np.float64), ()),
        (lambda p: np.where(p > 0.5, 0, 255).astype(np.uint8), ()),  # ISBI labels
        (lambda p: np.where(p > 0.5, 1, 2).astype(np.uint8), ()),  # labels of napari
    ],
)
def test_files_of_other_origin_are_read_for_what_they_are(tmp_path, probability, convert, options):
    tifffile.imwrite(tmp_path / "other.tif", convert(probability))
    cells = segmented(tmp_path / "other.tif", *options)
    assert [len(np.unique(slice_)) for slice_ in cells] == [4] * 5


def test_it_is_said_what_values_are_taken_for(tmp_path, probability):
    tifffile.imwrite(tmp_path / "other.tif", np.round(200 * probability).astype(np.uint8))
    result = emseg("segment", tmp_path / "other.tif", "--output", tmp_path / "cells.tif")
    said = (
        "other.tif is taken for the boundary probability from 0 to 255, since it holds 8-bit values that are"
    )
    assert said in result.stderr


@pytest.mark.parametrize("target", ["cells.tif", "cells.zarr"])
def test_it_is_also_said_of_a_container(tmp_path, probability, target):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["prob"] = 1 - probability
    said = "other.h5/prob is taken for the {} probability from 0 to 1, {}"
    result = emseg("segment", tmp_path / "other.h5", "--output", tmp_path / target)
    assert said.format("boundary", "since it holds floats; add --interior if it is the") in result.stderr
    result = emseg("segment", tmp_path / "other.h5", "--interior", "--output", tmp_path / f"i{target}")
    assert said.format("interior", "as you say.") in result.stderr


@pytest.mark.parametrize("kind", ["interior", "labels"])
def test_what_predict_wrote_of_the_interior_or_as_labels_is_converted(tmp_path, probability, kind):
    values = 1 - probability if kind == "interior" else np.where(probability > 0.5, 0, 255).astype(np.uint8)
    convention = {"convention": "isbi"} if kind == "labels" else {}
    write_stack(tmp_path / "p.tif", values, RECORD | {"kind": kind} | convention)
    assert segmented(tmp_path / "p.tif").max() == 20


def test_an_earlier_result_is_replaced_and_nothing_else(predicted):
    first, second = segmented(predicted), segmented(predicted, "--outlines")
    assert first.min() == 1
    assert second.min() == 0
    other = predicted.with_name("other.tif")
    tifffile.imwrite(other, first)
    assert "other.tif exists and was not written by emseg segment" in refused(predicted, "--output", other)
    other.write_bytes(b"no picture at all")
    assert "other.tif exists and was not written by emseg segment" in refused(predicted, "--output", other)
    assert "would be lost" in refused(predicted, "--output", predicted)


@pytest.mark.parametrize(
    ("array", "parts"),
    [
        (np.full((2, 9, 9), 1.5, np.float32), ("wrong.tif", "1.5 in slice 0")),
        (np.full((2, 9, 9), np.nan, np.float32), ("wrong.tif", "nan in slice 0")),
        (np.full((2, 9, 9), 7, np.int32), ("wrong.tif",)),
        (np.eye(9, dtype=np.uint8)[None], ("wrong.tif",)),
        (np.array([[[0, 128], [255, 0]]], np.uint8).repeat(2, axis=0), ("wrong.tif",)),
    ],
)
def test_files_that_hold_no_probability_end_with_a_sentence_that_names_them(tmp_path, array, parts):
    tifffile.imwrite(tmp_path / "wrong.tif", array, photometric="minisblack")
    sentence = refused(tmp_path / "wrong.tif", *(("--as", "labels") if array.max() == 255 else ()))
    assert all(part in sentence for part in parts)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("--as", "labels", "--interior"), "exclude each other"),
        (("--neck-px", "0"), "Neck (px)"),
        (("--merge-threshold", "2"), "Merge threshold"),
        (("--output", "cells.png"), "not a TIFF name"),
        (("--output", "/nowhere/cells.tif"), "make it first"),
    ],
)
def test_options_that_make_no_sense_end_with_a_sentence(predicted, options, part):
    assert part in refused(predicted, *options)


def test_a_missing_file_is_named(tmp_path):
    assert "missing.tif" in refused(tmp_path / "missing.tif")


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_probability_without_boundary_or_interior_is_one_cell_a_slice_and_is_told_of(tmp_path, value):
    write_stack(tmp_path / "p.tif", np.full((1, 20, 20), value, np.float32), RECORD)
    result = emseg("segment", tmp_path / "p.tif", "--output", tmp_path / "cells.tif")
    assert "Slice 0 is one single cell" in result.stderr
    assert set(np.unique(tifffile.imread(tmp_path / "cells.tif"))) == {1}


def test_ctrl_c_leaves_nothing_and_says_so(predicted, monkeypatch):
    def stop(*_: object) -> None:
        raise Cancelled

    monkeypatch.setattr(segmentation, "segment_stack", stop)
    result = emseg("segment", predicted, "--output", predicted.with_name("cells.tif"))
    assert result.exit_code == 130
    assert "cells.tif was not written" in result.stderr
    assert not predicted.with_name("cells.tif").exists()


def test_more_cells_than_fit_16_bits_are_written_in_32(predicted, monkeypatch):
    many = np.arange(70_000, dtype=np.int32).reshape(1, 250, 280) + 1
    monkeypatch.setattr(segmentation, "segment_stack", lambda *_: many)
    cells = segmented(predicted)
    assert cells.dtype == np.int32
    np.testing.assert_array_equal(cells, many[0])


# -- volumes of any size -------------------------------------------------------------------


@pytest.fixture
def predicted_volume(tmp_path: Path, probability: np.ndarray) -> Path:
    """The same as `emseg predict` writes it into an OME-Zarr."""
    voxel = Voxel((50.0, 4.0, 4.0), "nanometer")
    place = {"voxel": voxel, "origin": (950.0, 0.0, 0.0)}
    layout = Layout(probability.shape, "uint8", chunk=(1, 60, 60), shard=None, **place)
    output = VolumeOutput.prepare(tmp_path / "predicted.zarr", layout, RECORD | {"slices": [19, 24]})
    for block in output.blocks:
        output.write(block, np.round(255 * probability[block.window]).astype(np.uint8))
    return output.path


@pytest.mark.parametrize("options", [(), ("--link",), ("--outlines", "--neck-px", 3)])
def test_a_volume_has_the_cells_of_the_stack(predicted_volume, options):
    cells = predicted_volume.with_name("cells.zarr")
    result = emseg("segment", predicted_volume, "--output", cells, *options, "--json")
    assert result.exit_code == 0, result.output
    written = VolumeOutput(cells)
    np.testing.assert_array_equal(written[:], segmented(predicted_volume, *options))
    assert written.voxel == Voxel((50.0, 4.0, 4.0), "nanometer")
    assert (written.record["run"], written.record["slices"]) == ("mine", [19, 24])
    assert written.layout.origin == (950.0, 0.0, 0.0)
    assert json.loads(result.stdout)["cells"] == written[:].max()
    again = emseg("segment", predicted_volume, "--output", cells, *options)
    assert "was complete already" in again.stdout


def test_cells_are_not_gone_on_with_from_another_prediction(tmp_path, probability):
    for network in ("one", "other"):
        output = VolumeOutput.prepare(
            tmp_path / network / "p.zarr", Layout(probability.shape, "uint8"), RECORD | {"network": network}
        )
        for block in output.blocks:
            output.write(block, np.round(255 * probability[block.window]).astype(np.uint8))
    cells = ("--output", tmp_path / "cells.zarr")
    assert emseg("segment", tmp_path / "one" / "p.zarr", *cells).exit_code == 0
    assert "with other choices: the probability was" in refused(tmp_path / "other" / "p.zarr", *cells)


def test_cells_are_not_gone_on_with_from_another_file_of_the_same_name(tmp_path, probability):
    cells = ("--output", tmp_path / "cells.zarr", "--as", "probability")
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(
            tmp_path / folder / "p.tif", probability.astype(np.float32), photometric="minisblack"
        )
    assert emseg("segment", tmp_path / "one" / "p.tif", *cells).exit_code == 0
    assert "with other choices: the probability was" in refused(tmp_path / "other" / "p.tif", *cells)


def test_a_tiff_becomes_a_volume_too(predicted):
    cells = predicted.with_name("cells.zarr")
    result = emseg("segment", predicted, "--output", cells)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(VolumeOutput(cells)[:], segmented(predicted))
    assert VolumeOutput(cells).record["run"] == "mine"


def test_a_damaged_chunk_is_listed_and_the_rest_is_done(predicted_volume):
    (predicted_volume / "0" / "c" / "2" / "0" / "0").write_bytes(b"not what it was")
    cells = predicted_volume.with_name("cells.zarr")
    result = emseg("segment", predicted_volume, "--output", cells)
    assert result.exit_code == 1
    assert "1 block failed" in result.stdout
    assert "block (2, 0, 0): chunk (2, 0, 0) of predicted.zarr/0 is damaged" in result.stderr
    assert VolumeOutput(cells)[:].any(axis=(1, 2)).tolist() == [True, True, False, True, True]


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(predicted_volume, monkeypatch):
    def stop(*_: object) -> None:
        raise Cancelled

    cells = predicted_volume.with_name("cells.zarr")
    with monkeypatch.context() as patch:
        patch.setattr(volume, "NumberStep", stop)
        result = emseg("segment", predicted_volume, "--output", cells)
    assert result.exit_code == 130
    assert "run the same command again to resume" in result.stderr
    assert emseg("segment", predicted_volume, "--output", cells).exit_code == 0
    np.testing.assert_array_equal(VolumeOutput(cells)[:], segmented(predicted_volume))


def test_a_volume_that_does_not_say_what_it_holds_is_asked_about(tmp_path, probability):
    layout = Layout(probability.shape, "uint8")
    other = VolumeOutput.prepare(tmp_path / "other.zarr", layout, {})
    for block in other.blocks:
        other.write(block, np.where(probability[block.window] > 0.5, 0, 255).astype(np.uint8))
    output = ("--output", tmp_path / "cells.zarr")
    assert "--as labels, --as probability" in refused(other.path, *output)
    assert emseg("segment", other.path, *output, "--as", "labels").exit_code == 0
    assert VolumeOutput(tmp_path / "cells.zarr")[:].max() == 20


def test_a_volume_is_not_read_as_what_it_says_it_is_not(predicted_volume):
    output = ("--output", predicted_volume.with_name("cells.zarr"))
    assert "states in its record" in refused(predicted_volume, *output, "--as", "labels")


@pytest.mark.parametrize(
    ("output", "options", "part"),
    [
        ("cells.tif", ("--scheduler", "local"), "let its name end in .zarr"),
        ("cells.zarr", ("--scheduler", "nowhere"), "is not a scheduler"),
        ("cells.zarr", ("--workers", "2"), "goes with the scheduler 'local'"),
        ("predicted.zarr", (), "was written by emseg-napari predict, so that emseg-napari segment cannot"),
    ],
)
def test_places_and_outputs_that_cannot_be_used_end_with_a_sentence(predicted_volume, output, options, part):
    assert part in refused(predicted_volume, "--output", predicted_volume.with_name(output), *options)


@pytest.mark.parametrize("name", ["cells.tif", "cells.zarr"])
def test_an_output_that_another_process_writes_is_refused(predicted, name):
    lock = OutputLock(predicted.with_name(name))
    sentence = refused(predicted, "--output", predicted.with_name(name))
    assert f"{name} is being written by another emseg (process {os.getpid()}); wait for it" in sentence
    lock.release()
    assert emseg("segment", predicted, "--output", predicted.with_name(name)).exit_code == 0
