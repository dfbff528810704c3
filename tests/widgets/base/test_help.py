"""Help: the check of the installation runs beside the window, can be cancelled and copied."""

import sys
from pathlib import Path

import pytest
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QApplication

from emseg_napari.widgets.base import help
from emseg_napari.widgets.base.help import InstallationCheck, open_guide
from helpers.window import wait_for

QUICK = "print('Versions'); print('  ok  é'); import sys; sys.stderr.write('heard\\n')"
TEMPORARY = """
import pathlib, signal, tempfile, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have set to ignore
with tempfile.TemporaryDirectory(dir=pathlib.Path.cwd()):
    print('Versions', flush=True)
    time.sleep(600)
"""
ENDLESS = "import time; print('Versions', flush=True); time.sleep(600)"


@pytest.fixture
def check(qtbot, tmp_path):
    """The dialog, with another program in place of `emseg doctor`."""

    def make(program):
        dialog = InstallationCheck(None, lambda: tmp_path / "runs")
        qtbot.addWidget(dialog)
        assert dialog._command[-2:] == ["emseg_napari", "doctor"]
        dialog._command = [*program] if isinstance(program, list) else [sys.executable, "-c", program]
        dialog.show()
        dialog.start()
        return dialog

    return make


def test_what_it_prints_is_shown_and_can_be_copied(check, qtbot):
    dialog = check(QUICK)
    wait_for(qtbot, lambda: not dialog.is_running)
    for words in ("Versions", "ok  é", "heard"):
        assert words in dialog.text.toPlainText()
    dialog.copy.click()
    assert QApplication.clipboard().text() == dialog.text.toPlainText()
    assert not dialog.bar.isVisible()
    assert not dialog.cancel.isEnabled()
    dialog.again.click()
    wait_for(qtbot, lambda: not dialog.is_running)
    assert dialog.text.toPlainText().count("Versions") == 1


def test_it_can_be_cancelled(check, qtbot):
    dialog = check(ENDLESS)
    wait_for(qtbot, lambda: "Versions" in dialog.text.toPlainText())
    assert dialog.bar.isVisible()
    dialog.cancel.click()
    assert not dialog.is_running
    assert dialog.text.toPlainText().endswith("Cancelled.")


@pytest.mark.skipif(sys.platform == "win32", reason="a process is only killed there")
def test_what_is_cancelled_leaves_no_temporary_files(check, qtbot, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dialog = check(TEMPORARY)
    wait_for(qtbot, lambda: "Versions" in dialog.text.toPlainText())
    assert list(tmp_path.iterdir())
    dialog.cancel.click()
    assert list(tmp_path.iterdir()) == []
    assert dialog.text.toPlainText().endswith("Cancelled.")
    assert "Traceback" not in dialog.text.toPlainText()


@pytest.mark.skipif(sys.platform == "win32", reason="a process is only killed there")
def test_what_does_not_end_is_killed(check, qtbot, monkeypatch):
    monkeypatch.setattr(help, "_END_MS", 100)
    dialog = check("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + ENDLESS)
    wait_for(qtbot, lambda: "Versions" in dialog.text.toPlainText())
    dialog.cancel.click()
    assert not dialog.is_running


def test_each_check_is_of_the_folder_that_runs_are_written_to_by_then(check, qtbot):
    folders = iter(["first", "second"])
    dialog = check("import sys; print('Versions', sys.argv[1:])")
    wait_for(qtbot, lambda: not dialog.is_running)
    dialog._runs = lambda: Path(next(folders))
    for name in ("first", "second"):
        dialog.again.click()
        wait_for(qtbot, lambda: not dialog.is_running)
        assert f"['--runs', '{name}']" in dialog.text.toPlainText()


def test_it_ends_with_the_dialog(check, qtbot):
    dialog = check(ENDLESS)
    wait_for(qtbot, lambda: "Versions" in dialog.text.toPlainText())
    dialog.close()
    assert not dialog.is_running


def test_a_program_that_cannot_be_started_is_said(check, qtbot):
    dialog = check(["/nowhere/python"])
    wait_for(qtbot, lambda: "cannot be checked" in dialog.text.toPlainText())
    assert dialog.again.isEnabled()


def test_the_guide_opens_in_the_browser(monkeypatch):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    open_guide()
    assert opened[0].toString().startswith("https://github.com/emseg/emseg-napari")


def test_the_menu_has_it_under_help(dock, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(InstallationCheck, "start", lambda self: asked.append(self._runs()))
    menu = next(action.menu() for action in dock.header.menu.actions() if action.text() == "Help")
    texts = [action.text() for action in menu.actions()]
    assert texts == ["Keys (F1)", "Guide", "Check this installation..."]
    menu.actions()[-1].trigger()
    dock.workspace.runs_folder = tmp_path
    menu.actions()[-1].trigger()
    assert asked[1] == tmp_path != asked[0]
