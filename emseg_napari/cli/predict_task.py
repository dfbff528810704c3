"""One prediction of ``emseg predict``: what is asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emseg_napari.core.jobs import BlockFailed, JobContext
from emseg_napari.io.address import Location
from emseg_napari.io.records import Kind
from emseg_napari.models.run import Run
from emseg_napari.settings import PredictionSettings

if TYPE_CHECKING:
    from emseg_napari.inference.execution import Execution


def _as_it_is(context: JobContext) -> JobContext:
    return context


@dataclass(frozen=True)
class PredictTask:
    """What is predicted, and into what.

    Attributes
    ----------
    shown : callable
        Returns the context in which it is predicted, of one that shows what is reported.
    resumes : bool
        A TIFF file that is there is not predicted again, as blocks of an OME-Zarr are not.
    execution : Execution or None
        What the network is computed on; None = what is best here.
    """

    run: Run
    image: Location
    output: Location
    kind: Kind
    settings: PredictionSettings
    shown: Callable[[JobContext], JobContext] = _as_it_is
    resumes: bool = False
    execution: Execution | None = None


@dataclass(frozen=True)
class Predicted:
    """What came of a prediction.

    Attributes
    ----------
    sentence, figures : str, dict
        The result in words, and for --json.
    failures : tuple of BlockFailed
        What could not be predicted.
    warning : str
        About what was predicted; "" if there is none.
    is_new : bool
        False if all of it was there before.
    """

    sentence: str
    figures: dict[str, Any]
    failures: tuple[BlockFailed, ...] = ()
    warning: str = ""
    is_new: bool = True
