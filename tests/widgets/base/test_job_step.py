"""Steps whose work the engine does: events, obstacles and ends."""

from contextlib import nullcontext

from napari.components import ViewerModel
from qtpy.QtWidgets import QPushButton

from emseg_napari.core.jobs import Event, Failed, Finished, Message, Progress, SliceLeftOut
from emseg_napari.widgets.base.job_step import JobListener, JobStep


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


def test_cancel_says_that_the_jobs_of_a_batch_system_are_being_ended(qtbot, monkeypatch):
    step = OneStep(ViewerModel())
    step.add_job_line("Going", "Stop.")
    for widget in (step, *step.job_lines):
        qtbot.addWidget(widget)
    step.bar.show_progress(Progress(0.5, None, "block 5 of 10"))
    for system, said in (("", "block 5 of 10"), ("slurm", "ending the jobs of slurm")):
        monkeypatch.setattr(type(step.job), "batch_system", system)
        step.cancel.setEnabled(True)
        step.cancel.click()
        assert step.bar.format() == said


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
        seen.append((step.left, step.go.isEnabled(), step.cancel.isEnabled(), step.hint_line.text()))
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
    assert (step.status.text(), step.is_wrong) == ("Cancelled; nothing is left.", False)
    assert step.bar.format() == ""
    step.handle_event(Failed("The disk is full."))
    assert step.status.text() == "The disk is full."
    assert step.is_wrong
