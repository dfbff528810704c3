"""Blocks done in this process."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from emseg_napari.core.blockwise import Scheduler, run_blocks
from emseg_napari.core.blockwise.local import AHEAD
from emseg_napari.core.blockwise.work import BlockProgress
from emseg_napari.core.files import OpenElsewhere
from emseg_napari.core.jobs import (
    BlockDone,
    BlockFailed,
    Cancelled,
    Event,
    JobContext,
    Progress,
    UserError,
    never,
)
from helpers.block_work import InLayers, Writing, cubes, done, written
from helpers.timing import PATIENCE_S


def test_blocks_are_done_in_the_order_given(tmp_path):
    events: list[Event] = []
    blocks = cubes(7)[::-1]
    assert run_blocks(Writing(tmp_path), blocks, context=JobContext(report=events.append)) == []
    assert done(events) == [6, 5, 4, 3, 2, 1, 0]
    assert written(tmp_path) == list(range(7))
    assert next(event.result for event in events if isinstance(event, BlockDone)) == "block 6"


def test_nothing_to_do_is_done_at_once(tmp_path):
    events: list[Event] = []
    assert run_blocks(Writing(tmp_path), [], context=JobContext(report=events.append)) == []
    assert events == []


def test_progress_tells_throughput_failures_and_time_left(tmp_path):
    events: list[Event] = []
    work = Writing(tmp_path, 0.02, [(1, "read", UserError("No."))])
    run_blocks(work, cubes(4), context=JobContext(report=events.append))
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.fraction for event in progress] == [0.25, 0.5, 0.75, 1.0]
    assert progress[-1].seconds_left == 0
    assert progress[-1].text.startswith("4 of 4 blocks, ")
    assert progress[-1].text.endswith(" megavoxels a second, 1 failed")


def test_progress_is_told_by_a_clock_that_did_not_tick(monkeypatch):
    monkeypatch.setattr("emseg_napari.core.blockwise.work.time", SimpleNamespace(monotonic=lambda: 5.0))
    events: list[Event] = []
    BlockProgress(2, events.append).done(cubes(1)[0], None)
    assert next(event for event in events if isinstance(event, Progress)).fraction == 0.5


@pytest.mark.parametrize("step", ["read", "compute"])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UserError("Chunk (1, 0, 0) is damaged."), "Chunk (1, 0, 0) is damaged."),
        (MemoryError(), "not enough memory"),
        (ZeroDivisionError("by nought"), "ZeroDivisionError: by nought"),
    ],
)
def test_a_block_that_fails_costs_itself_only(tmp_path, step, error, text):
    events: list[Event] = []
    failures = run_blocks(
        Writing(tmp_path, troubles=[(1, step, error)]), cubes(4), context=JobContext(report=events.append)
    )
    assert [failure.index for failure in failures] == [(1, 0, 0)]
    assert text in failures[0].text
    assert [event for event in events if isinstance(event, BlockFailed)] == failures
    assert written(tmp_path) == [0, 2, 3]


def test_a_file_that_another_program_has_open_costs_its_block_only(tmp_path):
    error = OpenElsewhere("1 is open in another program.")
    failures = run_blocks(Writing(tmp_path, troubles=[(1, "write", error)]), cubes(4))
    assert [(failure.index, failure.text) for failure in failures] == [((1, 0, 0), str(error))]
    assert written(tmp_path) == [0, 2, 3]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), UserError("The disk is full.")])
def test_an_output_that_cannot_be_written_ends_the_work(tmp_path, error):
    work = Writing(tmp_path, troubles=[(3, "write", error)])
    with pytest.raises(UserError, match=r"No space left|The disk is full"):
        run_blocks(work, cubes(50))
    assert written(tmp_path)[:3] == [0, 1, 2]
    assert 3 not in written(tmp_path)
    assert len(written(tmp_path)) < 10


def test_cancel_keeps_what_was_computed(tmp_path):
    events: list[Event] = []
    with pytest.raises(Cancelled):
        run_blocks(
            Writing(tmp_path, 0.01),
            cubes(50),
            context=JobContext(report=events.append, should_stop=lambda: len(done(events)) > 2),
        )
    assert set(done(events)) <= set(written(tmp_path))
    assert 3 <= len(written(tmp_path)) < 10


def test_cancel_does_not_wait_for_a_block_to_be_computed(tmp_path):
    started = time.monotonic()
    with pytest.raises(Cancelled):
        run_blocks(
            Writing(tmp_path, 60),
            cubes(2),
            context=JobContext(should_stop=lambda: time.monotonic() > started + 0.2),
        )
    assert time.monotonic() - started < 30
    assert written(tmp_path) == []


def test_reading_and_writing_go_on_while_a_block_is_computed(tmp_path):
    next_is_read, last_is_written = threading.Event(), threading.Event()

    class Watched(Writing):
        def read(self, block):
            if block.index[0] == 2:
                next_is_read.set()
            return super().read(block)

        def compute(self, block, given, should_stop):
            if block.index[0] == 1:
                assert next_is_read.wait(PATIENCE_S)
                assert last_is_written.wait(PATIENCE_S)
            return super().compute(block, given, should_stop)

        def write(self, block, result):
            if block.index[0] == 0:
                last_is_written.set()
            return super().write(block, result)

    assert run_blocks(Watched(tmp_path), cubes(3), context=JobContext(should_stop=never)) == []
    assert written(tmp_path) == [0, 1, 2]


@pytest.mark.parametrize(
    ("scheduler", "workers", "text"),
    [
        (None, 2, "goes with the scheduler 'local' or a batch system only"),
        ("tcp://127.0.0.1:8786", 2, "goes with the scheduler 'local' or a batch system only"),
        ("local", 0, "0 workers cannot be started"),
        ("local", 1025, "choose 1 to 1024"),
        ("somewhere", None, "'somewhere' is not a scheduler"),
    ],
)
def test_a_place_that_does_not_exist_is_refused(scheduler, workers, text):
    with pytest.raises(UserError, match=text):
        Scheduler(scheduler, workers)


def test_what_waits_to_be_written_when_it_stops_is_still_written(tmp_path):
    computed = []

    class SlowToWrite(Writing):
        def compute(self, block, given, should_stop):
            computed.append(block.index[0])
            return super().compute(block, given, should_stop)

        def write(self, block, result):
            time.sleep(0.2)
            return super().write(block, result)

    with pytest.raises(Cancelled):
        run_blocks(SlowToWrite(tmp_path), cubes(9), context=JobContext(should_stop=lambda: len(computed) > 2))
    assert len(computed) == 3
    assert set(written(tmp_path)) >= {0, 1}


HANGS = f"""
import threading
from pathlib import Path
from emseg_napari.core.blockwise import run_blocks
from emseg_napari.core.jobs import Cancelled, JobContext
from helpers.block_work import Writing, cubes

begun = threading.Event()

class Hanging(Writing):
    def read(self, block):
        begun.set()
        threading.Event().wait({PATIENCE_S})
        print("was read", flush=True)

try:
    run_blocks(Hanging(Path()), cubes(5), context=JobContext(should_stop=begun.is_set))
except Cancelled:
    print("stopped", flush=True)
"""


def test_neither_cancel_nor_the_end_of_the_process_waits_for_a_store_that_hangs(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", HANGS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("stopped\n", "", 0)


# Blocks in parts


def test_parts_of_a_block_are_computed_one_after_the_other_and_written_together(tmp_path):
    events: list[Event] = []
    assert run_blocks(InLayers(tmp_path), cubes(2), context=JobContext(report=events.append)) == []
    assert (tmp_path / "0").read_text() == "block 0, block 1, block 2, block 3"
    assert (tmp_path / "1").read_text() == "block 4, block 5, block 6, block 7"
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert sorted(fractions) == fractions
    assert {0.125, 0.25, 0.375, 0.5, 1.0} <= set(fractions)


def test_few_parts_of_a_block_are_in_memory(tmp_path):
    read, computed, most = [], [], []

    class Counted(InLayers):
        def read(self, block):
            read.append(block)
            most.append(len(read) - len(computed))
            return super().read(block)

        def compute(self, block, given, should_stop):
            computed.append(block)
            return super().compute(block, given, should_stop)

    run_blocks(Counted(tmp_path), cubes(8))
    assert (len(read), max(most)) == (32, max(most))
    assert max(most) <= AHEAD + 1


@pytest.mark.parametrize("step", ["read", "compute"])
def test_a_part_that_fails_costs_its_block_and_the_rest_of_it_is_left_out(tmp_path, step):
    read = []

    class Noted(InLayers):
        def read(self, block):
            read.append(4 * block.index[0] + block.number)
            return super().read(block)

    failures = run_blocks(Noted(tmp_path, troubles=[(5, step, UserError("No."))]), cubes(4))
    assert [failure.index for failure in failures] == [(1, 0, 0)]
    assert written(tmp_path) == [0, 2, 3]
    assert (tmp_path / "2").read_text() == "block 8, block 9, block 10, block 11"
    assert set(range(16)) - {6, 7} <= set(read)


def test_a_first_part_that_fails_leaves_the_rest_of_its_block_unread(tmp_path):
    read = []

    class Many(InLayers):
        def divide(self, block):
            return [replace(super(Many, self).divide(block)[0], number=n) for n in range(50)]

        def read(self, block):
            read.append(block.number)
            raise UserError("No.")

    assert len(run_blocks(Many(tmp_path), cubes(3))) == 3
    assert len(read) <= 3 * (AHEAD + 1)


def test_cancel_comes_between_the_parts_of_a_block(tmp_path):
    computed = []

    class Counted(InLayers):
        def compute(self, block, given, should_stop):
            computed.append(given)
            return super().compute(block, given, should_stop)

    with pytest.raises(Cancelled):
        run_blocks(Counted(tmp_path), cubes(3), context=JobContext(should_stop=lambda: len(computed) > 1))
    assert len(computed) == 2
    assert written(tmp_path) == []
