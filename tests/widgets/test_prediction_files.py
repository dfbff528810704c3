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
from emseg_napari.io import stack_or_volume
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import open_volume
from emseg_napari.io.stacks import read_image, write_stack
from emseg_napari.segmentation.stack import segment_stack
from emseg_napari.settings import CellSettings
from emseg_napari.widgets.base.output_target import FILE
from emseg_napari.widgets.layers import file_layers
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.segment import LAYER
from helpers.slow import slow_but, slow_case
from helpers.tiny_runs import tiny_network_run
from helpers.window import noting, striped, wait_for

IMAGE, TRUTH = striped((4, 64, 64))
KINDS = ("probability", "interior")
FILES = [f"{kind}{suffix}" for kind in KINDS for suffix in (".tif", ".zarr")]
LABELS = ["labels.tif", "labels.zarr"]
PART = "part-interior.zarr"  # slices 1:4
# Scores of which the threshold's own are equal: uint8 in Zarr rounds all other values.
AT_THRESHOLD = ("threshold", "v_rand_at_threshold", "v_info_at_threshold", "accuracy", "slices")


def emseg(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, its labels, and what one run predicts in both kinds and both formats."""
    here = tmp_path_factory.mktemp("predictions")
    run = tiny_network_run(here / "run")
    run.update(image_shape=IMAGE.shape)
    write_stack(here / "image.tif", IMAGE)
    write_stack(here / "truth.tif", to_isbi(TRUTH))
    for name in (*FILES, *LABELS, PART):
        options = ("--as", "interior" if name == PART else Path(name).stem, "--no-close-gaps")
        slices = ("--slices", "1:4") if name == PART else ()
        emseg("predict", run.folder, here / "image.tif", *options, *slices, "--output", here / name)
    return here


def load(dock, qtbot, path: Path):
    """Open a file by step Load."""
    before = set(dock.workspace.viewer.layers)
    dock.load.open_image(path)
    wait_for(qtbot, lambda: dock.load.status.text().startswith("Opened"))
    (layer,) = set(dock.workspace.viewer.layers) - before
    return layer


def opened(dock, qtbot, monkeypatch, path: Path, way: str):
    """Open a file the way that a user may."""
    image = dock.workspace.viewer.add_image(IMAGE, name="tissue")
    if way in ("napari", "emseg-napari"):
        layer = dock.workspace.viewer.open(path, plugin=way)[0]
    else:
        for module in (file_layers, stack_or_volume) if way == "load as large" else ():
            monkeypatch.setattr(module, "LARGE_BYTES", 100)
        layer = load(dock, qtbot, path / "0" if way == "load a level" else path)
    dock.workspace.choose("image", image)
    return layer


def ways(name: str) -> tuple[str, ...]:
    return "load", "load as large", "napari", *(("load a level", "emseg-napari") if "zarr" in name else ())


# Every kind and format, and every way, at least once.
QUICK = [
    ("probability.tif", "load"),
    ("probability.zarr", "napari"),
    ("interior.tif", "load as large"),
    ("interior.zarr", "emseg-napari"),
    ("labels.tif", "napari"),
    ("labels.zarr", "load a level"),
]
CASES = slow_but(QUICK, [(name, way) for name in (*FILES, *LABELS) for way in ways(name)])


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


@pytest.mark.parametrize(("name", "way"), [*CASES, (PART, "load"), slow_case(PART, "load as large")])
def test_the_window_scores_a_file_as_the_command_line_does(dock, qtbot, monkeypatch, folder, name, way):
    expected = json.loads(emseg("evaluate", folder / name, folder / "truth.tif", "--json"))
    found = scores_of_the_window(dock, opened(dock, qtbot, monkeypatch, folder / name, way))
    assert {one: expected[one] for one in found} == found
    wait_for(qtbot, lambda: dock.evaluate.run_name.text() == "run")


@pytest.mark.parametrize(("wanted", "scored"), [((0, 3), [1, 2]), ((1, 4), [1, 2, 3]), (None, [1, 2, 3])])
def test_slices_are_those_that_the_file_shows_of_the_wanted_ones(dock, qtbot, folder, wanted, scored):
    layer = load(dock, qtbot, folder / PART)
    dock.evaluate.form.set_values({"slices": wanted})
    assert scores_of_the_window(dock, layer)["slices"] == scored


def test_slices_that_the_file_does_not_show_are_refused(dock, qtbot, folder):
    image = np.concatenate([IMAGE] * 3)
    dock.workspace.viewer.add_image(image, name="longer")
    layer = load(dock, qtbot, folder / PART)
    truth = add_labels(dock.workspace.viewer, np.concatenate([TRUTH] * 3), "truth")
    dock.evaluate.prediction.choose(layer)
    dock.evaluate.truth.choose(truth)
    dock.evaluate.form.set_values({"slices": (7, 10)})
    dock.evaluate.evaluate.click()
    wait_for(qtbot, lambda: "shows the slices 1:4" in dock.evaluate.status.text())


def test_all_kinds_and_formats_score_the_same_at_the_threshold(folder):
    scored = [json.loads(emseg("evaluate", folder / name, folder / "truth.tif", "--json")) for name in FILES]
    for one in scored[1:]:
        assert [one[name] for name in AT_THRESHOLD] == [scored[0][name] for name in AT_THRESHOLD]
    assert scored[0]["accuracy"] > 0.6
    assert scored[0]["slices"] == [1, 2, 3]  # the run was trained on slice 0


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
        yield Finished({"evaluate": evaluate, "segment": segment_stack}[job](**arguments))


@pytest.mark.parametrize("name", [*FILES, *LABELS])
def test_the_api_knows_what_a_volume_holds(monkeypatch, folder, name):
    monkeypatch.setattr(api, "Engine", HereEngine)
    expected = json.loads(emseg("evaluate", folder / name, folder / "truth.tif", "--json"))
    volume = open_volume(folder / name)
    found = api.evaluate(volume, TRUTH).as_dict()
    assert {one: expected[one] for one in found} == found
    given = {} if name in LABELS else {"threshold": found["threshold"]}
    known = api.evaluate(volume[...], TRUTH, kind=Path(name).stem, slices=(1, 4), **given)
    assert known.as_dict()["per_slice"] == found["per_slice"]
    assert_cells_of_the_boundary(api.segment(volume, link=True), folder, name)


# -- cells --------------------------------------------------------------------------------


def assert_cells_of_the_boundary(found: np.ndarray, folder: Path, name: str) -> None:
    """Cells must be those of the boundary probability in the same format, in which its values are equal."""
    if name in LABELS:
        values = np.where(read_image(folder / name) == 0, np.uint8(255), np.uint8(0))
    else:
        values = read_image(folder / f"probability{Path(name).suffix or '.zarr'}")
    wanted = segment_stack(values, CellSettings(link=True))
    assert wanted.max() > 10
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("name", "way"), CASES)
def test_the_window_divides_a_file_as_what_it_says_it_is(dock, qtbot, monkeypatch, folder, name, way):
    jobs: list[dict] = []
    dock.cells.source.choose(opened(dock, qtbot, monkeypatch, folder / name, way))
    dock.cells.job.start = noting(jobs)
    dock.cells.target.setCurrentText(LAYER)
    dock.cells.form.set_values({"link": True})
    dock.cells.find.click()
    assert jobs, dock.cells.status.text()
    assert_cells_of_the_boundary(segment_stack(jobs[0]["probability"], jobs[0]["settings"]), folder, name)


@pytest.mark.parametrize("name", [f"interior{suffix}" for suffix in (".tif", ".zarr")])
def test_cells_on_disk_of_what_is_in_memory_are_those_of_its_kind(dock, qtbot, folder, name, tmp_path):
    dock.cells.source.choose(load(dock, qtbot, folder / name))
    dock.cells.target.setCurrentText(FILE)
    dock.cells.volume.path.setText(str(tmp_path / "cells.zarr"))
    dock.cells.form.set_values({"link": True})
    dock.cells.find.click()
    wait_for(qtbot, lambda: not dock.cells.job.running)
    output = VolumeOutput(tmp_path / "cells.zarr")
    assert_cells_of_the_boundary(output[:], folder, name)
    assert (output.record["made_from"], output.record["run"]) == ("interior", "run")


@pytest.mark.parametrize("output", ["cells.tif", "cells.zarr"])
@pytest.mark.parametrize("name", [*FILES, *LABELS, "interior.zarr/0"])
def test_the_command_line_divides_a_file_as_what_it_says_it_is(folder, name, output, tmp_path):
    emseg("segment", folder / name, "--link", "--output", tmp_path / output)
    assert_cells_of_the_boundary(open_volume(tmp_path / output, fills=True)[...], folder, name)
