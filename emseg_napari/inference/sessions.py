"""Sessions of ONNX Runtime: networks that are loaded, once for all that use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from weakref import WeakValueDictionary

import onnxruntime

from emseg_napari.core import machine
from emseg_napari.core.blockwise.work import FatalBlockError
from emseg_napari.core.jobs import UserError
from emseg_napari.inference.execution import PROCESSOR, Execution, candidates

# A network that is in use is not loaded again, which would cost its buffers once more, too.
_HELD: WeakValueDictionary[tuple[Path, int, int, int, Execution], onnxruntime.InferenceSession]
_HELD = WeakValueDictionary()
_KEPT: list[list[onnxruntime.InferenceSession]] = []


def session_of(path: Path, threads: int, execution: Execution = PROCESSOR) -> onnxruntime.InferenceSession:
    """Load the network of a run.

    Parameters
    ----------
    path : Path
        Its ONNX file.
    threads : int
        Processor threads to use; 0 = as many as the process may.
    execution : Execution

    Raises
    ------
    UserError
        If the file is missing or damaged.
    FatalBlockError
        If this machine cannot compute so.
    """
    if not path.is_file():
        raise UserError(
            f"{path.parent} has no finished network (network.onnx); let its training end, or resume it."
        )
    try:
        return held(path, threads, execution)
    except Exception as error:  # ONNX Runtime has an exception class for every status
        if execution == PROCESSOR:
            raise UserError(
                f"{path} cannot be loaded ({first_line(error)}); it is damaged: train again."
            ) from None
        raise FatalBlockError(
            f"This machine cannot compute on {execution} ({first_line(error)}), as the prediction was begun; "
            "use machines that can, or choose another output."
        ) from None


def held(path: Path, threads: int, execution: Execution) -> onnxruntime.InferenceSession:
    """Do what `session_of` does, with ONNX Runtime's errors."""
    threads = machine.threads(threads)  # left to itself, ONNX Runtime would take all of the machine
    stat = path.stat()
    key = path.resolve(), stat.st_mtime_ns, stat.st_size, threads, execution
    session = _HELD.get(key) or loaded(str(path), threads, execution)
    _HELD[key] = session
    for kept in _KEPT:
        kept.append(session)
    return session


@contextmanager
def kept_loaded() -> Iterator[None]:
    """Keep every network that is used within a block loaded until its end."""
    kept: list[onnxruntime.InferenceSession] = []
    _KEPT.append(kept)
    try:
        yield
    finally:
        _KEPT.remove(kept)


def loaded(
    network: str | bytes, threads: int, execution: Execution = PROCESSOR
) -> onnxruntime.InferenceSession:
    """Load an ONNX file, or its content.

    Raises
    ------
    Exception
        Of ONNX Runtime, and `RuntimeError` if this machine cannot compute so.
    """
    if execution not in (PROCESSOR, *candidates()):
        raise RuntimeError("ONNX Runtime does not offer it here")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait for each other would spin, at the cost of those that read, write and draw.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A second run would get all of its memory again, as one piece, which is not quicker.
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    if execution.precision == "bfloat16":
        options.add_session_config_entry("mlas.enable_gemm_fastmath_arm64_bfloat16", "1")
    if execution.on_gpu:
        options.use_deterministic_compute = True
        _load_cuda()
    if execution.precision == "float16":
        from emseg_napari.inference.half_precision import in_half_precision  # loads onnx

        network = in_half_precision(network if isinstance(network, bytes) else Path(network).read_bytes())
    # Without its fallback, with which it would compute on the processor and print that.
    session = onnxruntime.InferenceSession(network, options, providers=execution.providers, enable_fallback=0)
    # It falls back by itself where libraries are missing.
    if session.get_providers()[0] != execution.provider:
        raise RuntimeError("its libraries are missing, or there is no such GPU")
    return session


def _load_cuda() -> None:
    """Load the libraries of CUDA that were installed by pip, which ONNX Runtime does not look for."""
    with suppress(AttributeError, RuntimeError), redirect_stdout(StringIO()):
        onnxruntime.preload_dlls(msvc=False)


def is_on_gpu(session: onnxruntime.InferenceSession) -> bool:
    """Say whether a session computes on a GPU."""
    return bool(session.get_providers()[0] != PROCESSOR.provider)


def first_line(error: Exception) -> str:
    """Return what an error of ONNX Runtime says, without the traces of its own code."""
    return str(error).splitlines()[0][:120] if str(error) else type(error).__name__
