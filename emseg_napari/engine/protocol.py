"""Messages between the window's process and the engine process, over two pipes.

The window sends a `Request`, and while its job runs perhaps `Stop`, `JobControl` or `LabelUpdate`; the
engine answers with the events of `emseg_napari.core.jobs`, the last of them `Finished` or
`Failed`. Before its first `Request` it may send `WarmUp`. Both ends are this package, so pickles are safe
here; they never come from a file.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, cast

import cloudpickle
import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.volume import Volume

# For which a job at work may still hear that its user ended it, once the window has closed the pipe.
LAST_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """Request to run a job.

    Attributes
    ----------
    job : str
        "train", "live", "predict", "predict_volume", "evaluate", "review", "segment",
        "segment_volume", "cell_table", "convert", "search" or "import_network".
    arguments : dict
        Keyword arguments of the function of that name (of `segment_stack` for "segment", of
        `save_table` for "cell_table", of `io.convert.Conversion` for "convert"; of `segment_volume`
        with the volume for its boundary), without `context`.
    """

    job: Literal[
        "train",
        "live",
        "predict",
        "predict_volume",
        "evaluate",
        "review",
        "segment",
        "segment_volume",
        "cell_table",
        "convert",
        "search",
        "import_network",
    ]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WarmUp:
    """Message that prepares an idle engine for its first job; it has no answer.

    Attributes
    ----------
    job : str
        "train" or "predict".
    """

    job: Literal["train", "predict"]


@dataclass(frozen=True)
class Stop:
    """Message that stops the running job."""


@dataclass(frozen=True, eq=False)
class LabelUpdate:
    """Present labels of one slice, for a "live" job.

    Attributes
    ----------
    z : int
        Index of the slice.
    labels : numpy.ndarray
        uint8 (y, x): 0 unlabelled, 1 boundary, 2 interior.
    """

    z: int
    labels: np.ndarray


@dataclass(frozen=True)
class Packed:
    """Pickled volume for another process, which opens its file again.

    Attributes
    ----------
    name : str
        What the user calls it.
    content : bytes
        Its pickle.
    """

    name: str
    content: bytes


def packed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of a job with volumes pickled, so that one that cannot be is named.

    Raises
    ------
    UserError
        If a volume cannot be pickled, such as one with an open file.
    """
    return {name: _packed(value) if isinstance(value, Volume) else value for name, value in arguments.items()}


def _packed(volume: Volume) -> Packed:
    try:
        return Packed(volume.name, cloudpickle.dumps(volume, protocol=5))
    except Exception as error:  # a lazy array may raise any error
        raise UserError(
            f"{volume.name} cannot be read by another process ({type(error).__name__}: {error}); save it as "
            "OME-Zarr or TIFF and open that."
        ) from None


def unpacked(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments as they were before `packed`.

    Raises
    ------
    UserError
        If a volume cannot be opened here.
    """
    return {name: _unpacked(one) if isinstance(one, Packed) else one for name, one in arguments.items()}


def _unpacked(volume: Packed) -> Volume:
    try:
        return cast(Volume, pickle.loads(volume.content))  # only from the other end of the pipe
    except Exception as error:
        raise UserError(
            f"{volume.name} cannot be opened in the engine process ({type(error).__name__}: {error}); save "
            "it as OME-Zarr or TIFF and open that."
        ) from None


def send(stream: BinaryIO, message: object) -> None:
    """Write one message; protocol 5 writes arrays without a copy."""
    pickle.dump(message, stream, protocol=5)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message; `EOFError` when the other end is closed."""
    try:
        return pickle.load(stream)  # only from the other end of the pipe
    except pickle.UnpicklingError as error:
        raise EOFError(str(error)) from None
