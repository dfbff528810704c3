import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from emseg_napari.core.blockwise import Scheduler
from emseg_napari.core.jobs import (
    EpochEnded,
    Event,
    Failed,
    Finished,
    Message,
    PreviewReady,
    Progress,
    SlicePredicted,
)
from emseg_napari.core.mailbox import Mailbox
from emseg_napari.engine import client
from emseg_napari.engine.client import Engine
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import CellSettings, LiveSettings, PredictionSettings, TrainingSettings
from helpers.timing import PATIENCE_S, within
from helpers.tiny_runs import tiny_network_run

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
LONG = {"epochs": 1000, "steps_per_epoch": 20}


def training(tiny_stack, folder: Path, resume: bool = False, **changes) -> dict:
    image, labels = tiny_stack
    small = {"epochs": 2, "steps_per_epoch": 2, "patch_px": 32, "batch_size": 2}
    settings = TrainingSettings.recipe(**(small | changes))
    return {"image": image, "labels": labels, "settings": settings, "folder": folder, "resume": resume}


def until(events: Iterator[Event], kind: type) -> Event:
    for event in events:
        if isinstance(event, kind):
            return event
    pytest.fail(f"the job ended without {kind.__name__}")


def alive(process_id: int) -> bool:
    """Say whether a process runs (a zombie that nobody has fetched does not)."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before or after the file was opened
        return False


def wait_until_gone(process_id: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while alive(process_id) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(process_id)


@pytest.fixture
def fake_engine(tmp_path, monkeypatch):
    """Make engines whose process runs other code than ours: ``fake_engine(code)``."""
    engines = []

    def make(code: str) -> Engine:
        path = tmp_path / "fake_engine.py"
        path.write_text(f"{IMPORTS}{code}\n")
        (tmp_path / "listen").unlink(missing_ok=True)
        real = subprocess.Popen

        def popen(command, **options):
            return real([sys.executable, str(path)], **options)

        monkeypatch.setattr(client.subprocess, "Popen", popen)
        engines.append(Engine())
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


IMPORTS = """
import sys, time
from pathlib import Path
from emseg_napari.engine.server import *
from emseg_napari.core.jobs import Message
"""
FAILING = "send(os.fdopen(os.dup(1), 'wb'), Failed('at work'))\n"
DEAF = "send(os.fdopen(os.dup(1), 'wb'), Message('at work'))\nwhile True: pass\n"


# Jobs


def test_training_tells_its_story_in_order_and_ends_with_its_run(engine, tiny_events):
    events = tiny_events
    kinds = [type(event) for event in events]
    assert kinds[:3] == [Message, Message, Progress]
    assert [e.epoch for e in events if isinstance(e, EpochEnded)] == [1, 2]
    assert kinds.count(Finished) == 1
    run = events[-1].result
    assert isinstance(run, Run)
    assert run.record.finished
    assert open_run(run.folder).history == run.history
    assert not engine.busy


def test_process_stays_warm_for_the_next_job(engine, tiny_stack, tiny_run):
    first = list(engine.run("predict", image=tiny_stack[0], run=tiny_run.folder))
    process_id = engine.process_id
    second = list(engine.run("predict", image=tiny_stack[0], run=tiny_run.folder))
    assert isinstance(first[-1], Finished)
    assert isinstance(second[-1], Finished)
    assert engine.process_id == process_id is not None


def test_process_stays_warm_when_one_leaves_at_the_last_event(engine, tiny_stack, tiny_run):
    for event in engine.run("predict", image=tiny_stack[0], run=tiny_run.folder):
        process_id = engine.process_id
        if isinstance(event, Finished):
            break
    del event
    assert engine.process_id == process_id is not None


def test_prediction_comes_slice_by_slice_and_is_that_of_the_library(engine, tiny_stack, tiny_run):
    from emseg_napari.inference import predict

    events = list(engine.run("predict", image=tiny_stack[0], run=tiny_run.folder))
    slices = [event for event in events if isinstance(event, SlicePredicted)]
    assert [event.z for event in slices] == list(range(len(tiny_stack[0])))
    expected = predict(tiny_stack[0], tiny_run)
    np.testing.assert_allclose(np.stack([e.probability for e in slices]), expected, atol=1e-6)


def test_an_image_unlike_what_the_run_has_seen_is_reported_unless_the_window_has_said_it(engine, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1, 200, 200), np.uint8)
    work = {"image": noise, "run": tiny_network_run(tmp_path / "run").folder}
    for shown, expected in ((False, ["This image looks unlike what the network has seen."]), (True, [])):
        events = list(engine.run("predict", **work, near=0 if shown else None))
        said = [event.text for event in events if isinstance(event, Message)]
        assert [text.split(" Label")[0] for text in said] == expected
        assert isinstance(events[-1], Finished)


def test_cells_are_counted_by_slice_only_where_that_is_asked_for(engine):
    job = {"probability": np.zeros((2, 9, 9), np.float32), "settings": CellSettings()}
    *_, plain = engine.run("segment", **job)
    *_, counted = engine.run("segment", **job, first_slice=3, by_slice=True)
    cells, slices = counted.result
    assert np.array_equal(plain.result, cells)
    assert list(slices) == [3, 4]


def test_user_s_mistake_comes_as_its_sentence(engine, tiny_stack, tmp_path):
    events = list(engine.run("predict", image=tiny_stack[0], run=tmp_path))
    assert [type(event) for event in events] == [Failed]
    assert "is not a run folder" in events[0].text
    assert not events[0].cancelled
    assert not events[0].details


def test_unforeseen_error_comes_with_its_traceback(engine):
    events = list(engine.run("predict", wrong=1))
    assert events[-1].text.startswith("The predict job failed: TypeError")
    assert "Traceback" in events[-1].details
    assert engine.process_id is not None


def test_preview_follows_the_slice_in_view(engine, tiny_stack, tmp_path):
    engine.steer(z=3)  # before the job: the user looked at this slice when it began
    events = engine.run("train", **training(tiny_stack, tmp_path / "run", **LONG))
    assert until(events, PreviewReady).z == 3
    engine.steer(z=1)
    seen = [until(events, PreviewReady).z for _ in range(3)]
    assert seen[-1] == 1
    engine.steer(z=None)
    engine.cancel()
    assert until(events, Failed).cancelled


# Live mode


@pytest.mark.slow
def test_what_is_taught_in_the_middle_of_a_live_job_is_learned_and_kept(
    engine, tiny_stack, tiny_run, tmp_path
):
    image, labels = tiny_stack
    settings = LiveSettings(start=str(tiny_run.folder), on_battery=True)
    job = {"image": image, "labels": 0 * labels, "settings": settings, "folder": tmp_path / "live"}
    engine.steer(z=2)
    events = engine.run("live", **job)
    first = until(events, PreviewReady)
    assert (first.epoch, first.z) == (0, 2)
    engine.update_labels(2, labels[2])
    while (later := until(events, PreviewReady)).epoch == 0:
        pass
    while np.array_equal(later.probability, first.probability):
        later = until(events, PreviewReady)
    engine.steer(enough=True)
    run = until(events, Finished).result
    assert open_run(run.folder).record.trained_slices == [2]
    assert next(events, None) is None
    predicted = list(engine.run("predict", image=image, run=run.folder))
    assert isinstance(predicted[-1], Finished)


DEAF_S = 20  # at most
ECHO = f"""
end = time.monotonic() + {DEAF_S}
events = os.fdopen(os.dup(1), 'wb')
commands = os.fdopen(os.dup(0), 'rb')
send(events, Message('at work'))
while time.monotonic() < end and not Path(__file__).with_name('listen').exists():
    time.sleep(0.01)
while True:
    command = receive(commands)
    if isinstance(command, LabelUpdate):
        send(events, Message(f'{{command.z}}: {{command.labels[0, 0]}}'))
    elif isinstance(command, JobControl):
        send(events, Message(f'wishes: {{command.z}}'))
        if command.enough:
            send(events, Finished())
"""


def test_teaching_a_busy_engine_never_waits_and_never_loses_the_newest(fake_engine, tmp_path):
    engine = fake_engine(ECHO)
    events = engine.run("live")
    next(events)  # and now it is deaf
    labels = np.zeros((1000, 1000), np.uint8)  # more than fits into a pipe
    for number in range(1, 51):
        labels[:] = number
        began = time.monotonic()
        engine.update_labels(number % 2, labels)
        engine.steer(z=number)
        assert time.monotonic() - began < within(0.1)
    labels[:] = 255  # it keeps a copy, and the user paints on
    (tmp_path / "listen").touch()
    said = []
    while {"0: 50", "1: 49", "wishes: 50"} - set(said):
        said.append(next(events).text)
    assert len(said) < 20
    engine.steer(enough=True)
    until(events, Finished)


def test_what_is_taught_before_the_engine_runs_goes_to_the_job_that_is_about_to_start(fake_engine, tmp_path):
    engine = fake_engine(ECHO)
    (tmp_path / "listen").touch()
    engine.update_labels(4, np.full((2, 2), 1))
    events = engine.run("live")
    said = []
    while "4: 1" not in said:
        said.append(next(events).text)
    engine.steer(enough=True)
    until(events, Finished)


def test_what_one_job_was_not_told_any_more_is_not_told_to_the_next(fake_engine, tmp_path):
    engine = fake_engine(ECHO)
    events = engine.run("live")
    next(events)
    engine.update_labels(0, np.full((1000, 1000), 1))
    engine.update_labels(1, np.full((1000, 1000), 1))
    engine.cancel()  # deaf, so its process ends
    assert until(events, Failed).cancelled
    assert next(events, None) is None
    (tmp_path / "listen").touch()
    events = engine.run("live")
    next(events)
    engine.steer(enough=True)
    told = [event for event in events if isinstance(event, Message)]
    assert all(event.text.startswith("wishes") for event in told)


class Turn:
    """A lock that is given when the test says so."""

    def __init__(self) -> None:
        self.asked, self.given = threading.Event(), threading.Event()

    def __enter__(self) -> None:
        self.asked.set()
        self.given.wait(PATIENCE_S)

    def __exit__(self, *_: object) -> None:
        pass


def test_labels_that_wait_for_their_turn_when_their_job_ends_do_not_reach_the_next(monkeypatch):
    engine, turn, sent = Engine(), Turn(), []
    monkeypatch.setattr(client, "send", lambda stream, message: sent.append(message))
    monkeypatch.setattr(engine, "_process", SimpleNamespace(stdin=sys.stdin))
    monkeypatch.setattr(engine, "_sending", turn)
    engine.update_labels(0, np.zeros((2, 2)))
    sender = threading.Thread(target=engine._send_posted, args=(engine._outbox,))
    sender.start()
    assert turn.asked.wait(PATIENCE_S)
    engine._outbox = Mailbox()  # as at the end of each job
    turn.given.set()
    sender.join()
    assert sent == []


def test_a_mailbox_keeps_the_newest_of_each_kind_and_wakes_who_waits():
    box = Mailbox()
    assert box.take_all(0.01) == []
    for message in (1, 2, 3):
        box.post("odd" if message % 2 else "even", message)
    assert sorted(box.take_all()) == [2, 3]
    threading.Timer(0.1, box.post, ("odd", 5)).start()
    began = time.monotonic()
    assert box.take_all(PATIENCE_S) == [5]
    assert time.monotonic() - began < PATIENCE_S / 2


def test_a_job_that_is_cancelled_before_it_begins_starts_no_process_and_the_next_one_runs(
    own_engine, tmp_path
):
    events = own_engine.run("predict", image=None, run=tmp_path)
    own_engine.cancel()
    assert [event.cancelled for event in events] == [True]
    assert own_engine.process_id is None
    (failed,) = own_engine.run("predict", image=np.zeros((1, 16, 16), np.uint8), run=tmp_path)
    assert not failed.cancelled


def test_busy_engine_refuses_a_second_job(engine, tiny_stack, tiny_run):
    job = {"image": tiny_stack[0], "run": tiny_run.folder}
    first = engine.run("predict", **job)
    next(first)
    assert engine.busy
    (refusal,) = engine.run("predict", **job)
    assert "busy with another job" in refusal.text
    assert isinstance(list(first)[-1], Finished)
    assert isinstance(list(engine.run("predict", **job))[-1], Finished)


# Cancel


@pytest.mark.slow
def test_polite_cancel_ends_within_a_second_and_keeps_the_process(engine, tiny_stack, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "CANCEL_SECONDS", within(client.CANCEL_SECONDS))
    events = engine.run("train", **training(tiny_stack, tmp_path / "run", **LONG))
    until(events, EpochEnded)
    process_id, began = engine.process_id, time.monotonic()
    engine.cancel()
    failed = until(events, Failed)
    assert time.monotonic() - began < within(1)
    assert failed.cancelled
    assert next(events, None) is None
    time.sleep(client.CANCEL_SECONDS)  # the deadline must not hit the next job
    assert engine.process_id == process_id is not None
    assert open_run(tmp_path / "run").history


def test_deaf_engine_is_ended_within_a_second(fake_engine):
    engine = fake_engine(DEAF)
    events = engine.run("train")
    next(events)
    process_id, began = engine.process_id, time.monotonic()
    engine.cancel()
    failed = until(events, Failed)
    assert time.monotonic() - began < within(1)
    assert failed.cancelled
    assert not alive(process_id)


def test_cancel_while_a_large_stack_goes_out_neither_waits_nor_is_lost(fake_engine):
    engine = fake_engine("time.sleep(60)")  # never reads: the pipe is full at once
    failures: list[Event] = []
    large = np.zeros(10_000_000, np.uint8)
    thread = threading.Thread(target=lambda: failures.extend(engine.run("train", image=large)))
    thread.start()
    while engine.process_id is None:
        time.sleep(0.01)
    time.sleep(0.3)
    began = time.monotonic()
    engine.steer(z=3)
    assert time.monotonic() - began < within(0.1)
    engine.cancel()
    thread.join(PATIENCE_S)
    assert time.monotonic() - began < within(1.2)
    assert [event.cancelled for event in failures] == [True]


SLOW_TO_END = """
events, commands = os.fdopen(os.dup(1), 'wb'), os.fdopen(os.dup(0), 'rb')
send(events, Message('at work'))
while not isinstance(receive(commands), Stop):
    pass
time.sleep(1.5)
send(events, Failed('Cancelled.', cancelled=True))
time.sleep(60)
"""


def test_cancel_lets_a_job_end_those_of_its_batch_system(fake_engine):
    engine = fake_engine(SLOW_TO_END)
    events = engine.run("predict_volume", scheduler=Scheduler("slurm", 1))
    next(events)
    assert engine.batch_system == "slurm"
    engine.cancel()
    assert until(events, Failed).cancelled
    assert engine.process_id is not None  # it was not ended in the middle
    assert next(events, None) is None
    assert engine.batch_system == ""


@pytest.mark.parametrize("scheduler", [None, Scheduler(), Scheduler("local", 2)])
def test_cancel_ends_other_jobs_at_once(fake_engine, scheduler):
    engine = fake_engine(SLOW_TO_END)
    events = engine.run("predict_volume", scheduler=scheduler)
    next(events)
    engine.cancel()
    assert until(events, Failed).cancelled
    assert engine.process_id is None


def test_cancel_before_the_process_has_started_is_not_lost(fake_engine, monkeypatch):
    engine = fake_engine(DEAF)
    real = engine._start

    def cancelled_start():
        engine.cancel()
        real()

    monkeypatch.setattr(engine, "_start", cancelled_start)
    began = time.monotonic()
    assert until(engine.run("train"), Failed).cancelled
    assert time.monotonic() - began < within(1.5)


def test_cancel_without_a_job_does_nothing(engine):
    process_id = engine.process_id
    engine.cancel()
    assert engine.process_id == process_id


def test_leaving_a_job_in_the_middle_ends_its_process_and_the_next_job_starts_another(
    fake_engine, monkeypatch, tiny_stack, tiny_run
):
    engine = fake_engine(DEAF)
    events = engine.run("train")
    next(events)
    process_id = engine.process_id
    events.close()
    assert not alive(process_id)
    assert not engine.busy
    monkeypatch.undo()
    done = list(engine.run("predict", image=tiny_stack[0], run=tiny_run.folder))
    assert isinstance(done[-1], Finished)


def test_closing_the_engine_under_a_running_job_ends_it_as_cancelled(fake_engine):
    engine = fake_engine(DEAF)
    events = engine.run("train")
    next(events)
    threading.Timer(0.2, engine.close).start()
    failed = next(events)
    assert failed.cancelled
    assert engine.process_id is None


HEARING = """
def deaf_but_watched(context):
    context.report(Message('at work'))
    threading.Thread(target=watch, args=(context.should_stop,), daemon=True).start()
    while True: time.sleep(0.1)
def watch(should_stop):
    while not should_stop(): time.sleep(0.01)
    Path(__file__).with_name('heard').touch()
    os._exit(0)
from emseg_napari.engine import server
server.LAST_SECONDS = 60
server._JOBS['predict'] = deaf_but_watched
main()
"""


@pytest.mark.parametrize(
    "leave",
    [
        lambda engine, events: engine.close(),
        lambda engine, events: events.close(),
        lambda engine, events: engine._process.stdin.close(),  # as when the window's process dies
    ],
    ids=["closed", "left", "window gone"],
)
def test_a_job_hears_that_its_user_ends_it(fake_engine, monkeypatch, tmp_path, leave):
    """Else a measurement would count it against what it tries."""
    monkeypatch.setattr(client, "LAST_SECONDS", 60)
    engine = fake_engine(HEARING)
    events = engine.run("predict")
    assert isinstance(next(events), Message)
    process_id = engine.process_id
    leave(engine, events)
    assert wait_until_gone(process_id, PATIENCE_S)
    assert (tmp_path / "heard").exists()


def test_an_engine_that_takes_nothing_in_is_closed_all_the_same(fake_engine):
    engine = fake_engine("time.sleep(600)")  # the pipe is full at once
    failures: list[Event] = []
    large = np.zeros(10_000_000, np.uint8)
    thread = threading.Thread(target=lambda: failures.extend(engine.run("train", image=large)))
    thread.start()
    while engine.process_id is None:
        time.sleep(0.01)
    time.sleep(0.3)
    engine.close()
    thread.join(PATIENCE_S)
    assert [event.cancelled for event in failures] == [True]


# Deaths


@pytest.mark.slow
@linux
def test_killed_engine_fails_with_a_sentence_and_its_training_goes_on_afterwards(
    engine, tiny_stack, tmp_path
):
    arguments = training(tiny_stack, tmp_path / "run", epochs=8, steps_per_epoch=20)
    events = engine.run("train", **arguments)
    until(events, EpochEnded)
    began = time.monotonic()
    os.kill(engine.process_id, signal.SIGKILL)
    failed = until(events, Failed)
    assert time.monotonic() - began < within(2)
    assert "ended unexpectedly (exit code -9)" in failed.text
    assert "can be resumed from its last checkpoint" in failed.text
    assert not failed.cancelled
    assert next(events, None) is None

    resumed = list(engine.run("train", **(arguments | {"resume": True})))[-1].result
    assert [(row.epoch, row.step) for row in resumed.history] == [(n, 20 * n) for n in range(1, 9)]


def test_engine_that_cannot_start_says_so_once(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with Engine() as engine:
        (failed,) = engine.run("predict")
        assert "could not be started" in failed.text
        assert not engine.busy


def test_last_words_of_a_dying_engine_are_in_the_details(fake_engine):
    engine = fake_engine("sys.exit('out of luck')")
    (failed,) = engine.run("train")
    assert "exit code 1" in failed.text
    assert "out of luck" in failed.details


def test_engine_that_died_between_two_jobs_is_replaced(fake_engine, monkeypatch):
    engine = fake_engine(FAILING)
    first = list(engine.run("train"))
    assert [event.text for event in first] == ["at work"]
    while engine.process_id is not None:
        time.sleep(0.02)
    assert [event.text for event in engine.run("train")] == ["at work"]


def test_request_that_cannot_be_read_ends_the_process_instead_of_hanging(fake_engine):
    engine = fake_engine(
        "import emseg_napari.engine.server as e\n"
        "def full(stream): raise MemoryError('no room')\n"
        "e.receive = full\n"
        "e.main()"
    )
    (failed,) = engine.run("train")
    assert "for lack of memory" in failed.text
    assert "MemoryError: no room" in failed.details


@linux
def test_engine_ends_with_the_process_that_started_it(tiny_stack, tmp_path):
    image, labels = tmp_path / "image.npy", tmp_path / "labels.npy"
    np.save(image, tiny_stack[0])
    np.save(labels, tiny_stack[1])
    code = (
        "import sys, numpy as np\n"
        "from emseg_napari.engine.client import Engine\n"
        "from emseg_napari.settings import TrainingSettings\n"
        "image, labels, folder = sys.argv[1:]\n"
        "settings = TrainingSettings.recipe(epochs=1000, steps_per_epoch=20, patch_px=32)\n"
        "engine = Engine()\n"
        "arguments = dict(image=np.load(image), labels=np.load(labels), settings=settings, folder=folder)\n"
        "for event in engine.run('train', **arguments):\n"
        "    print(type(event).__name__, engine.process_id, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(image), str(labels), str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = next(int(line.split()[1]) for line in parent.stdout if line.startswith("EpochEnded"))
        assert alive(child)
        parent.kill()
        assert wait_until_gone(child, within(3))


# The process


def test_noise_on_stdout_does_not_reach_the_window(fake_engine):
    engine = fake_engine(
        "import emseg_napari.inference as p\n"
        "def loud(*_, **__):\n"
        "    print('noise', flush=True)\n"
        "    os.system('echo more noise')\n"
        "    os.write(1, b'raw noise')\n"
        "p.predict = loud\n"
        "main()"
    )
    events = list(engine.run("predict", image=None, run=None, settings=None, near=0))
    assert [type(event) for event in events] == [Finished]
    assert {"noise", "more noise", "raw noise"} <= set(engine._end().decode().splitlines())


def test_modules_in_the_working_folder_are_not_python_s(
    own_engine, tiny_stack, tiny_run, tmp_path, monkeypatch
):
    for name in ("random.py", "queue.py", "onnxruntime.py"):
        (tmp_path / name).write_text("raise SystemExit('not me')")
    monkeypatch.chdir(tmp_path)
    events = list(own_engine.run("predict", image=tiny_stack[0], run=tiny_run.folder))
    assert isinstance(events[-1], Finished)


@linux
def test_prediction_needs_no_tensorflow(own_engine, tiny_stack, tiny_run):
    settings = PredictionSettings(orientations=1)
    list(own_engine.run("predict", image=tiny_stack[0], run=tiny_run.folder, settings=settings))
    loaded = Path(f"/proc/{own_engine.process_id}/maps").read_text()
    assert "onnxruntime" in loaded
    assert "libtensorflow" not in loaded
    assert "keras" not in loaded


@linux
def test_window_comes_before_the_engine(engine):
    list(engine.run("predict", wrong=1))
    assert os.getpriority(os.PRIO_PROCESS, engine.process_id) > os.getpriority(os.PRIO_PROCESS, 0)


def test_closed_engine_is_gone(own_engine, tmp_path):
    list(own_engine.run("predict", wrong=1))
    process_id = own_engine.process_id
    own_engine.close()
    assert own_engine.process_id is None
    assert not alive(process_id)
    own_engine.close()


@pytest.mark.usefixtures("warm_engines")
def test_an_engine_that_was_warmed_up_does_the_next_job_as_any_other(tiny_stack, tmp_path):
    with Engine() as engine:
        engine.warm_up("train")
        process = engine.process_id
        assert process is not None
        engine.warm_up("train")
        *_, last = engine.run("train", **training(tiny_stack, tmp_path / "run"))
        assert isinstance(last, Finished), last
        assert engine.process_id == process


@pytest.mark.usefixtures("warm_engines")
def test_an_engine_that_was_warmed_up_for_predictions_predicts_and_never_imports_keras(tiny_stack):
    with Engine() as engine:
        engine.warm_up("predict")
        process = engine.process_id
        *_, last = engine.run("predict", image=tiny_stack[0], run="starter", near=1)
        assert (type(last), engine.process_id) == (Finished, process)


@pytest.mark.usefixtures("warm_engines")
def test_a_job_that_runs_is_not_disturbed_by_a_warm_up(tiny_stack, tmp_path):
    with Engine() as engine:
        events = engine.run("train", **training(tiny_stack, tmp_path / "run"))
        until(events, Message)
        engine.warm_up("train")
        *_, last = events
        assert isinstance(last, Finished), last


@pytest.mark.usefixtures("warm_engines")
def test_a_warm_up_that_cannot_start_is_tried_once_and_says_nothing(monkeypatch):
    tried = []

    def refused(*_, **__):
        tried.append(True)
        raise OSError("no space left")

    monkeypatch.setattr(client.subprocess, "Popen", refused)
    with Engine() as engine:
        engine.warm_up("train")
        engine.warm_up("train")
        assert len(tried) == 1
        *_, last = engine.run("segment")
        assert "could not be started" in last.text
