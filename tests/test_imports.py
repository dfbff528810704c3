"""What import-linter does not see: what is loaded when a program runs."""

import subprocess
import sys

import pytest

KERAS = ("keras", "tensorflow")
WINDOW = ("napari", "qtpy", "PyQt5", "PyQt6", "PySide6", "magicgui", "superqt", "pyqtgraph")


def loaded_by(code: str, *names: str) -> set[str]:
    """Return which of the packages a fresh Python has loaded after `code`."""
    program = f"{code}\nimport sys\nprint(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_package_alone_loads_next_to_nothing():
    heavy = ("numpy", "scipy", "skimage", "pydantic", "onnxruntime")
    assert loaded_by("import emseg_napari", *KERAS, *WINDOW, *heavy) == set()


@pytest.mark.parametrize(
    "code",
    [
        "from emseg_napari import train, predict",
        "import emseg_napari.inference, emseg_napari.engine.client",
        "import emseg_napari.engine.server",
        "import emseg_napari.training.patches, emseg_napari.training.schedule",
        "import emseg_napari.models.run, emseg_napari.engine.protocol",
    ],
)
def test_neither_keras_nor_a_window_is_loaded(code):
    assert loaded_by(code, *KERAS, *WINDOW) == set()


def test_client_loads_no_onnx_runtime_either():
    assert loaded_by("import emseg_napari.engine.client", "onnxruntime", *KERAS, *WINDOW) == set()


def test_training_loads_keras_and_no_window():
    found = loaded_by("import emseg_napari.training.trainer", "keras", "tensorflow", *WINDOW)
    assert found == {"keras", "tensorflow"}
