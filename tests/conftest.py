"""What the tests share, and a process of its own for every file whose tests import Keras.

TensorFlow and software OpenGL end each other's process (README, "Architecture"), in pytest as in napari.
"""

import os

os.environ["NAPARI_CONFIG"] = ""  # napari reads it once: the user's settings stay out of the tests

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

REAL_DATA = Path(__file__).parents[1] / ".." / "shared" / "data" / "isbi2012"
IMPORTS_KERAS = re.compile(
    r"^\s*(import|from) (keras|tensorflow|emseg_napari\.(training|networks|checkpoints))\b"
    r"|^\s*from emseg_napari import .*\b(training|networks|checkpoints)\b",
    re.MULTILINE,
)
SUMMARIES = pytest.StashKey[dict[str, str]]()

# A deadline would fail on a busy machine; the same examples every time make a failure repeatable.
settings.register_profile("emseg", deadline=None, derandomize=True, database=None)
settings.load_profile("emseg")


class KerasFile(pytest.File):
    """A test file, collected as one test that runs it elsewhere."""

    def collect(self) -> Iterator[pytest.Item]:
        test = OwnProcess.from_parent(self, name="in_a_process_of_its_own")
        test.add_marker(pytest.mark.timeout(1800))
        yield test


class OwnProcess(pytest.Item):
    def runtest(self) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(self.path)]
        done = subprocess.run(command, cwd=self.config.rootpath, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines() or [f"ended with {done.returncode}"]
        self.config.stash[SUMMARIES][self.path.name] = lines[-1]
        if done.returncode != 0:
            pytest.fail(done.stdout + done.stderr)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
        return str(excinfo.value)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SUMMARIES] = {}


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a file that imports Keras as usual only where it is the one file asked for."""
    folder = parent.config.invocation_params.dir
    asked = {(folder / argument.split("::")[0]).resolve() for argument in parent.config.args}
    if asked == {module_path.resolve()} or not IMPORTS_KERAS.search(module_path.read_text("utf-8")):
        return None
    return KerasFile.from_parent(parent, path=module_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, summary in config.stash[SUMMARIES].items():
        terminalreporter.write_line(f"{name}: {summary}")


@pytest.fixture(autouse=True)
def no_tensorflow_beside_a_window(request: pytest.FixtureRequest) -> None:
    """Fail with a sentence where the process would otherwise end with a segmentation fault."""
    if "make_napari_viewer" in request.fixturenames and "tensorflow" in sys.modules:
        pytest.fail("something imported TensorFlow into the window's process")


@pytest.fixture(autouse=True)
def settings_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the plugin's own settings: an empty one, never the user's."""
    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("EMSEG_CONFIG_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_stack() -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of the ISBI 2012 slices: uint8 (z, y, x), 1 = boundary, 2 = interior."""
    if not REAL_DATA.is_dir():
        pytest.skip("the ISBI 2012 slices (../shared/data/isbi2012) are not here")
    from emseg_napari.stacks import read_image, read_labels

    return read_image(REAL_DATA / "train-volume.tif"), read_labels(REAL_DATA / "train-labels.tif")


@pytest.fixture
def dock(make_napari_viewer_proxy, qtbot, tmp_path):  # type: ignore[no-untyped-def]
    """The dock with all steps in a shown window; runs go to a temporary folder."""
    from emseg_napari.widgets.dock import Dock

    viewer = make_napari_viewer_proxy(show=True)
    widget = Dock(viewer)
    viewer.window.add_dock_widget(widget)
    widget.train.runs_folder = tmp_path / "runs"
    widget.window().resize(1400, 900)
    yield widget
    for step in (widget.train, widget.predict):
        step.job.close()
        qtbot.waitUntil(lambda step=step: not step.job.running, timeout=5000)
