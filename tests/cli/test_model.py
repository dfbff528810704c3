"""``emseg model``, without Keras: sentences, lists and what is known of a file."""

import json

import numpy as np
import pytest

from emseg_napari.models.run_list import usual_runs_folder
from helpers.command_desk import assert_sentence, emseg
from helpers.packages import package, two_channels
from helpers.tiny_runs import tiny_network_run

STEPS = [{"id": "zero_mean_unit_variance"}]
IMAGE = np.random.default_rng(0).integers(0, 255, (64, 96)).astype(np.uint8)


@pytest.fixture
def file(tmp_path):
    return package(tmp_path / "a.zip", two_channels(), IMAGE, STEPS)


def test_a_package_is_imported_and_listed_and_predicts(file, tmp_path):
    done = emseg("model", "import", file, "--output", tmp_path / "runs" / "net")
    assert (done.exit_code, done.stderr) == (0, done.stderr)
    assert "Hand-made membranes 1.2 by A. Maker, for predict" in done.stdout
    listed = json.loads(emseg("model", "list", tmp_path / "runs", "--json").stdout)["networks"]
    assert [one["network"] for one in listed] == ["compact", "imported"]
    assert "imported: Hand-made membranes" in emseg("model", "list", tmp_path / "runs").stdout
    for command in (("info",), ("model", "info")):
        shown = emseg(*command, tmp_path / "runs" / "net").stdout
        assert "not trained here" in shown
        assert "cite: Maker 2020 doi:10.1000/1" in shown
        assert "no training can start from it: a.zip has weights for prediction only" in shown


def test_what_a_file_does_not_say_is_asked_by_its_options(tmp_path):
    (tmp_path / "net.onnx").write_bytes(two_channels())
    done = emseg("model", "import", tmp_path / "net.onnx", "--output", tmp_path / "run")
    assert_sentence(done, "say it with --normalisation, --channel, --channel-is")
    words = (
        "--normalisation",
        "standard",
        "--channel",
        1,
        "--channel-is",
        "boundary",
        "--pixel-nm",
        4,
        "--json",
    )
    done = emseg("model", "import", tmp_path / "net.onnx", "--output", tmp_path / "run", *words)
    figures = json.loads(done.stdout)
    assert figures["answers"]["channel_is"] == "boundary"
    assert (figures["trainable"], figures["pixel_nm"]) == (False, 4.0)


def test_info_says_what_a_package_holds_and_what_is_asked(tmp_path):
    file = package(tmp_path / "a.zip", two_channels(), IMAGE, STEPS, names=("a", "b"))
    shown = emseg("model", "info", file).stdout
    assert "Hand-made membranes 1.2 by A. Maker, onnx weights" in shown
    assert "to be answered by import: --channel, --channel-is" in shown
    assert json.loads(emseg("model", "info", file, "--json").stdout)["asked"] == ["channel", "channel_is"]


def test_mistakes_are_sentences(tmp_path, file, monkeypatch):
    monkeypatch.setenv("EMSEG_CONFIG_DIR", str(tmp_path / "config"))
    run = tiny_network_run(tmp_path / "run")
    assert_sentence(emseg("model", "import", file, "--output", run.folder), "holds a run already")
    assert_sentence(
        emseg("model", "import", tmp_path / "gone.zip", "--output", tmp_path / "x"), "does not exist"
    )
    assert_sentence(emseg("model", "export", run.folder, "--output", tmp_path / "x.zip"), "has no best.keras")
    assert_sentence(emseg("model", "info", tmp_path / "gone.zip"), "does not exist")
    run.best_checkpoint.write_bytes(b"weights")
    export = ("model", "export", run.folder, "--output", tmp_path / "x.zip")
    assert_sentence(emseg(*export), "an author (--author) and a licence (--license)")
    assert_sentence(emseg(*export, "--cite", "A paper"), "--cite 'A paper' has no DOI or address")


def test_the_usual_folder_of_runs_is_that_of_the_window(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    tiny_network_run(usual_runs_folder() / "mine")
    listed = json.loads(emseg("model", "list", "--json").stdout)["networks"]
    assert [one["folder"] for one in listed][1:] == [str(tmp_path / "emseg-runs" / "mine")]
