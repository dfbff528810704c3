"""Some of the blocks of a volume, in an order, of which none is made before it is asked for.

There may be hundreds of millions of them, so a byte is kept for each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from emseg_napari.core.jobs import BlockFailed
from emseg_napari.io.axes import Size
from emseg_napari.io.layout import Block, Blocks


class ChosenBlocks(Collection[Block]):
    """Some of the blocks of a volume.

    Parameters
    ----------
    blocks : Blocks
        All of them.
    chosen : numpy.ndarray
        bool, the grid of blocks along z, y, x: which ones.
    layers : sequence of sequences of int, optional
        In which order: groups of places along z. The blocks of a group come column by column, x fastest,
        those of a column in the order of the group. When not given, every place is a group of its own.
    """

    def __init__(
        self, blocks: Blocks, chosen: np.ndarray, layers: Sequence[Sequence[int]] | None = None
    ) -> None:
        self._blocks, self._chosen, self._layers = blocks, chosen, layers
        self._count = int(np.count_nonzero(chosen))

    def __len__(self) -> int:
        return self._count

    def __contains__(self, block: object) -> bool:
        return isinstance(block, Block) and bool(self._chosen[block.index])

    def __iter__(self) -> Iterator[Block]:
        layers: Iterable[Sequence[int]] = self._layers or ([k] for k in range(self._blocks.grid[0]))
        for places in layers:
            columns = np.moveaxis(self._chosen[list(places)], 0, -1)
            for j, i, n in np.argwhere(columns):
                yield self._blocks.at((int(places[n]), int(j), int(i)))

    def __repr__(self) -> str:
        return f"ChosenBlocks({len(self)} of {len(self._blocks)})"

    @property
    def slices(self) -> set[int]:
        """The slices of which there are blocks."""
        places = np.flatnonzero(self._chosen.any(axis=(1, 2)))
        return {z for k in places for z in self._blocks.at((int(k), 0, 0)).slices}

    @property
    def voxels(self) -> int:
        """How many voxels the blocks have."""
        across = np.outer(*(self._blocks.lengths(axis) for axis in (1, 2)))
        return sum(
            int(across[layer].sum()) * int(depth)
            for layer, depth in zip(self._chosen, self._blocks.lengths(0), strict=True)
        )

    def ordered(self, layers: Sequence[Sequence[int]]) -> ChosenBlocks:
        """Return the same blocks in another order; parameters as of the class."""
        return ChosenBlocks(self._blocks, self._chosen, layers)

    def only(self, indices: Iterable[Size]) -> ChosenBlocks:
        """Return those of the blocks that have one of some indices, in the same order."""
        wanted = np.zeros_like(self._chosen)
        for index in indices:
            wanted[index] = self._chosen[index]
        return ChosenBlocks(self._blocks, wanted, self._layers)

    def also(self, indices: Iterable[Size]) -> ChosenBlocks:
        """Return the blocks, and those that have one of some indices, in the same order."""
        chosen = self._chosen.copy()
        for index in indices:
            chosen[index] = True
        return ChosenBlocks(self._blocks, chosen, self._layers)

    def without(self, indices: Iterable[Size]) -> ChosenBlocks:
        """Return the blocks that have none of some indices, in the same order."""
        left = self._chosen.copy()
        for index in indices:
            left[index] = False
        return ChosenBlocks(self._blocks, left, self._layers)


def indices_of(failures: Iterable[BlockFailed]) -> set[Size]:
    """Return the indices of blocks that failed."""
    return {(k, j, i) for k, j, i in (failure.index for failure in failures)}


def layers_of(groups: Iterable[tuple[int, ...]]) -> list[list[int]]:
    """Return places along z in groups, for `ChosenBlocks`.

    Parameters
    ----------
    groups : iterable of tuple of int
        Of each place 0, 1, 2, ... along z a key: groups come in the order of all of it but the last number,
        and within a group places in the order of that.
    """
    keys = sorted((key, k) for k, key in enumerate(groups))
    found: list[list[int]] = []
    last: tuple[int, ...] | None = None
    for key, k in keys:
        if key[:-1] != last:
            found.append([])
            last = key[:-1]
        found[-1].append(k)
    return found
