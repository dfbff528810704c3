"""Choice of what networks are computed on: what a short measurement finds fastest and accurate.

It is made once for each machine and version and remembered in a file. Where there is nothing to choose
from, nothing is measured.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pydantic import TypeAdapter, ValidationError

from emseg_napari.core.files import read_json, write_json
from emseg_napari.core.jobs import JobContext, Message, UserError
from emseg_napari.core.locks import Occupied, locked
from emseg_napari.core.user_folder import config_folder
from emseg_napari.inference.execution import PROCESSOR, Execution, candidates
from emseg_napari.inference.sessions import first_line, held, session_of
from emseg_napari.io.samples import phantom
from emseg_napari.models.normalisation import Normalisation
from emseg_napari.models.run import Run, open_run
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import BASELINES

# By which a boundary probability may differ from that of the processor in float32: half a 255th.
MOST_DIFFERENCE = 0.002
_SECONDS = 1.0  # of computing, for all candidates together
_LEAST_GAIN = 1.1  # less is noise, and no reason to be bound to a kind of machine
_CHECKED_PX = 192  # of a tile by which a network is checked before it is used
_PATIENCE_S = 60.0  # for which another process may measure
_ENDED = "the program ended while it was tried"
_MOST_ENDS = 2  # the user may have ended it


@dataclass(frozen=True)
class Trial:
    """What came of one candidate.

    Attributes
    ----------
    execution : Execution
    seconds : float or None
        For a megapixel of the starter network, in one orientation.
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


_TRIALS = TypeAdapter(list[Trial])


def chosen_for(run: Run, context: JobContext, threads: int = 0) -> Execution:
    """Return what the network of a run is best computed on here.

    Parameters
    ----------
    run : Run
    context : JobContext
        Gets a `Message` when something is measured, and when this network cannot be computed on what is
        fastest.
    threads : int
        Processor threads; 0 = as many as the process may.

    Raises
    ------
    UserError
        If its network is missing or damaged.
    Cancelled
    """
    if run.settings.network in BASELINES or not candidates():
        return PROCESSOR
    session_of(run.network_file, threads)
    stat = run.network_file.stat()
    try:
        faster = ranked(trials(context))
    except Occupied:
        return PROCESSOR
    for execution in faster:
        try:
            _check(run.network_file, stat.st_mtime_ns, stat.st_size, threads, execution)
            return execution
        except Exception as error:  # also of ONNX Runtime, such as for lack of memory
            context.report(Message(f"This network is not computed on {execution}: {first_line(error)}."))
    return PROCESSOR


def ranked(found: list[Trial]) -> list[Execution]:
    """Return what is faster than the processor in float32, the fastest first."""
    seconds = {trial.execution: trial.seconds for trial in found if trial.seconds and not trial.dropped}
    most = seconds.get(PROCESSOR, 0.0) / _LEAST_GAIN
    faster = [one for one in seconds if seconds[one] <= most]
    return sorted(faster, key=lambda one: seconds[one])


def trials(context: JobContext, clock: Callable[[], float] = time.perf_counter) -> list[Trial]:
    """Return what came of all candidates on this machine; they are measured if that is not remembered.

    Parameters
    ----------
    context : JobContext
        Gets a `Message` before something is measured, and says between two candidates whether to stop.
    clock : callable
        Returns seconds.

    Returns
    -------
    list of Trial
        The processor in float32 first.

    Raises
    ------
    Occupied
        If another process has been measuring for long.
    Cancelled
    """
    wanted, target = [PROCESSOR, *candidates()], file_here()
    if len(wanted) == 1:
        return [Trial(PROCESSOR)]
    found = _remembered(target)
    if not _missing(wanted, found):
        return found
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target, _PATIENCE_S) if target.parent.is_dir() else nullcontext():
        return _measured(wanted, target, context, clock)


def file_here() -> Path:
    """Return the file in which the choice for this machine, this version and these devices is remembered.

    Several machines may share the user's folder.
    """
    devices: list[Any] = getattr(onnxruntime, "get_ep_devices", list)()
    known = (
        version("emseg-napari"),
        onnxruntime.__version__,
        onnxruntime.get_available_providers(),
        platform.machine(),
        platform.processor(),
        sorted((one.ep_name, one.device.vendor_id, one.device.device_id) for one in devices),
    )
    mark = sha256(repr(known).encode()).hexdigest()[:12]
    return config_folder() / "execution" / f"{platform.node() or 'machine'}-{mark}.json"


def _remembered(target: Path) -> list[Trial]:
    try:
        return _TRIALS.validate_python(read_json(target))
    except (UserError, ValidationError):  # none yet, or damaged: it is measured
        return []


def _remember(target: Path, found: list[Trial]) -> None:
    with suppress(UserError, OSError):  # it is measured again
        write_json(target, [asdict(trial) for trial in found])


def _missing(wanted: list[Execution], found: list[Trial]) -> list[Execution]:
    tried = {trial.execution for trial in found if not 0 < trial.ends < _MOST_ENDS}
    return [one for one in wanted if one not in tried]


def _measured(
    wanted: list[Execution], target: Path, context: JobContext, clock: Callable[[], float]
) -> list[Trial]:
    """Measure what is not remembered, candidate by candidate: one may end the program."""
    found = {trial.execution: trial for trial in _remembered(target)}
    missing = _missing(wanted, list(found.values()))  # another process may have measured meanwhile
    if not missing:
        return list(found.values())
    names = "; ".join(str(one) for one in missing if one != PROCESSOR)
    context.report(Message(f"It is measured once whether this machine predicts faster on: {names}."))
    network, slices = open_run(STARTER).network_file, _phantom_slices()
    expected = _computed(session_of(network, 0), slices)
    for execution in missing:
        context.check_stop()
        if execution != PROCESSOR:
            ends = found[execution].ends + 1 if execution in found else 1
            found[execution] = Trial(execution, dropped=_ENDED, ends=ends)
            _remember(target, list(found.values()))
        found[execution] = _tried(network, execution, slices, expected, _SECONDS / len(wanted), clock)
        _remember(target, list(found.values()))
    return list(found.values())


def _tried(
    network: Path,
    execution: Execution,
    slices: np.ndarray,
    expected: np.ndarray,
    seconds: float,
    clock: Callable[[], float],
) -> Trial:
    """Compare with what is expected, then measure for some seconds."""
    try:
        session = held(network, 0, execution)
        found = expected if execution == PROCESSOR else _computed(session, slices)
        taken: list[float] = []
        began = clock()
        while not taken or clock() - began < seconds:
            start = clock()
            _computed(session, slices[:1])
            taken.append(clock() - start)
    except Exception as error:  # ONNX Runtime has an exception class for every status
        return Trial(execution, dropped=first_line(error))
    difference = _difference(found, expected)
    return Trial(execution, min(taken) / slices[0].size * 1e6, difference, _inaccurate(difference))


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.nan_to_num(np.abs(found - expected), nan=1.0).max())


def _inaccurate(difference: float) -> str:
    if difference <= MOST_DIFFERENCE:
        return ""
    return f"a probability differs by {difference:.4f}, more than {MOST_DIFFERENCE:g}"


@lru_cache
def _check(network: Path, changed_ns: int, size: int, threads: int, execution: Execution) -> None:
    """Raise an error if a network cannot be computed so; its time and size tell it from an earlier one."""
    part = _phantom_slices()[:1, :_CHECKED_PX, :_CHECKED_PX]
    expected = _computed(session_of(network, threads), part)
    if words := _inaccurate(_difference(_computed(held(network, threads, execution), part), expected)):
        raise RuntimeError(words)


def _phantom_slices() -> np.ndarray:
    """Return the phantom as a network sees it: float32 (z, y, x, 1)."""
    return Normalisation().apply(phantom()[0])[..., np.newaxis]


def _computed(session: onnxruntime.InferenceSession, slices: np.ndarray) -> np.ndarray:
    """Return a probability, float32 (z, y, x, 1), of slices one by one: together they would take memory."""
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: slices[z : z + 1]})[0] for z in range(len(slices))])
