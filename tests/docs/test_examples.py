"""The example scripts and the notebook run as they stand, but for the time that they train."""

import re
import runpy
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from helpers.engines import WarmEngine
from helpers.pages import DOCS

SCRIPTS = sorted((DOCS / "examples").glob("*.py"))
NOTEBOOK = DOCS / "notebooks" / "whole_loop.ipynb"
SHORT_TRAINING = {"epochs": 1, "steps_per_epoch": 2, "patch_px": 64, "batch_size": 1}
SHORTER = dict.fromkeys(("train_and_predict", "compare_two_runs"), SHORT_TRAINING)


@pytest.fixture(scope="module", autouse=True)
def _warm_engines():
    """One engine process for all scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emseg_napari.api.Engine", WarmEngine)
        yield
    WarmEngine.end_all()


def without_numbers(text: str) -> str:
    return re.sub(r"[+-]?\d+(\.\d+)?", "#", text)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_what_its_page_shows(script, capsys):
    changes = SHORTER.get(script.stem, {"orientations": 1})
    runpy.run_path(str(script))["main"](**changes)
    shown = script.with_suffix(".txt").read_text("utf-8")
    assert without_numbers(capsys.readouterr().out) == without_numbers(shown)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short(script):
    assert len(script.read_text("utf-8").splitlines()) <= 40


def test_there_are_five_scripts():
    assert len(SCRIPTS) == 5


def executed(tmp_path: Path, parameters: str | None = None) -> nbformat.NotebookNode:
    """Run all cells of the notebook in a kernel; `parameters` replaces the cell that is marked so."""
    notebook = nbformat.read(NOTEBOOK, 4)
    (marked,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    marked.source = parameters or marked.source
    resources = {"metadata": {"path": str(tmp_path)}}
    return NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()


def outputs(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """The kinds of outputs of each cell."""
    return [
        ["picture" if "image/png" in one.get("data", {}) else one.output_type for one in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_the_notebook_runs_and_shows_what_is_kept_in_it(tmp_path):
    done = executed(tmp_path, f"MINUTES = None\nOPTIONS = {SHORT_TRAINING}")
    assert outputs(done) == outputs(nbformat.read(NOTEBOOK, 4))


@pytest.mark.slow
def test_the_notebook_runs_within_five_minutes(tmp_path):
    done = executed(tmp_path)
    (scores,) = [
        out.text for cell in done.cells for out in cell.get("outputs", ()) if "V_rand" in out.get("text", "")
    ]
    assert np.mean([float(score) for score in re.findall(r"V_rand (\d\.\d+)", scores)]) > 0.9


def test_the_notebook_is_small():
    assert NOTEBOOK.stat().st_size < 400_000
