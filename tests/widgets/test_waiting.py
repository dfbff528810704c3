"""While labels are looked through, which may take minutes, the window goes on."""

import threading

import numpy as np
import pytest
from qtpy.QtTest import QTest

from emseg_napari.core.jobs import Failed
from emseg_napari.engine.client import Engine
from emseg_napari.widgets.layers.labels_layer import add_labels, confirmed_in
from emseg_napari.widgets.layers.layer_info import LayerInfo
from helpers.slow import slow_case
from helpers.timing import PATIENCE_S
from helpers.window import settle, striped, wait_for

IMAGE, LABELS = striped((6, 64, 64))


class Slow(np.ndarray):
    """Labels that no thread but the window's gets to see before the gate is opened."""

    gate = threading.Event()

    def __getitem__(self, key):
        if threading.current_thread() is not threading.main_thread():
            assert self.gate.wait(PATIENCE_S)
        return np.asarray(super().__getitem__(key))


@pytest.fixture
def gate():
    Slow.gate.clear()
    yield Slow.gate
    Slow.gate.set()


@pytest.fixture
def begun(monkeypatch):
    """The jobs that reached the engine, which does none of them."""
    jobs = []

    def run(self, job, **arguments):
        jobs.append((job, arguments))
        yield Failed("Enough.", cancelled=True)

    monkeypatch.setattr(Engine, "run", run)
    return jobs


@pytest.fixture
def slow(dock, gate, tiny_run):
    """The dock with a stack, slow labels of a person's, and a prediction."""
    viewer = dock.workspace.viewer
    image = viewer.add_image(IMAGE, name="cells")
    add_labels(viewer, LABELS.copy().view(Slow), "truth", image)
    found = np.where(LABELS == 1, 0.9, 0.1).astype(np.float32)
    viewer.add_image(found, name="found", metadata=LayerInfo(proposal_of=image.unique_id).as_metadata())
    dock.predict.set_run(tiny_run.folder)
    dock.cells.source.choose(dock.workspace.labels)
    return dock


def ways(dock):
    """What reads all labels: a button, and the job that it begins."""
    return {
        "train": (dock.train.train, dock.train.job),
        "review": (dock.evaluate.evaluate, dock.evaluate.job),
        "segment": (dock.cells.find, dock.cells.job),
        "live": (dock.correct.live.switch, dock.correct.live.job),
        "search": (dock.correct.places.search, dock.correct.places.job),
    }


@pytest.mark.parametrize(
    "name", ["train", slow_case("review"), slow_case("segment"), "live", slow_case("search")]
)
def test_a_press_returns_before_the_labels_are_read_and_strokes_stay(slow, qtbot, gate, begun, name):
    button, job = ways(slow)[name]
    layer = slow.workspace.labels
    button.click()
    QTest.qWait(150)
    assert job.preparing
    assert begun == []
    layer.data_setitem((np.array([2]), np.array([5]), np.array([6])), 1)
    gate.set()
    wait_for(qtbot, lambda: not job.running)
    assert [one for one, _ in begun] == [name]
    assert layer.data[2, 5, 6] == 1


@pytest.mark.slow
def test_cancelled_before_it_began_a_job_never_begins_and_the_next_one_does(slow, qtbot, gate, begun):
    step = slow.train
    step.train.click()
    assert not step.controls.pause.isEnabled()
    step.cancel.click()
    assert not step.job.running
    assert step.status.text() == "Cancelled; nothing was written."
    step.train.click()
    gate.set()
    wait_for(qtbot, lambda: not step.job.running)
    QTest.qWait(100)
    assert len(begun) == 1


def test_what_is_wrong_with_slow_labels_is_a_sentence(slow, qtbot, gate, begun):
    slow.workspace.labels.data[:] = 0
    slow.train.train.click()
    gate.set()
    wait_for(qtbot, lambda: not slow.train.job.running)
    assert "truth has no labels" in slow.train.status.text()
    assert begun == []


def test_labels_of_somebody_else_are_taken_over_once_and_then_painted(slow, gate):
    viewer = slow.workspace.viewer
    mine = viewer.add_labels(LABELS.astype(np.int64).view(Slow), name="mine")
    slow.workspace.choose("labels", mine)
    count = len(viewer.layers)
    for _ in range(2):
        slow.correct.tools[0].click()
        QTest.qWait(50)
        assert slow.correct.status.text() == "Checking mine..."
    assert mine.mode != "paint"
    gate.set()
    settle(slow.correct)
    assert mine.mode == "paint"
    assert len(viewer.layers) == count


def test_all_that_was_pressed_while_labels_are_taken_over_is_done_in_that_order(slow, gate):
    mine = slow.workspace.viewer.add_labels(LABELS.astype(np.int64).view(Slow), name="mine")
    slow.workspace.choose("labels", mine)
    slow.correct.tools[0].click()
    slow.correct.confirm.click()
    gate.set()
    settle(slow.correct)
    assert mine.mode == "paint"
    assert confirmed_in(mine) == {slow.correct.slice_of(mine)}


@pytest.mark.slow
def test_an_export_says_what_it_does_and_the_window_goes_on(slow, gate, tmp_path):
    slow.export.form.widgets["which"].value = "all"
    slow.export.export_to(tmp_path / "out")
    QTest.qWait(50)
    assert slow.export.status.text() == "Exporting..."
    gate.set()
    settle(slow.export)
    assert slow.export.status.text().startswith("Exported 6 slices")
