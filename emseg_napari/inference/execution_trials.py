"""Measurement of what networks can be computed on: how fast it is, and how near to the processor in float32.

The starter network is computed on the sample phantom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Event, Thread

import numpy as np
import onnxruntime

from emseg_napari.core.jobs import JobContext, Message
from emseg_napari.inference.execution import PROCESSOR, Execution
from emseg_napari.inference.sessions import first_line, held, session_of
from emseg_napari.io.samples import phantom
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.models.run import open_run
from emseg_napari.models.starter import STARTER

# By which a boundary probability may differ from that of the processor in float32: half a 255th.
MOST_DIFFERENCE = 0.002
_SECONDS = 1.0  # of measuring, for all together
_LEAST_ROUNDS = 3
_CHECKED_PX = 192  # of a tile by which a network is checked before it is used
_ENDED = "the program ended while it was tried"
_MOST_ENDS = 2  # something else may have ended it
_SECONDS_BETWEEN_QUESTIONS = 0.05


@dataclass(frozen=True)
class Trial:
    """What came of one candidate.

    Attributes
    ----------
    execution : Execution
    seconds : float or None
        For a megapixel, in one orientation; None if it is not measured.
    difference : float or None
        The largest difference of a probability from that of the processor in float32.
    dropped : str
        Why it is not used; empty if it may be.
    ends : int
        How often the program ended while it was tried.
    """

    execution: Execution
    seconds: float | None = None
    difference: float | None = None
    dropped: str = ""
    ends: int = 0

    @property
    def is_over(self) -> bool:
        """Whether its result is known, or it is not tried any more."""
        return self.ends >= _MOST_ENDS or (not self.ends and bool(self.seconds or self.dropped))


def is_settled(found: list[Trial]) -> bool:
    """Whether there is nothing to measure, nor to try once more."""
    return all(trial.is_over for trial in found) and not _lost(found)


def _lost(found: list[Trial]) -> list[Execution]:
    """Return one of each provider that computed nothing at all, which may not stay so."""
    works = {PROCESSOR.provider} | {one.execution.provider for one in found if one.difference is not None}
    failed = [one.execution for one in found if one.dropped and not one.ends]
    return list({one.provider: one for one in reversed(failed) if one.provider not in works}.values())


def measured(
    earlier: list[Trial],
    remember: Callable[[list[Trial]], None],
    context: JobContext,
    clock: Callable[[], float],
) -> list[Trial]:
    """Measure candidates, unless all is known and what could not be computed still cannot.

    Parameters
    ----------
    earlier : list of Trial
        One of each candidate, the processor in float32 first; those that ended the program too often stay.
    remember : callable
        Gets what is known before each trial, which may end the program.
    context : JobContext
        Gets a `Message`, and is asked before and during each trial whether to stop.
    clock : callable
        Returns seconds.
    """
    network, slices = open_run(STARTER).network_file, _phantom_slices()
    found = {one.execution: one for one in earlier}

    def computes(execution: Execution) -> bool:
        with _counted(found, execution, remember, context), suppress(Exception):
            _computed(held(network, 0, execution), slices[:1])
            return True
        return False

    if all(one.is_over for one in earlier) and not any(computes(one) for one in _lost(earlier)):
        return earlier
    found = {one.execution: one if one.ends else Trial(one.execution) for one in earlier}
    names = "; ".join(str(one) for one in found if one != PROCESSOR)
    context.report(Message(f"It is measured once whether this machine predicts faster on: {names}."))
    sessions = {PROCESSOR: session_of(network, 0)}
    expected = _computed(sessions[PROCESSOR], slices)
    found[PROCESSOR] = Trial(PROCESSOR, difference=0.0)
    for execution in [one for one in found if one != PROCESSOR and not found[one].is_over]:
        with _counted(found, execution, remember, context):
            try:
                sessions[execution] = held(network, 0, execution)
                result = _compared(execution, _computed(sessions[execution], slices), expected)
            except Exception as error:  # ONNX Runtime has an exception class for every status
                result = Trial(execution, dropped=first_line(error))
        found[execution] = result
    remember(list(found.values()))
    kept = {one: session for one, session in sessions.items() if not found[one].dropped}
    for execution, seconds in _timed(kept, slices[:1], clock, context).items():
        found[execution] = replace(found[execution], seconds=seconds / slices[0].size * 1e6)
    remember(list(found.values()))
    return list(found.values())


@contextmanager
def _counted(
    found: dict[Execution, Trial],
    execution: Execution,
    remember: Callable[[list[Trial]], None],
    context: JobContext,
) -> Iterator[None]:
    """Count an end of the program within the block, except after a stop: then its user ended it."""
    context.check_stop()
    before, over = list(found.values()), Event()
    ended = Trial(execution, dropped=_ENDED, ends=found[execution].ends + 1)
    remember(list((found | {execution: ended}).values()))

    def watch() -> None:
        while not over.wait(_SECONDS_BETWEEN_QUESTIONS):
            if context.should_stop():
                return remember(before)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    remember(before)


def _compared(execution: Execution, found: np.ndarray, expected: np.ndarray) -> Trial:
    difference = _difference(found, expected)
    return Trial(execution, difference=difference, dropped=_inaccurate(difference))


def _timed(
    sessions: dict[Execution, onnxruntime.InferenceSession],
    slice_: np.ndarray,
    clock: Callable[[], float],
    context: JobContext,
) -> dict[Execution, float]:
    """Return the least seconds of each, in turns: else another program's load would favour some."""
    least = dict.fromkeys(sessions, float("inf"))
    rounds, began = 0, clock()
    while rounds < _LEAST_ROUNDS or clock() - began < _SECONDS:
        context.check_stop()
        for execution, session in sessions.items():
            start = clock()
            _computed(session, slice_)
            least[execution] = min(least[execution], clock() - start)
        rounds += 1
    return least


@lru_cache
def check(
    network: Path,
    changed_ns: int,
    size: int,
    threads: int,
    execution: Execution,
    tile: tuple[int, int] | None,
) -> None:
    """Raise an error if a network cannot be computed so, or a GPU has no memory for a tile (y, x).

    The file's time and size tell it from an earlier one.
    """
    part = _phantom_slices()[:1, :_CHECKED_PX, :_CHECKED_PX]
    expected = _computed(session_of(network, threads), part)
    session = held(network, threads, execution)
    if words := _inaccurate(_difference(_computed(session, part), expected)):
        raise RuntimeError(words)
    if tile and execution.on_gpu:
        _computed(session, np.zeros((1, *tile, 1), np.float32))


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.nan_to_num(np.abs(found - expected), nan=1.0).max())


def _inaccurate(difference: float) -> str:
    if difference <= MOST_DIFFERENCE:
        return ""
    return f"a probability differs by {difference:.4f}, more than {MOST_DIFFERENCE:g}"


def _phantom_slices() -> np.ndarray:
    """Return the phantom as a network sees it: float32 (z, y, x, 1)."""
    return Normalisation().apply(phantom()[0])[..., np.newaxis]


def _computed(session: onnxruntime.InferenceSession, slices: np.ndarray) -> np.ndarray:
    """Return a probability, float32 (z, y, x, 1), of slices one by one: together they would take memory."""
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: slices[z : z + 1]})[0] for z in range(len(slices))])
