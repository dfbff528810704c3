"""Blocks done by Dask workers: real processes, some of which are killed in the middle of their work."""

import itertools
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import tifffile

from emseg_napari.core.blockwise import Scheduler, dask_client, run_blocks, work
from emseg_napari.core.blockwise.dask_checks import versions_here
from emseg_napari.core.blockwise.dask_client import open_client
from emseg_napari.core.blockwise.dask_task import DaskTask
from emseg_napari.core.jobs import Cancelled, Event, JobContext, Message, Progress, UserError
from emseg_napari.inference import plan
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io import pyramid
from emseg_napari.io.layout import Block
from emseg_napari.io.open import open_volume
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import PredictionSettings
from helpers.block_work import Deadly, Writing, after, cubes, done, written
from helpers.counted_chunks import ReadingSlabs
from helpers.environments import other_numpy
from helpers.paths import CHECKOUT
from helpers.thread_workers import thread_workers
from helpers.timing import PATIENCE_S, settled, wait_until, within

DASK = Path(sys.executable).with_name("dask")
PROMISED_S = dask_client.SECONDS_TO_CONNECT


class Hands:
    """A scheduler and workers started by hand, each a process."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    def start_scheduler(self) -> None:
        about = self._log.with_name(f"scheduler-{len(self.processes)}.json")
        about.unlink(missing_ok=True)
        self.scheduler = self._start(
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(about))
        )
        wait_until(lambda: address_in(about))
        self.address = address_in(about)

    def start_worker(self, *path: Path) -> "subprocess.Popen[bytes]":
        """Start a worker that looks for packages in `path` first."""
        return self._start(
            "worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", path=path
        )

    def end_workers(self) -> None:
        """End the workers, and wait until the scheduler knows."""
        self._end([process for process in self.processes if process is not self.scheduler])
        with open_client(self.address) as client:
            wait_until(lambda: client.scheduler_info(n_workers=0)["n_workers"] == 0)

    def end(self) -> None:
        self._end(self.processes)

    def _end(self, processes: "list[subprocess.Popen[bytes]]") -> None:
        for process in processes:
            process.kill()
            process.wait()
        self.processes = [process for process in self.processes if process not in processes]

    def _start(self, *words: str, path: tuple[Path, ...] = ()) -> "subprocess.Popen[bytes]":
        paths = os.pathsep.join(str(folder) for folder in (*path, CHECKOUT / "tests", CHECKOUT))
        with open(self._log, "ab") as log:
            process = subprocess.Popen(
                [str(DASK), *words, "--no-dashboard"],
                env=os.environ | {"PYTHONPATH": paths},
                stdout=log,
                stderr=log,
                cwd=self._log.parent,
            )
        self.processes.append(process)
        return process


def address_in(about: Path) -> str:
    """The address of the scheduler that writes about itself there; empty as long as it has not."""
    with suppress(OSError, ValueError):
        return json.loads(about.read_text())["address"]
    return ""


@pytest.fixture(scope="module", autouse=True)
def patience() -> Iterator[None]:
    """Schedulers on a busy machine take longer to answer than users should wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask_client, "SECONDS_TO_CONNECT", PATIENCE_S)
        yield


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hands]:
    """A scheduler with two workers, which the tests leave as they are."""
    hands = Hands(tmp_path_factory.mktemp("hands") / "log")
    hands.start_worker()
    hands.start_worker()
    yield hands
    hands.end()


@pytest.fixture(scope="module")
def lone_scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hands]:
    hands = Hands(tmp_path_factory.mktemp("lone") / "log")
    yield hands
    hands.end()


@pytest.fixture
def own_hands(lone_scheduler: Hands) -> Iterator[Hands]:
    """A scheduler and nobody yet, for a test that starts and ends workers."""
    yield lone_scheduler
    lone_scheduler.end_workers()


@pytest.fixture
def mortal_hands(tmp_path: Path) -> Iterator[Hands]:
    """A scheduler of the test's own, which it may end."""
    hands = Hands(tmp_path / "log")
    yield hands
    hands.end()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


def wait_for_workers(address: str, count: int) -> None:
    with open_client(address) as client:
        client.wait_for_workers(count, timeout=PATIENCE_S)


def test_workers_predict_what_one_process_predicts(hands, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_CHUNK_PX", 32)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)
    monkeypatch.setattr(pyramid, "_FEW", 1)
    image = np.random.default_rng(0).integers(0, 255, (2, 140, 96), np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", image, photometric="minisblack")
    settings = PredictionSettings(orientations=1, close_gaps=False)
    for name, scheduler in (("here", Scheduler()), ("there", Scheduler(hands.address))):
        (tmp_path / name).mkdir()
        task = VolumeTask(tmp_path / name / "out.zarr", settings, scheduler=scheduler)
        assert predict_volume(open_volume(tmp_path / "image.tif"), STARTER, task).done == 12
    here, there = contents(tmp_path / "here"), contents(tmp_path / "there")
    assert here == there
    assert sum("/c/" in name for name in here) == 2 * (6 + 2 + 1 + 1)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_block_that_fails_on_a_worker_costs_itself_only(hands, output):
    events: list[Event] = []
    troubles = [(1, "read", UserError("Chunk (1, 0, 0) is damaged.")), (2, "compute", ZeroDivisionError())]
    failures = run_blocks(
        Writing(output, troubles=troubles),
        cubes(5),
        Scheduler(hands.address),
        context=JobContext(report=events.append),
    )
    assert sorted(failure.index[0] for failure in failures) == [1, 2]
    texts = {failure.index[0]: failure.text for failure in failures}
    assert texts[1] == "Chunk (1, 0, 0) is damaged."
    assert "ZeroDivisionError" in texts[2]
    assert written(output) == [0, 3, 4]


def test_blocks_begin_in_the_order_given(hands, output):
    events: list[Event] = []
    run_blocks(
        Writing(output, 0.05),
        cubes(24)[::-1],
        Scheduler(hands.address),
        context=JobContext(report=events.append),
    )
    pairs = list(itertools.combinations(done(events), 2))
    # Those that a worker had in hand while it was kept waiting end late.
    assert sum(first < later for first, later in pairs) < len(pairs) / 4


def test_a_single_worker_does_blocks_in_the_order_given(own_hands, output):
    events: list[Event] = []
    own_hands.start_worker()
    wait_for_workers(own_hands.address, 1)
    context = JobContext(report=events.append)
    assert run_blocks(Writing(output, 0.02), cubes(12)[::-1], Scheduler(own_hands.address), context) == []
    assert done(events) == list(range(12))[::-1]


def test_an_output_that_a_worker_cannot_write_ends_the_work(hands, output):
    writing = Writing(output, 0.02, [(3, "write", OSError(28, "No space left on device"))])
    with pytest.raises(UserError, match=f"On the host {socket.gethostname()}: .*No space left on device"):
        run_blocks(writing, cubes(200), Scheduler(hands.address))
    assert 3 not in written(output)
    assert len(written(output)) < 50


def test_an_output_that_workers_do_not_see_is_refused(hands, output):
    with pytest.raises(
        UserError, match=rf"host {socket.gethostname()} cannot see .*nowhere; the run, the image"
    ):
        run_blocks(Writing(output / "nowhere"), cubes(2), Scheduler(hands.address))


def test_cancel_keeps_what_workers_did_and_they_begin_nothing_more(hands, output):
    events: list[Event] = []
    with pytest.raises(Cancelled):
        run_blocks(
            Writing(output, 0.1),
            cubes(200),
            Scheduler(hands.address),
            context=JobContext(report=events.append, should_stop=lambda: len(done(events)) > 3),
        )
    kept = settled(lambda: written(output))  # but for the blocks that were being done
    assert set(done(events)) <= set(kept)
    assert len(kept) < 100


def test_a_killed_worker_costs_its_blocks_which_another_does(own_hands, output):
    events: list[Event] = []
    doomed = own_hands.start_worker()
    own_hands.start_worker()
    wait_for_workers(own_hands.address, 2)
    report = after(6, events, lambda: os.kill(doomed.pid, signal.SIGKILL))
    assert (
        run_blocks(
            Writing(output, 0.1), cubes(40), Scheduler(own_hands.address), context=JobContext(report=report)
        )
        == []
    )
    assert sorted(done(events)) == written(output) == list(range(40))
    progress = [event.text for event in events if isinstance(event, Progress)]
    assert "2 workers" in progress[0]
    assert "1 worker" in progress[-1]


@pytest.mark.parametrize("depth", [8, 48])
def test_a_deep_chunk_is_decoded_by_one_worker_however_few_layers_there_are(hands, output, depth):
    reading, blocks, pixels = ReadingSlabs.counted(depth, output)
    assert run_blocks(reading, blocks, Scheduler(hands.address)) == []
    assert list(pixels.in_all().values()) == [1] * (48 // depth * 4)


def test_a_column_of_a_killed_worker_is_decoded_once_more_at_most(own_hands, output):
    reading, blocks, pixels = ReadingSlabs.counted(8, output)
    doomed = own_hands.start_worker()
    own_hands.start_worker()
    wait_for_workers(own_hands.address, 2)
    report = after(6, [], lambda: os.kill(doomed.pid, signal.SIGKILL))
    assert run_blocks(reading, blocks, Scheduler(own_hands.address), JobContext(report)) == []
    decoded = sorted(pixels.in_all().values())
    assert len(decoded) == 6 * 4
    assert decoded[-5:] <= [1, 2, 2, 2, 2]


def test_a_block_over_which_workers_die_is_told_and_all_others_are_done(own_hands, output):
    import dask

    for _ in range(3):
        own_hands.start_worker()
    wait_for_workers(own_hands.address, 3)
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
        (failure,) = run_blocks(Deadly(output, 0.1), cubes(8), Scheduler(own_hands.address))
    assert failure.index == (3, 0, 0)
    assert failure.text.startswith("2 workers died while they processed it")
    assert written(output) == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.slow
def test_a_killed_scheduler_is_told_and_the_rest_is_done_later(mortal_hands, output, capfd):
    events: list[Event] = []
    mortal_hands.start_worker()
    report = after(5, events, lambda: os.kill(mortal_hands.scheduler.pid, signal.SIGKILL))
    with pytest.raises(
        UserError,
        match="connection to the Dask scheduler is lost; start it and its workers, then run the same",
    ):
        run_blocks(
            Writing(output, 0.05),
            cubes(30),
            Scheduler(mortal_hands.address),
            context=JobContext(report=report),
        )
    left = [cube for cube in cubes(30) if cube.index[0] not in written(output)]
    assert 10 < len(left) <= 25
    mortal_hands.start_scheduler()
    mortal_hands.start_worker()
    assert run_blocks(Writing(output), left, Scheduler(mortal_hands.address)) == []
    assert written(output) == list(range(30))
    assert capfd.readouterr() == ("", "")


def test_workers_that_come_late_are_waited_for(own_hands, output):
    events: list[Event] = []

    def report(event: Event) -> None:
        events.append(event)
        if isinstance(event, Message) and "The scheduler has no workers" in event.text:
            own_hands.start_worker()

    assert (
        run_blocks(Writing(output), cubes(3), Scheduler(own_hands.address), context=JobContext(report=report))
        == []
    )
    assert written(output) == [0, 1, 2]


def all_but_ours(folder: Path) -> Path:
    """Make a folder with all packages that are installed but this one, and let no others be found."""
    folder.mkdir()
    for package in Path(np.__file__).parents[1].iterdir():
        if not package.name.startswith("emseg_napari"):
            (folder / package.name).symlink_to(package)
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "ours = lambda p: p.endswith('site-packages') or os.path.isdir(os.path.join(p, 'emseg_napari'))\n"
        "sys.path[:] = [p for p in sys.path if not ours(p)]\n"
    )
    return folder


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        (other_numpy, r"The worker tcp://127.0.0.1:\d+ has numpy 1.2.3, but this process has numpy \d"),
        (
            all_but_ours,
            r"The worker tcp://127.0.0.1:\d+ has no emseg-napari, but this process has emseg-napari \d",
        ),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_worker_with_another_environment_is_named(own_hands, tmp_path, output, environment, text, late):
    folder = environment(tmp_path / "environment")

    def report(event: Event) -> None:
        if late and isinstance(event, Message) and "The scheduler has no workers" in event.text:
            own_hands.start_worker(folder)

    if not late:
        own_hands.start_worker(folder)
        wait_for_workers(own_hands.address, 1)
    with pytest.raises(UserError, match=text):
        run_blocks(Writing(output), cubes(4), Scheduler(own_hands.address), context=JobContext(report=report))
    assert written(output) == []


@pytest.mark.parametrize("silent", [False, True])
def test_a_scheduler_that_does_not_answer_is_told_soon(output, silent, monkeypatch):
    assert PROMISED_S < 10
    monkeypatch.setattr(dask_client, "SECONDS_TO_CONNECT", 0.5)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        if silent:
            mute.listen()
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(UserError, match=f"No Dask scheduler answers at {address}; check the address"):
            run_blocks(Writing(output), cubes(1), Scheduler(address))
        assert time.monotonic() - started < within(PROMISED_S)


def test_what_names_many_files_travels_once_to_each_worker_and_not_with_every_block(
    hands, output, monkeypatch
):
    sent = []

    def payload(task, block):
        sent.append(len(found := unpatched(task, block)))
        return found

    unpatched = DaskTask.payload
    monkeypatch.setattr(DaskTask, "payload", payload)
    many = [(-1, "never", UserError("x" * 3_000_000))]
    assert run_blocks(Writing(output, troubles=many), cubes(20), Scheduler(hands.address)) == []
    assert written(output) == list(range(20))
    assert max(sent) < 10_000


@pytest.mark.parametrize(("index", "window"), [((0, 0, 0), 100), ((10**5, 48, 48), 10**5)])
def test_an_order_is_small_and_does_not_grow_with_paths_and_failures(tmp_path, index, window):
    block = Block(index, (slice(window, window + 16), slice(window, window + 2048), slice(0, 2048)))
    few = DaskTask.of(b"work", versions_here(), (tmp_path,))
    many = DaskTask.of(b"work" * 10**6, versions_here(), tuple(tmp_path / str(n) for n in range(10_000)))
    orders = [len(task.payload(block)) for task in (few, many)]
    assert orders[0] == orders[1]
    assert max(*orders, len(pickle.dumps(block))) < 400


class WithRun(Writing):
    """Writes what it opened once: a file that stands for a run."""

    @cached_property
    def run(self) -> str:
        return self.folder.with_name("run").read_text()

    def compute(self, block, given, should_stop):
        return self.run


def test_workers_that_stay_open_the_run_anew_for_the_same_command(output):
    with thread_workers() as scheduler:
        for network in ("old", "new"):
            output.with_name("run").write_text(network)
            assert run_blocks(WithRun(output), cubes(2), scheduler) == []
            assert [(output / str(n)).read_text() for n in range(2)] == [network] * 2


def test_an_image_in_memory_is_not_sent(hands, output, monkeypatch):
    monkeypatch.setattr(work, "_LARGEST_WORK", 1_000_000)
    heavy = [(0, "never", UserError("x" * 2_000_000))]
    for scheduler in (Scheduler(hands.address), Scheduler("local", 1)):
        with pytest.raises(UserError, match="2 MB in memory would travel to every worker; save the image to"):
            run_blocks(Writing(output, troubles=heavy), cubes(1), scheduler)


def test_dask_that_is_missing_is_asked_for(output, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match=r'run: pip install "emseg-napari\[cluster\]"'):
        run_blocks(Writing(output), cubes(1), Scheduler("tcp://127.0.0.1:8786"))
