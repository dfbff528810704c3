"""Labels whose values mean one thing or another. Every mistake is a sentence, and nothing is lost."""

import h5py
import numpy as np
import pytest

from emseg_napari.core.labels import to_isbi
from emseg_napari.io import stack_or_volume
from emseg_napari.io.stacks import read_labels, write_stack
from emseg_napari.widgets.base import dialogs
from helpers.mistakes import IMAGE, INSTANCES, LABELS, assert_complaint, assert_kept, state, two_cells, write
from helpers.slow import slow_case
from helpers.window import answer_with, settle, wait_for


@pytest.mark.parametrize(
    ("values", "answer", "boundary"),
    [
        (two_cells(), "instances", two_cells() == 0),
        (two_cells().astype(np.float32), "instances", two_cells() == 0),
        (two_cells(), "napari", two_cells() == 1),
        (255 - to_isbi(LABELS), "inverted", LABELS == 1),
        (LABELS % 2, "inverted", LABELS == 1),
    ],
)
@pytest.mark.parametrize("limit", [slow_case(1000), 2**30])
def test_labels_that_can_be_read_in_two_ways_are_asked_about(
    dock, load, tmp_path, monkeypatch, values, answer, boundary, limit
):
    monkeypatch.setattr(stack_or_volume, "LARGE_BYTES", limit)
    asked = answer_with(monkeypatch, answer)
    load("Open labels...", write(tmp_path / "mask.tif", values))
    assert asked[0].startswith("mask.tif ")
    assert f"'{answer}'" in asked[0]
    np.testing.assert_array_equal(dock.workspace.labels.data == 1, boundary)
    assert "inverted" not in dock.load.status.text()


def test_labels_that_look_exchanged_are_said_to_be_when_opened_taken_over_and_exported(
    dock, qtbot, load, choose, tmp_path, monkeypatch
):
    dock.workspace.viewer.add_image(IMAGE, name="cells")
    answer_with(monkeypatch, "isbi")
    inverted = 255 - to_isbi(LABELS)
    load("Open labels...", write(tmp_path / "mask.tif", inverted))
    assert "mask.tif may be inverted (" in dock.load.status.text()
    dock.workspace.choose("labels", dock.workspace.viewer.add_labels(inverted, name="mine"))
    dock.correct.tools[0].click()
    settle(dock.correct)
    assert "mine may be inverted (" in dock.correct.status.text()
    dock.export.form.widgets["which"].value = "labelled"
    choose(tmp_path / "out")
    dock.export.export.click()
    wait_for(qtbot, lambda: "may be inverted (" in dock.export.status.text())


@pytest.mark.slow
def test_of_several_datasets_of_labels_the_user_chooses_one(dock, load, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "c.hdf", "w") as file:
        file["labels/a"], file["labels/b"] = two_cells(), LABELS
    answers = [("", False), ("labels/b", True)]
    offered = []
    monkeypatch.setattr(
        dialogs.QInputDialog, "getItem", lambda *words: offered.append(words[3]) or answers.pop(0)
    )
    load("Open labels...", tmp_path / "c.hdf")
    assert_complaint(dock.load, "c.hdf has 2 volumes, labels/a")
    load("Open labels...", tmp_path / "c.hdf")
    np.testing.assert_array_equal(dock.workspace.labels.data, LABELS)
    assert offered == [["labels/a", "labels/b"]] * 2


def test_layers_of_two_cells_are_asked_about_when_a_step_takes_them_over(dock, started, monkeypatch):
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    mine = viewer.add_labels(two_cells(), name="mine")
    asked = answer_with(monkeypatch, "instances")
    dock.train.train.click()
    np.testing.assert_array_equal(started[0]["labels"][:] == 1, two_cells() == 0)
    dock.workspace.choose("labels", mine)
    dock.correct.tools[0].click()
    settle(dock.correct)
    assert len(asked) == 2
    np.testing.assert_array_equal(dock.workspace.labels.data == 1, two_cells() == 0)


@pytest.mark.parametrize("convention", ["isbi", "instances"])
def test_layers_of_files_whose_record_states_the_convention_are_not_asked_about(
    dock, started, tmp_path, monkeypatch, convention
):
    values = 255 - to_isbi(LABELS) if convention == "isbi" else two_cells()
    write_stack(tmp_path / "stated.tif", values, {"convention": convention})
    asked, viewer = answer_with(monkeypatch, None), dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    viewer.open(str(tmp_path / "stated.tif"), plugin="napari", layer_type="labels")
    dock.train.train.click()
    assert not asked
    expected = values == 0
    np.testing.assert_array_equal(started[0]["labels"][:] == 1, expected)


@pytest.mark.slow
def test_giving_up_the_question_about_the_convention_opens_nothing(loaded, load, tmp_path, monkeypatch):
    asked, before = answer_with(monkeypatch, None), state(loaded.workspace.viewer)
    for name, values in (("two.tif", LABELS - 1), ("cells.tif", INSTANCES)):
        load("Open labels...", write(tmp_path / name, values))
        assert_complaint(loaded.load, name)
    assert len(asked) == 2
    assert_kept(loaded.workspace.viewer, before)


def test_labels_layers_of_other_conventions_train_as_what_they_are_and_stay(dock, started, monkeypatch):
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    asked = answer_with(monkeypatch, None)
    isbi = viewer.add_labels(to_isbi(LABELS), name="isbi")
    dock.train.train.click()
    np.testing.assert_array_equal(started[0]["labels"], LABELS)
    instances = viewer.add_labels(INSTANCES.copy(), name="mine")
    dock.workspace.choose("labels", instances)
    before = state(viewer)
    for button, step in ((dock.train.train, dock.train), (dock.correct.tools[0], dock.correct)):
        button.click()
        settle(step)
        assert "mine holds values outside the label convention" in asked.pop()
        assert_complaint(step, "mine", "convert it with the convention 'instances'")
        assert_kept(viewer, before)
    answer_with(monkeypatch, "instances")
    dock.train.train.click()
    assert len(started) == 2
    assert dock.workspace.labels.name == "mine (boundary labels)"
    np.testing.assert_array_equal(started[1]["labels"], dock.workspace.labels.data)
    np.testing.assert_array_equal(instances.data, INSTANCES)
    np.testing.assert_array_equal(isbi.data, to_isbi(LABELS))


@pytest.mark.slow
def test_an_export_asks_about_the_convention_too(dock, qtbot, choose, tmp_path, monkeypatch):
    viewer = dock.workspace.viewer
    viewer.add_image(IMAGE, name="cells")
    mine = viewer.add_labels(LABELS - 1, name="mine")
    dock.export.form.widgets["which"].value = "all"
    choose(tmp_path / "out")
    answer_with(monkeypatch, None)
    dock.export.export.click()
    assert_complaint(dock.export, "mine holds only 0 and 1", "say which")
    assert not (tmp_path / "out").exists()
    answer_with(monkeypatch, "binary")
    dock.export.export.click()
    wait_for(qtbot, lambda: dock.export.status.text().startswith("Exported"))
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "labels.tif"), LABELS)
    np.testing.assert_array_equal(mine.data, LABELS - 1)
