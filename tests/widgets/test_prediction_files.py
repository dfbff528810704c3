"""A prediction that `emseg predict` wrote is the same thing in the window, the command line and the API."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emseg_napari import api
from emseg_napari.cli import app
from emseg_napari.core.jobs import Finished
from emseg_napari.core.labels import to_isbi
from emseg_napari.evaluation.evaluation import evaluate
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.stacks import read_image, write_stack
from emseg_napari.segmentation.stack import instances
from emseg_napari.settings import InstanceSettings
from emseg_napari.widgets.base.output_target import FILE
from emseg_napari.widgets.layers import file_layers
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.segment import LAYER
from helpers.tiny_runs import tiny_network_run
from helpers.window import noting, striped, wait_for

IMAGE, TRUTH = striped((4, 96, 96))
FIRST, END = 1, 4
KINDS = ("probability", "interior")
FILES = [f"{kind}{suffix}" for kind in KINDS for suffix in (".tif", ".zarr")]
# Scores of which the threshold's own are equal: uint8 in Zarr rounds all other values.
AT_THRESHOLD = ("threshold", "v_rand_at_threshold", "v_info_at_threshold", "accuracy", "slices")


def emseg(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, its labels, and what one run predicts of slices 1:4 in both kinds and both formats."""
    here = tmp_path_factory.mktemp("predictions")
    run = tiny_network_run(here / "run").folder
    write_stack(here / "image.tif", IMAGE)
    write_stack(here / "truth.tif", to_isbi(TRUTH))
    for name in FILES:
        kind, options = name.split(".")[0], ("--slices", f"{FIRST}:{END}", "--no-close-gaps")
        emseg("predict", run, here / "image.tif", "--as", kind, *options, "--output", here / name)
    return here


@pytest.fixture(scope="module")
def probability(folder: Path) -> np.ndarray:
    return read_image(folder / "probability.tif")


def load(dock, qtbot, path: Path):
    """Open a file by step Load."""
    before = set(dock.workspace.viewer.layers)
    dock.load.open_image(path)
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Opened"))
    (layer,) = set(dock.workspace.viewer.layers) - before
    return layer


def opened(dock, qtbot, monkeypatch, path: Path, way: str):
    """Open a file the way that a user may."""
    if way in ("napari", "emseg-napari"):
        return dock.workspace.viewer.open(path, plugin=way)[0]
    if way == "load as large":
        monkeypatch.setattr(file_layers, "LARGE_BYTES", 100)
    return load(dock, qtbot, path / "0" if way == "load a level" else path)


def ways(name: str) -> tuple[str, ...]:
    lazily = ("load as large", "load a level") if name.endswith(".zarr") else ("emseg-napari",)
    return "load", "napari", *lazily


CASES = [(name, way) for name in FILES for way in ways(name)]


# -- scores -------------------------------------------------------------------------------


def scores_of_the_window(dock, layer) -> dict:
    """What step Evaluate says of a layer."""
    jobs: list[dict] = []
    truth = add_labels(dock.workspace.viewer, TRUTH.copy(), "truth")
    dock.evaluate.job.start = noting(jobs)
    dock.evaluate.prediction.choose(layer)
    dock.evaluate.truth.choose(truth)
    dock.evaluate.evaluate.click()
    assert jobs, dock.evaluate.status.text()
    return evaluate(**{name: value for name, value in jobs[0].items() if name != "error_settings"}).as_dict()


@pytest.mark.parametrize(("name", "way"), CASES)
def test_the_window_scores_a_file_as_the_command_line_does(dock, qtbot, monkeypatch, folder, name, way):
    expected = json.loads(emseg("evaluate", folder / name, folder / "truth.tif", "--json"))
    found = scores_of_the_window(dock, opened(dock, qtbot, monkeypatch, folder / name, way))
    assert {one: expected[one] for one in found} == found
    assert dock.evaluate.run_name.text() == "run"


def test_all_kinds_and_formats_score_the_same_at_the_threshold(folder):
    scored = [json.loads(emseg("evaluate", folder / name, folder / "truth.tif", "--json")) for name in FILES]
    for one in scored[1:]:
        assert [one[name] for name in AT_THRESHOLD] == [scored[0][name] for name in AT_THRESHOLD]
    assert scored[0]["accuracy"] > 0.6
    assert scored[0]["slices"] == [1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_level_of_a_zarr_is_scored_as_the_whole(folder, kind):
    whole, level = (
        json.loads(emseg("evaluate", path, folder / "truth.tif", "--json"))
        for path in (folder / f"{kind}.zarr", folder / f"{kind}.zarr" / "0")
    )
    different = {"prediction": None, "seconds": None}
    assert level | different == whole | different


class HereEngine:
    """Does what it is given in this process, which is quicker than to start another."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def run(self, job, **arguments):
        yield Finished({"evaluate": evaluate, "segment": instances}[job](**arguments))


@pytest.mark.parametrize("name", FILES)
def test_the_api_knows_what_a_volume_holds(monkeypatch, folder, probability, name):
    monkeypatch.setattr(api, "Engine", HereEngine)
    expected = json.loads(emseg("evaluate", folder / name, folder / "truth.tif", "--json"))
    volume = open_volume(folder / name)
    found = api.evaluate(volume, TRUTH).as_dict()
    assert {one: expected[one] for one in found} == found
    known = api.evaluate(
        volume[...], TRUTH, kind=name.split(".")[0], threshold=found["threshold"], slices=(1, 4)
    )
    assert known.as_dict()["per_slice"] == found["per_slice"]
    assert_same_cells(api.segment(volume), cells_of(probability), exactly=name.endswith(".tif"))


# -- cells --------------------------------------------------------------------------------


def cells_of(values: np.ndarray) -> np.ndarray:
    return instances(values, InstanceSettings(link=True))


def assert_same_cells(found: np.ndarray, wanted: np.ndarray, exactly: bool) -> None:
    """Cells of 8-bit values may lie elsewhere in a few pixels."""
    assert found.max() == wanted.max()
    share = np.mean(np.asarray(found) != wanted)
    assert share == 0 if exactly else share < 0.01


@pytest.mark.parametrize(("name", "way"), CASES)
def test_the_window_divides_a_file_as_what_it_says_it_is(
    dock, qtbot, monkeypatch, folder, probability, name, way
):
    jobs: list[dict] = []
    dock.cells.source.choose(opened(dock, qtbot, monkeypatch, folder / name, way))
    dock.cells.job.start = noting(jobs)
    dock.cells.target.setCurrentText(LAYER)
    dock.cells.form.set_values({"link": True})
    dock.cells.find.click()
    assert jobs, dock.cells.status.text()
    assert_same_cells(instances(jobs[0]["probability"], jobs[0]["settings"]), cells_of(probability), False)


@pytest.mark.parametrize("name", [f"interior{suffix}" for suffix in (".tif", ".zarr")])
def test_cells_on_disk_of_what_is_in_memory_are_those_of_its_kind(
    dock, qtbot, folder, probability, name, tmp_path
):
    dock.cells.source.choose(load(dock, qtbot, folder / name))
    dock.cells.target.setCurrentText(FILE)
    dock.cells.volume.path.setText(str(tmp_path / "cells.zarr"))
    dock.cells.form.set_values({"link": True})
    dock.cells.find.click()
    wait_for(qtbot, lambda: not dock.cells.job.running)
    output = VolumeOutput(tmp_path / "cells.zarr")
    assert_same_cells(output[:], cells_of(probability), False)
    assert (output.record["made_from"], output.record["run"]) == ("interior", "run")


@pytest.mark.parametrize("output", ["cells.tif", "cells.zarr"])
@pytest.mark.parametrize("name", [*FILES, "interior.zarr/0"])
def test_the_command_line_divides_a_file_as_what_it_says_it_is(folder, probability, name, output, tmp_path):
    emseg("segment", folder / name, "--link", "--output", tmp_path / output)
    assert_same_cells(open_volume(tmp_path / output, fills=True)[...], cells_of(probability), False)
