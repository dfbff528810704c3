"""``emseg predict`` with volumes that are read and written block by block."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import tifffile
import zarr
from typer.testing import CliRunner, Result

from emseg_napari.cli import app
from emseg_napari.evaluation import predictions
from emseg_napari.inference import plan, predict
from emseg_napari.inference.block_work import encoded
from emseg_napari.io import stack_or_volume
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.open import display_name, open_volume, read_whole
from emseg_napari.io.records import record_of_path
from emseg_napari.io.stack_or_volume import place_of_file
from emseg_napari.io.stacks import write_stack
from emseg_napari.io.volume import Voxel
from emseg_napari.models.run import Run
from emseg_napari.settings import PredictionSettings
from helpers.batch_system import BatchSystem, without_dask_settings
from helpers.paths import CHECKOUT
from helpers.timing import PATIENCE_S, wait_until
from helpers.tiny_runs import tiny_network_run

FAST = ("--orientations", "1", "--no-close-gaps")
SETTINGS = PredictionSettings(orientations=1, close_gaps=False)


def emseg(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return tiny_network_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(plan, "_CHUNK_PX", 32)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 100, 130)).astype(np.uint8)


@pytest.fixture
def image(values, tmp_path) -> Path:
    """A Zarr array with chunks of 2 x 50 x 65."""
    array = zarr.create_array(tmp_path / "image.zarr", shape=values.shape, dtype="uint8", chunks=(2, 50, 65))
    array[:] = values
    return tmp_path / "image.zarr"


def damage(image: Path, *index: int) -> None:
    """Spoil a chunk."""
    chunk = image / "c" / "/".join(map(str, index))
    assert chunk.is_file()
    chunk.write_bytes(b"no chunk")


@pytest.mark.parametrize(
    ("shards", "said"),
    [
        ("2x60x64", "2 x 60 x 64 voxels is not a multiple of a chunk of 1 x 32 x 32"),
        ("5x64x64", "'Shards (voxels)' (--shards) of 5 x 64 x 64 are larger than the output"),
        ("2x64", "'2x64' is not a size in voxels; write three whole numbers of 1 or more, ZxYxX"),
        ("0x64x64", "such as 16x2048x2048"),
        ("deep", "'deep' is not a size"),
    ],
)
def test_shards_that_do_not_fit_are_refused_in_a_sentence(run, image, tmp_path, shards, said):
    before = sorted(tmp_path.rglob("*"))
    result = emseg("predict", run.folder, image, "--output", tmp_path / "o.zarr", "--shards", shards)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["predict", "segment"])
def test_shards_of_one_file_are_refused(run, image, tmp_path, command):
    first = (run.folder, image) if command == "predict" else (image,)
    result = emseg(command, *first, "--output", tmp_path / "o.tif", "--shards", "2x64x64")
    assert result.exit_code == 2
    assert "o.tif is one file, which has no shards; let its name end in .zarr." in result.stderr
    assert not (tmp_path / "o.tif").exists()


def test_shards_are_chosen_for_predictions_and_cells(run, image, tmp_path):
    words = ("predict", run.folder, image, "--output", tmp_path / "o.zarr", "--as", "probability", *FAST)
    assert emseg(*words, "--shards", "2x64x64").exit_code == 0
    assert VolumeOutput(tmp_path / "o.zarr").layout.shard == (2, 64, 64)
    assert emseg(*words, "--shards", "2x64x64").exit_code == 0
    again = emseg(*words)
    assert again.exit_code == 2
    assert "use the former as 'Shards (voxels)' (--shards), or choose another output." in again.stderr
    cells = ("segment", tmp_path / "o.zarr", "--output", tmp_path / "cells.zarr", "--shards", "4x512x512")
    assert emseg(*cells).exit_code == 0
    assert VolumeOutput(tmp_path / "cells.zarr").layout.shard == (4, 512, 512)


@pytest.mark.parametrize("kind", ["labels", "probability", "interior"])
def test_zarr_is_predicted_into_zarr(run, image, values, tmp_path, kind):
    result = emseg("predict", run.folder, image, "--output", tmp_path / "o.zarr", "--as", kind, *FAST)
    assert result.exit_code == 0, result.output
    output = VolumeOutput(tmp_path / "o.zarr")
    expected = encoded(predict(values, run, SETTINGS), kind, 0.6).astype(int)
    assert abs(output[:] - expected).max() <= (kind != "labels")
    assert output.record["kind"] == kind
    (line,) = result.stdout.strip().splitlines()
    assert "slices 0-3 of image.zarr" in line
    assert "24 blocks predicted" in line
    assert "megavoxels a second" in line


def test_labels_are_the_default_and_slices_can_be_chosen(run, image, values, tmp_path):
    output = tmp_path / "o.zarr"
    result = emseg("predict", run.folder, image, "--output", output, "--slices", "1:3", *FAST)
    assert result.exit_code == 0, result.output
    found = VolumeOutput(output)[:]
    np.testing.assert_array_equal(found, encoded(predict(values[1:3], run, SETTINGS), "labels", 0.6))
    assert set(np.unique(found)) == {0, 255}
    assert VolumeOutput(output).record["slices"] == [1, 3]


def test_another_scale_is_recorded_told_by_info_and_doubted_by_evaluate(run, values, tmp_path, capfd):
    tifffile.imwrite(tmp_path / "image.tif", values[:1])
    twice = SETTINGS.model_copy(update={"scale": 2.0})
    for name in ("out.tif", "out.zarr"):
        done = emseg(
            "predict", run.folder, tmp_path / "image.tif", "--output", tmp_path / name, "--scale", 2, *FAST
        )
        assert done.exit_code == 0, done.output
        assert "This image looks unlike what the network has seen" in capfd.readouterr().err
        assert record_of_path(tmp_path / name)["scale"] == 2
        assert "threshold 0.60, scale 2\n" in emseg("info", tmp_path / name).stdout
    found = read_whole(open_volume(tmp_path / "out.tif"))
    expected = predict(values[:1], run, twice)
    np.testing.assert_array_equal(found == 0, expected >= run.record.threshold)
    write_stack(tmp_path / "truth.tif", np.where(values[:1] < 128, 0, 255).astype(np.uint8))
    scored = emseg("evaluate", tmp_path / "out.tif", tmp_path / "truth.tif")
    doubt = "scale 2 instead of the run's own, orientations 1 instead of 2"
    assert f"was made with {doubt}: its scores are honest only" in scored.output


def test_a_scale_that_cannot_be_is_an_error_of_the_user_and_nothing_is_written(run, values, tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", values[:1])
    begin = ("predict", run.folder, tmp_path / "image.tif")
    for name in ("out.tif", "out.zarr"):
        for scale, said in ((0.5, "smaller than a patch of 192"), (9, "Scale: ")):
            done = emseg(*begin, "--output", tmp_path / name, "--scale", scale)
            assert (done.exit_code, said in done.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["image.tif"]


def test_tiff_is_predicted_into_zarr(run, values, tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", values, photometric="minisblack")
    result = emseg("predict", run.folder, tmp_path / "image.tif", "--output", tmp_path / "o.zarr", *FAST)
    assert result.exit_code == 0, result.output
    assert VolumeOutput(tmp_path / "o.zarr").shape == values.shape


@pytest.mark.parametrize("kind", ["labels", "probability", "interior"])
def test_prediction_on_disk_is_evaluated_as_what_it_says_it_is(run, image, values, tmp_path, kind):
    output = tmp_path / "o.zarr"
    assert emseg("predict", run.folder, image, "--output", output, "--as", kind, *FAST).exit_code == 0
    truth = encoded(predict(values, run, SETTINGS), "labels", 0.6)
    tifffile.imwrite(tmp_path / "truth.tif", truth, photometric="minisblack")
    result = emseg("evaluate", output, tmp_path / "truth.tif", "--slices", "1:4", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["accuracy"] == 1


@pytest.mark.parametrize("kind", ["labels", "interior"])
def test_large_volumes_are_scored_slice_by_slice(run, image, values, tmp_path, kind, monkeypatch):
    output, truth = tmp_path / "o.zarr", np.zeros(values.shape, np.uint8)
    assert emseg("predict", run.folder, image, "--output", output, "--as", kind, *FAST).exit_code == 0
    truth[2], truth[2, ::10] = 2, 1
    zarr.create_array(tmp_path / "truth.zarr", data=truth, chunks=(1, 50, 65))
    words = ("evaluate", output, tmp_path / "truth.zarr", "--json")
    whole = json.loads(emseg(*words).stdout)
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", 100)
    monkeypatch.setattr(predictions, "LARGE_BYTES", 100)
    monkeypatch.setattr(predictions, "read_whole", None)  # it would be called
    found = emseg(*words)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout) | {"seconds": 0} == whole | {"seconds": 0}
    assert whole["slices"] == [2]


def test_tiff_outputs_keep_the_size_of_a_voxel(run, values, tmp_path):
    voxel = Voxel((50.0, 4.0, 4.0), "nanometer")
    write_stack(tmp_path / "in.tif", values, voxel=voxel)
    emseg(
        "predict",
        run.folder,
        tmp_path / "in.tif",
        "--output",
        tmp_path / "p.tif",
        "--as",
        "probability",
        *FAST,
    )
    emseg("segment", tmp_path / "p.tif", "--output", tmp_path / "cells.tif")
    assert place_of_file(tmp_path / "p.tif")[0] == voxel
    assert place_of_file(tmp_path / "cells.tif")[0] == voxel


def test_json_has_the_figures(run, image, tmp_path):
    words = ("predict", run.folder, image, "--output", tmp_path / "o.zarr", "--json", *FAST)
    first, again = (json.loads(emseg(*words).stdout) for _ in range(2))
    assert (first["blocks_done"], first["blocks_skipped"], first["blocks_failed"]) == (24, 0, 0)
    assert (again["blocks_done"], again["blocks_skipped"], again["blocks_failed"]) == (0, 24, 0)
    assert first["megavoxels_per_second"] > 0
    assert again["megavoxels_per_second"] == 0
    assert first["slices"] == [0, 4]
    assert first["output"] == str(tmp_path / "o.zarr")


def test_broken_chunks_are_listed_at_the_end_and_the_rest_is_done(run, image, tmp_path):
    damage(image, 0, 0, 0)
    result = emseg("predict", run.folder, image, "--output", tmp_path / "o.zarr", "--json", *FAST)
    figures = json.loads(result.stdout)
    assert result.exit_code == 1
    assert figures["blocks_failed"] == len(figures["failures"]) > 0
    assert figures["blocks_done"] == 24 - figures["blocks_failed"] >= 12
    assert {failure["block"][0] for failure in figures["failures"]} == {0, 1}
    assert f"emseg: {figures['blocks_failed']} blocks failed, the others are done:" in result.stderr
    assert "block (0, 0, 0): " in result.stderr
    assert "Traceback" not in result.stderr


def test_slices_with_the_grey_levels_of_a_part_are_named_at_the_end(run, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (1, 260, 300)).astype(np.uint8)
    zarr.create_array(tmp_path / "i.zarr", data=values, chunks=(1, 50, 60))
    damage(tmp_path / "i.zarr", 0, 0, 0)
    words = ("predict", run.folder, tmp_path / "i.zarr", "--output", tmp_path / "o.zarr", "--json", *FAST)
    result = emseg(*words)
    assert result.exit_code == 1
    assert result.stderr.rstrip().endswith(
        "emseg: Slice 0 cannot be read as a whole and has the grey levels of the rest; once the volume is "
        "repaired, the same command predicts it again."
    )
    assert list(json.loads(result.stdout)["levels_of_a_part"]) == ["0"]


def test_mended_volume_is_gone_on_with(run, image, values, tmp_path):
    damage(image, 1, 1, 1)
    words = ("predict", run.folder, image, "--output", tmp_path / "o.zarr", *FAST)
    assert emseg(*words).exit_code == 1
    zarr.open_array(image, mode="r+")[:] = values
    result = emseg(*words)
    assert result.exit_code == 0, result.output
    assert "12 there before" in result.stdout
    np.testing.assert_array_equal(
        VolumeOutput(tmp_path / "o.zarr")[:], encoded(predict(values, run, SETTINGS), "labels", 0.6)
    )


def test_many_failures_are_not_all_listed(run, tmp_path):
    values = np.full((4, 100, 130), np.nan, np.float32)
    zarr.create_array(tmp_path / "nan.zarr", data=values)
    result = emseg("predict", run.folder, tmp_path / "nan.zarr", "--output", tmp_path / "o.zarr", *FAST)
    assert result.exit_code == 1
    assert result.stderr.count("not finite numbers") == 20
    assert "and 4 more; --json lists all" in result.stderr


def commands_that_read(image: Path, run: Run, folder: Path) -> dict[str, tuple[object, ...]]:
    """Return the words of one use of each command; `ridge` needs no TensorFlow."""
    labels = np.zeros((4, 100, 130), np.uint8)
    labels[1:], labels[1:, ::10] = 2, 1
    write_stack(folder / "labels.tif", labels)
    return {
        "train": (image, folder / "labels.tif", "--network", "ridge", "--output", folder / "ridge"),
        "predict": (run.folder, image, "--output", folder / "p.tif", *FAST),
        "segment": (image, "--as", "probability", "--output", folder / "cells.zarr"),
        "evaluate": (image, folder / "labels.tif", "--as", "probability"),
        "export": (folder / "labels.tif", "--image", image, "--output", folder / "out"),
    }


@pytest.mark.parametrize("command", ["train", "predict", "segment", "evaluate", "export"])
def test_all_commands_take_missing_chunks_for_empty_where_one_says_so(run, values, tmp_path, command):
    array = zarr.create_array(tmp_path / "i.zarr", shape=values.shape, dtype="uint8", chunks=(1, 50, 65))
    array[:] = values
    (tmp_path / "i.zarr" / "c/2/1/1").unlink()
    words = commands_that_read(tmp_path / "i.zarr", run, tmp_path)[command]
    strict = emseg(command, *words)
    assert strict.exit_code in (1, 2)
    assert "chunk (2, 1, 1) of i.zarr is missing" in strict.stderr
    assert "choose 'Missing chunks are empty' (--missing-is-empty)" in strict.stderr
    lenient = emseg(command, *words, "--missing-is-empty")
    assert (command, lenient.exit_code) == (command, 0), lenient.output


def test_datasets_of_containers_are_called_by_their_whole_path(run, values, tmp_path):
    labels = np.zeros((4, 90, 130), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["left/data"], file["right/data"] = values, labels
    left, right = tmp_path / "a.h5/left/data", tmp_path / "a.h5/right/data"
    result = emseg("train", left, right, "--convention", "napari", "--output", tmp_path / "run")
    assert "a.h5/right/data (4 x 90 x 130) and a.h5/left/data (4 x 100 x 130) differ in size" in result.stderr
    result = emseg("predict", run.folder, left, "--output", tmp_path / "p.tif", "--json", *FAST)
    assert json.loads(result.stdout)["image"] == "a.h5/left/data"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.tif", "a.tif"),
        ("b.zarr", "b.zarr"),
        ("b.zarr/0", "b.zarr/0"),
        ("folder/gone.zarr/0", "0"),
        ("folder", "folder"),
    ],
)
def test_files_are_called_by_their_name_and_datasets_by_their_path_in_the_container(tmp_path, path, name):
    (tmp_path / "a.tif").touch()
    zarr.create_group(tmp_path / "b.zarr").create_array("0", shape=(1, 2, 3), dtype="uint8")
    (tmp_path / "folder").mkdir()
    assert display_name(tmp_path / path) == name


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--slices", "2:9"), "2:9 does not lie inside the stack"),
        (("--workers", "2"), "goes with the scheduler 'local' or a batch system only"),
        (("--scheduler", "nowhere"), "'nowhere' is not a scheduler"),
        (("--scheduler", "slurm"), "'slurm' needs a number of workers"),
        (("--scheduler", "local", "--walltime", "1:00"), "go with a batch system only"),
        (("--scheduler", "local", "--dry-run"), "--dry-run prints the script of a batch system's job"),
    ],
)
def test_mistakes_get_a_sentence_and_write_nothing(run, image, tmp_path, words, sentence):
    result = emseg("predict", run.folder, image, "--output", tmp_path / "o.zarr", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert not (tmp_path / "o.zarr").exists()


def test_a_dry_run_prints_the_script_of_a_job_and_does_nothing_else(run, image, tmp_path, tmp_path_factory):
    before = sorted(tmp_path.rglob("*"))
    asked = ("--scheduler", "slurm", "--workers", 8, "--worker-memory", "3GiB", "--walltime", "04:00:00")
    words = ("predict", run.folder, image, "--output", tmp_path / "o.zarr", *asked, "--dry-run")
    with without_dask_settings(tmp_path_factory.mktemp("settings")):
        result, as_json = emseg(*words), emseg(*words, "--json")
        segment = emseg("segment", image, "--output", tmp_path / "c.zarr", *asked, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("#!/usr/bin/env bash\n")
    for part in (
        "#SBATCH --mem=3G\n",
        "#SBATCH -t 04:00:00\n",
        " tls://HOST:PORT ",
        "--tls-key FOLDER/key.pem",
    ):
        assert part in result.stdout
    assert result.stderr == "8 jobs of 1 worker would be submitted; nothing was done.\n"
    figures = json.loads(as_json.stdout)
    assert figures.pop("job_script").strip() == result.stdout.strip()
    assert figures == {"jobs": 8, "workers_per_job": 1}
    assert segment.stdout == result.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_other_settings_are_refused_with_what_differs(run, image, tmp_path):
    words = ("predict", run.folder, image, "--output", tmp_path / "o.zarr", *FAST)
    assert emseg(*words).exit_code == 0
    for other, said in (("--threshold=0.5", "was 0.6 and is 0.5"), ("--orientations=2", "was 1 and is 2")):
        result = emseg(*words, other)
        assert result.exit_code == 2
        assert f"({other.split('=')[0]}) {said}" in result.stderr


def test_somebody_elses_folder_is_left_alone(run, image):
    result = emseg("predict", run.folder, image, "--output", image, *FAST)
    assert result.exit_code == 2
    assert "not an earlier output" in result.stderr


def test_scheduler_does_not_write_tiff(run, image, tmp_path):
    result = emseg("predict", run.folder, image, "--output", tmp_path / "o.tif", "--scheduler", "local")
    assert result.exit_code == 2
    assert "let its name end in .zarr" in result.stderr


def test_volume_too_large_for_a_tiff_is_pointed_to_zarr(run, image, tmp_path, monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("", (), {"available": 100_000})())
    result = emseg("predict", run.folder, image, "--output", tmp_path / "o.tif")
    assert result.exit_code == 2
    assert "let the name of --output end in .zarr" in result.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_told_at_once(run, image, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    result = emseg("predict", run.folder, image, "--output", locked / "o.zarr")
    assert result.exit_code == 2
    assert "not writable" in result.stderr


def test_missing_folder_is_told_at_once(run, image, tmp_path):
    result = emseg("predict", run.folder, image, "--output", "/proc/none/o.zarr")
    assert result.exit_code == 2
    assert "/proc/none" in result.stderr


def test_a_dry_run_of_an_output_that_cannot_be_spread_is_a_mistake(run, image, tmp_path):
    asked = ("--scheduler", "slurm", "--workers", 8, "--dry-run")
    result = emseg("predict", run.folder, image, "--output", tmp_path / "o.tif", *asked)
    assert result.exit_code == 2
    assert "o.tif is one file, which a scheduler cannot spread" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins for a batch system are scripts of Unix")
@pytest.mark.parametrize("is_at_work", [False, True])
def test_ctrl_c_under_a_batch_system_cancels_its_jobs_and_says_how_to_go_on(
    run, image, tmp_path, monkeypatch, is_at_work
):
    (tmp_path / "slurm").mkdir()
    (tmp_path / "home").mkdir()
    slurm = BatchSystem(tmp_path / "slurm")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{slurm.commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setenv("DASK_JOBQUEUE__SLURM__INTERFACE", "lo")
    script = (
        "import os, signal\n"
        "from emseg_napari.cli import main\n"
        "from emseg_napari.core.blockwise import dask_client, dask_runner\n"
        f"dask_client.SECONDS_TO_CONNECT = {PATIENCE_S}\n"
        "interrupt = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        + (
            "dask_runner.DaskRunner._report_outcome, report = (\n"
            "    lambda *one: [report(*one), interrupt()], dask_runner.DaskRunner._report_outcome)\n"
            if is_at_work
            else "dask_runner.DaskRunner._no_workers = lambda self: interrupt() or 'No workers.'\n"
        )
        + "main()\n"
    )
    asked = ("--scheduler", "slurm", "--workers", 1)
    words = ["predict", run.folder, image, "--output", tmp_path / "o.zarr", *FAST, *asked]
    done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True)
    stays = (
        f"finished parts stay in {tmp_path / 'o.zarr'}" if is_at_work else "no part was finished this time"
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith(f"emseg: Stopped; {stays}: run the same command again to resume.\n")
    wait_until(lambda: not slurm.running())


def test_interrupted_command_says_how_to_go_on(run, image, tmp_path):
    """Ctrl+C after the first block."""
    script = (
        "import os, signal, sys\n"
        "from emseg_napari.inference import block_work, plan\n"
        "from emseg_napari.cli import main\n"
        "plan._CHUNK_PX = plan._BLOCK_PX = 32\n"
        "predicted = block_work.PredictionWork.compute\n"
        "def compute(self, block, *rest):\n"
        "    if block.index == (0, 1, 0):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return predicted(self, block, *rest)\n"
        "block_work.PredictionWork.compute = compute\n"
        "main()\n"
    )
    words = ["predict", run.folder, image, "--output", tmp_path / "o.zarr", *FAST]
    done = subprocess.run([sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert "finished parts stay in" in done.stderr
    assert "run the same command again to resume" in done.stderr
    assert 0 < len(VolumeOutput(tmp_path / "o.zarr").missing()) < 4 * 4 * 5
