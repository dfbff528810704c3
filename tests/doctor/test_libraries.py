"""Libraries of the system that are missing, and the packages in which they lie."""

import subprocess
import sys

import pytest

from emseg_napari.doctor import libraries
from emseg_napari.doctor.libraries import debian_package, installing, missing_for

# as `dpkg -S` said on Debian 12
DEBIAN_12 = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLX.so.0": "libglx0",
    "libOpenGL.so.0": "libopengl0",
    "libGLdispatch.so.0": "libglvnd0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb.so.1": "libxcb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libX11.so.6": "libx11-6",
    "libSM.so.6": "libsm6",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
}


@pytest.mark.parametrize(("library", "package"), DEBIAN_12.items())
def test_debian_names_the_package_after_the_library(library, package):
    assert debian_package(library) == package


def test_a_package_of_two_libraries_is_installed_once():
    text = installing(["libglib-2.0.so.0", "libgthread-2.0.so.0"])
    assert "apt install libglib2.0-0;" in text
    assert "'libglib-2.0.so.0()(64bit)' 'libgthread-2.0.so.0()(64bit)'" in text


def test_what_ldd_does_not_find_is_missing(monkeypatch, tmp_path):
    said = "\tlibEGL.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n\tlibGL.so.1 => not found\n"
    monkeypatch.setattr(libraries, "_plugins", lambda binding: [tmp_path, tmp_path])
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, said, stderr="")
    )
    assert missing_for("PyQt6") == ["libEGL.so.1", "libGL.so.1"]


def test_where_there_is_no_ldd_nothing_is_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(libraries, "_plugins", lambda binding: [tmp_path])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_for("PyQt6") == []


@pytest.mark.skipif(sys.platform != "linux", reason="a library of X11")
def test_the_plugin_of_an_installed_qt_is_found():
    import qtpy

    assert [path.name for path in libraries._plugins(qtpy.API_NAME)] == ["libqxcb.so"]
    assert list(libraries._plugins("a_qt_that_is_not_there")) == []
