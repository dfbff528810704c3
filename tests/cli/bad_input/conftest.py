"""A desk with a run that was trained for real, once."""

import json
import shutil
from pathlib import Path

import pytest

from helpers.command_desk import QUICK, Desk


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train and export a small network."""
    from emseg_napari.models import unet  # which imports Keras
    from helpers.small_network import small_network

    monkeypatch.setattr(unet, "build", small_network)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one real training."""
    desk = Desk(tmp_path_factory.mktemp("training"))
    result = desk.train(*QUICK)
    assert result.exit_code == 0, result.output
    return desk.folder / "new-run"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def run(desk: Desk, finished_run: Path) -> Path:
    """A run on the desk, to be spoilt at will."""
    return Path(shutil.copytree(finished_run, desk.folder / "run"))


@pytest.fixture
def begun(run: Path) -> Path:
    """The same, as it was left before its end."""
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"finished": False}))
    return run
