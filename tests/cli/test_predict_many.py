"""`emseg predict` of several images into a folder."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from typer.testing import CliRunner, Result

from emseg_napari.cli import app, predict_stack
from emseg_napari.inference import sessions
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.io.records import read_description
from emseg_napari.models.run import Run
from helpers.command_desk import rewrite, state
from helpers.tiny_runs import tiny_network_run

SHAPE = (5, 40, 50)


def emseg(*words: object) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_network_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """A TIFF, a file that is no image, a Zarr and another TIFF."""
    folder = tmp_path / "images"
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 255, (4, *SHAPE), np.uint8)
    tifffile.imwrite(folder / "a.tif", values[0])
    (folder / "bad.tif").write_bytes(b"no image")
    zarr.create_array(folder / "c.zarr", data=values[2])
    tifffile.imwrite(folder / "d.tiff", values[3])
    return sorted(folder.iterdir())


@pytest.fixture
def predicted(run: Run, images: list[Path], tmp_path: Path) -> Result:
    return emseg("predict", run.folder, *images, "--output-folder", tmp_path / "out")


def test_a_bad_file_is_said_at_once_and_at_the_end_and_does_not_end_the_others(
    predicted: Result, tmp_path: Path
) -> None:
    assert predicted.exit_code == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.tif", "c.zarr", "d.tif"]
    names = ["a.tif", "bad.tif", "c.zarr", "d.tiff"]
    said = [line for line in predicted.stderr.splitlines() if line.startswith("file ")]
    assert [line.split(":")[0] for line in said] == [
        f"file {number} of 4, {name}" for number, name in enumerate(names, 1)
    ]
    table = predicted.stdout.splitlines()
    assert [line.split()[:2] for line in table[:-1]] == [
        ["done", "a.tif"],
        ["failed", "bad.tif"],
        ["done", "c.zarr"],
        ["done", "d.tiff"],
    ]
    assert "bad.tif" in table[1].split(maxsplit=2)[2]  # the reason names it
    assert table[-1].startswith("4 images: 3 done, 0 skipped, 1 failed; ")


def test_each_output_is_that_of_the_image_alone(
    predicted: Result, run: Run, images: list[Path], tmp_path: Path
) -> None:
    for image, output in ((images[0], "a.tif"), (images[2], "c.zarr")):
        alone = tmp_path / output
        assert emseg("predict", run.folder, image, "--output", alone).exit_code == 0
        if output.endswith(".tif"):
            assert alone.read_bytes() == (tmp_path / "out" / output).read_bytes()
        else:
            assert np.array_equal(VolumeOutput(alone)[:], VolumeOutput(tmp_path / "out" / output)[:])


def test_the_same_command_again_does_only_what_is_missing(
    predicted: Result, run: Run, images: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = state(out)
    (out / "d.tif").unlink()
    images[1].unlink()  # mended
    again = emseg("predict", run.folder, *images[:1], *images[2:], "--output-folder", out, "--json")
    assert again.exit_code == 0, again.output
    figures = json.loads(again.stdout)
    assert [one["status"] for one in figures["files"]] == ["skipped", "skipped", "done"]
    assert (figures["done"], figures["skipped"], figures["failed"]) == (1, 2, 0)
    assert state(out) == before


def test_what_an_earlier_version_completed_is_done(
    predicted: Result, run: Run, images: list[Path], tmp_path: Path
) -> None:
    out, good = tmp_path / "out", [images[0], images[2]]
    rewrite(out / "a.tif", version="0.0.1")
    VolumeOutput(out / "c.zarr").update_record({"version": "0.0.1"})
    before = state(out)
    again = emseg("predict", run.folder, *good, "--output-folder", out)
    assert "0 done, 2 skipped, 0 failed" in again.stdout
    assert state(out) == before
    VolumeOutput(out / "c.zarr").remove_slices([1])  # what is missing would be of another version
    again = emseg("predict", run.folder, *good, "--output-folder", out)
    assert "the version of emseg-napari was 0.0.1" in again.stdout


def test_what_was_predicted_otherwise_or_of_another_image_is_not_replaced(
    predicted: Result, run: Run, images: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    before = (out / "a.tif").read_bytes()
    words = ("predict", run.folder, images[0], "--output-folder", out)
    other = emseg(*words, "--threshold", 0.3)
    assert other.exit_code == 1
    assert "threshold" in other.stdout.lower()
    tifffile.imwrite(images[0], np.random.default_rng(5).integers(0, 255, SHAPE, np.uint8))
    assert "the image is another, or was changed since" in emseg(*words).stdout
    assert (out / "a.tif").read_bytes() == before


def test_options_hold_for_all_images(run: Run, images: list[Path], tmp_path: Path) -> None:
    good = [images[0], images[2], images[3]]
    options = ("--slices", "1:3", "--as", "probability", "--output-folder", tmp_path / "out")
    assert emseg("predict", run.folder, *good, *options).exit_code == 0
    assert read_description(tmp_path / "out" / "a.tif")["kind"] == "probability"
    assert VolumeOutput(tmp_path / "out" / "c.zarr").record["slices"] == [1, 3]


def test_shards_make_every_output_a_zarr(run: Run, images: list[Path], tmp_path: Path) -> None:
    options = ("--shards", "1x512x512", "--output-folder", tmp_path / "out")
    assert emseg("predict", run.folder, images[0], images[3], *options).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.zarr", "d.zarr"]


def test_the_network_is_loaded_once(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, fresh = [], tiny_network_run(tmp_path / "fresh")
    real = sessions.loaded
    monkeypatch.setattr(sessions, "loaded", lambda *words: loads.append(words) or real(*words))
    good = [images[0], images[2], images[3]]
    assert emseg("predict", fresh.folder, *good, "--output-folder", tmp_path / "out").exit_code == 0
    assert len(loads) == 1, loads


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give --output OUT.tif (or OUT.zarr), or for several images --output-folder"),
        (("--output", "o.tif"), "--output is for one image, but 2 are given"),
        (("--output", "o.tif", "--output-folder", "out"), "exclude each other"),
    ],
)
def test_where_to_write_is_said_once(
    run: Run, images: list[Path], words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images[0].parent)
    before = state(images[0].parent)
    done = emseg("predict", run.folder, "a.tif", "d.tiff", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert state(images[0].parent) == before


def test_two_images_of_one_name_are_refused_before_anything_starts(
    run: Run, images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    copy = shutil.copy(images[3], tmp_path / "other" / "A.tiff")  # some disks know no capitals
    done = emseg("predict", run.folder, images[0], copy, "--output-folder", tmp_path / "out")
    assert done.exit_code == 2
    assert "would both be written to" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_image_is_not_replaced_by_its_prediction(run: Run, images: list[Path]) -> None:
    before = images[0].read_bytes()
    done = emseg("predict", run.folder, images[0], "--output-folder", images[0].parent)
    assert done.exit_code == 2
    assert "is the image itself" in done.stderr
    assert images[0].read_bytes() == before


@pytest.mark.parametrize("name", ["c.zarr", "c"])
def test_nothing_is_written_into_a_volume(run: Run, images: list[Path], name: str) -> None:
    volume = images[2].rename(images[2].with_name(name))
    before = state(volume.parent)
    for folder in (volume, volume / "new", volume.parent / "new.zarr"):
        done = emseg("predict", run.folder, images[0], "--output-folder", folder)
        assert done.exit_code == 2, done.output
        assert "choose another --output-folder" in done.stderr
    assert state(volume.parent) == before


def test_an_image_that_is_named_twice_is_predicted_once(
    run: Run, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images[0].parent)
    done = emseg("predict", run.folder, "a.tif", "./a.tif", images[0], "--output-folder", "out")
    assert done.exit_code == 0, done.output
    assert "1 image: 1 done" in done.stdout


def test_an_image_too_large_for_memory_names_an_option_that_helps(
    run: Run, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_stack, "free_memory", lambda: 1)
    done = emseg("predict", run.folder, images[0], "--output-folder", tmp_path / "out")
    assert "with --output-folder give --shards" in done.stdout


def test_the_output_folder_itself_is_no_image(
    run: Run, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images[0].parent)
    for _ in range(2):
        names = sorted(path.name for path in Path().iterdir() if path.name != "bad.tif")
        done = emseg("predict", run.folder, *names, "--output-folder", "out")
        assert done.exit_code == 0, done.output
    assert "out is the output folder, so it is not predicted" in done.stderr
    assert "0 done, 3 skipped" in done.stdout
    assert (
        "nothing to predict but out" in emseg("predict", run.folder, "out", "--output-folder", "out").stderr
    )


def test_a_run_that_cannot_predict_is_a_mistake_of_the_command(images: list[Path], tmp_path: Path) -> None:
    broken = tiny_network_run(tmp_path / "broken")
    broken.network_file.write_bytes(b"damaged")
    done = emseg("predict", broken.folder, *images, "--output-folder", tmp_path / "out")
    assert done.exit_code == 2
    assert "damaged" in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="it sends no SIGINT to a single process")
def test_ctrl_c_says_what_was_done_and_the_same_command_resumes(
    run: Run, images: list[Path], tmp_path: Path
) -> None:
    large = tmp_path / "images" / "large.tif"
    tifffile.imwrite(large, np.random.default_rng(3).integers(0, 255, (200, 700, 700), np.uint8))
    words = ["predict", str(run.folder), str(images[0]), str(large), "--output-folder", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-m", "emseg_napari", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TERM": "dumb"},
    ) as process:
        for line in process.stderr:
            if line.startswith("file 2 of 2, large.tif: slice"):
                process.send_signal(signal.SIGINT)
                break
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "Stopped at file 2 of 2: run the same command again to resume" in stderr
    assert stdout.startswith("done")
    assert not (tmp_path / "out" / "large.tif").exists()
