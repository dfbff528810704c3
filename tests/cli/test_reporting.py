import io

import pytest

from emseg_napari.cli.reporting import quiet_libraries, reporting
from emseg_napari.core.jobs import Cancelled, Event, Message, Progress, Report


def lines(*events: Event, by_slices: bool = True) -> list[str]:
    """Return what a job that tells such events writes to a file."""
    stream = io.StringIO()
    with reporting(stream, by_slices) as report:
        for event in events:
            report(event)
    return stream.getvalue().splitlines()


def of_blocks(done: int, total: int) -> Progress:
    return Progress(done / total, float(total - done), f"{done} of {total} blocks")


def test_the_last_line_says_that_all_are_done():
    said = lines(*(of_blocks(done, 8) for done in range(1, 9)))
    assert said == ["1 of 8 blocks, 12%, 0:07 left", "8 of 8 blocks, 100%"]


def test_each_of_two_parts_is_told_to_its_end():
    said = lines(of_blocks(1, 2), of_blocks(2, 2), of_blocks(1, 1), Message("Slice 2 is one single cell."))
    assert said[1:] == ["2 of 2 blocks, 100%", "1 of 1 blocks, 100%", "Slice 2 is one single cell."]


def test_a_job_whose_last_stage_had_nothing_to_do_is_said_to_be_done():
    said = lines(Progress(0.9, 3.0, "cells: 8 of 8 blocks"), Progress(0.97, 0.0, "numbers: 8 of 8 blocks"))
    assert said[-1] == "numbers: 8 of 8 blocks, 100%"


def test_a_training_tells_stages_only():
    assert lines(of_blocks(1, 9), Progress(1.0, None, "keeping"), by_slices=False) == ["keeping"]


def test_a_job_that_was_stopped_is_not_said_to_be_done():
    def stopped(report: Report) -> None:
        report(of_blocks(1, 9))
        report(of_blocks(2, 9))
        raise Cancelled

    stream = io.StringIO()
    with pytest.raises(Cancelled), reporting(stream, by_slices=True) as report:
        stopped(report)
    assert stream.getvalue() == "1 of 9 blocks, 11%, 0:08 left\n"


def test_a_program_without_a_stderr_has_nothing_to_keep_quiet(monkeypatch):
    monkeypatch.setattr("sys.stderr", None)
    with quiet_libraries() as stream:
        stream.write("nobody reads this")
