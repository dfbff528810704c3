"""What is remembered for the next start."""

from pathlib import Path

import pytest

from emseg_napari.widgets.base import preferences


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


@pytest.mark.parametrize("text", ["", "[1]", '{"train": 5, "folders": {"runs": 7}}'])
def test_damaged_settings_are_as_none(settings_folder, text):
    (settings_folder / "settings.json").write_text(text)
    assert preferences.recall("train") == {}
    assert preferences.recall_folder("runs", Path("c")) == Path("c")
