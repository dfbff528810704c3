"""What the window's process and the engine process say to each other over two pipes.

The window sends a `Request`, and while its job runs perhaps `Stop` and new `Wishes`; the engine
answers with the events of `emseg_napari.jobs`, the last of them `Finished` or `Failed`.
Both ends are this package, so pickles are safe here; they never come from a file.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal


@dataclass(frozen=True)
class Request:
    """Do a job.

    Attributes
    ----------
    job : str
        "train", "predict", "evaluate", "review" or "segment".
    arguments : dict
        Keyword arguments of the function of that name (of `instances` for "segment"), less the
        contract's callables.
    """

    job: Literal["train", "predict", "evaluate", "review", "segment"]
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stop:
    """Break the running job off."""


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
