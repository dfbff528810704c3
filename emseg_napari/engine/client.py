"""Client of the engine process: starts it, sends jobs, receives events, cancels.

TensorFlow crashes some OpenGL drivers, so it runs in a process without a window.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any, BinaryIO, Literal, cast

import numpy as np

from emseg_napari.core import child
from emseg_napari.core.jobs import Event, Failed, Finished, JobControl, UserError
from emseg_napari.core.machine import processors
from emseg_napari.core.mailbox import Mailbox
from emseg_napari.engine.protocol import (
    LAST_SECONDS,
    LabelUpdate,
    Request,
    Stop,
    WarmUp,
    packed,
    receive,
    send,
)

CANCEL_SECONDS = 0.7
# By then a batch system's jobs are ended and their certificate is deleted: `core.blockwise.batch` gives them
# a minute, after the connection is closed.
CANCEL_BATCH_SECONDS = 75.0
# After this time a thread that sends messages checks whether its job is over.
_LOOK_SECONDS = 0.5


class Engine:
    """Engine process that starts with its first job, or when it is warmed up, and stays alive for the next.

    Use it as a context manager, or `close` it; it ends with this process in any case.

    Parameters
    ----------
    spared_cores : int
        Processor cores that a training does not use, such as for the window.
    """

    def __init__(self, spared_cores: int = 0) -> None:
        self._threads = max(1, processors() - spared_cores)
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._busy = threading.Lock()
        self._sending = threading.Lock()
        self._cancelled, self._is_fresh = False, True
        self._job = 0
        self._system = ""  # the batch system that works for the job
        self._control = JobControl()
        self._outbox = Mailbox()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self._busy.locked()

    @property
    def process_id(self) -> int | None:
        """Process id of the engine; None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def batch_system(self) -> str:
        """The batch system whose jobs work for the running job, such as "slurm"; empty if none."""
        return self._system if self.busy else ""

    def run(self, job: str, **arguments: Any) -> Iterator[Event]:
        """Do a job and yield its events; the last is `Finished` or `Failed`.

        Failures come as an event, never as an exception, so that a generator worker can
        pass them on to the window. Closing the generator ends the engine's job. From this call on `cancel`
        means this job, even before its first event was requested.

        Parameters
        ----------
        job : str
            One of `emseg_napari.engine.protocol.Request`.
        **arguments
            Of the function that `emseg_napari.engine.server` calls for it.
        """
        if not self.busy:
            self._cancelled = False
        return self._run(job, arguments)

    def _run(self, job: str, arguments: dict[str, Any]) -> Iterator[Event]:
        if not self._busy.acquire(blocking=False):
            yield Failed("The engine is busy with another job; wait for it or cancel it.")
            return
        over = False
        try:
            self._is_fresh = False
            self._control = JobControl(self._control.z)
            self._job += 1
            plan = getattr(arguments.get("scheduler"), "plan", None)
            self._system = plan.system if plan else ""
            request = Request(cast(Any, job), packed(arguments))
            for event in self._events(request):
                over = isinstance(event, Finished | Failed)  # a caller that leaves then keeps the engine
                yield event
        except UserError as error:
            over = True
            yield Failed(str(error), settings=error.settings)
        except OSError as error:
            over = True
            yield Failed(
                f"The engine process could not be started ({error}); check whether memory or disk is full."
            )
        finally:
            if not over:  # the generator was closed during the job
                self._end()
            self._outbox = Mailbox()  # unsent messages of this job do not concern the next
            self._busy.release()

    def _events(self, request: Request) -> Iterator[Event]:
        if self._cancelled:
            yield Failed("Cancelled.", cancelled=True)
            return
        self._start()
        process = self._process
        assert process is not None  # `_start` made it
        assert process.stdout is not None
        with contextlib.suppress(OSError, ValueError):  # if it is dead already, reading says so
            self._send(request)
            self._outbox.post(JobControl, self._control)
            if self._cancelled:  # a request takes back the stops before it
                self._send(Stop())
        threading.Thread(target=self._send_posted, args=(self._outbox,), daemon=True).start()
        while True:
            try:
                event = receive(cast(BinaryIO, process.stdout))
            except (EOFError, OSError, ValueError):  # ValueError: closed by another thread
                yield self._death(process)
                return
            yield event
            if isinstance(event, Finished | Failed):
                return

    def warm_up(self, job: Literal["train", "predict"]) -> None:
        """Start the process and prepare it for a job, once, unless it did one since it last rested.

        A job may follow at once. It says what is wrong, should this fail.
        """
        if self._is_fresh and self._busy.acquire(blocking=False):
            self._is_fresh = False
            try:
                with contextlib.suppress(OSError, ValueError):
                    self._start()
                    self._send(WarmUp(job))
            finally:
                self._busy.release()

    def cancel(self) -> None:
        """Stop the running job within a second: by a message, or else by ending the process.

        One for which a `batch_system` works gets a minute to end its jobs. Checkpoints on disk are whole
        either way. Callable from any thread.
        """
        self._cancelled = True
        if not self.busy:  # a job that is about to start finds it
            return
        # First: while a large request is being sent, the message has to wait.
        seconds = CANCEL_BATCH_SECONDS if self._system else CANCEL_SECONDS
        timer = threading.Timer(seconds, self._end_if_not_stopped, (self._job,))
        timer.daemon = True
        timer.start()
        with contextlib.suppress(OSError, ValueError):
            self._send(Stop())

    def _end_if_not_stopped(self, job: int) -> None:
        process = self._process
        if self._cancelled and self.busy and self._job == job and process is not None:
            process.kill()

    def steer(self, **changes: Any) -> None:
        """Change the `JobControl` of the job that runs or is about to start.

        The slice in view also counts for later jobs; the other fields are reset with each job.
        """
        self._control = replace(self._control, **changes)
        if self.busy:
            self._outbox.post(JobControl, self._control)

    def update_labels(self, z: int, labels: np.ndarray) -> None:
        """Send the present labels of a slice to the "live" job that runs or is about to start.

        Returns at once, from any thread; of labels that the engine has not received yet, only the newest of
        each slice are sent. Call it only after that job's labels were copied, and until the job ends.

        Parameters
        ----------
        z : int
            Index of the slice.
        labels : numpy.ndarray
            uint8 (y, x): 0 unlabelled, 1 boundary, 2 interior; the whole slice. It is copied.
        """
        self._outbox.post(z, LabelUpdate(z, np.array(labels, np.uint8)))

    def _send_posted(self, outbox: Mailbox) -> None:
        """Send what is posted during a job; in its own thread, since the pipe may be full."""
        while outbox is self._outbox:
            for message in outbox.take_all(_LOOK_SECONDS):
                with contextlib.suppress(OSError, ValueError):
                    self._send(message, outbox)

    def rest(self) -> None:
        """End a process that does nothing; the next job, or another warm-up, starts one."""
        if self._busy.acquire(blocking=False):
            try:
                self._end()
                self._is_fresh = True
            finally:
                self._busy.release()

    def close(self) -> None:
        """End the engine process, which cancels its job; a later job would start another."""
        self._cancelled = True
        self._end()

    def _start(self) -> None:
        if self.process_id is not None:
            return
        self._end()  # one that died between two jobs
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the process
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"}
        # Obeyed by TensorFlow and by `inference`; what the user has set stays.
        threads = {name: str(self._threads) for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")}
        self._process = subprocess.Popen(
            child.command("emseg_napari.engine.server"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=threads | os.environ | quiet | child.module_path(),
            # Ctrl+C in the terminal is for this process; when the terminal closes, so does the pipe.
            start_new_session=True,
        )

    def _send(self, message: object, outbox: Mailbox | None = None) -> None:
        """Send a message; of an outbox only during its job, which is asked when no other is being sent."""
        process = self._process
        if process is not None and process.stdin is not None:
            with self._sending:
                if outbox is None or outbox is self._outbox:
                    send(cast(BinaryIO, process.stdin), message)

    def _end(self) -> bytes:
        """End the process and return the last 2000 bytes of its stderr."""
        process, self._process = self._process, None
        log, self._log = self._log, None
        tail, streams = b"", [log]
        if process is not None:
            if self._sending.acquire(timeout=LAST_SECONDS):  # else it takes nothing in
                with contextlib.suppress(OSError, ValueError, subprocess.TimeoutExpired):
                    cast(BinaryIO, process.stdin).close()  # so that its job hears of its end
                    process.wait(LAST_SECONDS + 0.1)
                self._sending.release()
            process.kill()
            process.wait()
            streams += [process.stdin, process.stdout]
        if log is not None:
            log.seek(0)
            tail = log.read()[-2000:]
        for stream in filter(None, streams):
            with contextlib.suppress(OSError):
                stream.close()
        return tail

    def _death(self, process: subprocess.Popen[bytes]) -> Failed:
        process.wait()
        tail = self._end()
        if self._cancelled:
            return Failed("Cancelled.", cancelled=True)
        return Failed(
            f"The engine process ended unexpectedly (exit code {process.returncode}), "
            "perhaps for lack of memory; your labels are untouched, and the training can be resumed "
            "from its last checkpoint.",
            details=tail.decode(errors="replace"),
        )
