"""Small parts of the window: a progress bar, remembered settings, questions, keys and the events of a job."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QInputDialog, QPushButton, QWidget

from emseg_napari.core.jobs import Event, Failed, Finished, Message, Progress, SliceLeftOut, UserError
from emseg_napari.core.labels import AmbiguousLabels, UnknownLabels
from emseg_napari.io.datasets import SeveralVolumes
from emseg_napari.widgets.base import preferences
from emseg_napari.widgets.base.dialogs import ask_convention, ask_dataset, is_sure
from emseg_napari.widgets.base.job_step import JobListener, JobStep
from emseg_napari.widgets.base.keys import bind
from emseg_napari.widgets.base.layer_picker import PredictionPicker, TruthPicker
from emseg_napari.widgets.base.progress_bar import JobBar
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.layers.layer_info import LayerInfo, update_info
from helpers.window import answer_with, striped

IMAGE, LABELS = striped((2, 16, 16))


# -- progress and settings ------------------------------------------------------------------


def test_a_bar_says_how_far_a_job_is_and_how_long_it_takes(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    assert bar.format() == ""
    seen = []
    for event in (Progress(0.1234, None, "step 5"), Progress(1.0, 65, "step 9")):
        bar.show_progress(event)
        seen.append((bar.value() / bar.maximum(), bar.format()))
    assert seen == [(0.123, "step 5"), (1.0, "step 9, 1 min 05 s left")]


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


# -- questions ------------------------------------------------------------------------------


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


# -- keys -----------------------------------------------------------------------------------


def test_a_key_is_of_the_last_who_asked_and_then_again_of_the_one_before(qtbot):
    viewer, pressed = ViewerModel(), []
    viewer.bind_key("C", lambda _: pressed.append("user"))
    first, second = QWidget(), QWidget()
    for owner, name in ((first, "first"), (second, "second"), (first, "first again")):
        bind(viewer, owner, {"C": lambda name=name: pressed.append(name)})

    def press():
        ((_, action),) = viewer.keymap.items()
        action(viewer)

    def end(owner):
        with qtbot.waitSignal(owner.destroyed):
            owner.deleteLater()

    press()
    end(first)
    press()
    end(second)
    press()
    assert pressed == ["first again", "second", "user"]


def test_a_key_that_somebody_else_has_taken_meanwhile_stays_theirs(qtbot):
    viewer, pressed = ViewerModel(), []
    owner = QWidget()
    bind(viewer, owner, {"C": lambda: pressed.append("plugin")})
    viewer.bind_key("C", lambda _: pressed.append("user"), overwrite=True)
    with qtbot.waitSignal(owner.destroyed):
        owner.deleteLater()
    ((_, action),) = viewer.keymap.items()
    action(viewer)
    assert pressed == ["user"]


# -- events of a job --------------------------------------------------------------------------


class Listener(JobListener):
    def __init__(self):
        self._guard, self.heard = nullcontext, []

    def __getattribute__(self, name):
        if name in ("on_progress", "on_message", "on_finished", "on_failed"):
            return lambda event: self.heard.append((name, event))
        return super().__getattribute__(name)


def test_each_event_of_a_job_is_shown_by_its_own_method_and_unknown_ones_are_left_out():
    listener = Listener()
    events = {
        "on_progress": Progress(0.5, None, "half"),
        "on_message": Message("It waits."),
        "on_finished": Finished(None),
        "on_failed": Failed("Over."),
    }
    left_out = SliceLeftOut("Slice 2 is left out.", 2)
    for event in (*events.values(), left_out, Event()):
        listener.handle_event(event)
    assert listener.heard == [*events.items(), ("on_message", left_out)]


class OneStep(JobStep):
    def __init__(self, viewer):
        super().__init__(viewer)
        self.go, self.cancel = QPushButton(), QPushButton()
        self.missing = True

    def obstacles(self):
        return [(self.job.running, "it runs"), (self.missing, "open an image")]

    def cancelled_sentence(self):
        return "Cancelled; nothing is left."

    def update_buttons(self):
        self.left = self.enable_start(self.go, "go")


def test_a_step_can_start_without_obstacles_and_be_cancelled_while_it_runs(qtbot, monkeypatch):
    step = OneStep(ViewerModel())
    for widget in (step, step.go, step.cancel):
        qtbot.addWidget(widget)
    seen = []
    for running, missing in ((False, True), (False, False), (True, True)):
        monkeypatch.setattr(type(step.job), "running", running)
        step.missing = missing
        step.on_ended()
        seen.append((step.left, step.go.isEnabled(), step.cancel.isEnabled(), step.status.text()))
    assert seen == [
        ("open an image", False, False, "To go, open an image."),
        (None, True, False, ""),
        ("it runs", False, True, ""),
    ]


def test_a_cancel_is_said_as_such_and_a_failure_as_wrong(qtbot):
    step = OneStep(ViewerModel())
    for widget in (step, step.go, step.cancel, step.bar):
        qtbot.addWidget(widget)
    step.bar.setFormat("half")
    step.handle_event(Failed("Stopped.", cancelled=True))
    assert (step.status.text(), step.status.styleSheet()) == ("Cancelled; nothing is left.", "")
    assert step.bar.format() == ""
    step.handle_event(Failed("The disk is full."))
    assert step.status.text() == "The disk is full."
    assert step.status.styleSheet()


# -- choosers -------------------------------------------------------------------------------


@pytest.fixture
def workspace(qapp):
    return Workspace(ViewerModel())


def names(picker):
    return [picker.itemText(n) for n in range(picker.count())]


def test_predictions_of_the_chosen_image_come_first(workspace, qtbot):
    viewer = workspace.viewer
    image, other = (viewer.add_image(IMAGE, name=name) for name in ("cells", "other"))
    for name, of in (("of other", other), ("probability", image)):
        viewer.add_image(IMAGE / 255, name=name, metadata=LayerInfo(proposal_of=of.unique_id).as_metadata())
    truth, second = (add_labels(viewer, LABELS.copy(), name) for name in ("truth", "second"))
    update_info(add_labels(viewer, LABELS.copy(), "proposal", image), proposal_of=image.unique_id)
    picker = PredictionPicker(workspace)
    qtbot.addWidget(picker)
    assert workspace.labels == truth
    assert names(picker) == ["probability", "proposal", "of other", "second", "truth", "other", "cells"]
    assert picker.layer.name == "probability"
    workspace.choose("image", other)
    assert names(picker)[:3] == ["of other", "probability", "proposal"]
    assert second in viewer.layers


def test_labels_of_a_person_are_true_rather_than_proposals_and_never_the_prediction(workspace, qtbot):
    viewer = workspace.viewer
    image = viewer.add_image(IMAGE, name="cells")
    update_info(add_labels(viewer, LABELS.copy(), "proposal", image), proposal_of=image.unique_id)
    add_labels(viewer, LABELS.copy(), "second")
    add_labels(viewer, LABELS.copy(), "truth")
    workspace.choose("labels", viewer.layers["truth"])
    prediction = PredictionPicker(workspace)
    truth = TruthPicker(workspace, prediction)
    for picker in (prediction, truth):
        qtbot.addWidget(picker)
    assert names(truth) == ["truth", "second", "proposal"]
    assert (prediction.layer.name, truth.layer.name) == ("proposal", "truth")
    prediction.choose(viewer.layers["truth"])
    assert truth.layer.name == "second"
