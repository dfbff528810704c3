"""What a running command shows: a bar on a terminal, plain lines elsewhere; and its results."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as RichProgress

from emseg_napari.cli.guard import Stopped, stop_on_interrupt
from emseg_napari.cli.sentences import sentence_of
from emseg_napari.cli.streams import echo
from emseg_napari.core.jobs import (
    BlockDone,
    BlockFailed,
    Cancelled,
    EpochEnded,
    Event,
    JobContext,
    Message,
    Progress,
    Report,
)
from emseg_napari.core.text import counted

P = ParamSpec("P")
T = TypeVar("T")
SECONDS_BETWEEN_LINES = 5.0
_LISTED = 20


def show_result(sentence: str, figures: dict[str, Any], as_json: bool) -> None:
    """Write what came of a command to stdout: a sentence, or its figures as one JSON object."""
    echo(json.dumps(figures) if as_json else sentence)


def accuracies(epoch: EpochEnded) -> str:
    """Say how many pixels are right on training slices and, if there are any, on held-out ones."""
    held_out = epoch.held_out_accuracy
    text = f"pixel accuracy {epoch.accuracy:.2%}"
    return text if held_out is None else f"{text}, held out {held_out:.2%}"


@contextmanager
def quiet_libraries() -> Iterator[TextIO]:
    """Keep off the terminal what C++ libraries write to stderr; an exception carries it as a note.

    Yields
    ------
    TextIO
        What is written here still reaches the user.
    """
    if sys.stderr is None:  # it was closed before the program began
        with open(os.devnull, "w") as nowhere:
            yield nowhere
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with (
        tempfile.TemporaryFile() as log,
        open(
            os.dup(terminal),
            "w",
            buffering=1,
            encoding=getattr(sys.stderr, "encoding", None),
            errors="backslashreplace",
        ) as stream,
    ):
        os.dup2(log.fileno(), 2)
        try:
            yield stream
        except Exception as error:
            log.seek(0)
            error.add_note("Written to stderr meanwhile:\n" + log.read()[-20_000:].decode(errors="replace"))
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


def quietly(open_: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call a function that opens a file or an address, within `quiet_libraries`."""
    with quiet_libraries():
        return open_(*arguments, **options)


@contextmanager
def reporting(stream: TextIO, by_slices: bool = False) -> Iterator[Report]:
    """Give the `report` of a long job that shows it on `stream`.

    Parameters
    ----------
    stream : TextIO
    by_slices : bool
        The job has no epochs: elsewhere than on a terminal a line says every few seconds
        how far it is, and at the end that all is done.
    """
    console = Console(file=stream, highlight=False, markup=False, soft_wrap=True)
    if not stream.isatty() or console.is_dumb_terminal:
        lines = _Lines(stream, by_slices)
        yield lines
        lines.end()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with RichProgress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as progress:
        yield _Bar(progress)


@contextmanager
def job_context(stream: TextIO, by_slices: bool = False) -> Iterator[JobContext]:
    """Yield the context of a long job that is shown as `reporting` does, and that Ctrl+C stops."""
    with stop_on_interrupt() as should_stop, reporting(stream, by_slices) as report:
        yield JobContext(report, should_stop)


@contextmanager
def resumable_job(stream: TextIO, place: str) -> Iterator[JobContext]:
    """Yield the context of a long job on blocks, see `job_context`; when it is stopped, finished blocks stay.

    Parameters
    ----------
    stream : TextIO
    place : str
        Where they stay, such as "in OUT.zarr".

    Raises
    ------
    Stopped
        With a sentence on what stays.
    """
    finished = False
    try:
        with job_context(stream, by_slices=True) as context:

            def report(event: Event) -> None:
                nonlocal finished
                finished = finished or isinstance(event, BlockDone)
                context.report(event)

            yield context.reporting_to(report)
    except (Cancelled, KeyboardInterrupt):
        stays = f"finished parts stay {place}" if finished else "no part was finished this time"
        raise Stopped(f"Stopped; {stays}: run the same command again to resume.") from None


class _Bar:
    """A determinate bar with the time left, and above it a line per epoch and message."""

    def __init__(self, progress: RichProgress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=1.0, left="")

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            left = _left(event.seconds_left)
            self._progress.update(
                self._task, completed=event.fraction, description=event.text, left=left, refresh=True
            )
        elif isinstance(event, Message | EpochEnded):
            self._progress.console.print(_line(event))


class _Lines:
    """One line per message, stage and epoch; for slices one every few seconds, and one when all are done."""

    def __init__(self, stream: TextIO, by_slices: bool) -> None:
        self._stream, self._by_slices = stream, by_slices
        self._last = float("-inf")
        self._unreported = ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message | EpochEnded):
            self._write(_line(event))
        elif isinstance(event, Progress):
            self._progress(event)

    def _progress(self, event: Progress) -> None:
        self._unreported = event.text
        if event.seconds_left is None:
            self._write(event.text)
        elif self._by_slices and event.fraction >= 1:
            self.end()
        elif self._by_slices and time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._write(f"{event.text}, {event.fraction:.0%}, {_left(event.seconds_left)}")

    def end(self) -> None:
        """Report the end, unless that was reported."""
        if self._by_slices and self._unreported:
            self._write(f"{self._unreported}, 100%")
            self._unreported = ""

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")


def _line(event: Message | EpochEnded) -> str:
    if isinstance(event, Message):
        return event.text
    done = f"epoch {event.epoch}, step {event.step}, {_clock(event.seconds)}"
    return f"{done}: loss {event.loss:.4f}, {accuracies(event)}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{_clock(seconds)} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02d}"


def blocks(count: int) -> str:
    """Return a number of blocks in words."""
    return counted(count, "block")


def list_failures(failures: Sequence[BlockFailed]) -> None:
    """List on the terminal which blocks are missing, and why."""
    echo(f"emseg: {blocks(len(failures))} failed, the others are done:", err=True)
    for failure in failures[:_LISTED]:
        echo(f"  block {failure.index}: {sentence_of(failure)}", err=True)
    if len(failures) > _LISTED:
        echo(f"  and {len(failures) - _LISTED} more; --json lists all", err=True)
