"""`emseg reproduce`: outputs are made again from their records, and compared."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner, Result

from emseg_napari.cli import app
from emseg_napari.core.labels import to_isbi
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.samples import phantom
from emseg_napari.models.run import Run, open_run
from helpers.command_desk import assert_sentence, rewrite, state
from helpers.tiny_runs import tiny_network_run

CROP = np.s_[:5, 40:140, 60:180]


def emseg(*words: object, code: int = 0) -> Result:
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == code, done.output
    return done


class Desk:
    """A folder with an image, its labels and a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        image, labels = phantom()
        self.image, self.labels = folder / "image.tif", folder / "labels.tif"
        tifffile.imwrite(self.image, image[CROP], photometric="minisblack")
        tifffile.imwrite(self.labels, to_isbi(labels[CROP]), photometric="minisblack")
        zarr.create_array(folder / "image.zarr", data=image[CROP], chunks=(1, 64, 64))
        self.run: Run = tiny_network_run(folder / "run")

    def predict(self, name: str, *words: object) -> Path:
        image = self.folder / f"image{Path(name).suffix}"
        emseg("predict", self.run.folder, image, "--output", self.folder / name, *words)
        return self.folder / name

    def agrees(self, output: Path, *words: object) -> Result:
        """The output is made again with the same bytes, and nothing else on the disk is touched."""
        before = state(self.folder)
        done = emseg("reproduce", output, *words)
        assert f"{output} was made again: the bytes agree" in done.stdout
        assert state(self.folder) == before
        return done

    def refuses(self, *words: object, said: str) -> None:
        before = state(self.folder)
        assert_sentence(emseg("reproduce", *words, code=2), said)
        assert state(self.folder) == before


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize("name", ["out.tif", "out.zarr"])
@pytest.mark.parametrize("words", [(), ("--as", "probability", "--slices", "1:4", "--no-close-gaps")])
def test_a_prediction_is_made_again_with_the_same_bytes(
    desk: Desk, name: str, words: tuple[str, ...]
) -> None:
    desk.agrees(desk.predict(name, *words))


def test_all_choices_are_taken_from_the_record(desk: Desk) -> None:
    options = ("--threshold", 0.4, "--scale", 1.5, "--orientations", 4, "--tile-px", 64, "--as", "interior")
    desk.agrees(desk.predict("out.tif", *options))
    desk.agrees(desk.predict("out.zarr", *options, "--shards", "2x512x512"))


def test_the_slices_that_differ_are_named_with_the_largest_difference(desk: Desk) -> None:
    output = desk.predict("out.tif", "--as", "probability")
    values = tifffile.imread(output)
    values[3, 5, 7] += 0.25
    rewrite(output, values)
    done = emseg("reproduce", output, code=1)
    assert "the bytes differ (of 5 slices):\n  slice 3: 1 value, by at most 0.25" in done.stdout
    figures = json.loads(emseg("reproduce", output, "--json", code=1).stdout)
    assert not figures["agrees"]
    assert figures["differences"][0]["part"] == "slice 3"


def test_what_is_otherwise_than_then_is_said(desk: Desk) -> None:
    output = desk.predict("out.tif")
    rewrite(output, made_with={"onnxruntime": "1.0", "processor": "another"}, computed_on="CUDA, float16")
    said = desk.agrees(output).stdout
    assert "since then, onnxruntime was 1.0 and is " in said
    assert "processor was another and is " in said
    assert "it was computed on CUDA, float16, which this machine does not have" in said


def test_a_record_of_an_earlier_version_is_completed_by_what_was_usual_and_by_the_user(desk: Desk) -> None:
    output = desk.predict("out.tif")
    missing = ("source", "closed_gaps", "tile_px", "missing_is_empty", "made_with")
    rewrite(output, **dict.fromkeys(missing))
    desk.refuses(output, said="does not say where its image lies; say with --image where it lies now")
    said = desk.agrees(output, "--image", desk.image).stderr
    assert "does not state closed_gaps: gaps are closed" in said
    assert "with which ONNX Runtime and processor" in said


def test_what_was_moved_is_asked_for(desk: Desk) -> None:
    output = desk.predict("out.zarr")
    image = (desk.folder / "image.zarr").rename(desk.folder / "moved.zarr")
    desk.refuses(output, said="is not there any more; say with --image")
    run = desk.run.folder.rename(desk.folder / "moved-run")
    desk.refuses(output, "--image", image, said="say with --run where the run lies")
    desk.agrees(output, "--image", image, "--run", run)


def test_another_image_or_network_is_refused(desk: Desk) -> None:
    output = desk.predict("out.tif")
    values = tifffile.imread(desk.image)
    values[2] = 255 - values[2]
    tifffile.imwrite(desk.folder / "other.tif", values, photometric="minisblack")
    desk.refuses(output, "--image", desk.folder / "other.tif", said="Slice 2 of ")
    other = tiny_network_run(desk.folder / "other", scale=(2.0, 2.0))
    desk.refuses(output, "--run", other.folder, said="is not the network that predicted")


def test_what_is_made_again_can_be_kept(desk: Desk) -> None:
    output, kept = desk.predict("out.tif"), desk.folder / "kept.tif"
    assert f"kept: {kept}" in emseg("reproduce", output, "--output", kept).stdout
    assert np.array_equal(tifffile.imread(kept), tifffile.imread(output))
    desk.refuses(output, "--output", kept, said="is there already")


@pytest.mark.parametrize("name", ["cells.tif", "cells.zarr"])
def test_cells_are_made_again(desk: Desk, name: str) -> None:
    probability = desk.predict(f"p{Path(name).suffix}", "--as", "probability")
    emseg("segment", probability, "--output", desk.folder / name, "--link", "--size-px", 30)
    desk.agrees(desk.folder / name)
    moved = probability.rename(desk.folder / f"moved{probability.suffix}")
    desk.refuses(desk.folder / name, said="say with --probability where it lies now")
    desk.agrees(desk.folder / name, "--probability", moved)


@pytest.mark.parametrize(
    "words", [("e",), ("e.tif",), ("e.tiff",), ("e.TIF",), ("e", "--numbered-pngs", "--slices", "1:3")]
)
def test_an_export_is_made_again(desk: Desk, words: tuple[str, ...]) -> None:
    output = desk.folder / words[0]
    emseg("export", desk.labels, "--image", desk.image, "--output", output, *words[1:])
    desk.agrees(output)
    record = output / "export.json" if output.is_dir() else output.with_suffix(".json")
    assert "the bytes agree" in emseg("reproduce", record).stdout


@pytest.mark.parametrize("words", [("e",), ("e", "--numbered-pngs")])
def test_what_another_program_left_in_an_export_is_not_compared(desk: Desk, words: tuple[str, ...]) -> None:
    emseg("export", desk.labels, "--image", desk.image, "--output", desk.folder / words[0], *words[1:])
    (desk.folder / "e" / ".DS_Store").write_bytes(b"of a file manager")
    desk.agrees(desk.folder / "e")


def test_a_file_that_an_export_lacks_is_named(desk: Desk) -> None:
    emseg("export", desk.labels, "--image", desk.image, "--output", desk.folder / "e", "--numbered-pngs")
    (desk.folder / "e" / "labels" / "0002.png").unlink()
    desk.refuses(desk.folder / "e", said="0002.png is missing, so the export is not whole")


def test_what_is_kept_is_of_the_same_kind(desk: Desk) -> None:
    for name in ("e", "e.tif"):
        emseg("export", desk.labels, "--image", desk.image, "--output", desk.folder / name)
    desk.refuses(desk.folder / "e", "--output", desk.folder / "k.tif", said="is a folder, so")
    desk.refuses(desk.folder / "e.tif", "--output", desk.folder / "k", said="is a TIFF file, so")
    output = desk.predict("out.zarr")
    desk.refuses(output, "--output", desk.folder / "k.tif", said="is a folder, so")


def test_an_export_of_the_window_asks_for_its_labels(desk: Desk) -> None:
    emseg("export", desk.labels, "--image", desk.image, "--output", desk.folder / "e")
    record = desk.folder / "e" / "export.json"
    content = json.loads(record.read_text())
    del content["sources"]
    record.write_text(json.dumps(content))
    desk.refuses(desk.folder / "e", "--image", desk.image, said="say with --labels")
    desk.agrees(desk.folder / "e", "--image", desk.image, "--labels", desk.labels)


def test_a_baseline_is_fitted_again(desk: Desk) -> None:
    trained = desk.folder / "ridge"
    emseg("train", desk.image, desk.labels, "--output", trained, "--network", "ridge")
    desk.agrees(trained)
    labels = tifffile.imread(desk.labels)
    labels[1, :20] = 255 - labels[1, :20]
    tifffile.imwrite(desk.folder / "other.tif", labels, photometric="minisblack")
    desk.refuses(trained, "--labels", desk.folder / "other.tif", said="are not those that")
    open_run(trained).update(sources={})  # as of a training in the window
    desk.refuses(trained, "--image", desk.image, said="say with --labels where it lies now")
    desk.agrees(trained, "--image", desk.image, "--labels", desk.labels)


def test_a_network_that_differs_is_measured(desk: Desk) -> None:
    trained = desk.folder / "ridge"
    emseg("train", desk.image, desk.labels, "--output", trained, "--network", "ridge")
    fit = json.loads((trained / "ridge.json").read_text())
    fit["sigma_px"] *= 1.5
    (trained / "ridge.json").write_text(json.dumps(fit))
    assert "probability in slice" in emseg("reproduce", trained, code=1).stdout


def test_what_has_no_record_is_refused(desk: Desk) -> None:
    desk.refuses(desk.image, said="has no record of how it was made")
    desk.refuses(desk.folder / "nothing", said="does not exist")
    desk.refuses(desk.run.folder, said="steps.npy is missing")


def test_nothing_is_kept_inside_of_the_output_itself(desk: Desk) -> None:
    output = desk.predict("out.zarr")
    desk.refuses(output, "--output", output / "again.zarr", said="lies in")
    emseg("export", desk.labels, "--image", desk.image, "--output", desk.folder / "e")
    desk.refuses(desk.folder / "e", "--output", desk.folder / "e" / "again", said="lies in")


def test_a_zarr_that_is_not_complete_is_refused(desk: Desk) -> None:
    probability = desk.predict("p.zarr", "--as", "probability")
    cells = desk.folder / "cells.zarr"
    emseg("segment", probability, "--output", cells, "--size-px", 30)
    for output in (probability, cells):
        VolumeOutput(output).remove_slices([2])
        desk.refuses(output, said="is not complete (1 block missing); resume it first")
