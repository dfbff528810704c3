"""Screen: a Qt that cannot start is told in words, and never ends this process."""

import sys

import pytest

from emseg_napari.doctor import screen
from emseg_napari.doctor.checks import obstacle
from emseg_napari.doctor.screen import Probe, described

linux = pytest.mark.skipif(sys.platform != "linux", reason="displays of X11")
FACTS = {"qt": "6.11.0", "platform": "xcb", "fonts": 39, "vendor": "", "version": "4.6", "renderer": "A GPU"}


@pytest.fixture
def whole(monkeypatch):
    """No library is missing."""
    monkeypatch.setattr(screen, "missing_for", lambda package: [])


def states(probe):
    return {one.name: one.state for one in described(probe, "PyQt6")}


def test_a_screen_with_all_is_fine(whole):
    assert states(Probe(0, FACTS, "")) == {"Qt": "ok", "OpenGL": "ok", "fonts": "ok"}


@pytest.mark.parametrize(
    ("facts", "name", "state", "words"),
    [
        ({"renderer": "llvmpipe (LLVM 15.0.6, 256 bits)"}, "OpenGL", "note", "The processor draws"),
        ({"renderer": "GDI Generic", "version": "1.1.0"}, "OpenGL", "problem", "OpenGL 2.1 or later"),
        ({"version": "OpenGL ES 3.2 Mesa"}, "OpenGL", "note", "cannot be compared"),
        ({"fonts": 0}, "fonts", "problem", "There are no fonts"),
    ],
)
def test_what_is_less_than_napari_needs_is_said(whole, facts, name, state, words):
    found = next(one for one in described(Probe(0, FACTS | facts, ""), "PyQt6") if one.name == name)
    assert found.state == state
    assert words in found.sentence


def test_missing_libraries_are_named_together_whatever_qt_said(monkeypatch):
    monkeypatch.setattr(screen, "missing_for", lambda package: ["libEGL.so.1", "libxcb-cursor.so.0"])
    (found,) = described(Probe(-6, {}, "qt.qpa.xcb: could not connect to display"), "PyQt6")
    assert "libEGL.so.1, libxcb-cursor.so.0" in found.sentence
    assert "libegl1 libxcb-cursor0" in found.action


def test_what_is_not_known_shows_the_last_line_and_is_no_obstacle(whole, monkeypatch):
    (found,) = described(Probe(-11, {}, "first\nlast words\n"), "PyQt6")
    assert found.state == "problem"
    assert "exit code -11" in found.sentence
    assert "last words" in found.sentence
    monkeypatch.setattr("emseg_napari.doctor.versions.binding", lambda: screen.Finding("Qt binding", "PyQt6"))
    monkeypatch.setattr(screen, "findings", lambda: iter([found]))
    assert obstacle() is None


@linux
def test_this_screen_opens_windows():
    assert {one.name for one in screen.findings() if one.state != "problem"} == {"Qt", "OpenGL", "fonts"}
    assert obstacle() is None


@linux
def test_without_a_display_nothing_is_started(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(screen, "probe", lambda: pytest.fail("it was started"))
    assert obstacle().sentence.startswith("There is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set)")


@linux
def test_a_display_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "cannot be reached" in obstacle().sentence


@linux
def test_a_kind_of_screen_that_nobody_sees_is_said(monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert "QT_QPA_PLATFORM is offscreen" in obstacle().sentence


def test_a_probe_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(screen, "_PROBE_S", 0.01)
    assert screen.probe() == Probe(1, {}, "no answer within 0.01 s")
