"""Folders: where nothing can be written is said, with what belongs there; nothing is left behind."""

import tempfile
from types import SimpleNamespace

import pytest

from emseg_napari.doctor import folders


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder; settings and unsaved work lie in it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(folders.Path, "home", lambda: home)
    monkeypatch.setenv("EMSEG_CONFIG_DIR", str(home / ".config" / "emseg"))
    monkeypatch.setenv("EMSEG_DATA_DIR", str(home / ".local" / "emseg"))
    for name in ("config", "cache"):
        monkeypatch.setattr(folders, f"user_{name}_path", lambda app, name=name: home / f".{name}" / app)
    monkeypatch.delenv("NAPARI_CONFIG", raising=False)
    return home


def test_folders_that_do_not_exist_yet_are_tried_where_they_would_be_made(home):
    first, *_ = folders.findings()
    assert first.state == "ok"
    assert "(home, runs, unsaved work, settings, napari's settings, napari's icons)" in first.value
    assert list(home.iterdir()) == []


def test_where_nothing_can_be_written_is_one_problem(home):
    home.rmdir()
    home.write_text("a file")  # even root cannot write into it
    first, *rest = folders.findings()
    assert first.state == "problem"
    assert f"Nothing can be written in {home}" in first.sentence
    assert "EMSEG_DATA_DIR, EMSEG_CONFIG_DIR, XDG_CONFIG_HOME, XDG_CACHE_HOME" in first.action
    assert [one.state for one in rest] == ["ok"]  # temporary files


def test_the_folder_of_runs_is_the_one_that_is_given(home, tmp_path):
    (tmp_path / "runs").write_text("")
    found = [one for one in folders.findings(tmp_path / "runs") if one.state == "problem"]
    assert [one.name for one in found] == ["runs"]


def test_napari_needs_its_own_folders(home, monkeypatch):
    (home / ".cache").write_text("")
    assert {one.name: one.state for one in folders.of_napari()} == {
        "napari's settings": "ok",
        "napari's icons": "problem",
    }
    monkeypatch.setenv("NAPARI_CONFIG", "elsewhere.yaml")
    assert [one.name for one in folders.of_napari()] == ["napari's icons"]


def test_the_file_that_is_tried_has_a_name_that_is_tried_once(home, monkeypatch):
    # on Windows, tempfile goes on with other names where a folder cannot be written: practically without end
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: pytest.fail("tempfile chose the name"))
    assert next(folders.findings()).state == "ok"


def test_napari_opens_on_a_disk_with_little_room(home, monkeypatch):
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: SimpleNamespace(free=0.5e9))
    assert {one.state for one in folders.of_napari()} == {"ok"}


@pytest.mark.parametrize(("free_gb", "state"), [(0.5, "problem"), (3, "note"), (30, "ok")])
def test_a_disk_with_little_room_is_said(home, monkeypatch, free_gb, state):
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: SimpleNamespace(free=free_gb * 1e9))
    assert next(folders.findings()).state == state
