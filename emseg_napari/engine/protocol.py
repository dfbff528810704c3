"""What the window's process and the engine process say to each other over two pipes.

The window sends a `Request`, and while its job runs perhaps `Stop`, new `JobControl` and what was
`LabelUpdate`; the engine answers with the events of `emseg_napari.core.jobs`, the last of them `Finished` or
`Failed`. Both ends are this package, so pickles are safe here; they never come from a file.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, cast

import cloudpickle
import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.volume import Volume


@dataclass(frozen=True)
class Request:
    """Do a job.

    Attributes
    ----------
    job : str
        "train", "live", "predict", "predict_volume", "evaluate", "review", "segment",
        "segment_volume" or "search".
    arguments : dict
        Keyword arguments of the function of that name (of `instances` for "segment"; of
        `segment_volume` with the volume for its boundary), less the contract's callables.
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
        "search",
    ]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stop:
    """Break the running job off."""


@dataclass(frozen=True, eq=False)
class LabelUpdate:
    """What the user has labelled of one slice by now; a "live" job learns it.

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
    """A volume on its way to another process, where it opens its file again.

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
    """Return arguments of a job of which volumes can be sent, and say before that which cannot.

    Raises
    ------
    UserError
        If a volume holds what no other process can have, such as an open file.
    """
    return {name: _packed(value) if isinstance(value, Volume) else value for name, value in arguments.items()}


def _packed(volume: Volume) -> Packed:
    try:
        return Packed(volume.name, cloudpickle.dumps(volume, protocol=5))
    except Exception as error:  # whatever stands behind a lazy array raises what it likes
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
        return cast(Volume, pickle.loads(volume.content))  # from our own other end only
    except Exception as error:
        raise UserError(
            f"{volume.name} cannot be opened in the engine process ({type(error).__name__}: {error}); save "
            "it as OME-Zarr or TIFF and open that."
        ) from None


def send(stream: BinaryIO, message: object) -> None:
    """Write one message; protocol 5 hands arrays to the pipe without a copy."""
    pickle.dump(message, stream, protocol=5)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message; `EOFError` when the other end is gone."""
    try:
        return pickle.load(stream)  # from our own other end only
    except pickle.UnpicklingError as error:
        raise EOFError(str(error)) from None
