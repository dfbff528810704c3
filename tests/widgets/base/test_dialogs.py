"""Questions: what is offered, and what each answer means."""

from pathlib import Path

import pytest
from qtpy.QtWidgets import QFileDialog, QInputDialog, QLineEdit

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import AmbiguousLabels, UnknownLabels
from emseg_napari.io.datasets import SeveralVolumes
from emseg_napari.widgets.base.dialogs import (
    FolderDialog,
    ask_convention,
    ask_dataset,
    ask_new_file,
    ask_new_folder,
    is_sure,
)
from helpers.window import answer_with, wait_for


def test_only_readings_that_fit_are_offered(qapp, monkeypatch):
    asked = answer_with(monkeypatch, "napari")
    two = AmbiguousLabels("Labels may be either.", ("binary", "napari"))
    assert ask_convention(None, two) == "napari"
    assert asked == [str(two)]
    unknown = UnknownLabels("Labels are unknown.")
    assert ask_convention(None, unknown) is None
    assert ask_convention(None, UserError("No labels.")) is None
    assert len(asked) == 1
    answer_with(monkeypatch, None)
    assert ask_convention(None, two) is None


@pytest.mark.parametrize(("chosen", "answer"), [(True, "b"), (False, None)])
def test_of_several_datasets_one_is_asked_for(qapp, monkeypatch, chosen, answer):
    asked = []

    def ask(parent, title, question, names, *_):
        asked.append((question, names))
        return "b", chosen

    monkeypatch.setattr(QInputDialog, "getItem", ask)
    several = SeveralVolumes("a.h5 holds two volumes; name one", ("a", "b"))
    assert ask_dataset(None, several) == answer
    assert asked == [("a.h5 holds two volumes. Which one is meant?", ["a", "b"])]


@pytest.mark.parametrize(("button", "sure"), [("Discard", True), (None, False)])
def test_what_cannot_be_undone_is_done_only_with_its_own_button(qapp, monkeypatch, button, sure):
    asked = answer_with(monkeypatch, button)
    assert is_sure(None, "It is lost then.", "Discard") is sure
    assert asked == ["It is lost then."]


@pytest.mark.parametrize(
    ("typed", "path"),
    [("", None), ("a/report", "a/report.html"), ("v1.2", "v1.2.html"), ("b.HTML", "b.HTML")],
)
def test_a_name_without_the_suffix_of_its_kind_gets_it(qtbot, monkeypatch, typed, path):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (typed, ""))
    found = ask_new_file(None, "Save", Path("report.html"), "Web page (*.html)")
    assert found == (path and Path(path))


@pytest.mark.parametrize(("answer", "is_written"), [("Replace", True), (None, False)])
def test_a_file_that_the_dialog_has_not_seen_is_replaced_only_if_the_user_says_so(
    monkeypatch, tmp_path, qtbot, answer, is_written
):
    (tmp_path / "report.html").touch()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "report"), ""))
    asked = answer_with(monkeypatch, answer)
    assert (ask_new_file(None, "Save", Path("report.html"), "(*.html)") is not None) == is_written
    assert "is there already" in asked[0]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_that_was_written_before_is_offered_beside_itself_and_taken_not_entered(
    qtbot, tmp_path, is_there
):
    if is_there:
        (tmp_path / "labels").mkdir()
    dialog = FolderDialog(None, "Export", tmp_path / "labels", "All files (*)")
    qtbot.addWidget(dialog)
    dialog.show()
    assert Path(dialog.directory().absolutePath()) == tmp_path
    assert dialog.findChild(QLineEdit).text() == "labels"
    dialog.accept()
    assert dialog.result() == QFileDialog.DialogCode.Accepted
    assert [Path(path) for path in dialog.selectedFiles()] == [tmp_path / "labels"]


def test_another_folder_that_is_there_is_entered(qtbot, tmp_path):
    (tmp_path / "other").mkdir()
    dialog = FolderDialog(None, "Export", tmp_path / "labels", "All files (*)")
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.findChild(QLineEdit).setText("other")
    dialog.accept()
    assert dialog.isVisible()
    assert Path(dialog.directory().absolutePath()) == tmp_path / "other"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("y.emseg", "session.json"),
        ("y.emseg", None),
        ("renamed", "session.json"),
        ("y.zarr", "zarr.json"),
        ("y.n5", None),
        ("volume", ".zgroup"),
        ("exported", "export.json"),
    ],
)
def test_another_output_that_is_there_is_taken_not_entered_so_that_nothing_is_written_inside_of_it(
    qtbot, tmp_path, name, file
):
    (tmp_path / name).mkdir()
    (tmp_path / "x.emseg").mkdir()
    if file is not None:
        (tmp_path / name / file).touch()
    dialog = FolderDialog(None, "Save", tmp_path / "x.emseg", "All files (*)")
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.activateWindow()
    line = dialog.findChild(QLineEdit)
    line.setFocus()
    wait_for(qtbot, line.hasFocus)  # else Qt goes on to select the offered one, too
    line.selectAll()
    qtbot.keyClicks(line, name)
    dialog.accept()
    assert dialog.result() == QFileDialog.DialogCode.Accepted
    assert [Path(path) for path in dialog.selectedFiles()] == [tmp_path / name]


@pytest.mark.parametrize(("answer", "path"), [(1, "labels"), (0, None)])
def test_a_folder_is_only_taken_from_a_dialog_that_was_not_cancelled(
    qtbot, tmp_path, monkeypatch, answer, path
):
    for name in ("exec", "exec_"):
        if hasattr(FolderDialog, name):
            monkeypatch.setattr(FolderDialog, name, lambda _: answer)
    assert ask_new_folder(None, "Export", tmp_path / "labels") == (path and tmp_path / path)
