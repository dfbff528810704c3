"""Server of the engine process: ``python -m emseg_napari.engine.server``, over stdin and stdout.

It ends by itself when its stdin closes, so no orphan outlives the window, and it imports
Keras only for a training, or ahead of one (`WarmUp`), so predictions start at once.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from emseg_napari.core.jobs import (
    Cancelled,
    Event,
    Failed,
    Finished,
    JobContext,
    JobControl,
    ShouldStop,
    UserError,
    ignore,
)
from emseg_napari.core.mailbox import Mailbox
from emseg_napari.engine.protocol import (
    LAST_SECONDS,
    LabelUpdate,
    Request,
    Stop,
    WarmUp,
    receive,
    send,
    unpacked,
)


class _Engine:
    """Loop that receives requests, runs their jobs and sends their events."""

    def __init__(self, commands: BinaryIO, events: BinaryIO) -> None:
        self._commands, self._events = commands, events
        self._requests: queue.Queue[tuple[Request | WarmUp, float]] = queue.Queue()
        self._stop, self._at_rest = threading.Event(), threading.Event()
        self._at_rest.set()
        self._control = JobControl()
        self._inbox = Mailbox()

    def serve(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            request, began = self._requests.get()
            if isinstance(request, Request):
                self._at_rest.clear()
                self._report(self._outcome(request, began))
                self._at_rest.set()
            else:
                _warm_up(request.job, lambda: not self._requests.empty())

    def _listen(self) -> None:
        """Receive commands, also while a job runs."""
        while True:
            try:
                command = receive(self._commands)
            except EOFError:
                self._stop.set()
                self._at_rest.wait(LAST_SECONDS)
                os._exit(0)  # the window is closed; a training step must not keep this process alive
            except (
                BaseException
            ):  # such as a stack too large for the memory: this thread could not receive any more
                traceback.print_exc()
                os._exit(1)
            if isinstance(command, Request):
                self._stop.clear()
                self._control, self._inbox = JobControl(), Mailbox()
            if isinstance(command, Request | WarmUp):
                self._requests.put((command, time.monotonic()))
            elif isinstance(command, Stop):
                self._stop.set()
            elif isinstance(command, JobControl):
                self._control = command
            elif isinstance(command, LabelUpdate):
                self._inbox.post(command.z, command)

    def _report(self, event: Event) -> None:
        send(self._events, event)

    def _outcome(self, request: Request, began: float) -> Event:
        try:
            return Finished(self._do(request, began))
        except Cancelled:
            return Failed("Cancelled.", cancelled=True)
        except UserError as error:
            return Failed(str(error), settings=error.settings, unanswered=error.unanswered)
        except MemoryError:
            return Failed(
                "Out of memory; use a smaller batch, smaller patches or fewer slices.", details=_trace()
            )
        except Exception as error:
            return Failed(f"The {request.job} job failed: {_short(error)}", details=_trace())

    def _do(self, request: Request, began: float) -> Any:
        arguments = unpacked(request.arguments)
        context = JobContext(self._report, self._stop.is_set, lambda: self._control, self._inbox, began)
        return _JOBS[request.job](**arguments, context=context)


# Each job imports only what it needs.


def _train(**given: Any) -> Any:
    from emseg_napari.training.train import run_training

    return run_training(**given)


def _live(**given: Any) -> Any:
    from emseg_napari.training.train import run_live

    return run_live(**given)


def _predict(
    image: Any, run: Any, context: JobContext, settings: Any = None, near: int | None = None
) -> None:
    """Return nothing: the slices were sent one by one, so the stack need not be sent again."""
    from emseg_napari.inference import predict
    from emseg_napari.inference.fit import report_fit

    if near is None:  # the window has said it before
        report_fit(image, run, settings, context)
    predict(image, run, settings, context, near=near)


def _predict_volume(volume: Any, run: Any, context: JobContext, **task: Any) -> Any:
    from emseg_napari.inference.volume import VolumeTask, predict_volume

    return predict_volume(volume, run, VolumeTask(**task), context)


def _evaluate(**given: Any) -> Any:
    from emseg_napari.evaluation.evaluation import evaluate

    return evaluate(**given)


def _review(**given: Any) -> Any:
    from emseg_napari.evaluation.review import review

    return review(**given)


def _segment(context: JobContext, first_slice: int = 0, by_slice: bool = False, **given: Any) -> Any:
    """Return the cells; with `by_slice` those of each slice, too: the window need not count pixels."""
    from emseg_napari.segmentation.cell_table import cells_by_slice
    from emseg_napari.segmentation.stack import segment_stack

    cells = segment_stack(**given, context=context, first_slice=first_slice)
    return (cells, cells_by_slice(cells, context.reporting_to(ignore), first_slice)) if by_slice else cells


def _segment_volume(volume: Any, kind: Any, **given: Any) -> Any:
    from emseg_napari.segmentation.boundary import Boundary
    from emseg_napari.segmentation.volume import segment_volume

    return segment_volume(Boundary(volume, kind), **given)


def _cell_table(**given: Any) -> Any:
    from emseg_napari.segmentation.cell_table import save_table

    return save_table(**given)


def _convert(context: JobContext, **given: Any) -> Any:
    from emseg_napari.io.convert import Conversion, convert

    return convert(Conversion(**given), context)


def _search(**given: Any) -> Any:
    from emseg_napari.annotation.suggest.search_stack import search_places

    return search_places(**given)


def _import_network(**given: Any) -> None:
    """Return nothing: the run lies in its folder."""
    from emseg_napari.exchange.importing import import_network

    import_network(**given)


def _compare_with_keras(**given: Any) -> Any:
    from emseg_napari.training.onnx_check import compare_with_keras

    return compare_with_keras(**given)


_JOBS: dict[str, Callable[..., Any]] = {
    "train": _train,
    "live": _live,
    "predict": _predict,
    "predict_volume": _predict_volume,
    "evaluate": _evaluate,
    "review": _review,
    "segment": _segment,
    "segment_volume": _segment_volume,
    "cell_table": _cell_table,
    "convert": _convert,
    "search": _search,
    "import_network": _import_network,
    "compare_with_keras": _compare_with_keras,
}


def _warm_up(job: str, should_stop: ShouldStop) -> None:
    try:
        if job == "train":
            from emseg_napari.training.train import warm_up
        else:
            from emseg_napari.inference.stack import warm_up
        warm_up(should_stop)
    except Exception:  # the job itself will say what is wrong
        traceback.print_exc()


def _trace() -> str:
    return traceback.format_exc()


def _short(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__


def main() -> None:
    """Serve the process that started this one."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # stdout carries events: text that a library prints goes to stderr.
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        os.nice(19)  # the window comes first
    _Engine(sys.stdin.buffer, events).serve()


if __name__ == "__main__":
    main()
