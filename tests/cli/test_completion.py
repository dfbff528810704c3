"""Completion with Tab, through the words that the shell and the program exchange."""

import ntpath
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emseg_napari.cli import completion
from emseg_napari.cli.completion import runs
from helpers.tiny_runs import tiny_network_run

PROGRAM = "from emseg_napari.cli import main; main()"
HEAVY = ("tensorflow", "keras", "onnxruntime", "napari", "scipy", "skimage", "zarr", "dask", "numba")


def proposed(folder: Path, *words: str, program: str = PROGRAM) -> list[str]:
    """What bash is given for the last of the words."""
    environment = os.environ | {
        "COMP_WORDS": " ".join(["emseg", *words]),
        "COMP_CWORD": str(len(words)),
        "_EMSEG_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("pre",), ["predict"]),
        (("predict", ""), ["starter", "runs/first"]),
        (("predict", "ru"), ["runs/first"]),
        (("train", "a.tif", "b.tif", "--from", "st"), ["starter"]),
        (("predict", "starter", "a.tif", "--as", "p"), ["probability"]),
        (("predict", "starter", "a.tif", "--output-f"), ["--output-folder"]),
        (("predict", "starter", "a"), []),  # bash proposes files
    ],
    ids=lambda words: " ".join(words),
)
def test_bash_completes(tmp_path: Path, words: tuple[str, ...], expected: list[str]) -> None:
    tiny_network_run(tmp_path / "runs" / "first")
    assert proposed(tmp_path, *words) == expected


def test_folders_that_are_no_runs_are_left_to_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data[1]").mkdir()
    tiny_network_run(tmp_path / "run[1]")
    monkeypatch.chdir(tmp_path)
    assert runs("d") == []
    assert runs("run[") == ["run[1]"]


def test_a_run_is_proposed_as_it_was_begun_to_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_network_run(tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    assert runs("./ru") == ["./runs/first"]
    monkeypatch.setattr(completion, "glob", lambda _: [r"my-run\run.json"])  # as on Windows
    monkeypatch.setattr(completion, "dirname", ntpath.dirname, raising=False)
    assert runs("my") == ["my-run"]


def test_completion_loads_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom emseg_napari.cli import main\ntry: main()\n"
        f"finally: print(*({set(HEAVY)!r} & set(sys.modules)))"
    )
    assert proposed(tmp_path, "predict", "starter", "a.tif", "--scal", program=program) == ["--scale"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_shown(shell: str) -> None:
    program = "import sys; sys.argv[1:] = ['--show-completion', *sys.argv[1:]]; " + PROGRAM
    environment = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, shell], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "_EMSEG_COMPLETE" in done.stdout
