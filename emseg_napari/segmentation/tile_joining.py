"""Joining of the fragments of a large slice's tiles to cells.

Over the face between two tiles, two fragments become one if both tiles saw no border between them; then
the fragments of the whole slice are joined as those of a small one are. So where a margin shows a tile
all that shapes the fragments in it, the cells are exactly those of the slice as a whole; elsewhere an
interior cut at a face has a weak border there and is joined by that. Nothing depends on the order in
which tiles are done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emseg_napari.core.jobs import ShouldStop, never
from emseg_napari.segmentation.agglomeration import Borders, Regions
from emseg_napari.segmentation.tiles import Cut, Face, Piece, TileIndex, flood_tile
from emseg_napari.settings import CellSettings


def cells_of_tiles(
    probability: np.ndarray, settings: CellSettings, cut: Cut, should_stop: ShouldStop = never
) -> np.ndarray:
    """Divide a large slice into cells, tile by tile; the parameters are those of `cells_of_slice`."""
    shape, pieces = probability.shape, {}
    result = np.empty(shape, np.int32)
    tiles = cut.tiles(shape)
    for place, tile in tiles.items():
        seen = cut.seen(tile, shape)
        result[tile], pieces[place] = flood_tile(
            probability[seen], tile, seen, shape[1], settings, should_stop
        )
    cells, _ = joined(pieces, settings)
    for place, tile in tiles.items():
        result[tile] = cells[place][result[tile]]
    return result


def joined(
    pieces: Mapping[TileIndex, Piece], settings: CellSettings
) -> tuple[dict[TileIndex, np.ndarray], int]:
    """Join the fragments of a slice's tiles to cells.

    Parameters
    ----------
    pieces : mapping
        Of each tile by its index; missing tiles are left out.
    settings : CellSettings

    Returns
    -------
    cells : dict
        Of each tile int32 (n + 1,): the cell of fragment 0, 1, 2, ...; cells count from 1 in reading
        order of the slice, and fragment 0 is in cell 0.
    count : int
        How many cells there are.
    """
    if not pieces:
        return {}, 0
    begin, end = {}, 0
    for place in sorted(pieces):
        begin[place], end = end, end + len(pieces[place].size)
    faces = list(_between(pieces, begin))
    whole = _united(faces, end)
    seed, first, size = (
        np.concatenate([getattr(pieces[place], name) for place in begin])
        for name in ("seed", "first", "size")
    )
    whole = _numbered(whole, seed, first)
    regions = Regions.of_parts(
        np.bincount(whole, size).astype(np.int64), _borders(pieces, begin, faces, whole)
    )
    regions.join_small(settings.size_px)
    regions.join_weak(settings.merge_threshold)
    cell = _numbered(regions.numbers()[0][whole] - 1, first, first) + 1
    of_tiles = {
        place: np.concatenate([[0], cell[start : start + len(pieces[place].size)]]).astype(np.int32)
        for place, start in begin.items()
    }
    return of_tiles, int(cell.max(initial=0))


def _between(
    pieces: Mapping[TileIndex, Piece], begin: Mapping[TileIndex, int]
) -> Iterator[tuple[np.ndarray, np.ndarray, Face, Face]]:
    """Yield the faces between tiles: fragments on both sides, and what either side says."""
    for (j, i), piece in pieces.items():
        for next_, here, there in (((j + 1, i), "bottom", "top"), ((j, i + 1), "right", "left")):
            if next_ in pieces:
                near, far = getattr(piece, here), getattr(pieces[next_], there)
                yield begin[j, i] + near.fragments - 1, begin[next_] + far.fragments - 1, near, far


def _united(faces: list[tuple[np.ndarray, np.ndarray, Face, Face]], count: int) -> np.ndarray:
    """Return for each fragment a number that it shares with those that it continues over faces."""
    pairs = [np.zeros((0, 2), np.int64)]
    for one, other, near, far in faces:
        met, which, steps = np.unique(
            np.stack([one, other], axis=1), axis=0, return_inverse=True, return_counts=True
        )
        agreed = np.bincount(which.ravel(), near.open & far.open, len(met))
        pairs.append(met[2 * agreed > steps])
    one, other = np.concatenate(pairs).T
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _numbered(groups: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """Number groups of fragments from 0 by the lowest of their keys."""
    order = np.lexsort((*keys[::-1],))
    found, where = np.unique(groups[order], return_index=True)
    number = np.empty(int(groups.max(initial=-1)) + 1, np.int64)
    number[found[np.argsort(where)]] = np.arange(len(found))
    return number[groups]


def _borders(
    pieces: Mapping[TileIndex, Piece],
    begin: Mapping[TileIndex, int],
    faces: list[tuple[np.ndarray, np.ndarray, Face, Face]],
    whole: np.ndarray,
) -> Borders:
    """Return the borders of the united fragments, inside tiles and over faces."""
    found = []
    for place, start in begin.items():
        one, other, total, steps = pieces[place].borders
        found.append((whole[start + one - 1], whole[start + other - 1], total, steps))
    for one, other, near, far in faces:
        found.append(Borders.across(whole[one], whole[other], near.probability, far.probability))
    return Borders.summed(*(np.concatenate(column) for column in zip(*found, strict=True)))
