"""Faults of the system at the n-th call that changes the disk: the process is killed, or the call fails."""

import errno
import os
import pathlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

NAMES = "replace", "rename", "unlink", "remove", "rmdir", "mkdir", "fsync"
_KILLED, _FAILED = 77, 78
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


@contextmanager
def at_call(number: int, fault: Callable[[], None]) -> Iterator[list[str]]:
    """Call `fault` before the n-th call that changes the disk, from 0; the list has the calls' names."""
    calls: list[str] = []

    def counted(name: str, real: Callable) -> Callable:
        def call(*given, **named):
            calls.append(name)
            if len(calls) == number + 1:
                fault()
            return real(*given, **named)

        return call

    def halved(path: pathlib.Path, content: bytes) -> int:
        with open(path, "wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            counted("write", int)()
            file.write(content[len(content) // 2 :])
        return len(content)

    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        patch.setattr(pathlib.Path, "write_bytes", halved)
        yield calls


def killed_at(number: int, action: Callable[[], object]) -> bool:
    """Do something in a process that is killed before its n-th such call; False if it ended before that."""
    child = os.fork()
    if not child:
        try:
            with at_call(number, lambda: os._exit(_KILLED)):
                action()
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            os._exit(_FAILED)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _KILLED), code
    return code == _KILLED


def kills(action: Callable[[], object]) -> Iterator[int]:
    """Kill a process that does something before each of its calls in turn; the caller looks at the rest."""
    number = 0
    while killed_at(number, action):
        yield number
        number += 1
    assert number, "nothing was written"


def full_disk() -> None:
    """Fault of a disk without space."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def another_process(action: Callable[[], object]) -> Iterator[int]:
    """Do something in another process, which then waits, and is killed at the end of the block."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            held = action()  # such as a lock
            os.write(writing, b".")
            signal.pause()
            del held
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(_FAILED)
    os.close(writing)
    try:
        assert os.read(reading, 1) == b".", "it failed"
        yield child
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
