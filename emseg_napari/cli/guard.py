"""End of a command: every failure becomes one sentence and an exit code, never a traceback."""

from __future__ import annotations

import errno
import functools
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from emseg_napari import __version__
from emseg_napari.cli.help import write_overview
from emseg_napari.cli.sentences import sentence_of
from emseg_napari.cli.streams import echo, escape_what_cannot_be_written
from emseg_napari.core.jobs import ShouldStop, UserError

FAULT, MISTAKE, STOPPED = 1, 2, 130
# The error of words that are not options or values: typer's own class, or click's with an older typer.
_UsageError: Any = typer.BadParameter.__mro__[1]


class Commands(TyperGroup):
    """The commands; unknown words are reported in one sentence, as any other mistake."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help that lists the commands."""
        write_overview(self, ctx, formatter)

    def main(self, *arguments: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line, and exit with its code."""
        escape_what_cannot_be_written()
        try:
            result = super().main(*arguments, standalone_mode=False, **extra)  # type: ignore[misc]
        except _UsageError as error:
            if not standalone_mode:
                raise
            _report_usage(error)
            result = MISTAKE
        if standalone_mode:
            sys.exit(result)
        return result


def _report_usage(error: Any) -> None:
    """Report what is wrong with the words; nothing if help was shown instead."""
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    message = re.sub(r"\. (Did you mean .*\?)$", r" (\1)", message)
    if message:
        whose = error.ctx.command_path if error.ctx else "emseg"
        echo(f"emseg: {message.rstrip('.')}; see '{whose} --help'.", err=True)


class Stopped(Exception):
    """The user pressed Ctrl+C; the sentence says what stays and how to resume."""


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that it leaves with a sentence on stderr and an exit code."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except typer.Exit:
            raise
        except Stopped as error:
            _leave(str(error), STOPPED)
        except KeyboardInterrupt:
            _leave("Stopped; nothing was written.", STOPPED)
        except Exception as error:
            _leave(*reason_of(error))

    return run


def reason_of(error: Exception) -> tuple[str, int]:
    """Return the sentence that says what went wrong, and the exit code of a command that ends with it."""
    if isinstance(error, UserError):
        return sentence_of(error), MISTAKE
    if isinstance(error, MemoryError):
        return "Out of memory; use fewer slices, smaller patches or a smaller batch.", MISTAKE
    if isinstance(error, OSError):
        return _about(error), MISTAKE
    return _fault(error), FAULT


@contextmanager
def stop_on_interrupt() -> Iterator[ShouldStop]:
    """Give a function that says whether Ctrl+C was pressed; a second one interrupts at once."""
    asked = threading.Event()

    def ask(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    earlier = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, earlier)


def _leave(sentence: str, code: int) -> NoReturn:
    echo(f"emseg: {sentence}", err=True)
    raise typer.Exit(code)


def _about(error: OSError) -> str:
    what = error.filename or "A file"
    if error.errno == errno.ENOSPC:
        return f"{what} cannot be written: the disk is full; free some space or choose another disk."
    return f"{what} cannot be used ({error.strerror or error}); check the file, its folder and permissions."


def _fault(error: Exception) -> str:
    """Write the details to a file, since a traceback between progress bars cannot be read."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="emseg-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as log:
        log.write(f"emseg-napari {__version__}\n" + "".join(traceback.format_exception(error)))
    reason = (str(error) or "no reason given").splitlines()[0][:200]
    return (
        f"This should not have happened ({type(error).__name__}: {reason}); "
        f"the details are in {log.name}: please report them."
    )
