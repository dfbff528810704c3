"""Help: the guide on the web, and what `emseg doctor` says of this installation."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from qtpy.QtCore import QProcess, QProcessEnvironment, QUrl
from qtpy.QtGui import QDesktopServices, QFontDatabase, QGuiApplication
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QProgressBar, QVBoxLayout, QWidget

from emseg_napari.core import child

_COLUMNS, _LINES = 82, 36
_END_MS = 3000  # for what is cancelled to end by itself


def open_guide() -> None:
    """Show the documentation in the user's browser."""
    stated = metadata.metadata("emseg-napari").get_all("Project-URL") or []
    urls = dict(one.split(", ", 1) for one in stated)
    QDesktopServices.openUrl(QUrl(urls["Documentation"]))


class InstallationCheck(QDialog):
    """Runs `emseg doctor` in another process and shows what it says, line by line.

    Parameters
    ----------
    parent : QWidget
    runs : callable
        Returns the folder to which runs are written by then.
    """

    def __init__(self, parent: QWidget, runs: Callable[[], Path]) -> None:
        super().__init__(parent)
        self.setWindowTitle("Check of this installation")
        self.text = QPlainTextEdit(readOnly=True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        metrics = self.text.fontMetrics()
        self.text.setMinimumSize(
            metrics.horizontalAdvance("m" * _COLUMNS) + 30, metrics.lineSpacing() * _LINES
        )
        self.bar = QProgressBar(maximum=0, format="checking")  # moves to and fro: how long it takes is open
        buttons = QDialogButtonBox()
        self.copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
        self.copy.setToolTip("Copy all of it, such as for a report of a problem.")
        self.again = buttons.addButton("Check again", QDialogButtonBox.ButtonRole.ActionRole)
        self.cancel = buttons.addButton("Cancel", QDialogButtonBox.ButtonRole.ActionRole)
        self.copy.clicked.connect(self._copy)
        self.again.clicked.connect(self.start)
        self.cancel.clicked.connect(self._end)
        layout = QVBoxLayout(self)
        for widget in (self.text, self.bar, buttons):
            layout.addWidget(widget)
        self._process = process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        for name, value in (child.module_path() | {"PYTHONIOENCODING": "utf-8"}).items():
            environment.insert(name, value)
        process.setProcessEnvironment(environment)
        process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._runs, self._command = runs, child.command("emseg_napari", "doctor")
        process.readyReadStandardOutput.connect(self._show_more)
        process.stateChanged.connect(self._follow)
        process.errorOccurred.connect(self._show_error)
        self._is_cancelled = False
        QGuiApplication.instance().aboutToQuit.connect(self._end)

    @property
    def is_running(self) -> bool:
        """Whether it is being checked."""
        return self._process.state() != QProcess.ProcessState.NotRunning

    def start(self) -> None:
        """Check, unless that is being done."""
        if not self.is_running:
            self._is_cancelled = False
            self.text.clear()
            self._process.start(self._command[0], [*self._command[1:], "--runs", os.fspath(self._runs())])

    def done(self, result: int) -> None:
        """End the check with the dialog."""
        self._end()
        super().done(result)

    def _end(self) -> None:
        if self.is_running:
            self._is_cancelled = True
            process_id = self._process.processId()
            if process_id and os.name != "nt":  # there only a console can interrupt
                with suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGINT)  # it removes its temporary files
                self._process.waitForFinished(_END_MS)
            self._process.kill()  # the engine ends with it
            self._process.waitForFinished()

    def _follow(self) -> None:
        self.bar.setVisible(self.is_running)
        self.cancel.setEnabled(self.is_running)
        self.again.setEnabled(not self.is_running)
        if self._is_cancelled and not self.is_running:
            self.text.appendPlainText("\nCancelled.")

    def _show_more(self) -> None:
        if self._is_cancelled:  # that it was interrupted
            return
        said = bytes(self._process.readAllStandardOutput()).decode(errors="replace")
        self.text.moveCursor(self.text.textCursor().MoveOperation.End)
        self.text.insertPlainText(said)
        self.text.ensureCursorVisible()

    def _show_error(self) -> None:
        if not self._is_cancelled:
            self.text.appendPlainText(f"It cannot be checked: {self._process.errorString()}.")

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.toPlainText())
