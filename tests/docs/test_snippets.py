"""Every command and every Python block of the pages, run in their order on a small stack.

Commands that need a screen, a network or a cluster stand in blocks of the language "text", of which
`tests/test_readme.py` checks the options.
"""

import shlex
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from emseg_napari.cli import app
from emseg_napari.core.labels import BOUNDARY, to_isbi
from emseg_napari.io.samples import phantom
from helpers.engines import WarmEngine
from helpers.pages import PAGES, blocks, name_of
from helpers.tiny_runs import tiny_network_run

pytestmark = pytest.mark.keras

SIZE = np.s_[:6, :128, :128]
RUNNING = [page for page in PAGES if blocks(page, "sh", "python")]


@pytest.fixture(scope="module", autouse=True)
def _warm_engines():
    """One engine process for the functions of all pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emseg_napari.api.Engine", WarmEngine)
        yield
    WarmEngine.end_all()


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that pages speak of, in the folder where their commands run."""
    image, labels = (stack[SIZE] for stack in phantom())
    y, x = np.indices(image.shape[1:])
    cells = np.where(labels == BOUNDARY, 0, y // 64 * 2 + x // 64 + 1).astype(np.uint16)
    stacks = {
        "brain.tif": image,
        "labels.tif": to_isbi(labels),
        "white-membranes.tif": np.where(labels == BOUNDARY, 255, 0).astype(np.uint8),
        "cell-numbers.tif": cells,
        "area-lists.tif": np.where(cells == 4, -1, cells).astype(np.int16),
    }
    for name, stack in stacks.items():
        tifffile.imwrite(tmp_path / name, stack, photometric="minisblack")
    containers = {"ilastik.h5": {"exported_data": labels}, "panseg.h5": {"raw": image, "label": cells}}
    for name, datasets in containers.items():
        with h5py.File(tmp_path / name, "w") as file:
            file.update(datasets)
    (tmp_path / "stacks").mkdir()
    (tmp_path / "out").mkdir()
    tifffile.imwrite(tmp_path / "stacks" / "one.tif", image[:1], photometric="minisblack")
    tiny_network_run(tmp_path / "my-run")
    monkeypatch.chdir(tmp_path)


def run_commands(text: str) -> None:
    lines = text.splitlines()
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "emseg", f"cannot be tried, so it belongs into a block of the language text: {line}"
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{line}\n{done.output}"


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_the_commands_and_the_python_of_a_page_run(page):
    names = {"__name__": "page"}
    for language, text in blocks(page, "sh", "python"):
        if language == "sh":
            run_commands(text)
        else:
            exec(compile(text, str(page), "exec"), names)


def test_pages_with_commands_and_python_are_found():
    found = {name_of(page) for page in RUNNING}
    assert {"first-ten-minutes.md", "good-enough.md", "how-to/large-volumes.md", "api.md"} <= found


def test_blocks_are_of_a_language_that_is_tried_or_shown():
    languages = {block.language for page in PAGES for block in blocks(page, r"sh", "python", "text")}
    assert languages == {"sh", "python", "text"}
