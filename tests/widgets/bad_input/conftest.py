"""A dock with a small stack, its dialogs answered, and its jobs pretended."""

import shutil
from pathlib import Path

import pytest
from qtpy.QtWidgets import QFileDialog

from emseg_napari.widgets import export
from emseg_napari.widgets.base import session_step
from emseg_napari.widgets.layers.labels_layer import add_labels
from helpers.mistakes import IMAGE, LABELS
from helpers.window import entry, noting, wait_for


@pytest.fixture
def choose(monkeypatch):
    """Answers every file dialog with the path that it is told."""
    chosen = []
    for name in ("getOpenFileName", "getSaveFileName"):
        monkeypatch.setattr(QFileDialog, name, lambda *_: (str(chosen[-1]), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(chosen[-1]))
    for module in (export, session_step):
        monkeypatch.setattr(module, "ask_new_folder", lambda *_: Path(chosen[-1]))
    return chosen.append


@pytest.fixture
def load(dock, qtbot, choose):
    """Opens a path with a button of step Load, as a user does."""

    def load(button, path):
        choose(path)
        entry(dock, button).click()
        wait_for(qtbot, lambda: not dock.load.status.text().startswith("Reading"))

    return load


@pytest.fixture
def started(dock, monkeypatch):
    """The jobs that would have begun."""
    jobs = []
    for step in (dock.train, dock.predict):
        monkeypatch.setattr(step.job, "start", noting(jobs))
    return jobs


@pytest.fixture
def loaded(dock):
    """The dock with a small stack "cells" and its labels "truth"."""
    layer = dock.workspace.viewer.add_image(IMAGE.copy(), name="cells")
    add_labels(dock.workspace.viewer, LABELS.copy(), "truth", layer)
    return dock


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    """A run folder that may be damaged."""
    return Path(shutil.copytree(tiny_run.folder, tmp_path / "my run"))
