"""One job after the other, and what comes late of the one before."""

import threading
import time

import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from emseg_napari.core.jobs import Failed
from emseg_napari.engine.client import Engine
from emseg_napari.widgets.base import engine_job
from emseg_napari.widgets.base.engine_job import EngineJob
from helpers.timing import PATIENCE_S
from helpers.window import wait_for


@pytest.fixture
def job(make_napari_viewer_proxy):
    """A job of a widget in a window."""
    widget = QWidget()
    make_napari_viewer_proxy().window.add_dock_widget(widget)
    return EngineJob(widget)


def test_a_job_runs_until_the_engine_is_free_and_its_end_does_not_end_the_next(job, qtbot, monkeypatch):
    def run(self, *_, **__):
        self._busy.acquire()
        yield Failed("over", cancelled=True)
        time.sleep(0.3)  # as a thread that has to wait for its turn
        self._busy.release()

    monkeypatch.setattr(Engine, "run", run)
    ends = []
    job.ended.connect(lambda: ends.append(job._engine.busy))
    job.start("train", "first", dict)
    wait_for(qtbot, lambda: not job.running)
    job.start("train", "second", lambda: time.sleep(1) or {})
    QTest.qWait(600)
    assert job.preparing
    assert job.running
    wait_for(qtbot, lambda: not job.running)
    assert ends == [False, False]


@pytest.mark.usefixtures("warm_engines")
def test_an_engine_that_does_nothing_ends_after_a_while_and_is_warmed_up_again(job, qtbot, monkeypatch):
    job.warm_up("predict")
    first = job.process_id
    assert first is not None
    job._idle.setInterval(1)
    job.warm_up("predict")
    wait_for(qtbot, lambda: job.process_id is None)
    job._idle.setInterval(100_000)
    job.warm_up("predict")
    assert job.process_id not in (None, first)
    job.start("train", "one", dict)
    assert not job._idle.isActive()
    wait_for(qtbot, lambda: not job.running)
    assert job._idle.isActive()


def test_a_cancel_that_comes_before_the_engine_begins_is_heard(job, qtbot, monkeypatch):
    begun, asked = [], threading.Event()

    def late(self, *arguments):
        asked.wait(PATIENCE_S)  # the thread comes to the engine after the cancel
        yield from real(self, *arguments)

    real = Engine._run
    monkeypatch.setattr(Engine, "_run", late)
    monkeypatch.setattr(Engine, "_start", lambda self: begun.append(self))
    told = []
    job.event.connect(told.append)
    job.start("train", "one", dict)
    wait_for(qtbot, lambda: not job.preparing)
    job.cancel()
    asked.set()
    wait_for(qtbot, lambda: not job.running)
    assert [event.cancelled for event in told] == [True]
    assert begun == []


class Bar:
    """A stand-in for napari's bar, which serves the event loop when it is made and closed."""

    n = 0

    def __init__(self, at_start=lambda: None, at_end=lambda: None):
        self._at_end = at_end
        at_start()

    def update(self, step):
        self.n += step

    def close(self):
        self._at_end()


@pytest.fixture
def bars(monkeypatch):
    """Let the next bars be these, and later ones plain."""
    given = []
    monkeypatch.setattr(engine_job, "progress", lambda **_: (given.pop(0) if given else Bar)())
    monkeypatch.setattr(Engine, "run", lambda *_, **__: iter([Failed("over", cancelled=True)]))
    return given


def test_a_job_that_starts_while_the_bar_of_another_closes_is_not_ended_with_that(job, qtbot, bars):
    running = []
    bars.append(lambda: Bar(at_end=lambda: job.start("search", "second", lambda: time.sleep(0.3) or {})))
    job.ended.connect(lambda: running.append(job.running))
    job.start("search", "first", dict)
    wait_for(qtbot, lambda: len(running) == 2)
    assert running == [False, False]


def test_a_job_counts_as_running_while_its_bar_is_made(job, qtbot, bars):
    seen = []
    bars.append(lambda: Bar(at_start=lambda: seen.append(job.running)))
    job.start("search", "first", dict)
    assert seen == [True]
    wait_for(qtbot, lambda: not job.running)


def test_a_job_that_is_cancelled_while_its_bar_is_made_does_not_start(job, bars):
    told, closed = [], []
    job.event.connect(told.append)
    bars.append(lambda: Bar(at_start=job.cancel, at_end=lambda: closed.append(True)))
    job.start("search", "first", dict)
    assert [event.cancelled for event in told] == [True]
    assert closed
    assert not job.running


def test_a_job_that_went_with_its_window_is_not_asked_for_it(job, monkeypatch):
    asked = []
    monkeypatch.setattr(engine_job, "isalive", lambda _: False)
    monkeypatch.setattr(engine_job, "main_window_of", asked.append)
    job._close_if_gone()
    assert asked == []
