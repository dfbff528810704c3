import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from emseg_napari.cli import app
from emseg_napari.core.jobs import EpochEnded
from emseg_napari.inference.execution import Execution
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.stacks import write_stack
from emseg_napari.models import run as run_module
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.settings import TrainingSettings
from helpers.gpu_stand_in import CUDA, DIRECTML, plug_in
from helpers.tiny_runs import tiny_network_run


@pytest.fixture
def saved(tmp_path):
    """Write a run with a record of our own making and return what ``emseg info`` prints."""

    def save(*options: str, settings=None, **changes):
        record = {
            "image_shape": (9, 64, 64),
            "image_dtype": "uint8",
            "trained_slices": [0, 1, 2, 5],
            "held_out_slices": [6, 7],
            "label_counts": {"unlabelled": 1, "boundary": 2, "interior": 3},
            "kept_epoch": 2,
            "kept_accuracy": 0.9125,
            "kept_v_rand": 0.9712,
            "threshold": 0.4,
            "finished": True,
        } | changes
        rows = [EpochEnded(n, 50 * n, 4.0 * n, 0.5, 0.9, 0.91, 1e-3) for n in (1, 2)]
        settings = TrainingSettings.recipe(minutes=1, seed=7).model_copy(update=settings or {})
        folder = tmp_path / "run"
        folder.mkdir()
        Run(folder, settings, RunRecord(**record), rows).save()
        result = CliRunner().invoke(app, ["info", str(folder), *options])
        assert result.exit_code == 0, result.output
        return result.output

    return save


def test_info_says_what_was_trained_on_and_how_it_scored(saved):
    said = saved()
    assert "compact, finished; 100 steps, 2 epochs, 8 s" in said
    assert "trained on slices 0-2, 5 of a stack of 9 x 64 x 64" in said
    assert "accuracy 91.25%, V_rand 0.9712 on held-out slices 6-7, at threshold 0.40" in said
    assert "started from nothing" in said
    assert "minutes 1.0, seed 7" in said


def test_info_does_not_say_that_a_network_of_others_had_not_seen_the_stack(saved):
    imported = {"file": "net.keras", "sha256": "0", "name": "net", "weights": "keras_v3"}
    said = saved(start="net", imported=imported, settings={"network": "imported"})
    assert "started from net, of which is not known whether it had seen this stack" in said


def test_info_warns_of_a_start_that_had_seen_the_stack(saved):
    said = saved(start="starter", start_slices=[6, 7])
    assert "started from starter, which had seen slices 6-7 of this stack: scores there prove nothing" in said


def test_info_says_when_nothing_was_held_out(saved):
    said = saved(held_out_slices=[], kept_accuracy=None, kept_v_rand=None)
    assert "nothing was held out, so there is no score" in said


def test_info_says_that_a_corner_flatters(saved):
    assert "corner y 0-21, x 42-63 (scores on small areas are too high)" in saved(
        held_out_slices=[], held_out_tile=(0, 22, 42, 64)
    )


def test_info_says_if_a_run_is_better_than_its_start(saved):
    said = saved(start="starter", viewed_slice=4, start_accuracy=0.902, start_v_rand=0.951)
    assert "Better than 'starter' on what was held out (which also chose it): accuracy 91.2 %" in said
    assert "against 90.2 %, V_rand 0.971" in said


def test_info_as_json_has_the_figures(saved):
    figures = json.loads(saved("--json"))
    assert figures["trained_slices"] == [0, 1, 2, 5]
    assert np.isclose(figures["v_rand"], 0.9712)
    assert (figures["start_accuracy"], figures["start_v_rand"]) == (None, None)
    assert figures["settings"] == {"minutes": 1.0, "seed": 7}


def test_info_names_no_settings_without_effect(saved):
    said = saved(settings={"network": "trees", "minutes": None, "anchor_weight": 0.0, "batch_size": 3})
    assert "not as in the recipe: seed 7\n" in said


def test_info_names_the_anchor_only_of_what_starts_from_another(saved):
    assert "anchor_weight" not in saved(settings={"anchor_weight": 0.0})


def test_info_of_no_run_is_a_sentence(tmp_path):
    result = CliRunner().invoke(app, ["info", str(tmp_path)])
    assert result.exit_code == 2
    assert "is neither a run folder nor an image: " in result.output
    assert "has no TIFF or PNG files" in result.output


def test_info_of_a_prediction_says_who_made_it_of_what(tmp_path):
    record = {
        "software": "emseg-napari predict",
        "version": "0.1.0",
        "values": "boundary probability, 0 to 1",
    }
    record |= {"run": "r", "run_folder": "/runs/r", "image": "i.tif", "slices": [2, 3], "threshold": 0.4}
    write_stack(tmp_path / "p.tif", np.zeros((1, 4, 4), np.float32), record)
    result = CliRunner().invoke(app, ["info", str(tmp_path / "p.tif")])
    assert result.stdout.splitlines() == [
        f"{tmp_path / 'p.tif'}: prediction, boundary probability, 0 to 1",
        "1 slice of 4 x 4, 32 bit float",
        "predicted by the run r in /runs/r, threshold 0.40",
        "slice 2 of i.tif",
        "made with emseg-napari 0.1.0",
    ]


GREY = np.random.default_rng(0).integers(20, 200, (6, 40, 50), np.uint8)
NOTE = "0 = white in the file, shown inverted back"


def test_info_of_an_image_says_what_is_in_it_and_how_it_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "w.tif", 255 - GREY, photometric="miniswhite")
    result = CliRunner().invoke(app, ["info", str(tmp_path / "w.tif")])
    assert result.stdout.strip() == f"{tmp_path / 'w.tif'}: 6 slices of 40 x 50, 8 bit; {NOTE}"
    figures = json.loads(CliRunner().invoke(app, ["info", "--json", str(tmp_path / "w.tif")]).stdout)
    assert figures["shape"] == [6, 40, 50]
    assert figures["notes"] == [NOTE]
    assert figures["photometric"] == "0 = white"


def test_info_of_labels_that_are_no_image_says_what_they_are(tmp_path):
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", GREY, photometric="palette", colormap=colours)
    result = CliRunner().invoke(app, ["info", str(tmp_path / "p.tif")])
    assert "the numbers in its table of colours are read as labels" in result.stdout


@pytest.mark.parametrize("name", ["cut.tif", "gone.tif"])
def test_info_of_what_cannot_be_read_is_a_sentence(tmp_path, name):
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="minisblack")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:9000])
    result = CliRunner().invoke(app, ["info", str(tmp_path / name)])
    assert result.exit_code == 2
    assert name in result.output


def test_commands_say_on_stderr_how_images_and_labels_were_read(tmp_path):
    labels = np.where(GREY > 90, 255, 0).astype(np.uint8)
    tifffile.imwrite(tmp_path / "w.tif", 255 - GREY, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "l.tif", 255 - labels, photometric="miniswhite")
    options = ["--image", str(tmp_path / "w.tif"), "--output", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, ["export", str(tmp_path / "l.tif"), *options])
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines() == [f"note: w.tif: {NOTE}", f"note: l.tif: {NOTE}"]
    json.loads(result.stdout)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "images.tif"), GREY)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "labels.tif"), labels)
    tifffile.imwrite(tmp_path / "p.tif", labels[::-1], photometric="miniswhite")
    result = CliRunner().invoke(app, ["evaluate", str(tmp_path / "p.tif"), str(tmp_path / "l.tif")])
    assert result.exit_code == 0, result.output
    assert [f"note: {name}: {NOTE}" in result.stderr for name in ("p.tif", "l.tif")] == [True, True]
    result = CliRunner().invoke(
        app, ["segment", str(tmp_path / "l.tif"), "--output", str(tmp_path / "c.tif")]
    )
    assert f"note: l.tif: {NOTE}" in result.stderr


def test_info_alone_says_what_this_machine_computes_on(monkeypatch):
    plug_in(monkeypatch)
    said = CliRunner().invoke(app, ["info"]).stdout.splitlines()
    assert said[0] == "predictions are computed on: processor, float32"
    assert said[1].startswith("nothing was measured")
    assert "CPUExecutionProvider" in said[2]


def test_info_alone_measures_and_says_what_was_tried_and_why_it_is_not_used(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tiny_network_run(tmp_path / "starter").folder)
    gpus = plug_in(monkeypatch, DIRECTML)
    gpus.errors = {"DirectML, float16": 0.1}
    result = CliRunner().invoke(app, ["info"])
    assert capfd.readouterr().err.startswith(
        "It is measured once whether this machine predicts faster on: DirectML"
    )
    said = result.stdout
    assert "processor, float32: 0." in said
    assert "DirectML, float32: 0." in said
    assert "DirectML, float16: not used, a probability differs by 0.1" in said
    (remembered,) = (tmp for tmp in said.splitlines() if tmp.startswith("remembered in "))
    again = CliRunner().invoke(app, ["info", "--json"])
    assert capfd.readouterr().err == ""
    figures = json.loads(again.stdout)
    assert f"predictions are computed on: {figures['computes_on']}" in said
    assert figures["providers"] == ["DmlExecutionProvider", "CPUExecutionProvider"]
    assert [one["execution"] for one in figures["tried"]] == [
        "processor, float32",
        "DirectML, float32",
        "DirectML, float16",
    ]
    assert figures["tried"][2]["dropped"].startswith("a probability differs")
    assert figures["remembered_in"] in remembered
    assert Path(figures["remembered_in"]).is_file()


def test_info_says_what_a_prediction_was_computed_on(monkeypatch, tmp_path):
    run = tiny_network_run(tmp_path / "run")
    plug_in(monkeypatch, CUDA)
    on_gpu = Execution("CUDAExecutionProvider")
    image = np.zeros((1, 40, 40), np.uint8)
    predict_volume(image, run, VolumeTask(tmp_path / "p.zarr", execution=on_gpu))
    said = CliRunner().invoke(app, ["info", str(tmp_path / "p.zarr")]).stdout
    assert "threshold 0.60; computed on CUDA, float32\n" in said
