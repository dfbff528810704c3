"""Versions: what is missing, and which Qt binding napari would use and take."""

from email.message import Message
from importlib import metadata

import pytest

from emseg_napari.doctor import versions
from emseg_napari.doctor.versions import binding, packages

# as the records of these packages on PyPI say
NAPARI_0_9 = {
    "extras": ("pyside6", "pyqt6", "pyqt5", "all"),
    "requires": [
        "numpy>=1.25",
        'PyQt5>=5.15.8; extra == "pyqt5"',
        'PyQt6>6.5; extra == "pyqt6"',
        'pyqt6-qt6!=6.11.0,!=6.11.1; extra == "pyqt6"',
    ],
}
NAPARI_0_10 = {
    "extras": ("pyside6", "pyqt6", "all"),
    "requires": ['PyQt6>=6.7; extra == "pyqt6"', 'pyqt6-qt6!=6.11.0,!=6.11.1; extra == "pyqt6"'],
}


@pytest.fixture
def installed(monkeypatch):
    """Install packages by name and version, napari by what its record says."""

    def install(stated, /, **versions):
        versions = {name.replace("_", "-"): number for name, number in versions.items()}
        record = Message()
        for extra in stated["extras"]:
            record["Provides-Extra"] = extra

        def version(name):
            if name in versions:
                return versions[name]
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "metadata", lambda name: record)
        monkeypatch.setattr(metadata, "requires", lambda name: stated["requires"])

    return install


def test_a_binding_that_napari_takes_is_named(installed):
    installed(NAPARI_0_9, napari="0.9.2", PyQt5="5.15.11")
    found = binding({})
    assert (found.state, found.value) == ("ok", "PyQt5 5.15.11, which napari 0.9.2 takes")


@pytest.mark.parametrize(("python", "state"), [((3, 11, 7), "note"), ((3, 12, 0), "ok")])
def test_pyside6_is_doubted_with_a_python_that_frees_none(installed, monkeypatch, python, state):
    monkeypatch.setattr(versions.sys, "version_info", python)
    installed(NAPARI_0_9, napari="0.9.2", PySide6="6.12.0")
    assert binding({}).state == state


def test_qt_5_is_refused_by_napari_0_10(installed):
    installed(NAPARI_0_10, napari="0.10.0rc1", PyQt5="5.15.11")
    found = binding({})
    assert found.state == "problem"
    assert found.sentence == "napari 0.10.0rc1 does not take PyQt5."
    assert "pip install --upgrade 'emseg-napari[pyqt6]'" in found.action


def test_a_binding_that_is_taken_and_there_is_named_instead(installed):
    installed(NAPARI_0_10, napari="0.10.0", PyQt5="5.15.11", PyQt6="6.9.0")
    assert binding({}).action == "Set QT_API=pyqt6 in the environment, which is installed."
    assert binding({"QT_API": "pyqt6"}).state == "ok"
    assert binding({"QT_API": "PyQt6"}).state == "ok"


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ({"PyQt6": "6.5.1"}, "PyQt6>=6.7 (6.5.1 is installed)"),
        ({"PyQt6": "6.11.0", "pyqt6_qt6": "6.11.1"}, "pyqt6-qt6!=6.11.0,!=6.11.1 (6.11.1 is installed)"),
    ],
)
def test_a_version_that_napari_excludes_is_a_problem(installed, versions, words):
    installed(NAPARI_0_10, napari="0.10.0", **versions)
    found = binding({})
    assert found.state == "problem"
    assert words in found.sentence


def test_no_binding_at_all(installed):
    installed(NAPARI_0_9, napari="0.9.2")
    found = binding({})
    assert (found.state, found.value) == ("problem", "none")
    assert "pip install 'emseg-napari[pyqt6]'" in found.action


def test_qt_api_names_one_that_is_not_there(installed):
    installed(NAPARI_0_9, napari="0.9.2", PyQt5="5.15.11")
    found = binding({"QT_API": "pyside6"})  # none is behind it in the order of qtpy
    assert found.state == "problem"
    assert "PySide6, which is not installed" in found.sentence
    installed(NAPARI_0_9, napari="0.9.2", PyQt6="6.9.0")
    found = binding({"QT_API": "pyqt5"})
    assert (found.state, found.value) == ("note", "PyQt6 6.9.0")
    assert "PyQt6 is used" in found.sentence


def test_qt_api_names_what_is_no_binding(installed):
    installed(NAPARI_0_9, napari="0.9.2", PyQt5="5.15.11")
    assert "'tkinter', which is not a Qt binding" in binding({"QT_API": "tkinter"}).sentence


def test_what_is_missing_or_too_old_is_listed(installed):
    needs = {"extras": (), "requires": ["numpy", "keras>=3.13", "zarr>=3.1.6", 'bokeh; extra == "cluster"']}
    installed(needs, numpy="2.4", zarr="2.18.0")
    found = packages()
    assert found.state == "problem"
    assert "keras>=3.13, zarr>=3.1.6 (2.18.0 is installed)." in found.sentence


def test_all_that_this_package_needs_is_here():
    assert packages().state == "ok"
    assert binding().state == "ok"
