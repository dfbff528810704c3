"""What the tests share, and one process of its own for all files that carry the marker ``keras``.

TensorFlow and software OpenGL end each other's process (docs/architecture.md), in pytest as in napari.
"""

import os

os.environ["NAPARI_CONFIG"] = ""  # napari reads it once: the user's settings stay out of the tests

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import qtpy
from hypothesis import settings

from helpers.paths import TEST_DATA
from helpers.stores import QUICK_RETRIES, Store, running_store

if TYPE_CHECKING:
    from emseg_napari.core.jobs import Event
    from emseg_napari.engine.client import Engine
    from emseg_napari.models.run import Run

KERAS_MARK = "pytestmark = pytest.mark.keras"

os.environ.setdefault("PYTEST_QT_API", qtpy.API)  # or pytest-qt would choose for itself among several

# A deadline would fail on a busy machine; the same examples every time make a failure repeatable.
settings.register_profile("emseg", max_examples=30, deadline=None, derandomize=True, database=None)
settings.load_profile("emseg")


class KerasFile(pytest.File):
    """A test file with the marker ``keras``, which this process must not import."""

    def collect(self) -> Iterator[pytest.Item]:
        yield OwnProcess.from_parent(self, name="in_a_process_of_its_own")


class OwnProcess(pytest.Item):
    """All files with the marker ``keras``, run by one pytest of their own: importing Keras takes seconds."""

    files: tuple[Path, ...] = ()

    def runtest(self) -> None:
        chosen = self.config.option
        options = ["-q", "-p", "no:cacheprovider", "-k", chosen.keyword, "-m", chosen.markexpr]
        command = [sys.executable, "-m", "pytest", *options, *map(str, self.files)]
        done = subprocess.run(command, cwd=self.config.rootpath, capture_output=True, text=True)
        lines = done.stdout.strip().splitlines() or [f"ended with {done.returncode}"]
        self.user_properties.append(("summary", lines[-1]))
        if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            pytest.fail(done.stdout + done.stderr)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> str:
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.config.rootpath, None, "all files with the marker keras"


def _imports_keras(file: Path) -> bool:
    return file.suffix == ".py" and KERAS_MARK in file.read_text("utf-8").splitlines()


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a file with the marker ``keras`` as usual only where nothing but such files was asked for."""
    folder = parent.config.invocation_params.dir
    asked = [folder / argument.split("::")[0] for argument in parent.config.args]
    if all(map(_imports_keras, asked)) or not _imports_keras(module_path):
        return None
    return KerasFile.from_parent(parent, path=module_path)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Make one test of all files with the marker ``keras``; what takes longest comes first, for xdist."""
    apart = [item for item in items if isinstance(item, OwnProcess)]
    items[:] = [item for item in items if not isinstance(item, OwnProcess)]
    yield
    items.sort(key=lambda item: "widgets" not in item.path.parts)
    if apart:
        apart[0].files = tuple(item.path for item in apart)
        apart[0].add_marker(pytest.mark.timeout(1800))
        items.insert(0, apart[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Keep what a closed napari window leaves behind out of every later garbage collection.

    That is 4,000 objects for each window and 8,000 for each dock; collections took seconds after some dozens.
    """
    done = yield
    if "make_napari_viewer" in getattr(item, "fixturenames", ()):
        gc.collect()
        gc.freeze()
    return done


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for _, summary in report.user_properties:
            terminalreporter.write_line(f"{report.location[2]}: {summary}")


@pytest.fixture(autouse=True)
def no_tensorflow_beside_a_window(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail with a sentence where a window would otherwise end the process with a segmentation fault."""
    _check_for_tensorflow(request)
    yield
    _check_for_tensorflow(request)


@pytest.fixture
def warm_engines() -> None:
    """Let engines prepare themselves, as they do for users: seconds of TensorFlow for each window."""


@pytest.fixture(autouse=True)
def cold_engines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no engine before its first job, unless a test asks for `warm_engines`."""
    if "warm_engines" not in request.fixturenames:
        monkeypatch.setattr("emseg_napari.engine.client.Engine.warm_up", lambda self, job: None)


def _check_for_tensorflow(request: pytest.FixtureRequest) -> None:
    if "tensorflow" in sys.modules and not request.node.get_closest_marker("keras"):
        pytest.fail(f"TensorFlow was imported; the file that does so needs the line `{KERAS_MARK}`")


@pytest.fixture(autouse=True)
def settings_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The folder of the plugin's own settings: an empty one, never the user's, as is the page in napari."""
    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("EMSEG_CONFIG_DIR", str(folder))
    yield folder
    if "napari.settings" in sys.modules:
        for page in sys.modules["napari.settings"].get_plugin_settings().values():
            page.reset()


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of unsaved work: an empty one, never the user's."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("EMSEG_DATA_DIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def tissue() -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of real tissue: uint8 (32, 160, 160), 1 = boundary (three pixels), 2 = interior."""
    from scipy import ndimage

    from emseg_napari.io.stacks import read_image, read_labels

    image = read_image(TEST_DATA / "medulla" / "image.tif")
    lines = read_labels(TEST_DATA / "medulla" / "cells.tif", "instances") == 1
    boundary = ndimage.binary_dilation(lines, np.ones((1, 3, 3)))
    return image, np.where(boundary, 1, 2).astype(np.uint8)


@pytest.fixture(scope="session")
def shared_by_windows() -> Iterator[None]:
    """What every window would do anew: start engine processes, and look for napari's plugins."""
    from npe2 import PluginManager

    from helpers.engines import WarmEngine

    PluginManager.instance().discover(include_npe1=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManager, "discover", lambda *_, **__: 0)
        patch.setattr("emseg_napari.widgets.base.engine_job.Engine", WarmEngine)
        yield
    WarmEngine.end_all()


@pytest.fixture(autouse=True)
def quick_window(request: pytest.FixtureRequest) -> None:
    """Let the windows of a pytest process share what costs each of them time."""
    if "make_napari_viewer" in request.fixturenames:
        request.getfixturevalue("shared_by_windows")


@pytest.fixture
def search_by_itself() -> None:
    """Let the dock search the slice in view for places, as it does for users: an engine for each window."""


@pytest.fixture
def dock(request, make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):  # type: ignore[no-untyped-def]
    """The dock with all steps in a shown window; runs go to a temporary folder."""
    from emseg_napari.widgets.dock import Dock
    from helpers.window import end_jobs

    if "search_by_itself" not in request.fixturenames:
        monkeypatch.setattr("emseg_napari.widgets.correct.suggestion_panel._REST_MS", 10**8)
    viewer = make_napari_viewer_proxy(show=True)
    widget = Dock(viewer).build()
    viewer.window.add_dock_widget(widget)
    widget.workspace.runs_folder = tmp_path / "runs"
    widget.window().resize(1100, 700)  # small: each frame is drawn by the processor
    yield widget
    steps, panels = (widget.train, widget.predict, widget.evaluate, widget.cells), widget.correct
    end_jobs(qtbot, *steps, panels.places, panels.live)


@pytest.fixture(scope="session")
def tiny_stack() -> tuple[np.ndarray, np.ndarray]:
    """Dark lines on a bright ground with noise: image uint8 and labels, both (5, 48, 40)."""
    z, y, x = np.indices((5, 48, 40))
    lines = (y + x + 3 * z) % 12 < 3
    noise = np.random.default_rng(0).integers(0, 30, lines.shape)
    return (np.where(lines, 60, 180) + noise).astype(np.uint8), np.where(lines, 1, 2).astype(np.uint8)


@pytest.fixture(scope="session")
def engine() -> Iterator["Engine"]:
    """One engine process for all tests, which must leave it idle."""
    from emseg_napari.engine.client import Engine

    with Engine() as engine:
        yield engine


@pytest.fixture
def own_engine() -> Iterator["Engine"]:
    """An engine of the test's own, that it may end."""
    from emseg_napari.engine.client import Engine

    with Engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def tiny_events(
    engine: "Engine", tiny_stack: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> list["Event"]:
    """What the engine told of a training of `compact`, a few steps on `tiny_stack`."""
    from emseg_napari.settings import TrainingSettings

    settings = TrainingSettings.recipe(epochs=2, steps_per_epoch=10, patch_px=32, batch_size=2)
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    image, labels = tiny_stack
    return list(engine.run("train", image=image, labels=labels, settings=settings, folder=folder))


@pytest.fixture(scope="session")
def tiny_run(tiny_events: list["Event"]) -> "Run":
    """The finished run of that training."""
    return tiny_events[-1].result  # type: ignore[attr-defined]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A web server and an object store on this machine, to which the environment leads."""
    from emseg_napari.io import object_store

    monkeypatch.setattr(object_store, "RETRIES", QUICK_RETRIES)
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with running_store() as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-name")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
        yield running
