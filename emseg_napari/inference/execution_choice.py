"""Choice of what networks are computed on: what a short measurement finds fastest and accurate.

It is made once for each machine and version and remembered in a file. Where a GPU could compute nothing at
all, its libraries, its memory or the GPU itself may be missing only now: each process tries that once more.
Where there is nothing to choose from, nothing is measured.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnxruntime
from pydantic import TypeAdapter, ValidationError

from emseg_napari.core.files import read_json, write_json
from emseg_napari.core.jobs import JobContext, Message, UserError
from emseg_napari.core.locks import Occupied, locked
from emseg_napari.core.user_folder import config_folder
from emseg_napari.inference.execution import PROCESSOR, Execution, candidates
from emseg_napari.inference.execution_trials import Trial, check, is_settled, measured
from emseg_napari.inference.sessions import first_line, session_of
from emseg_napari.models.run import Run
from emseg_napari.settings import BASELINES

_LEAST_GAIN = 1.2  # less may be noise, and is not worth being bound to a kind of machine
_PATIENCE_S = 60.0  # for which another process may measure
_TRIALS = TypeAdapter(list[Trial])
# Of this process, by file: where nothing can be written, it would be measured for each prediction.
_known: dict[Path, list[Trial]] = {}


def chosen_for(
    run: Run, context: JobContext, threads: int = 0, tile: tuple[int, int] | None = None
) -> Execution:
    """Return what the network of a run is best computed on here.

    Parameters
    ----------
    run : Run
    context : JobContext
        Gets a `Message` when something is measured, and when this network cannot be computed on what is
        fastest.
    threads : int
        Processor threads; 0 = as many as the process may.
    tile : (int, int), optional
        (y, x) of the largest tile that it is given, for which a GPU must have the memory.

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
            check(run.network_file, stat.st_mtime_ns, stat.st_size, threads, execution, tile)
            return execution
        except Exception as error:  # also of ONNX Runtime, such as for lack of memory
            context.report(Message(f"This network is not computed on {execution}: {first_line(error)}."))
    return PROCESSOR


def ranked(found: list[Trial]) -> list[Execution]:
    """Return what is faster than the processor in float32, the fastest first."""
    seconds = {trial.execution: trial.seconds for trial in found if trial.seconds and not trial.dropped}
    most = seconds.get(PROCESSOR, 0.0) / _LEAST_GAIN
    return sorted((one for one in seconds if seconds[one] <= most), key=lambda one: seconds[one])


def trials(context: JobContext, clock: Callable[[], float] = time.perf_counter) -> list[Trial]:
    """Return what came of all candidates on this machine; they are measured if that is not remembered.

    Parameters
    ----------
    context : JobContext
        Gets a `Message` before something is measured, and says whether to stop.
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
    if not candidates():
        return [Trial(PROCESSOR)]
    target = file_here()
    if target not in _known and is_settled(found := _remembered(target)):
        _known[target] = found
    if target not in _known:
        with _turn(target, context):
            found = _remembered(target)  # another process may have measured meanwhile
            _known[target] = measured(found, lambda known: _remember(target, known), context, clock)
    return _known[target]


def is_measured() -> bool:
    """Whether `trials` has nothing to measure nor to try."""
    return file_here() in _known or is_settled(_remembered(file_here()))


@contextmanager
def _turn(target: Path, context: JobContext) -> Iterator[None]:
    """Wait until no other process measures, or nothing can be locked."""
    with suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + _PATIENCE_S
    with ExitStack() as stack:
        while target.parent.is_dir():
            context.check_stop()
            try:
                stack.enter_context(locked(target))
                break
            except Occupied:
                if time.monotonic() > end:
                    raise
        yield


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
    """Return a trial of each candidate, as far as one is remembered."""
    try:
        known = {trial.execution: trial for trial in _TRIALS.validate_python(read_json(target))}
    except (UserError, ValidationError):  # none yet, or damaged: it is measured
        known = {}
    return [known.get(one, Trial(one)) for one in (PROCESSOR, *candidates())]


def _remember(target: Path, found: list[Trial]) -> None:
    with suppress(UserError, OSError):  # it is measured again
        write_json(target, [asdict(trial) for trial in found])
