"""Prediction of slices, or of windows of slices that are too large to be read.

Whatever part is asked for and into whatever tiles it is cut, what comes out is the prediction of the whole
slice: tiles overlap by as much as the network sees, and lie where its grid has them.

Where a border of constant value lies beside a picture, the picture is predicted as a slice of its own. The
border is interior, with a line of boundary along the picture, so that no cell goes on into it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emseg_napari.core.jobs import Cancelled, ShouldStop, never
from emseg_napari.inference.grid import Grid
from emseg_napari.inference.tiles import (
    ORIENTATIONS,
    WIDEST,
    Halo,
    Orientation,
    common,
    grown,
    hull,
    moved,
    tiles,
    whole,
    within,
)
from emseg_napari.io.axes import SliceWindow
from emseg_napari.models.normalisation import Levels
from emseg_napari.models.resampling import Readable
from emseg_napari.models.run import RunRecord

# Maps float32 (1, y, x, 1), y and x multiples of `Halo.grid_px`, to the same shape.
Network = Callable[[np.ndarray], np.ndarray]
# The same, and raises `Cancelled` when asked to stop.
StoppableNetwork = Callable[[np.ndarray, ShouldStop], np.ndarray]
# Maps what the network gave, float32 (y, x), to the boundary probability.
Finish = Callable[[np.ndarray], np.ndarray]


def _unchanged(probability: np.ndarray) -> np.ndarray:
    return probability


@dataclass(frozen=True)
class Backend:
    """What a run predicts with.

    Attributes
    ----------
    network : callable
        Maps float32 (1, y, x, 1), y and x multiples of `halo.grid_px`, to a boundary probability of the same
        shape.
    halo : Halo
        How far it looks.
    largest_px : int
        The largest tile that needs no more than a gigabyte or so.
    finish : callable
        Maps what the network gave for a whole slice, float32 (y, x), to the probability.
    context_px : int
        How much around a window `finish` is shown, where it does not see the whole slice.
    stoppable : callable, optional
        The network again, if it can be stopped in the middle of a tile.
    """

    network: Network
    halo: Halo = WIDEST
    largest_px: int = 2048
    finish: Finish = _unchanged
    context_px: int = 0
    stoppable: StoppableNetwork | None = None

    def mapped(self, image: np.ndarray, should_stop: ShouldStop) -> np.ndarray:
        """Do what `network` does, but raise `Cancelled` when asked to stop, as soon as it can."""
        return self.stoppable(image, should_stop) if self.stoppable else self.network(image)


class SlicePredictor:
    """Predicts slices of any size.

    Parameters
    ----------
    record : RunRecord
        Normalisation and scale of the run.
    method : Method or callable
        What it predicts with, or only its network.
    orientations : int
        Over how many flips and turns to average: 1, 2, 4 or 8, see `ORIENTATIONS`.
    tile_px : int
        Side of a tile in pixels of the network.
    """

    def __init__(
        self, record: RunRecord, method: Backend | Network, orientations: int = 1, tile_px: int = 1024
    ) -> None:
        self._record = record
        self._method = method if isinstance(method, Backend) else Backend(method)
        self._orientations = ORIENTATIONS[:orientations]
        self._tile_px = min(tile_px, self._method.largest_px)

    def quick(self) -> SlicePredictor | None:
        """Return the same with a single orientation; None if there is but one."""
        if len(self._orientations) == 1:
            return None
        return SlicePredictor(self._record, self._method, 1, self._tile_px)

    @property
    def scale(self) -> float:
        """The factor by which slices are enlarged, along y where both differ."""
        return self._record.scale[0]

    def enlarged(self, factor: float) -> SlicePredictor:
        """Return the same at a scale that is larger by a factor, with a single orientation."""
        scale = self._record.scale[0] * factor, self._record.scale[1] * factor
        record = self._record.model_copy(update={"scale": scale})
        return SlicePredictor(record, self._method, 1, self._tile_px)

    def probability(self, slice_: np.ndarray, should_stop: ShouldStop = never) -> np.ndarray:
        """Predict one slice.

        Parameters
        ----------
        slice_ : numpy.ndarray
            (y, x), any dtype and size.
        should_stop : callable
            Asked before each tile.

        Returns
        -------
        numpy.ndarray
            Boundary probability, float32 (y, x), 0 to 1.
        """
        return self.probability_and_spread(slice_, should_stop)[0]

    def probability_and_spread(
        self, slice_: np.ndarray, should_stop: ShouldStop = never
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Predict one slice, and say where the orientations disagree; parameters as of `probability`.

        Returns
        -------
        probability : numpy.ndarray
            Boundary probability, float32 (y, x), 0 to 1.
        spread : numpy.ndarray or None
            Standard deviation over the orientations, float32 (y, x), 0 to 0.5; None if there is but one.
        """
        levels, everything = self.levels(slice_), whole(slice_.shape)
        picture = _picture(slice_, levels)
        grid = Grid(picture.shape, self._record.scale)
        inner = whole(picture.shape)
        view = _View(picture, levels, grid, should_stop)
        moments = self._tiled(view, grid.needed(inner), 1 + (len(self._orientations) > 1))
        probability = grid.enlarged(self._method.finish(moments[0]), inner)
        framed = _framed(probability, slice_.shape, levels, everything, 1)
        if len(moments) == 1:
            return framed, None
        spread = grid.enlarged(np.sqrt(np.maximum(moments[1] - moments[0] ** 2, 0)), inner)
        return framed, _framed(spread, slice_.shape, levels, everything, 0)

    def levels(self, slice_: Readable) -> Levels:
        """Find what the grey levels of a slice mean, for `window`."""
        return self._record.normalisation.levels(slice_)

    def seen(self, shape: tuple[int, int], window: SliceWindow, levels: Levels | None = None) -> SliceWindow:
        """Return the pixels of a slice that `window` reads for a window.

        Parameters
        ----------
        shape : (int, int)
            (y, x) of the slice.
        window : SliceWindow
            (y, x), inside it.
        levels : Levels, optional
            Of the slice, if it has a border.
        """
        if levels is not None and levels.inside is not None:
            inside, shown = levels.inside, common(window, levels.inside)
            if shown is None:
                return slice(0, 0), slice(0, 0)
            height, width = (part.stop - part.start for part in inside)
            return moved(self.seen((height, width), within(shown, inside)), inside)
        grid = Grid(shape, self._record.scale)
        region = grown(grid.needed(window), self._method.context_px, grid.shape)
        return grid.pixels(
            hull([o.source(region, grid.shape, self._method.halo) for o in self._orientations])
        )

    def window(
        self, slice_: Readable, window: SliceWindow, levels: Levels, should_stop: ShouldStop = never
    ) -> np.ndarray:
        """Predict a window of a slice, of which no more is read than the network sees.

        It is that window of `probability`, up to rounding errors below 1e-4. Only the clean-up of a ridge
        filter follows boundaries farther than a window can: it sees `Backend.context_px` around it.

        Parameters
        ----------
        slice_ : array or other Readable
            (y, x), any dtype and size.
        window : SliceWindow
            (y, x), inside the slice.
        levels : Levels
            Of the slice, from `levels`.
        should_stop : callable
            Asked before each tile.

        Returns
        -------
        numpy.ndarray
            Boundary probability, float32 (y, x), 0 to 1.
        """
        picture = _picture(slice_, levels)
        shown = window if levels.inside is None else common(window, levels.inside)
        if shown is None:
            return _framed(np.zeros((0, 0), np.float32), slice_.shape, levels, window, 1)
        inner = shown if levels.inside is None else within(shown, levels.inside)
        grid = Grid(picture.shape, self._record.scale)
        kept = grid.needed(inner)
        seen = grown(kept, self._method.context_px, grid.shape)
        mean = self._tiled(_View(picture, levels, grid, should_stop), seen)[0]
        found = grid.enlarged(self._method.finish(mean)[within(kept, seen)], inner)
        return _framed(found, slice_.shape, levels, window, 1)

    def part(self, slice_: np.ndarray, window: SliceWindow, should_stop: ShouldStop = never) -> np.ndarray:
        """Predict a window (y, x) of a slice with the grey levels of the whole slice."""
        return self.window(slice_, window, self.levels(slice_), should_stop)

    def _tiled(self, view: _View, window: SliceWindow, count: int = 1) -> np.ndarray:
        """Return the first moments over the orientations in a window of the network's image.

        That is the mean and, if the `count` is 2, the mean of the squares, float32 (count, y, x).
        """
        moments = np.empty((count, *(part.stop - part.start for part in window)), np.float32)
        for tile in tiles(window, self._tile_px):
            self._tile(view, tile, moments[:, *within(tile, window)])
        return moments

    def _tile(self, view: _View, tile: SliceWindow, moments: np.ndarray) -> None:
        """Fill in the moments of a tile."""
        sources = [o.source(tile, view.grid.shape, self._method.halo) for o in self._orientations]
        read = hull(sources)
        pixels = view.grid.read(view.slice_, view.levels, read)
        for number, (orientation, source) in enumerate(zip(self._orientations, sources, strict=True)):
            if view.should_stop():
                raise Cancelled
            found = self._mapped(pixels[within(source, read)], orientation, view)[within(tile, source)]
            for power, moment in enumerate(moments, start=1):
                np.add(moment if number else 0, found if power == 1 else found**2, out=moment)
        moments /= len(sources)

    def _mapped(self, pixels: np.ndarray, orientation: Orientation, view: _View) -> np.ndarray:
        turned = np.ascontiguousarray(orientation.turned(pixels))
        return orientation.back(self._method.mapped(turned[None, ..., None], view.should_stop)[0, ..., 0])


@dataclass(frozen=True)
class _View:
    """What is predicted of."""

    slice_: Readable
    levels: Levels
    grid: Grid
    should_stop: ShouldStop


@dataclass(frozen=True)
class _Picture:
    """What a border leaves of a slice."""

    slice_: Readable
    inside: SliceWindow

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x)."""
        return tuple(part.stop - part.start for part in self.inside)

    def __getitem__(self, window: SliceWindow) -> np.ndarray:
        return self.slice_[moved(window, self.inside)]


def _picture(slice_: Readable, levels: Levels) -> Readable:
    return slice_ if levels.inside is None else _Picture(slice_, levels.inside)


def _framed(
    found: np.ndarray, shape: tuple[int, ...], levels: Levels, window: SliceWindow, line: float
) -> np.ndarray:
    """Return a window of a slice: what was found of its picture there, and a line of a value around it."""
    if levels.inside is None:
        return found
    values = np.zeros([part.stop - part.start for part in window], np.float32)
    for part, value in ((grown(levels.inside, 1, shape), line), (levels.inside, found)):
        if (here := common(window, part)) is not None:
            values[within(here, window)] = value
    return values
