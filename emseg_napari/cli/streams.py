"""What is written to stdout and stderr, whatever letters they have."""

from __future__ import annotations

import io
import sys


def echo(text: str, err: bool = False) -> None:
    """Write a line to stdout, or to stderr."""
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


def escape_what_cannot_be_written() -> None:
    """Let a terminal of few letters, such as one in cp1252, show others as their numbers.

    What a command has written would else end in an error over the name of the file.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
