"""Import of a network file through the list of networks, with the real engine."""

import numpy as np
from qtpy.QtWidgets import QDialog, QFileDialog

from emseg_napari.exchange.answers import Answers
from emseg_napari.models.run import open_run
from emseg_napari.widgets.base import network_import
from emseg_napari.widgets.base.network_import import AnswersDialog
from emseg_napari.widgets.base.network_list import IMPORT
from helpers.packages import package, two_channels
from helpers.window import wait_for

IMAGE = np.random.default_rng(0).integers(0, 255, (64, 96)).astype(np.uint8)
STEPS = [{"id": "zero_mean_unit_variance"}]


def choose_file(dock, monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    dock.workspace.runs_folder = path.parent / "runs"
    choice = dock.predict.run_picker
    choice.activated.emit(choice.findText(IMPORT))


def test_a_package_becomes_a_run_that_is_chosen(qtbot, dock, tmp_path, monkeypatch):
    file = package(tmp_path / "net.zip", two_channels(), IMAGE, STEPS)
    choose_file(dock, monkeypatch, file)
    wait_for(qtbot, lambda: dock.workspace.run is not None)
    assert open_run(dock.workspace.run).record.imported.name == "Hand-made membranes"
    assert dock.predict.run_picker.currentText().startswith("net-imported")


def test_what_a_file_does_not_say_is_asked(qtbot, dock, tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(two_channels())
    asked = []

    def answer(dialog):
        asked.extend(dialog.fields)
        dialog.fields["channel"].setValue(1)
        dialog.fields["channel_is"].setCurrentText("interior")
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(AnswersDialog, "exec", answer)
    choose_file(dock, monkeypatch, tmp_path / "net.onnx")
    wait_for(qtbot, lambda: dock.workspace.run is not None)
    assert asked == ["normalisation", "channel", "channel_is", "activation"]
    answers = open_run(dock.workspace.run).record.imported.answers
    assert (answers["channel"], answers["channel_is"], answers["normalisation"]) == (
        "1",
        "interior",
        "standard",
    )


def test_what_only_a_trial_shows_is_asked_then(qtbot, dock, tmp_path, monkeypatch):
    file = package(tmp_path / "net.zip", two_channels(probability=False), IMAGE, STEPS)
    asked, given = [], ["none", "sigmoid"]

    def answer(dialog):
        asked.append((list(dialog.fields), dialog.about.text()))
        dialog.fields["activation"].setCurrentText(given.pop(0))
        return QDialog.DialogCode.Accepted

    monkeypatch.setattr(AnswersDialog, "exec", answer)
    choose_file(dock, monkeypatch, file)
    wait_for(qtbot, lambda: dock.workspace.run is not None)
    assert [fields for fields, _ in asked] == [["activation"]] * 2
    assert "what makes probabilities of its output" in asked[0][1]
    assert open_run(dock.workspace.run).record.imported.answers == {"activation": "sigmoid"}


def test_earlier_answers_stay_when_more_is_asked(qtbot, dock, tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(two_channels(probability=False))
    answers = [
        Answers(normalisation="standard", channel=1, channel_is="interior"),
        Answers(activation="softmax"),
    ]
    monkeypatch.setattr(network_import, "ask_answers", lambda *_: answers.pop(0))
    choose_file(dock, monkeypatch, tmp_path / "net.onnx")
    wait_for(qtbot, lambda: dock.workspace.run is not None)
    found = open_run(dock.workspace.run).record.imported.answers
    assert (found["channel"], found["activation"]) == ("1", "softmax")


def test_who_does_not_answer_imports_nothing(qtbot, dock, tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(two_channels())
    monkeypatch.setattr(network_import, "ask_answers", lambda *_: None)
    choose_file(dock, monkeypatch, tmp_path / "net.onnx")
    wait_for(qtbot, lambda: "was not imported" in dock.predict.status.text())
    assert not (tmp_path / "runs").exists()


def test_a_file_that_cannot_be_used_is_a_sentence(qtbot, dock, tmp_path, monkeypatch):
    (tmp_path / "net.pth").write_bytes(b"x")
    choose_file(dock, monkeypatch, tmp_path / "net.pth")
    wait_for(qtbot, lambda: "is a file of PyTorch" in dock.predict.status.text())
