"""Tiles of a slice that is too large to be divided into cells at once.

The slice is cut into tiles, and each is flooded with a margin around it, in which its neighbours repeat
the work. Only sizes and borders of the fragments leave a tile; `emseg_napari.segmentation.tile_joining`
makes cells of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import product
from typing import Any, Self

import numpy as np
from skimage.measure import label

from emseg_napari.core.jobs import ShouldStop, never
from emseg_napari.io.axes import SliceWindow
from emseg_napari.segmentation.agglomeration import Borders, first_pixels
from emseg_napari.segmentation.watershed import watershed_fragments
from emseg_napari.settings import CellSettings

TileIndex = tuple[int, int]  # of a tile among the tiles, along y and x


@dataclass(frozen=True)
class Cut:
    """How large slices are cut.

    Attributes
    ----------
    whole_px : int
        Slices of up to so many pixels are divided at once.
    tile_px : int
        Side of the tiles of the others.
    margin_px : int
        By which a tile sees more than itself, on every side.
    """

    whole_px: int = 4096 * 4096
    tile_px: int = 2048
    margin_px: int = 128

    def size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return height and width of the tiles of a slice."""
        height, width = shape
        return (height, width) if height * width <= self.whole_px else (self.tile_px, self.tile_px)

    def grid(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return how many tiles a slice has along y and x."""
        down, across = (-(-end // size) for end, size in zip(shape, self.size(shape), strict=True))
        return down, across

    def tiles(self, shape: tuple[int, ...]) -> dict[TileIndex, SliceWindow]:
        """Return the tiles of a slice by their places."""
        return {
            (int(j), int(i)): self.tile((int(j), int(i)), shape) for j, i in np.ndindex(*self.grid(shape))
        }

    def tile(self, place: TileIndex, shape: tuple[int, ...]) -> SliceWindow:
        """Return one tile of a slice."""
        y, x = (
            slice(n * size, min((n + 1) * size, end))
            for n, size, end in zip(place, self.size(shape), shape, strict=True)
        )
        return y, x

    def over(self, part: SliceWindow, shape: tuple[int, ...]) -> Iterator[TileIndex]:
        """Give the tiles of a slice that a part of it touches."""
        size = self.size(shape)
        rows, columns = (range(p.start // n, -(-p.stop // n)) for p, n in zip(part, size, strict=True))
        yield from product(rows, columns)

    def seen(self, tile: SliceWindow, shape: tuple[int, ...]) -> SliceWindow:
        """Return what a tile sees."""
        y, x = (
            slice(max(part.start - self.margin_px, 0), min(part.stop + self.margin_px, end))
            for part, end in zip(tile, shape, strict=True)
        )
        return y, x


CUT = Cut()


@dataclass(frozen=True)
class Face:
    """One side of a tile, pixel by pixel.

    Attributes
    ----------
    fragments : numpy.ndarray
        int32 (n,): the fragment of the pixel.
    probability : numpy.ndarray
        float (n,): its boundary probability.
    open : numpy.ndarray
        bool (n,): whether the tile sees no border to the next pixel, outside.
    """

    fragments: np.ndarray
    probability: np.ndarray
    open: np.ndarray


@dataclass(frozen=True)
class Piece:
    """What is to be known of a tile's fragments to join them with those of the other tiles.

    Attributes
    ----------
    seed, first : numpy.ndarray
        int64 (n,): place in the slice, in reading order, of the first pixel of the seed of fragment
        1, 2, ... and of the fragment itself.
    size : numpy.ndarray
        int64 (n,): pixels.
    borders : Borders
        Between them.
    top, left, bottom, right : Face
    """

    seed: np.ndarray
    first: np.ndarray
    size: np.ndarray
    borders: Borders
    top: Face
    left: Face
    bottom: Face
    right: Face

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all numbers by name, as `of_arrays` takes them."""
        return dict(_arrays(self))

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Put together what `arrays` took apart."""
        faces = {
            side: Face(*(arrays[f"{side}_{field.name}"] for field in fields(Face)))
            for side in ("top", "left", "bottom", "right")
        }
        borders = Borders(*(arrays[f"borders_{name}"] for name in Borders._fields))
        return cls(arrays["seed"], arrays["first"], arrays["size"], borders, **faces)


def _arrays(piece: Piece) -> Iterator[tuple[str, np.ndarray]]:
    for field in fields(piece):
        value = getattr(piece, field.name)
        if isinstance(value, np.ndarray):
            yield field.name, value
        else:
            names = Borders._fields if isinstance(value, Borders) else [f.name for f in fields(value)]
            yield from ((f"{field.name}_{name}", getattr(value, name)) for name in names)


def flood_tile(
    probability: np.ndarray,
    tile: SliceWindow,
    seen: SliceWindow,
    width: int,
    settings: CellSettings,
    should_stop: ShouldStop = never,
) -> tuple[np.ndarray, Piece]:
    """Divide one tile into fragments.

    Parameters
    ----------
    probability : numpy.ndarray
        Boundary probability of what the tile sees, float (y, x), 0 to 1.
    tile, seen : (slice, slice)
        Which part of the slice the tile is, and which it sees.
    width : int
        Of the slice, in pixels.
    settings : CellSettings
    should_stop : callable

    Returns
    -------
    fragments : numpy.ndarray
        int32 (y, x), of the tile without its margin: 1, 2, ..., each of which is connected in it.
    piece : Piece
    """
    flood, seeds = watershed_fragments(probability, settings, should_stop)
    inside = _shifted(tile, seen)
    own = flood[inside]
    fragments, count = label(own, connectivity=1, return_num=True)
    fragments = fragments.astype(np.int32)
    first = first_pixels(fragments)[1:]
    y, x = np.divmod(seeds[own.ravel()[first] - 1], flood.shape[1])
    seed = (y + seen[0].start) * width + x + seen[1].start
    y, x = np.divmod(first, own.shape[1])
    piece = Piece(
        seed,
        (y + tile[0].start) * width + x + tile[1].start,
        np.bincount(fragments.ravel(), minlength=count + 1)[1:],
        Borders.within(fragments, probability[inside]),
        **_faces(fragments, flood, probability, inside),
    )
    return fragments, piece


def _shifted(tile: SliceWindow, seen: SliceWindow) -> SliceWindow:
    y, x = (slice(t.start - s.start, t.stop - s.start) for t, s in zip(tile, seen, strict=True))
    return y, x


def _faces(
    fragments: np.ndarray, flood: np.ndarray, probability: np.ndarray, inside: SliceWindow
) -> dict[str, Face]:
    (top, bottom), (left, right) = ((part.start, part.stop - 1) for part in inside)
    lines: dict[str, tuple[Any, Any, Any, bool]] = {
        "top": (np.s_[0], np.s_[top, inside[1]], np.s_[top - 1, inside[1]], top > 0),
        "left": (np.s_[:, 0], np.s_[inside[0], left], np.s_[inside[0], left - 1], left > 0),
        "bottom": (
            np.s_[-1],
            np.s_[bottom, inside[1]],
            np.s_[bottom + 1, inside[1]],
            bottom + 1 < len(flood),
        ),
        "right": (
            np.s_[:, -1],
            np.s_[inside[0], right],
            np.s_[inside[0], right + 1],
            right + 1 < flood.shape[1],
        ),
    }

    def closed(line: Any) -> np.ndarray:  # what is not seen is not known to be one
        return np.zeros(fragments[line].shape, bool)

    return {
        side: Face(
            fragments[line], probability[here], (flood[here] == flood[there]) if more else closed(line)
        )
        for side, (line, here, there, more) in lines.items()
    }
