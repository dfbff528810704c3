"""``emseg convert`` and ``emseg table``."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from emseg_napari.cli import app
from emseg_napari.core.jobs import Cancelled
from emseg_napari.io import convert
from emseg_napari.io.open import open_volume
from emseg_napari.io.records import record_of_path
from emseg_napari.io.stacks import write_stack
from emseg_napari.io.volume import Voxel
from emseg_napari.segmentation import cell_table
from helpers.command_desk import assert_sentence

CELLS = np.kron(np.arange(30).reshape(3, 2, 5), np.ones((1, 20, 20), int)).astype(np.uint16)
RECORD = {
    "software": "emseg-napari segment",
    "kind": "labels",
    "convention": "instances",
    "values": "numbers",
}
EM = Voxel((50.0, 4.0, 4.0), "nanometer")


def emseg(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    write_stack(tmp_path / "cells.tif", CELLS, RECORD | {"settings": {"link": False}}, EM)
    return tmp_path / "cells.tif"


def test_cells_are_converted_and_the_sentence_says_to_what(cells, tmp_path):
    result = emseg("convert", cells, "--output", tmp_path / "out", "--to", "precomputed", "--slices", "1:3")
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'out'}: labels of 2 x 40 x 100 voxels as Neuroglancer's own format" in result.stdout
    assert (open_volume(tmp_path / "out")[...] == CELLS[1:]).all()
    shown = emseg("info", tmp_path / "out")
    assert "copy of cells.tif, numbers" in shown.stdout


def test_labels_of_other_programs_are_named(tmp_path):
    tifffile.imwrite(tmp_path / "theirs.tif", CELLS, photometric="minisblack")
    words = "convert", tmp_path / "theirs.tif", "--to", "webknossos", "--json"
    result = emseg(*words, "--output", tmp_path / "a")
    assert json.loads(result.stdout)["labels"] is False
    result = emseg(*words, "--output", tmp_path / "b", "--labels")
    figures = json.loads(result.stdout)
    assert (figures["labels"], figures["format"]) == (True, "webknossos")
    assert record_of_path(tmp_path / "b")["software"] == "emseg-napari convert"
    assert "states no size of a voxel" in result.stderr


def test_mistakes_are_sentences(cells, tmp_path):
    out = tmp_path / "out"
    words = "convert", cells, "--output"
    assert_sentence(emseg(*words, out, "--to", "tiff"), "not a TIFF name")
    assert_sentence(emseg(*words, cells, "--to", "tiff"), "is the input")
    assert_sentence(emseg(*words, out, "--to", "tiles", "--slices", "1:9"), "--slices of cells.tif: 1:9")
    assert_sentence(emseg(*words, out, "--to", "catmaid"), "catmaid")
    assert_sentence(emseg("convert", tmp_path / "no.tif", "--output", out, "--to", "tiles"), "no.tif")
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert_sentence(emseg(*words, out, "--to", "tiles"), "was not written by emseg convert")


@pytest.mark.parametrize(
    ("to", "sentence"),
    [("tiles", "was not written."), ("ome-zarr", "run the same command again to resume.")],
)
def test_ctrl_c_says_what_is_left(cells, tmp_path, monkeypatch, to, sentence):
    def interrupted(*_: object) -> None:
        raise Cancelled

    monkeypatch.setattr(convert, "_write_folder", interrupted)
    monkeypatch.setattr(convert, "_write_zarr", interrupted)
    result = emseg("convert", cells, "--output", tmp_path / "out", "--to", to)
    assert result.exit_code == 130
    assert result.stderr.endswith(f"{sentence}\n")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_areas_of_cells_that_are_not_linked(cells, tmp_path):
    result = emseg("table", cells, "--output", tmp_path / "cells.csv")
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'cells.csv'}: 29 cells" in result.stdout
    assert rows(tmp_path / "cells.csv")[0] == {
        "cell": "1",
        "first_slice": "0",
        "last_slice": "0",
        "slices": "1",
        "pixels": "400",
        "area_nanometer2": "6400",
        "y_min": "0",
        "y_max": "19",
        "x_min": "20",
        "x_max": "39",
        "neighbours": "2 6",
    }


def test_cells_of_an_unknown_origin_count_as_linked_unless_it_is_said(tmp_path):
    tifffile.imwrite(tmp_path / "theirs.tif", CELLS, photometric="minisblack")
    emseg("table", tmp_path / "theirs.tif", "--output", tmp_path / "a.csv")
    assert rows(tmp_path / "a.csv")[0]["neighbours"] == "2 6 11"
    emseg("table", tmp_path / "theirs.tif", "--output", tmp_path / "b.csv", "--by-slice")
    assert rows(tmp_path / "b.csv")[0]["neighbours"] == "2 6"


def test_a_table_replaces_an_earlier_one_and_no_other_file(cells, tmp_path):
    output = tmp_path / "t.csv"
    for content in (b"name,price\napple,1\n", b"\xff\xfe\0", b""):
        output.write_bytes(content)
        assert_sentence(emseg("table", cells, "--output", output), "t.csv exists and is not a table of cells")
        assert output.read_bytes() == content
    output.write_text("cell,first_slice,last_slice,slices\n")
    assert emseg("table", cells, "--output", output).exit_code == 0
    assert len(rows(output)) == 29
    assert emseg("table", cells, "--output", output).exit_code == 0
    output.unlink()
    output.mkdir()
    assert_sentence(emseg("table", cells, "--output", output), "t.csv")


def test_mistakes_with_tables_are_sentences(cells, tmp_path, monkeypatch):
    assert_sentence(emseg("table", cells, "--output", tmp_path / "t.xlsx"), "let it end in .csv")
    assert_sentence(emseg("table", cells, "--output", tmp_path / "no" / "t.csv"), "make it first")
    write_stack(tmp_path / "grey.tif", CELLS.astype(np.float32))
    assert_sentence(emseg("table", tmp_path / "grey.tif", "--output", tmp_path / "t.csv"), "float32 values")

    def interrupted(*_: object) -> None:
        raise Cancelled

    monkeypatch.setattr(cell_table, "survey", interrupted)
    result = emseg("table", cells, "--output", tmp_path / "t.csv")
    assert (result.exit_code, result.stderr) == (
        130,
        f"emseg: Stopped; {tmp_path / 't.csv'} was not written.\n",
    )


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"kind": "probability"}, "boundary probability"),
        ({"kind": "interior"}, "interior probability"),
        ({"kind": "labels", "convention": "isbi"}, "0 = boundary, 128 = unlabelled, 255 = interior"),
        ({"kind": "labels", "convention": "napari"}, "0 = unlabelled, 1 = boundary, 2 = interior"),
    ],
)
def test_there_is_no_table_of_what_the_record_says_are_no_cells(tmp_path, record, sentence):
    write_stack(tmp_path / "made.tif", CELLS.astype(np.uint8), RECORD | {"convention": None} | record, EM)
    result = emseg("table", tmp_path / "made.tif", "--output", tmp_path / "t.csv")
    assert_sentence(result, f"made.tif holds {sentence}", "emseg segment")
    assert not (tmp_path / "t.csv").exists()


def test_info_on_cells_with_their_image_describes_the_cells(cells, tmp_path):
    write_stack(tmp_path / "em.tif", CELLS.astype(np.uint8), {}, EM)
    words = "--output", tmp_path / "wk", "--to", "webknossos", "--image", tmp_path / "em.tif"
    assert emseg("convert", cells, *words).exit_code == 0
    assert json.loads(emseg("info", tmp_path / "wk", "--json").stdout)["dtype"] == "uint16"
    assert json.loads(emseg("info", tmp_path / "wk/color", "--json").stdout)["dtype"] == "uint8"
