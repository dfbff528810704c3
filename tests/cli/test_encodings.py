"""A terminal that cannot show the name of a file: the command does its work, and the name is escaped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

import emseg_napari.cli
from emseg_napari.cli import app

NAME, ESCAPED = "細胞 \u03bc", "\\u7d30\\u80de \\u03bc"
ENCODINGS = ["ascii", "cp1252", "utf-8"]


@pytest.fixture
def folder(tmp_path):
    """A folder with a stack and its labels, whose names only few encodings have."""
    labels = np.where(np.arange(32) % 8 < 2, 0, 255) * np.ones((2, 32, 1))
    tifffile.imwrite(tmp_path / f"{NAME}.tif", (labels / 2 + 60).astype(np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / f"{NAME} mask.tif", labels.astype(np.uint8), photometric="minisblack")
    return tmp_path


def shown_in(encoding):
    return NAME if encoding == "utf-8" else ESCAPED


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_results_json_and_refusals_are_shown_in_what_letters_there_are(folder, encoding):
    def emseg(*words):
        return CliRunner(charset=encoding).invoke(app, [str(word) for word in words])

    image, labels = folder / f"{NAME}.tif", folder / f"{NAME} mask.tif"
    told = emseg("export", labels, "--image", image, "--output", folder / f"{NAME} out")
    assert (told.exit_code, (folder / f"{NAME} out").is_dir()) == (0, True)
    assert f"{shown_in(encoding)} out: 2 slices" in told.stdout
    told = emseg("export", labels, "--image", image, "--output", folder / f"{NAME} json", "--json")
    assert json.loads(told.stdout)["output"] == str(folder / f"{NAME} json")
    told = emseg("info", folder / f"{NAME} gone")
    assert told.exit_code == 2
    assert "should not have happened" not in told.stderr
    assert shown_in(encoding) in told.stderr
    told = emseg("export", labels, "--no-such-option-\u03bc")
    assert told.exit_code == 2


@pytest.mark.parametrize("encoding", ENCODINGS[:2])
def test_a_prediction_ends_well_in_a_process_of_its_own(folder, encoding):
    command = [sys.executable, "-m", "emseg_napari", "predict", "starter", folder / f"{NAME}.tif"]
    command += ["--output", folder / f"{NAME} out.tif", "--slices", "0:1"]
    told = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        timeout=240,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert told.returncode == 0, told.stderr
    assert ESCAPED in told.stdout.decode(encoding)
    assert (folder / f"{NAME} out.tif").is_file()


def test_every_command_writes_through_what_escapes_letters():
    """`typer.echo` writes UTF-8 to a terminal that has not its letters."""
    modules = Path(emseg_napari.cli.__file__).parent.glob("*.py")
    assert [path.name for path in modules if "typer.echo" in path.read_text("utf-8")] == []
