"""Blocks done by worker processes of this machine."""

import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from emseg_napari.core.blockwise import Scheduler, connected, run_blocks
from emseg_napari.core.jobs import Cancelled, Event, JobContext, Progress, UserError
from helpers.block_work import Cube, Deadly, InLayers, Writing, cubes, done, written
from helpers.counted_chunks import ReadingSlabs
from helpers.timing import wait_until

TWO = Scheduler("local", 2)


def workers_of(parent: int | None = None) -> list[psutil.Process]:
    """The worker processes of a process, this one when not given."""
    spawned = psutil.Process(parent).children()
    return [one for one in spawned if any("spawn_main" in word for word in one.cmdline())]


class Watched(Writing):
    """Notes who wrote a block."""

    def write(self, block: Cube, result: str) -> str:
        (self.folder / str(block.index[0])).write_text(str(os.getpid()))
        return result


class Unsendable(Writing):
    """Has something like an open file."""

    def __reduce__(self):
        raise TypeError("cannot pickle an open file")


class Unreadable(Writing):
    """Such as of a class that only the main module of this process has."""

    def __reduce__(self):
        return _not_there, ()


def _not_there():
    raise AttributeError("nothing of that name")


def _in_daemon(folder, pipe):
    try:
        run_blocks(Writing(folder), cubes(1), Scheduler("local", 1))
    except UserError as error:
        pipe.send(str(error))


def test_workers_of_this_machine_write_what_one_process_writes(tmp_path, capfd):
    events: list[Event] = []
    assert run_blocks(Writing(tmp_path), cubes(12), TWO, JobContext(report=events.append)) == []
    assert sorted(done(events)) == written(tmp_path) == list(range(12))
    assert [(tmp_path / str(number)).read_text() for number in range(12)] == [f"block {n}" for n in range(12)]
    assert "2 workers" in [event for event in events if isinstance(event, Progress)][-1].text
    assert capfd.readouterr() == ("", "")
    assert workers_of() == []


def test_nobody_can_reach_the_workers_through_a_port(tmp_path):
    ports = []

    def look(event: Event) -> None:
        for process in (psutil.Process(), *workers_of()):
            ports.extend(one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN)

    here = {one.laddr for one in psutil.Process().net_connections("inet")}
    assert run_blocks(Writing(tmp_path), cubes(3), TWO, JobContext(report=look)) == []
    assert {one.laddr for one in ports} <= here


def test_workers_stay_for_several_calls(tmp_path):
    with connected(TWO) as there:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            assert run_blocks(Watched(tmp_path / name, 0.05), cubes(6), there) == []
    by = [{(tmp_path / name / str(n)).read_text() for n in range(6)} for name in ("one", "two")]
    assert by[0] == by[1]
    assert len(by[0]) == 2
    assert str(os.getpid()) not in by[0]


def test_a_block_that_fails_costs_itself_only(tmp_path):
    troubles = [(1, "read", UserError("Chunk (1, 0, 0) is damaged.")), (2, "compute", ZeroDivisionError())]
    failures = run_blocks(Writing(tmp_path, troubles=troubles), cubes(5), TWO)
    assert {one.index[0]: one.text.split(" ")[0] for one in failures} == {1: "Chunk", 2: "The"}
    assert written(tmp_path) == [0, 3, 4]


def test_an_output_that_a_worker_cannot_write_ends_the_work(tmp_path):
    work = Writing(tmp_path, 0.02, [(3, "write", OSError(28, "No space left on device"))])
    with pytest.raises(UserError, match="No space left on device"):
        run_blocks(work, cubes(200), TWO)
    assert len(written(tmp_path)) < 50


def test_blocks_are_done_in_the_order_given(tmp_path):
    events: list[Event] = []
    run_blocks(Writing(tmp_path), cubes(9)[::-1], Scheduler("local", 1), JobContext(report=events.append))
    assert done(events) == list(range(9))[::-1]


def test_cancel_keeps_what_workers_did_and_ends_them(tmp_path):
    events: list[Event] = []
    context = JobContext(report=events.append, should_stop=lambda: len(done(events)) > 3)
    with pytest.raises(Cancelled):
        run_blocks(Writing(tmp_path, 0.1), cubes(200), TWO, context)
    assert workers_of() == []
    assert set(done(events)) <= set(written(tmp_path))
    assert len(written(tmp_path)) < 20


def test_workers_that_stay_do_nothing_more_for_a_call_that_was_cancelled(tmp_path):
    folders = [tmp_path / "cancelled", tmp_path / "next"]
    for folder in folders:
        folder.mkdir()
    events: list[list[Event]] = [[], []]
    with connected(TWO) as there:
        context = JobContext(report=events[0].append, should_stop=lambda: len(done(events[0])) > 3)
        with pytest.raises(Cancelled):
            run_blocks(Writing(folders[0], 0.05), cubes(200), there, context)
        left = written(folders[0])
        assert run_blocks(Writing(folders[1]), cubes(3), there, JobContext(report=events[1].append)) == []
    assert sorted(done(events[1])) == written(folders[1]) == [0, 1, 2]
    assert written(folders[0]) == left


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process")
def test_a_block_over_which_workers_die_is_told_and_all_others_are_done(tmp_path):
    (failure,) = run_blocks(Deadly(tmp_path), cubes(8), TWO)
    assert failure.index == (3, 0, 0)
    assert failure.text.startswith("3 workers died while they processed it")
    assert written(tmp_path) == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize("depth", [8, 48])
def test_a_deep_chunk_is_decoded_by_one_worker_however_few_layers_there_are(tmp_path, depth):
    reading, blocks, pixels = ReadingSlabs.counted(depth, tmp_path)
    assert run_blocks(reading, blocks, Scheduler("local", 3)) == []
    assert list(pixels.in_all().values()) == [1] * (48 // depth * 4)


@pytest.mark.parametrize("work", [Unsendable, Unreadable])
def test_work_that_no_other_process_can_read_is_refused_at_once(tmp_path, work):
    with pytest.raises(UserError, match=r"cannot be read by another process \(\w+Error: .*; save it as OME"):
        run_blocks(work(tmp_path), cubes(1), TWO)
    assert workers_of() == []


def test_a_process_that_may_not_start_others_says_so(tmp_path):
    spawn = get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_in_daemon, args=(tmp_path, there), daemon=True)
    process.start()
    there.close()
    assert "did not start (daemonic processes" in here.recv()
    process.join()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills a process")
def test_workers_end_with_the_process_that_started_them(tmp_path):
    script = "from pathlib import Path\nfrom emseg_napari.core.blockwise import Scheduler, run_blocks\n"
    script += "from helpers.block_work import Writing, cubes\nif __name__ == '__main__':\n"
    script += f"    run_blocks(Writing(Path({str(tmp_path)!r}), 60), cubes(2), Scheduler('local', 1))\n"
    (tmp_path / "script.py").write_text(script)
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "script.py")], env=environment)
    wait_until(lambda: workers_of(parent.pid))
    (worker,) = workers_of(parent.pid)
    parent.kill()
    parent.wait()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("", "exit code 1"),
        (
            "processes._SECONDS_TO_BEGIN = 1\nif __name__ != '__main__':\n    Event().wait()",
            "each first runs the script, which had not ended after 1 s",
        ),
    ],
)
def test_processes_that_do_not_start_are_told(tmp_path, before, reason):
    """As those of a script that has no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom threading import Event\n"
        "from emseg_napari.core.blockwise import Scheduler, processes, run_blocks\n"
        "from helpers.block_work import Writing, cubes\n"
        f"{before}\n"
        "run_blocks(Writing(Path('.')), cubes(1), Scheduler('local', 1))\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done_ = subprocess.run(
        [sys.executable, str(script)], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done_.returncode == 1
    assert f"did not start ({reason}" in done_.stderr
    assert "); leave the scheduler out, or in a script call this below" in done_.stderr


def test_parts_of_a_block_are_reported_as_they_are_computed(tmp_path):
    events: list[Event] = []
    assert run_blocks(InLayers(tmp_path), cubes(2), TWO, JobContext(report=events.append)) == []
    assert (tmp_path / "1").read_text() == "block 4, block 5, block 6, block 7"
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert len(fractions) == 8
    assert fractions[-1] == 1


class Endless:
    """Blocks of which few may be made before they are needed."""

    def __init__(self, most: int) -> None:
        self.made, self.most = 0, most

    def __len__(self) -> int:
        return 10**9

    def __iter__(self):
        for block in cubes(self.most):
            self.made += 1
            yield block
        raise AssertionError("too many blocks were made")

    def __contains__(self, block):
        return True


@pytest.mark.parametrize("scheduler", [Scheduler(), TWO])
def test_blocks_are_made_when_they_are_needed(tmp_path, scheduler):
    events: list[Event] = []
    context = JobContext(events.append, lambda: len(done(events)) > 5)
    with pytest.raises(Cancelled):
        run_blocks(Writing(tmp_path), Endless(30), scheduler, context)
