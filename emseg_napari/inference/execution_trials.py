"""Measurement of what networks can be computed on: how fast it is, and how near to the processor in float32.

The starter network is computed on the sample phantom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

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
_MOST_ENDS = 2  # the user may have ended it


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


def measured(
    earlier: list[Trial],
    remember: Callable[[list[Trial]], None],
    context: JobContext,
    clock: Callable[[], float],
) -> list[Trial]:
    """Measure candidates.

    Parameters
    ----------
    earlier : list of Trial
        One of each candidate, the processor in float32 first; those that ended the program too often stay.
    remember : callable
        Gets what is known before each trial, which may end the program.
    context : JobContext
        Gets a `Message`, and is asked before each trial whether to stop.
    clock : callable
        Returns seconds.
    """
    found = {one.execution: one if one.ends else Trial(one.execution) for one in earlier}
    names = "; ".join(str(one) for one in found if one != PROCESSOR)
    context.report(Message(f"It is measured once whether this machine predicts faster on: {names}."))
    network, slices = open_run(STARTER).network_file, _phantom_slices()
    sessions = {PROCESSOR: session_of(network, 0)}
    expected = _computed(sessions[PROCESSOR], slices)
    found[PROCESSOR] = Trial(PROCESSOR, difference=0.0)
    for execution in [one for one in found if one != PROCESSOR and not found[one].is_over]:
        context.check_stop()
        found[execution] = Trial(execution, dropped=_ENDED, ends=found[execution].ends + 1)
        remember(list(found.values()))
        try:
            sessions[execution] = held(network, 0, execution)
            found[execution] = _compared(execution, _computed(sessions[execution], slices), expected)
        except Exception as error:  # ONNX Runtime has an exception class for every status
            found[execution] = Trial(execution, dropped=first_line(error))
    kept = {one: session for one, session in sessions.items() if not found[one].dropped}
    for execution, seconds in _timed(kept, slices[:1], clock).items():
        found[execution] = replace(found[execution], seconds=seconds / slices[0].size * 1e6)
    remember(list(found.values()))
    return list(found.values())


def _compared(execution: Execution, found: np.ndarray, expected: np.ndarray) -> Trial:
    difference = _difference(found, expected)
    return Trial(execution, difference=difference, dropped=_inaccurate(difference))


def _timed(
    sessions: dict[Execution, onnxruntime.InferenceSession], slice_: np.ndarray, clock: Callable[[], float]
) -> dict[Execution, float]:
    """Return the least seconds of each, in turns: else another program's load would favour some."""
    least = dict.fromkeys(sessions, float("inf"))
    rounds, began = 0, clock()
    while rounds < _LEAST_ROUNDS or clock() - began < _SECONDS:
        for execution, session in sessions.items():
            start = clock()
            _computed(session, slice_)
            least[execution] = min(least[execution], clock() - start)
        rounds += 1
    return least


@lru_cache
def check(network: Path, changed_ns: int, size: int, threads: int, execution: Execution) -> None:
    """Raise an error if a network cannot be computed so; its time and size tell it from an earlier one."""
    part = _phantom_slices()[:1, :_CHECKED_PX, :_CHECKED_PX]
    expected = _computed(session_of(network, threads), part)
    if words := _inaccurate(_difference(_computed(held(network, threads, execution), part), expected)):
        raise RuntimeError(words)


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
