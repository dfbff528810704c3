"""The wheel, as a user gets it: built, installed elsewhere and asked from outside the checkout."""

import os
import subprocess
import sys
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

from helpers.paths import CHECKOUT

CHECKOUT = CHECKOUT
BINDINGS = ("pyqt5", "pyqt6", "pyside2", "pyside6")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command and return what it printed; what it complained about is in the failure."""
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, CHECKOUT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The folder in which the wheel is installed; what it depends on stays where it was."""
    folder = wheel.parent / "installed"
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
        *("--target", folder, wheel),
        cwd=wheel.parent,
    )
    return folder


@pytest.fixture
def ask(installed: Path, tmp_path: Path):
    """Run statements in a new Python that finds the installed wheel first; return what they printed."""

    def ask_python(statements: str) -> str:
        return run(sys.executable, "-c", statements, cwd=tmp_path, PYTHONPATH=str(installed)).strip()

    return ask_python


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.mark.parametrize(
    "name",
    [
        "emseg_napari/napari.yaml",
        "emseg_napari/py.typed",
        "emseg_napari/sample_data/phantom.tif",
        "emseg_napari/sample_data/phantom-labels.tif",
        "emseg_napari/models/starter/LICENSE",
        "emseg_napari/models/starter/README.md",
        "emseg_napari/models/starter/best.keras",
        "emseg_napari/models/starter/network.onnx",
        "emseg_napari/models/starter/run.json",
    ],
)
def test_wheel_holds_what_the_plugin_reads_at_run_time(wheel: Path, name: str) -> None:
    with ZipFile(wheel) as archive:
        assert archive.getinfo(name).file_size > 0 or name.endswith("py.typed")


def test_wheel_holds_the_package_and_nothing_beside_it(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        folders = {name.split("/")[0].split("-")[0] for name in archive.namelist()}
    assert folders == {"emseg_napari"}


def test_no_qt_binding_is_installed_unasked(metadata: Message) -> None:
    required = [line.lower() for line in metadata.get_all("Requires-Dist", [])]
    unasked = [line for line in required if "extra ==" not in line]
    assert any(line.startswith("napari") for line in unasked)
    assert not [line for line in unasked if line.startswith(BINDINGS) or "napari[" in line]


@pytest.mark.parametrize("extra", ["pyqt5", "pyqt6", "pyside6"])
def test_every_qt_binding_is_an_extra(metadata: Message, extra: str) -> None:
    lines = [line.lower() for line in metadata.get_all("Requires-Dist", [])]
    assert any(f"napari[{extra}]" in line and "extra ==" in line for line in lines)


def test_pyqt5_comes_with_the_last_napari_that_takes_it(metadata: Message) -> None:
    lines = [line.lower() for line in metadata.get_all("Requires-Dist", [])]
    (pyqt5,) = [line for line in lines if "napari[pyqt5]" in line]
    assert "<0.10" in pyqt5


def test_the_hub_can_find_the_plugin(metadata: Message) -> None:
    assert "Framework :: napari" in metadata.get_all("Classifier", [])
    assert metadata["Requires-Python"] == "<3.14,>=3.11"
    assert all(word in metadata["Summary"] for word in ("EM", "neurons", "membrane", "napari"))
    links = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL", []))
    assert {"Documentation", "User Support", "Bug Tracker", "Source"} <= set(links)


def test_import_takes_the_installed_package_in_its_one_version(
    ask, installed: Path, metadata: Message
) -> None:
    answer = ask("import emseg_napari; print(emseg_napari.__file__, emseg_napari.__version__)")
    assert answer == f"{installed / 'emseg_napari' / '__init__.py'} {metadata['Version']}"


def test_import_is_light(ask) -> None:
    heavy = ask(
        "import sys, emseg_napari;"
        "print({'keras', 'tensorflow', 'onnxruntime', 'napari', 'qtpy'}.intersection(sys.modules))"
    )
    assert heavy == "set()"


def test_phantom_comes_with_the_package(ask) -> None:
    answer = ask(
        "from emseg_napari.io import samples; image, labels = samples.phantom();"
        "print(samples.sample_folder().parent.name, image.shape == labels.shape,"
        "sorted(set(labels.ravel().tolist())))"
    )
    assert answer == "emseg_napari True [1, 2]"


def test_entry_points_are_where_napari_and_the_shell_look(ask) -> None:
    answer = ask(
        "from importlib.metadata import distribution as d;"
        "points = [f'{e.group} {e.name} {e.value}' for e in d('emseg-napari').entry_points];"
        "print(*sorted(points), sep='\\n')"
    )
    assert answer.splitlines() == [
        "console_scripts emseg emseg_napari.cli:main",
        "napari.manifest emseg-napari emseg_napari:napari.yaml",
    ]


def test_napari_finds_a_valid_manifest(ask) -> None:
    answer = ask(
        "from npe2 import PluginManager; m = PluginManager(); m.discover();"
        "p = m.get_manifest('emseg-napari');"
        "print(p.display_name, [widget.display_name for widget in p.contributions.widgets])"
    )
    assert answer == "emseg-napari ['Segment boundaries']"


def test_the_manifest_has_categories_and_an_icon_that_is_in_the_wheel(ask) -> None:
    answer = ask(
        "from npe2 import PluginManager; m = PluginManager(); m.discover();"
        "p = m.get_manifest('emseg-napari'); from importlib.resources import files;"
        "package, _, name = p.icon.partition(':');"
        "print(files(package).joinpath(name).is_file(), *[one.value for one in p.categories], sep=', ')"
    )
    assert answer == "True, Segmentation, Annotation, IO, Image Processing"


def test_manifest_names_only_things_that_exist(ask) -> None:
    answer = ask(
        "from npe2 import PluginManager; m = PluginManager(); m.discover();"
        "m.get_manifest('emseg-napari').validate_imports(); print('all there')"
    )
    assert answer == "all there"
