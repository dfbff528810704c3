"""What all tests of the window share: no dialog waits for an answer that nobody gives."""

import pytest
from qtpy.QtWidgets import QDialog, QFileDialog, QInputDialog

_DIALOGS = {
    QDialog: ("exec", "exec_"),
    QFileDialog: ("getOpenFileName", "getOpenFileNames", "getSaveFileName", "getExistingDirectory"),
    QInputDialog: ("getItem", "getText"),
}


@pytest.fixture(autouse=True)
def every_dialog_is_answered(monkeypatch):
    """Fail with a sentence where a dialog would otherwise wait for a user until the test's time is over."""

    def fail(*_, **__):
        pytest.fail("a dialog was opened that the test does not answer")

    for kind, names in _DIALOGS.items():
        for name in filter(kind.__dict__.__contains__, names):
            monkeypatch.setattr(kind, name, fail)
