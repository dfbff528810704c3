"""Where a result of any size goes: its folder, its processes, and what is too large for memory."""

from pathlib import Path

import pytest
from qtpy.QtWidgets import QPushButton

from emseg_napari.core.jobs import UserError
from emseg_napari.widgets.base.output_target import VolumeTarget, refuse_many
from emseg_napari.widgets.base.preferences import recall, recall_folder


@pytest.fixture
def target(qtbot):
    return shown(qtbot)


def shown(qtbot):
    target = VolumeTarget("cells", "numbers")
    qtbot.addWidget(target)
    return target


def test_a_billion_voxels_go_into_memory_and_more_do_not():
    refuse_many("cells", (1024, 1024, 1024), "divide", "choose fewer")
    sentence = "cells has 1.1 billion voxels, which are too many to divide; choose fewer."
    with pytest.raises(UserError, match=sentence):
        refuse_many("cells", (1024, 1024, 1025), "divide", "choose fewer")


def test_a_name_is_proposed_from_the_image_and_its_container(target, tmp_path):
    seen = []
    for name in ("a", "b.zarr", "c.zarr/raw/0"):
        target.suggest(name)
        seen.append(target.chosen()[0].name)
    assert seen == ["a-cells.zarr", "b-cells.zarr", "c-raw-0-cells.zarr"]
    target.path.setText(f" {tmp_path / 'mine.zarr'} ")
    assert target.chosen()[0] == tmp_path / "mine.zarr"
    target.path.clear()
    target.suggest("d")
    assert target.chosen()[0] == tmp_path / "d-cells.zarr"  # beside the last one
    assert recall_folder("volumes", Path()) == tmp_path


def test_workers_are_asked_for_only_where_they_are_started(target, qtbot):
    target.suggest("a")
    target.workers.setText("3")
    seen = []
    for text in ("", " local ", "slurm", "tcp://host:1"):
        target.scheduler.setText(text)
        chosen = target.chosen()[1]
        seen.append((target.workers.isEnabled(), chosen.address, chosen.workers))
    assert seen == [
        (False, None, None),
        (True, "local", 3),
        (True, "slurm", 3),
        (False, "tcp://host:1", None),
    ]
    assert shown(qtbot).scheduler.text() == "tcp://host:1"
    target.scheduler.setText("")
    target.chosen()
    assert recall("volume") == {"scheduler": ""}
    assert shown(qtbot).scheduler.text() == ""


def test_a_folder_inside_of_another_volume_is_refused(target, tmp_path):
    target.path.setText(str(tmp_path / "one.zarr" / "two.zarr"))
    with pytest.raises(UserError, match="lies inside another volume; choose a folder beside it"):
        target.chosen()


def test_the_dialog_begins_where_the_result_would_go_and_ends_the_name(target, monkeypatch):
    asked, answers = [], [None, Path("/x/mine"), Path("/x/mine.zarr")]

    def ask(parent, title, start, *_):
        asked.append(str(start))
        return answers.pop(0)

    monkeypatch.setattr("emseg_napari.widgets.base.output_target.ask_new_folder", ask)
    (browse,) = target.findChildren(QPushButton)
    target.suggest("a")
    proposed, seen = target.path.placeholderText(), []
    for _ in range(3):
        browse.click()
        seen.append(target.path.text())
    assert seen == ["", "/x/mine.zarr", "/x/mine.zarr"]
    assert asked == [proposed, proposed, "/x/mine.zarr"]


@pytest.mark.parametrize("typed", ["out.zarr", "./out.zarr", "~/out.zarr"])
def test_the_dialog_begins_at_the_output_that_a_short_path_means(target, monkeypatch, tmp_path, typed):
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(
        "emseg_napari.widgets.base.output_target.ask_new_folder", lambda *given: asked.append(given[2])
    )
    target.path.setText(f" {typed} ")
    target.findChildren(QPushButton)[0].click()
    assert asked == [target.chosen()[0]] == [tmp_path / "out.zarr"]


@pytest.mark.parametrize("typed", ["s3://bucket/a.zarr", "~no-such-user/a.zarr"])
def test_where_what_was_typed_is_no_place_the_dialog_begins_at_the_proposed_name(target, monkeypatch, typed):
    asked = []
    monkeypatch.setattr(
        "emseg_napari.widgets.base.output_target.ask_new_folder", lambda *given: asked.append(given[2])
    )
    target.suggest("a")
    target.path.setText(typed)
    target.findChildren(QPushButton)[0].click()
    assert asked == [Path(target.path.placeholderText())]
    with pytest.raises(UserError, match=r"bucket|no-such-user"):
        target.chosen()
