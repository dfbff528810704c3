"""Intermediate files: what is on disk while the cells of a volume are computed.

It lies in a hidden folder beside the output, and goes when all cells have their numbers:

    fragments.zarr   of every tile its fragments (or cells, where a slice is one tile), numbered from 1
    pieces/          of every tile what joins its fragments with those of other tiles
    links.../        what depends on all slices: broken tiles, cells of tiles, overlaps of slices, numbers

A file that is there is whole, and is what any other process would have written; an empty one, as a crash or a
full disk may leave it, counts as missing.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from emseg_napari.core import files
from emseg_napari.io.axes import Size, SliceWindow
from emseg_napari.io.chosen_blocks import ChosenBlocks
from emseg_napari.io.layout import Block
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.segmentation.overlaps import Overlaps
from emseg_napari.segmentation.tiles import Cut, Piece, TileIndex

Tables = dict[str, np.ndarray]
_ALL = "all"  # tiles have fragments
_PIECE = re.compile(r"(\d+)-(\d+)-(\d+)\.npz")
_MOST_BYTES, _MOST_TABLES = 256 << 20, 256  # of tables that were read and are kept


@dataclass(frozen=True)
class IntermediateFiles:
    """The hidden folder.

    Attributes
    ----------
    folder : Path
    cut : Cut
        How slices are cut into tiles.
    fragments : VolumeOutput
        int32 (z, y, x), a block a tile.
    mark : str
        Names which tiles are broken.
    """

    folder: Path
    cut: Cut
    fragments: VolumeOutput
    mark: str = _ALL

    def without_tiles(self, broken: Iterable[Sequence[int]]) -> IntermediateFiles:
        """Return the same files with some tiles, (z, y, x), that have no fragments: they count as 0.

        A file lists them, since there may be so many that they must not travel with every block.
        """
        tiles = tuple(sorted(tuple(map(int, index)) for index in broken))
        if not tiles:
            return replace(self, mark=_ALL)
        # What follows from a tile's absence must not be taken for true when the tile is there.
        parts = replace(self, mark=hashlib.sha256(repr(tiles).encode()).hexdigest()[:12])
        save(parts._links / "broken.npz", {"tiles": np.array(tiles)})
        return parts

    @property
    def broken(self) -> frozenset[Size]:
        """Tiles without fragments, (z, y, x), for want of readable probabilities."""
        return frozenset() if self.mark == _ALL else _tiles_in(self._links / "broken.npz")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a slice."""
        return self.fragments.shape[1:]

    @property
    def whole(self) -> bool:
        """Whether a slice is one tile, whose fragments are cells already."""
        return self.cut.grid(self.shape) == (1, 1)

    def tiles(self, z: int) -> dict[TileIndex, SliceWindow]:
        """Return the tiles of a slice that have fragments."""
        tiles, broken = self.cut.tiles(self.shape), self.broken
        return {place: tile for place, tile in tiles.items() if (z, *place) not in broken}

    def missing(self) -> ChosenBlocks:
        """Return the tiles that are still to do: without fragments, or with an empty piece."""
        return self.fragments.missing().also(self._empty_pieces())

    def _empty_pieces(self) -> Iterator[Size]:
        with suppress(FileNotFoundError), os.scandir(self.folder / "pieces") as entries:
            for entry in entries:
                name = _PIECE.fullmatch(entry.name)
                if name and not files.is_filled(entry.path):
                    z, j, i = map(int, name.groups())
                    yield z, j, i

    # -- tables --------------------------------------------------------------------------------

    def save_piece(self, index: tuple[int, int, int], piece: Piece) -> None:
        """Keep what joins the fragments of a tile."""
        save(self._piece(index), piece.arrays())

    def pieces(self, z: int) -> dict[TileIndex, Piece]:
        """Return the pieces of a slice, of all its tiles that have fragments."""
        return {place: Piece.of_arrays(load(self._piece((z, *place)))) for place in self.tiles(z)}

    def save_cells(self, z: int, cells: dict[TileIndex, np.ndarray]) -> None:
        """Keep of each tile of a slice the cell of fragment 0, 1, 2, ..."""
        save(self._link("cells", z), {f"{j}-{i}": cell for (j, i), cell in cells.items()})

    def save_overlaps(self, z: int, count: int, pairs: Iterable[Overlaps]) -> None:
        """Keep how many cells a slice has, and how they overlap with those of slices before."""
        tables = {f"{n}-{name}": a for n, one in enumerate(pairs) for name, a in one._asdict().items()}
        save(self._link("overlaps", z), tables | {"count": np.array(count)})

    def overlaps(self, z: int) -> tuple[int, list[Overlaps]]:
        """Return what `save_overlaps` kept."""
        tables = load(self._link("overlaps", z))
        pairs = range(len(tables) // len(Overlaps._fields))
        found = [Overlaps(*(tables[f"{n}-{name}"] for name in Overlaps._fields)) for n in pairs]
        return int(tables["count"]), found

    def save_numbers(self, z: int, numbers: np.ndarray) -> None:
        """Keep the numbers of the cells 0, 1, 2, ... of a slice."""
        if not files.is_filled(self._link("numbers", z)):
            save(self._link("numbers", z), {"numbers": numbers})

    def without(self, table: str) -> list[Block]:
        """Return the slices that have no such table yet, each as a block."""
        height, width = self.shape
        slices = range(self.fragments.shape[0])
        return [
            Block((z, 0, 0), (slice(z, z + 1), slice(0, height), slice(0, width)))
            for z in slices
            if not files.is_filled(self._link(table, z))
        ]

    def _piece(self, index: tuple[int, int, int]) -> Path:
        return self.folder / "pieces" / ("-".join(map(str, index)) + ".npz")

    def _link(self, table: str, z: int) -> Path:
        return self._links / table / f"{z}.npz"

    @property
    def _links(self) -> Path:
        return self.folder / f"links-{self.mark}"

    # -- pictures ------------------------------------------------------------------------------

    def cells(self, z: int, part: SliceWindow) -> np.ndarray:
        """Return the cells of a part of a slice: int32 (y, x), from 1 in each slice; 0 where it is broken."""
        fragments = self.fragments[z, part[0], part[1]]
        if self.whole:
            return fragments
        cells, broken = loaded(self._link("cells", z)), self.broken
        for place in self.cut.over(part, self.shape):
            inside = _inside(self.cut.tile(place, self.shape), part)
            if inside is not None and (z, *place) not in broken:
                fragments[inside] = cells["{}-{}".format(*place)][fragments[inside]]
        return fragments

    def numbered(self, z: int, part: SliceWindow) -> np.ndarray:
        """Return the same with the numbers of the volume."""
        return loaded(self._link("numbers", z))["numbers"][self.cells(z, part)]


def save(path: Path, tables: Tables) -> None:
    """Write tables, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic_write(path) as temporary:
        np.savez(temporary, allow_pickle=False, **tables)


def load(path: Path) -> Tables:
    """Read what `save` wrote."""
    with np.load(path, allow_pickle=False) as tables:
        return dict(tables)


def loaded(path: Path) -> Tables:
    """Read what `save` wrote, from memory if it was read lately."""
    stat = path.stat()  # the name alone may be that of an earlier segmentation
    return _READ.get((path, stat.st_ino, stat.st_mtime_ns))


@lru_cache(maxsize=2)
def _tiles_in(path: Path) -> frozenset[Size]:
    return frozenset((z, j, i) for z, j, i in load(path)["tiles"].tolist())


class _TablesRead:
    """Tables that were read lately: as many as memory may hold, for a deep block those of all its slices."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Path, int, int], Tables] = OrderedDict()
        self._lock = Lock()

    def get(self, key: tuple[Path, int, int]) -> Tables:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = load(key[0])
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._is_full():
                self._kept.popitem(last=False)
            return self._kept[key]

    def _is_full(self) -> bool:
        is_many = len(self._kept) > _MOST_TABLES
        return is_many or sum(map(_bytes_of, self._kept.values())) > _MOST_BYTES


_READ = _TablesRead()


def _bytes_of(tables: Tables) -> int:
    return sum(table.nbytes for table in tables.values())


def _inside(tile: SliceWindow, part: SliceWindow) -> SliceWindow | None:
    """Return where a tile lies in a part of the slice; None if it lies outside."""
    (top, left), (bottom, right) = (
        [max(t.start, p.start) - p.start for t, p in zip(tile, part, strict=True)],
        [min(t.stop, p.stop) - p.start for t, p in zip(tile, part, strict=True)],
    )
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None
