"""Fit of an image to a network: whether it looks like what the network has seen, found without labels.

A network that knows an image finds the same boundaries when a part of it is turned by a quarter, and nearly
the same when it is shrunk a little. Where membranes are thinner than those that it has seen, they are lost
when the image is shrunk; where it has seen nothing alike, turned parts differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emseg_napari.core.jobs import JobContext, Message, ShouldStop, UserError, never
from emseg_napari.inference.slice_predictor import SlicePredictor
from emseg_napari.inference.stack import check_prediction_scale, load_predictor
from emseg_napari.inference.tiles import whole
from emseg_napari.io.fingerprint import seen
from emseg_napari.io.slabs import Plane, Slabs
from emseg_napari.io.sparse_stack import Stack
from emseg_napari.io.stacks import as_stack, check_image, check_range
from emseg_napari.io.volume import Volume, with_fill_value
from emseg_napari.models.normalisation import Levels
from emseg_napari.models.resampling import Readable
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import PredictionSettings
from emseg_napari.settings.base import SCALE_LIMITS

# Chosen with the starter (benchmarks/README.md), between what it finds in ISBI 2012 (0:20),
# phantoms of 3.5 to 6 nm and the enlarged medulla, and in images that it does not know:
# `python benchmarks/fit.py RUN` prints all of these figures for a run.
MOST_TURNED = 0.28  # known: 0.10 to 0.25; others from 0.29
SHARES = (0.08, 0.46)  # known: 0.14 to 0.32
LEAST_SHRUNK = 0.67  # known: mostly 0.68 to 0.78; medulla at 10 nm, better at 1.4 and at 2: 0.66
LEAST_GAIN = 1.2  # at 1.4, its square at 2: medulla 1.21; phantoms that are not better there: to 1.19
FOUND_SHRUNK = 0.5  # at a scale that is offered: 0.51 and more; smooth noise: to 0.04

_SIDE_PX, _PARTS = 192, 4
_STEP = 2**0.5
_LARGER = {_STEP: 1, 2.0: 2}  # steps of each factor

_UNLIKE = "This image looks unlike what the network has seen."
_INVERTED = "Its grey values may be inverted, and membranes must be dark: invert them"
_WIDTH = "Its membranes may have another width"
_LABEL = "label two patches and train"


@dataclass(frozen=True)
class Fit:
    """How well an image fits a network.

    Attributes
    ----------
    sentence : str
        What the user should know; empty if the image fits.
    scale : float or None
        The scale that fits better, for `PredictionSettings.scale`.
    """

    sentence: str = ""
    scale: float | None = None

    @property
    def fits(self) -> bool:
        """Whether the image looks like what the network has seen."""
        return not self.sentence


@dataclass(frozen=True)
class Figures:
    """What a network finds in parts of an image at one size.

    Attributes
    ----------
    turned : float
        Mean difference to what it finds in turned parts, over the mean of what it finds; 0 is best.
    share : float
        Part of the pixels that is boundary, 0 to 1.
    shrunk : float
        Agreement of the boundaries found at 1/2 and at 0.71 of that size: pixels that are boundary in both,
        over those that are in one of them; 1 is best.
    """

    turned: float
    share: float
    shrunk: float

    @property
    def is_known(self) -> bool:
        """Whether the network is sure of what it finds."""
        return self.turned <= MOST_TURNED and SHARES[0] <= self.share <= SHARES[1]


def fit_of(
    predictor: SlicePredictor,
    image: Stack,
    should_stop: ShouldStop = never,
    slices: Sequence[int] | None = None,
    accepts: Callable[[float], bool] = lambda scale: True,
) -> Fit:
    """Say whether an image looks like what a network has seen.

    Parameters
    ----------
    predictor : SlicePredictor
        At the scale that is going to be used.
    image : numpy.ndarray or Volume
        (z, y, x), grey values.
    should_stop : callable
        Asked before each part is predicted.
    slices : sequence of int, optional
        Those that are looked at; four over the whole depth when not given.
    accepts : callable
        Says of a scale inside `SCALE_LIMITS` whether it may be offered.

    Raises
    ------
    UserError
        If they cannot be read.
    Cancelled
    """
    probe = Probe(predictor, list(parts_of(predictor, image, slices)), should_stop)
    here = probe.figures(1.0)
    if here.is_known and here.shrunk >= LEAST_SHRUNK:
        return Fit()
    if (scale := _better_scale(probe, here, accepts)) is not None:
        return Fit(f"{_UNLIKE} {_WIDTH}: try scale {scale:g}, or {_LABEL}.", scale)
    if here.is_known:
        return Fit()
    if probe.inverted().figures(1.0).is_known:
        return Fit(f"{_UNLIKE} {_INVERTED}, or {_LABEL}.")
    return Fit(f"{_UNLIKE} {_LABEL.capitalize()}, or choose another run.")


def fit_to_run(
    image: Stack,
    run: Run | Path | str,
    settings: PredictionSettings | None,
    should_stop: ShouldStop = never,
    px: int | None = None,
) -> Fit:
    """Say whether an image looks like what a run has seen, as far as it is going to be predicted.

    Only of a `compact` network it is known what it finds in images that it knows. What a run was trained
    on is known to it, whatever it finds there.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x) or (y, x), grey values.
    run : Run, Path or str
        A finished run or its folder.
    settings : PredictionSettings or None
        Of the prediction, None for the defaults; its slices are looked at.
    should_stop : callable
        Asked before each part is predicted.
    px : int, optional
        Pixels of a slice that are predicted at once; all when not given.

    Raises
    ------
    UserError
        If the run cannot be loaded, or the slices cannot be read.
    Cancelled
    """
    run = run if isinstance(run, Run) else open_run(run)
    if run.settings.network != "compact":
        return Fit()
    settings = settings or PredictionSettings()
    image = with_fill_value(as_stack(image), settings.missing_is_empty)
    slices = _looked_at(range(*check_range(settings.slices, len(image), "The image")))
    check_image(image, "The image", [] if isinstance(image, Volume) else slices)  # no whole slice on disk
    if _is_trained_on(run, image, slices):
        return Fit()
    at_once_px = px or math.prod(image.shape[1:])

    def accepts(scale: float) -> bool:
        try:
            check_prediction_scale(
                run, settings.model_copy(update={"scale": scale}), image.shape[1:], at_once_px
            )
        except UserError:
            return False
        return True

    return fit_of(load_predictor(run, settings), image, should_stop, slices, accepts)


def report_fit(
    image: Stack,
    run: Run | Path | str,
    settings: PredictionSettings | None,
    context: JobContext,
    px: int | None = None,
) -> None:
    """Report a `Message` if an image looks unlike what a run has seen, before it predicts that.

    Parameters are those of `fit_to_run`. What cannot be loaded or read is left to the prediction, which
    says so.
    """
    try:
        fit = fit_to_run(image, run, settings, context.should_stop, px)
    except UserError:
        return
    if not fit.fits:
        context.report(Message(fit.sentence))


def _is_trained_on(run: Run, image: Stack, slices: Sequence[int]) -> bool:
    """Whether a run was trained on one of some slices; those of another size are not read for it."""
    record = run.record
    if image.shape[1:] != record.image_shape[1:]:
        return False
    return any(seen(image[z], record.fingerprints) for z in slices)


def _better_scale(probe: Probe, here: Figures, accepts: Callable[[float], bool]) -> float | None:
    """Return the scale at which the image fits clearly better; None if there is none to offer."""
    scales = {factor: round(factor * probe.scale, 2) for factor in (0.5, *_LARGER)}
    low, high = SCALE_LIMITS["ge"], SCALE_LIMITS["le"]
    offered = {f: scale for f, scale in scales.items() if low <= scale <= high and accepts(scale)}
    gains = {f: _gain(probe.figures(f), here) / LEAST_GAIN**n for f, n in _LARGER.items() if f in offered}
    if gains and max(gains.values()) >= 1:
        return offered[max(gains, key=lambda f: gains[f])]
    smaller = None if here.is_known or 0.5 not in offered else probe.figures(0.5)
    if smaller and smaller.is_known and here.turned >= LEAST_GAIN**2 * smaller.turned:
        return offered[0.5]
    return None


def _gain(found: Figures, here: Figures) -> float:
    """Return by how much all that agrees agrees better at another scale; 0 if it does not agree there."""
    if not found.is_known or found.shrunk < FOUND_SHRUNK:
        return 0.0
    turned, shrunk = (max(0.01, one) for one in (found.turned, here.shrunk))
    return max(0.01, here.turned) / turned * found.shrunk / shrunk


class Probe:
    """Parts of an image, and what a network finds in them at several sizes.

    Parameters
    ----------
    predictor, should_stop
        As for `fit_of`.
    parts : list of numpy.ndarray
        From `parts_of`.
    """

    def __init__(
        self, predictor: SlicePredictor, parts: list[np.ndarray], should_stop: ShouldStop = never
    ) -> None:
        self._predictor, self._should_stop = predictor, should_stop
        self._parts = parts
        self._found: dict[float, list[tuple[np.ndarray, np.ndarray]]] = {}

    @property
    def scale(self) -> float:
        """The scale of the predictor."""
        return self._predictor.scale

    def inverted(self) -> Probe:
        """Return the same of the inverted image."""
        return Probe(self._predictor, [-part for part in self._parts], self._should_stop)

    def figures(self, factor: float) -> Figures:
        """Return what is found at a scale that is larger by a factor."""
        pairs = self._predicted(factor)
        turned = sum(float(np.abs(one - other).sum()) for one, other in pairs)
        found = sum(float(one.sum() + other.sum()) for one, other in pairs) / 2
        share = float(np.mean([(one >= 0.5).mean() for one, _ in pairs]))
        sizes = (self._predicted(factor / 2), self._predicted(factor / _STEP))
        masks = [np.concatenate([(one + other >= 1).ravel() for one, other in size]) for size in sizes]
        either = np.count_nonzero(masks[0] | masks[1])
        shrunk = np.count_nonzero(masks[0] & masks[1]) / either if either else 0.0
        return Figures(turned / found if found else 1.0, share, shrunk)

    def _predicted(self, factor: float) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return what is found in each part and in the turned part, turned back, at the size of the parts."""
        factor = round(factor, 3)
        if factor not in self._found:
            predictor = self._predictor.enlarged(factor)
            self._found[factor] = [
                (self._one(predictor, part), np.rot90(self._one(predictor, np.rot90(part)), -1))
                for part in self._parts
            ]
        return self._found[factor]

    def _one(self, predictor: SlicePredictor, part: np.ndarray) -> np.ndarray:
        return predictor.window(part, whole(part.shape), Levels(0.0, 1.0), self._should_stop)


def parts_of(
    predictor: SlicePredictor, image: Stack, slices: Sequence[int] | None = None
) -> Iterator[np.ndarray]:
    """Give parts of slices of an image, as the network sees grey levels, float32 (y, x).

    Parameters are those of `fit_of`.
    """
    slabs = Slabs(image) if isinstance(image, Volume) else None
    for number, z in enumerate(_looked_at(range(len(image))) if slices is None else slices):
        plane = Plane(slabs, (image.shape[1], image.shape[2]), z) if slabs else image[z]
        yield _part(predictor, plane, number)


def _looked_at(slices: range) -> list[int]:
    """Return the slices, of a range, that are looked at: spread over it."""
    return [slices[(2 * number + 1) * len(slices) // (2 * _PARTS)] for number in range(_PARTS)]


def _part(predictor: SlicePredictor, slice_: Readable, number: int) -> np.ndarray:
    """Return a part of a slice, each number from another place."""
    levels = predictor.levels(slice_)
    rows, columns = levels.inside or whole(slice_.shape)
    along_y = (number + 0.5) / _PARTS
    window = _at(rows, along_y), _at(columns, 2 * along_y % 1)
    return replace(levels, box=None).apply(slice_[window])


def _at(part: slice, where: float) -> slice:
    """Return a stretch of an axis, from its beginning (0) to its end (1)."""
    first = part.start + int(max(0, part.stop - part.start - _SIDE_PX) * where)
    return slice(first, min(part.stop, first + _SIDE_PX))
