"""What is remembered for the next start."""

import json
from pathlib import Path

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from qtpy.QtWidgets import QApplication, QLabel

from emseg_napari.annotation.session import recovery
from emseg_napari.widgets.base import preferences
from emseg_napari.widgets.base.autosave import autosave_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import add_labels
from helpers.window import striped


def test_settings_are_remembered_by_section_and_folders_by_use(settings_folder):
    assert preferences.recall("train") == {}
    preferences.remember("train", {"minutes": 5})
    preferences.remember("cells", {"scope": "all"})
    preferences.remember_folder("runs", Path("a"))
    preferences.remember_folder("exports", Path("b"))
    assert preferences.recall("train") == {"minutes": 5}
    assert preferences.recall_folder("runs", Path("c")) == Path("a")
    assert preferences.recall_folder("exports", Path("c")) == Path("b")
    assert preferences.recall_folder("images", Path("c")) == Path("c")


@pytest.mark.parametrize("text", ["", "[1]", '{"train": 5, "folders": {"exports": 7}}'])
def test_damaged_settings_are_as_none(settings_folder, text):
    (settings_folder / "settings.json").write_text(text)
    assert preferences.recall("train") == {}
    assert preferences.recall_folder("exports", Path("c")) == Path("c")


@pytest.fixture
def page(qtbot):
    """The plugin's page in napari's Preferences."""
    return get_plugin_settings("emseg-napari")


def test_a_change_on_the_page_of_napari_is_what_steps_recall(page):
    page.folders.runs = "~/my runs"
    page.volume.scheduler = "tcp://node:8786"
    assert preferences.recall_folder("runs", Path("c")) == Path.home() / "my runs"
    assert preferences.recall("volume") == {"scheduler": "tcp://node:8786"}


def test_what_a_step_remembers_is_on_the_page_and_nowhere_else(page, settings_folder):
    preferences.remember_folder("runs", Path("a"))
    preferences.remember("volume", {"scheduler": "local", "other": 1})
    assert (page.folders.runs, page.volume.scheduler) == ("a", "local")
    assert json.loads((settings_folder / "settings.json").read_text()) == {
        "folders": {},
        "volume": {"other": 1},
    }


def test_what_an_earlier_build_remembered_is_on_the_page_once(page, settings_folder):
    file = settings_folder / "settings.json"
    earlier = {"folders": {"runs": "myruns", "exports": "b"}, "volume": {"scheduler": 7}}
    file.write_text(json.dumps(earlier))
    assert preferences.recall_folder("runs", Path("c")) == Path("myruns")
    assert preferences.recall("volume") == {"scheduler": ""}
    assert page.folders.runs == "myruns"
    assert json.loads(file.read_text()) == {"folders": {"exports": "b"}, "volume": {}}
    page.folders.runs = type(page.folders).model_fields["runs"].default
    assert preferences.recall_folder("runs", Path("c")) == Path.home() / "emseg-runs"


def test_what_was_changed_on_the_page_counts_more_than_what_an_earlier_build_remembered(
    page, settings_folder
):
    page.folders.runs = "new"
    (settings_folder / "settings.json").write_text('{"folders": {"runs": "myruns"}}')
    assert preferences.recall_folder("runs", Path("c")) == Path("new")


def test_napari_shows_the_page_with_a_field_for_each_setting(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    (action,) = [one for one in viewer.window.file_menu.actions() if "Preferences" in one.text()]
    action.trigger()
    dialog = next(one for one in QApplication.topLevelWidgets() if one.windowTitle() == "Preferences")
    qtbot.addWidget(dialog)
    titles = {label.text() for label in dialog.findChildren(QLabel)}
    assert {"Runs", "Unsaved work", "Scheduler"} <= titles


def test_the_first_stroke_is_kept_where_the_page_says(page, make_napari_viewer, tmp_path, monkeypatch, qtbot):
    monkeypatch.setattr(recovery, "_chosen", [])
    monkeypatch.delenv("EMSEG_DATA_DIR")
    page.folders.unsaved = str(tmp_path / "work")
    viewer = make_napari_viewer()
    image, labels = striped()
    layer = add_labels(viewer, labels, "mine", viewer.add_image(image))
    autosave = autosave_of(Workspace(viewer))
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 2)
    assert autosave.folder(layer).parent == tmp_path / "work" / "recovery"
