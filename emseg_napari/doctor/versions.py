"""Versions: Python, the packages that this one needs, and the Qt binding that napari would take.

All is read from the records of installed packages: nothing that may be broken is imported.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata

from packaging.requirements import Requirement

from emseg_napari import __version__
from emseg_napari.doctor.finding import Finding, note, problem

_SHOWN = ("napari", "numpy", "tensorflow", "keras", "onnxruntime", "zarr", "tensorstore", "vispy", "QtPy")
# Names of Qt bindings in QT_API and their packages, in the order in which qtpy 2.4 looks for them.
BINDINGS = {"pyqt5": "PyQt5", "pyside2": "PySide2", "pyqt6": "PyQt6", "pyside6": "PySide6"}
# From there on None is never freed. Before, tests of the window end with "none_dealloc" (PySide6 6.12).
_COUNTS_SAFELY = (3, 12)
_INSTALL = "Install one that it takes: pip install --upgrade 'emseg-napari[pyqt6]'."


def findings() -> Iterator[Finding]:
    """Give what is installed."""
    yield Finding(
        "emseg-napari", f"{__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    )
    yield packages()
    yield binding()


def packages() -> Finding:
    """Return whether the packages that this one needs are there in versions that it works with."""
    shown = ", ".join(f"{name} {number}" for name in _SHOWN if (number := installed(name)))
    unmet = [_in_words(one) for one in _requirements("emseg-napari") if _is_unmet(one)]
    if not unmet:
        return Finding("packages", shown)
    return problem(
        "packages",
        shown,
        f"Needed, but not installed: {', '.join(unmet)}.",
        "Install emseg-napari again: pip install --upgrade emseg-napari.",
    )


def binding(environment: Mapping[str, str] = os.environ) -> Finding:
    """Return which Qt binding napari would use, and whether it takes that."""
    asked = environment.get("QT_API", "").lower()
    found = {name: number for name, package in BINDINGS.items() if (number := installed(package))}
    listed = ", ".join(f"{BINDINGS[name]} {number}" for name, number in found.items()) or "none"
    if asked and asked not in BINDINGS:
        return problem(
            "Qt binding",
            listed,
            f"QT_API is {asked!r}, which is not a Qt binding.",
            "Remove QT_API from the environment, or set it to pyqt6.",
        )
    # qtpy goes on to those behind the one that is asked for, never back
    order = list(BINDINGS)[list(BINDINGS).index(asked or "pyqt5") :]
    used = next((name for name in order if name in found), None)
    if used is None:
        return _none_installed(asked, listed)
    return _taken(used, f"{BINDINGS[used]} {found[used]}", asked)


def _none_installed(asked: str, listed: str) -> Finding:
    if listed == "none":
        return problem(
            "Qt binding",
            listed,
            "No Qt binding is installed, so napari cannot open a window.",
            "Install one: pip install 'emseg-napari[pyqt6]'.",
        )
    return problem(
        "Qt binding",
        listed,
        f"QT_API asks for {BINDINGS[asked]}, which is not installed.",
        f"Remove QT_API from the environment, or install {BINDINGS[asked]}.",
    )


def _taken(used: str, value: str, asked: str) -> Finding:
    """Return what napari's own record says of a binding: it has an extra for each that it takes."""
    napari = f"napari {installed('napari')}"
    extras = metadata.metadata("napari").get_all("Provides-Extra") or []
    if used not in extras:
        others = [name for name in BINDINGS if name in extras and installed(BINDINGS[name])]
        action = f"Set QT_API={others[0]} in the environment, which is installed." if others else _INSTALL
        return problem("Qt binding", value, f"{napari} does not take {BINDINGS[used]}.", action)
    unmet = [_in_words(one) for one in _requirements("napari", used) if _is_unmet(one, among_installed=True)]
    if unmet:
        return problem("Qt binding", value, f"{napari} asks for {', '.join(unmet)}.", _INSTALL)
    if asked and asked != used:
        return note(
            "Qt binding",
            value,
            f"QT_API asks for {BINDINGS[asked]}, which is not installed: {BINDINGS[used]} is used.",
            "Remove QT_API from the environment.",
        )
    if used == "pyside6" and sys.version_info < _COUNTS_SAFELY:
        return note(
            "Qt binding",
            value,
            "With Python 3.11, PySide6 miscounts the uses of None, so a long session may end by itself.",
            "Use Python 3.12 or newer, or PyQt6: pip install 'emseg-napari[pyqt6]'.",
        )
    return Finding("Qt binding", f"{value}, which {napari} takes")


def installed(package: str) -> str:
    """Return the version of a package; empty if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _requirements(package: str, extra: str = "") -> list[Requirement]:
    """Return what a package needs here; with an extra only what that adds."""
    try:
        stated = [Requirement(one) for one in metadata.requires(package) or ()]
    except metadata.PackageNotFoundError:  # it runs from its source
        return []
    if not extra:
        return [one for one in stated if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [
        one
        for one in stated
        if one.marker and one.marker.evaluate({"extra": extra}) and not one.marker.evaluate({"extra": ""})
    ]


def _is_unmet(needed: Requirement, among_installed: bool = False) -> bool:
    number = installed(needed.name)
    if not number:
        return not among_installed  # conda names packages of Qt otherwise
    return not needed.specifier.contains(number, prereleases=True)


def _in_words(needed: Requirement) -> str:
    number = installed(needed.name)
    return f"{needed.name}{needed.specifier}" + (f" ({number} is installed)" if number else "")
