"""Worker threads of the window: their result or error, and calls back into the GUI thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

from napari.qt.threading import create_worker
from qtpy.QtCore import QThreadPool
from superqt.utils import ensure_main_thread

from emseg_napari.core.jobs import BlockFailed, Failed, UserError
from emseg_napari.settings import is_advanced
from emseg_napari.settings.titles import field_of, title_of

T = TypeVar("T")
_NO_LIMIT_MS = 10**9  # a user may think over a question
_THREADS = 16  # which mostly wait: for the engine, a disk or the user


def make_room() -> None:
    """Let threads start at once: Qt's pool has one a core, and each job of an engine takes one to its end."""
    pool = QThreadPool.globalInstance()
    pool.setMaxThreadCount(max(pool.maxThreadCount(), _THREADS))


def outcome_of(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Return result or error: an error raised in a worker thread would be shown as a traceback."""
    try:
        return work(), None
    except Exception as error:
        return None, error


def in_thread(work: Callable[[], Any], done: Callable[[Any, Exception | None], None]) -> Any:
    """Call `work` in a thread, then `done` with its result or its error here.

    napari keeps every worker as long as it runs; this one forgets both, and with them the layers that they
    know, once they were called.

    Returns
    -------
    napari.qt.threading.FunctionWorker
        To be kept until `done` is called, or Python would delete it.
    """
    waiting = [work]
    worker = create_worker(lambda: outcome_of(waiting.pop()), _start_thread=False)

    def finish(outcome: tuple[Any, Exception | None]) -> None:
        worker.returned.disconnect(finish)
        done(*outcome)

    worker.returned.connect(finish)
    worker.start()
    return worker


def in_daemon(work: Callable[[], Any], done: Callable[[Any, Exception | None], None]) -> Thread:
    """Do the same as `in_thread` where nothing is lost if the program ends meanwhile, as by reading.

    For the workers of napari it would wait, and they may wait for a server.
    """
    thread = Thread(target=lambda: _pass_on(done, outcome_of(work)), name="emseg-reading", daemon=True)
    thread.start()
    return thread


@ensure_main_thread
def _pass_on(done: Callable[[Any, Exception | None], None], outcome: tuple[Any, Exception | None]) -> None:
    done(*outcome)


def in_window(work: Callable[[], T]) -> T:
    """Do something on the GUI thread, such as to ask or to add a layer, and wait for its result."""
    result, error = _outcome_in_window(work)
    if error is not None:
        raise error
    return result


@ensure_main_thread(await_return=True, timeout=_NO_LIMIT_MS)
def _outcome_in_window(work: Callable[[], Any]) -> tuple[Any, Exception | None]:
    return outcome_of(work)


def with_field_locations(problem: UserError | BlockFailed | Failed) -> str:
    """Return the sentence of an error or a failure, and where the window has the settings that it names."""
    text = str(problem) if isinstance(problem, UserError) else problem.text
    for name in problem.settings:
        field, title = field_of(name), title_of(name)
        if field is not None and is_advanced(field):
            text = text.replace(title, f"{title} under 'Advanced'", 1)
    return text


def sentence_of(error: Exception) -> str:
    """Return the sentence that the user sees of an error; an unexpected error is logged."""
    if isinstance(error, UserError):
        return with_field_locations(error)
    if isinstance(error, MemoryError):
        return "Out of memory; work on fewer slices or close other layers."
    logging.getLogger(__name__).error("unexpected error in a step", exc_info=error)
    return f"Unexpected error ({type(error).__name__}: {error}); your layers are unchanged."
