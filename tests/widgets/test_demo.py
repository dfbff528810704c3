"""The demo's window, and the demo by itself: what a step did not do ends it with that step's sentence."""

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from qtpy import PYQT5
from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QLabel, QWidget

from emseg_napari.core import child
from emseg_napari.core.jobs import UserError
from emseg_napari.widgets import demo, dock_widget
from emseg_napari.widgets.demo import ScriptedDemo, enlarge
from helpers.timing import PATIENCE_S


def test_a_step_that_did_not_do_its_work_ends_the_demo_with_its_sentence(qtbot):
    step = SimpleNamespace(status=QLabel("Nothing was exported."))
    qtbot.addWidget(step.status)
    ScriptedDemo._demand(True, step)
    with pytest.raises(UserError, match=r"^Nothing was exported\.$"):
        ScriptedDemo._demand(False, step)


@pytest.mark.parametrize(("before", "after"), [((800, 600), (1280, 800)), ((1400, 700), (1400, 800))])
def test_a_small_window_is_enlarged_to_show_the_whole_page_and_stays_on_the_screen(qtbot, before, after):
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(*before)
    window.move(400, 400)
    window.show()
    enlarge(window)
    screen = window.screen().availableGeometry()
    assert window.size() == QSize(*after).boundedTo(screen.size())
    assert screen.contains(window.frameGeometry())


class _Framed(QWidget):
    """A window with a frame, as a window manager draws it."""

    def frameGeometry(self):
        return self.geometry().adjusted(-3, -30, 4, 5)


@pytest.mark.parametrize("before", [(800, 600), (5000, 4000)])
@pytest.mark.parametrize("corner", [(400, 400), (0, 0)])
def test_the_frame_of_the_window_stays_on_the_screen_too(qtbot, before, corner):
    window = _Framed()
    qtbot.addWidget(window)
    window.resize(*before)
    window.move(*corner)
    window.show()
    enlarge(window)
    screen = window.screen().availableGeometry()
    assert screen.contains(window.frameGeometry())
    assert window.size() == QSize(1280, 800).expandedTo(QSize(*before)).boundedTo(
        screen.size() - QSize(7, 35)
    )


_NOTICES = """
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget
from emseg_napari.widgets.demo import open_window
viewer, dock = open_window()
QTest.qWait(200)
over_canvas = [w for w in dock.window().findChildren(QWidget) if type(w).__name__ == "NapariQtNotification"]
print(len(over_canvas))
viewer.close()
"""


@pytest.mark.skipif(not PYQT5, reason="napari deprecates PyQt5 only")
def test_that_pyqt5_is_deprecated_stands_in_the_terminal_and_not_over_the_canvas():
    done = subprocess.run([sys.executable, "-c", _NOTICES], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr.count("PyQt5 backend is deprecated") == 1


_CLOSED = """
import napari
from qtpy.QtCore import QTimer
from emseg_napari.widgets.demo import open_window
QTimer.singleShot(0, lambda: napari.current_viewer().close())
open_window()
print("opened")
"""


def test_a_window_that_is_closed_while_it_loads_ends_the_program_without_a_word():
    done = subprocess.run([sys.executable, "-c", _CLOSED], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0
    assert "opened" not in done.stdout
    assert "Traceback" not in done.stderr


def test_a_plugin_that_cannot_be_loaded_is_a_sentence(monkeypatch, make_napari_viewer, capsys):
    viewer = make_napari_viewer()
    monkeypatch.setattr(demo.napari, "Viewer", lambda **_: viewer)
    monkeypatch.setattr(dock_widget, "_DOCK", "emseg_napari.widgets.is_not_there")
    assert demo.main([]) == 1
    assert "The plugin cannot be loaded: ModuleNotFoundError" in capsys.readouterr().err


def test_where_only_the_dock_is_closed_while_it_loads_the_sample_opens_all_the_same(
    monkeypatch, make_napari_viewer
):
    viewer = make_napari_viewer()
    monkeypatch.setattr(demo.napari, "Viewer", lambda **_: viewer)
    monkeypatch.setattr(dock_widget, "_DOCK", "emseg_napari.widgets.not_yet")  # so that a thread imports it
    monkeypatch.setattr(dock_widget, "import_module", lambda _: time.sleep(0.2))
    QTimer.singleShot(0, lambda: viewer.window.remove_dock_widget("all"))
    _, dock = demo.open_window()
    assert dock.workspace.image is not None


def test_what_is_started_from_the_window_has_the_users_environment(monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", "of the user")
    for name, value in child.module_path().items():
        monkeypatch.setenv(name, value)

    def open_window(path):
        raise UserError(os.environ["PYTHONPATH"])

    monkeypatch.setattr(demo, "open_window", open_window)
    assert demo.main([]) == 1
    assert capsys.readouterr().err == "emseg: of the user\n"
