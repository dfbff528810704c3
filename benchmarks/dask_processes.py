"""A Dask scheduler and workers, each a process that was started by hand and can be killed by its id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

DASK = Path(sys.executable).with_name("dask")


class Hands:
    """A scheduler and its workers on this machine.

    Parameters
    ----------
    workers : int
        How many to start.
    log : Path
        File for what they say.
    """

    def __init__(self, workers: int, log: Path) -> None:
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(port))
        self.workers = [self.start_worker() for _ in range(workers)]

    def __enter__(self) -> Hands:
        from distributed import Client

        with Client(self.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=60)
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start one worker that does one block at a time."""
        return self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with open(self._log, "ab") as log:
            command = [str(DASK), *words, "--no-dashboard"]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._log.parent)
        self._processes.append(process)
        return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as a crash of its machine would."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
