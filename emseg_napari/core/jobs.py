"""Contract of every long job: typed events out, stop and control in.

A long job is a function ``job(arrays, settings, context)``. It calls ``context.report`` with the
events below and ``context.should_stop`` at least once a second of its own work; when that answers
True it raises `Cancelled`. The same function runs in the engine process behind the window and
directly on the command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emseg_napari.core.mailbox import Mailbox


class UserError(Exception):
    """Error that the user can correct: one sentence that says what is wrong and what to do.

    Parameters
    ----------
    sentence : str
    settings : tuple of str
        Fields of settings that the sentence names by their titles, also an attribute. The command line adds
        its options to them, and the window where they are.
    """

    def __init__(self, sentence: str, settings: tuple[str, ...] = ()) -> None:
        super().__init__(sentence)
        self.settings = settings
        self.unanswered: tuple[str, ...] = ()  # names of what the user must be asked for


class Cancelled(Exception):
    """The job was asked to stop; what it had finished before is intact."""


@dataclass(frozen=True)
class Event:
    """Base of everything a job reports."""


@dataclass(frozen=True)
class Message(Event):
    """A sentence for the user, such as a warning that does not stop the job."""

    text: str


@dataclass(frozen=True)
class SliceLeftOut(Message):
    """A slice cannot be read, and the job goes on without it; the text says why."""

    z: int


@dataclass(frozen=True)
class Progress(Event):
    """How far the job is.

    Attributes
    ----------
    fraction : float
        Work done, 0 to 1.
    seconds_left : float or None
        Estimated time to the end in seconds; None while it cannot be known.
    text : str
        What is being done, in a few words.
    """

    fraction: float
    seconds_left: float | None = None
    text: str = ""


@dataclass(frozen=True)
class EpochEnded(Event):
    """One epoch of training is over and its checkpoint is on disk.

    Attributes
    ----------
    epoch, step : int
        Epochs (from 1) and optimiser steps done so far.
    seconds : float
        Training time so far in seconds.
    loss : float
        Mean training loss of the epoch.
    accuracy : float
        Pixel accuracy on training slices at threshold 0.5, 0 to 1.
    held_out_accuracy : float or None
        The same on the held-out slices; None if nothing is held out.
    learning_rate : float
        At the end of the epoch.
    held_out_v_rand : float or None
        V_rand at threshold 0.5 on what is held out, before gaps are closed, which raises it; None where its
        labels have gaps.
    """

    epoch: int
    step: int
    seconds: float
    loss: float
    accuracy: float
    held_out_accuracy: float | None
    learning_rate: float
    held_out_v_rand: float | None = None


@dataclass(frozen=True)
class PreviewReady(Event):
    """The network's present prediction of one slice.

    Attributes
    ----------
    epoch : int
    z : int
        Index of the slice.
    probability : numpy.ndarray
        Boundary probability, float32 (y, x), 0 to 1.
    """

    epoch: int
    z: int
    probability: np.ndarray


@dataclass(frozen=True)
class SlicePredicted(Event):
    """One slice of a prediction is complete.

    Attributes
    ----------
    z : int
        Index of the slice in the image that the job was given.
    probability : numpy.ndarray
        Boundary probability, float32 (y, x), 0 to 1.
    fingerprint : str
        Of the slice; empty if it is not known.
    """

    z: int
    probability: np.ndarray
    fingerprint: str = ""


@dataclass(frozen=True)
class QuickLookReady(Event):
    """A first look at a part of a slice whose prediction takes a while.

    Attributes
    ----------
    z : int
        Index of the slice in the image that the job was given.
    window : (slice, slice)
        The part, (y, x).
    probability : numpy.ndarray
        Boundary probability, float32 (y, x), 0 to 1, in a single orientation and with its gaps open.
    """

    z: int
    window: tuple[slice, slice]
    probability: np.ndarray


@dataclass(frozen=True)
class BlockDone(Event):
    """One block of a volume is done and on disk.

    Attributes
    ----------
    block : Any
        Which one, as the job was given it.
    result : Any
        What its `BlockWork.write` returned.
    """

    block: Any
    result: Any = None


@dataclass(frozen=True)
class BlockFailed(Event):
    """One block of a volume failed; the others are processed all the same.

    Attributes
    ----------
    index : tuple of int
        Which one along (z, y, x).
    text : str
        A sentence that says why.
    details : str
        Traceback for a bug report, empty for the user's own mistakes.
    settings : tuple of str
        As of `UserError`.
    """

    index: tuple[int, ...]
    text: str
    details: str = ""
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finished(Event):
    """The job is over; `result` is what its function returned."""

    result: Any = None


@dataclass(frozen=True)
class Failed(Event):
    """The job ended early.

    Attributes
    ----------
    text : str
        A sentence for the user.
    cancelled : bool
        True if the user asked for it.
    details : str
        Traceback for a bug report, empty for the user's own mistakes.
    settings, unanswered : tuple of str
        As of `UserError`.
    """

    text: str
    cancelled: bool = False
    details: str = ""
    settings: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobControl:
    """What the user wants of a job while it runs.

    Attributes
    ----------
    z : int or None
        The slice that the user looks at, for previews.
    paused : bool
        Wait until this is False again.
    enough : bool
        The training is good enough: end it now and keep the best network.
    """

    z: int | None = None
    paused: bool = False
    enough: bool = False


Report = Callable[[Event], None]
ShouldStop = Callable[[], bool]


def ignore(event: Event) -> None:
    """Receive an event and do nothing."""


def never() -> bool:
    """Return False: the job never has to stop."""
    return False


@dataclass(frozen=True)
class JobContext:
    """How a long job and its caller communicate while it runs.

    Attributes
    ----------
    report : callable
        Receives the job's events, on the job's own thread.
    should_stop : callable
        Whether the job must end early; the job then raises `Cancelled`.
    control : callable
        Returns what the user wants of the job now.
    inbox : Mailbox
        Receives labels that change meanwhile; only live learning reads it.
    began : float
        `time.monotonic` when the user asked for the job; the minutes of a training count from there.
    """

    report: Report = ignore
    should_stop: ShouldStop = never
    control: Callable[[], JobControl] = JobControl
    inbox: Mailbox = field(default_factory=Mailbox)
    began: float = field(default_factory=time.monotonic)

    def check_stop(self) -> None:
        """Raise `Cancelled` if the job must end early."""
        if self.should_stop():
            raise Cancelled

    def reporting_to(self, report: Report) -> JobContext:
        """Return the same context with another receiver of events."""
        return replace(self, report=report)
