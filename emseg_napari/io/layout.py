"""Layout of an output on disk: its voxels, its chunks, and the blocks that are one file each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import NOWHERE, Point, Size, VolumeWindow, shape_text
from emseg_napari.io.volume import Voxel
from emseg_napari.settings.titles import title_of

OutputType = Literal["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32"]
Version = Literal["0.5", "0.4"]


# Chunks and, where no shards are chosen, the largest side of one: larger ones have less halo, and a gigabyte
# of memory bounds them.
CHUNK_PX, SHARD_PX = 512, 2048
MOST_BLOCKS = (
    10_000_000  # files of full resolution, where no shards are chosen; a third more in coarser levels
)


@dataclass(frozen=True)
class Layout:
    """What an output holds and how it is cut into files.

    Attributes
    ----------
    shape : (int, int, int)
        Voxels along z, y, x.
    dtype : str
        Whole numbers of 8 to 64 bit, or "float32".
    chunk : (int, int, int)
        What is compressed together, in voxels: the least that a reader has to fetch.
    shard : (int, int, int) or None
        What is written into one file, a multiple of the chunk; None for a file a chunk.
    voxel : Voxel or None
        Size of a voxel where it is known.
    version : "0.5" or "0.4"
        Of OME-Zarr. 0.4 is Zarr 2, which has no shards.
    labels : bool
        Values are names and not amounts, so coarser levels take the most frequent one, not the mean.
    origin : (float, float, float)
        Where the centre of its first voxel lies along z, y, x, in the unit of `voxel`, in voxels where
        that is not known: so it lies on the image.

    Raises
    ------
    UserError
        If the files cannot be cut so.
    """

    shape: Size
    dtype: OutputType
    chunk: Size = (1, CHUNK_PX, CHUNK_PX)
    shard: Size | None = (1, SHARD_PX, SHARD_PX)
    voxel: Voxel | None = None
    version: Version = "0.5"
    labels: bool = False
    origin: Point = NOWHERE

    def __post_init__(self) -> None:
        for what, size in (("An output", self.shape), ("A chunk", self.chunk), ("A shard", self.block)):
            if len(size) != 3 or min(size) < 1:
                raise UserError(
                    f"{what} of {shape_text(size)} voxels is not possible; "
                    "three sizes of 1 or more are needed."
                )
        if self.version == "0.4" and self.shard is not None:
            raise UserError("OME-Zarr 0.4 has no shards; leave them out, or write version 0.5.")
        _check_multiple(self.block, self.chunk)

    @property
    def block(self) -> Size:
        """Voxels along z, y, x that share one file."""
        return self.shard or self.chunk


@dataclass(frozen=True, slots=True)
class Block:
    """A part of an output that is one file.

    Attributes
    ----------
    index : (int, int, int)
        Its place among the blocks along z, y, x.
    window : (slice, slice, slice)
        The voxels that it covers, cut off at the end of the volume.
    """

    index: Size
    window: VolumeWindow

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        z, y, x = (part.stop - part.start for part in self.window)
        return z, y, x

    @property
    def slices(self) -> range:
        """The slices of the output that it covers."""
        return range(self.window[0].start, self.window[0].stop)

    def by_slice(self, thick: int = 1) -> list[Block]:
        """Return its slices, `thick` at a time, as blocks with the same index."""
        end, starts = self.window[0].stop, self.slices[::thick]
        return [Block(self.index, (slice(z, min(z + thick, end)), *self.window[1:])) for z in starts]

    def joined(self, results: list[np.ndarray]) -> np.ndarray:
        """Return its values (z, y, x) from those of `by_slice`, and empty that list.

        So the values of a deep block are not in memory twice.
        """
        if len(results) == 1:
            return results.pop()
        values, first = np.empty(self.shape, results[0].dtype), 0
        while results:
            part = results.pop(0)
            values[first : first + len(part)] = part
            first += len(part)
        return values


class Blocks(Sequence[Block]):
    """All blocks of a volume, x fastest; none is made before it is asked for.

    Parameters
    ----------
    shape : (int, int, int)
        Of the volume in voxels.
    size : (int, int, int)
        Of a block in voxels.
    """

    def __init__(self, shape: Size, size: Size) -> None:
        self._shape, self._size = shape, size
        self.grid = ceil_divided(shape, size)

    def __len__(self) -> int:
        k, j, i = self.grid
        return k * j * i

    @overload
    def __getitem__(self, position: int) -> Block: ...
    @overload
    def __getitem__(self, position: slice) -> list[Block]: ...
    def __getitem__(self, position: int | slice) -> Block | list[Block]:
        if isinstance(position, slice):
            return [self[n] for n in range(*position.indices(len(self)))]
        n = range(len(self))[position]
        _, rows, columns = self.grid
        return self.at((n // (rows * columns), n // columns % rows, n % columns))

    def __iter__(self) -> Iterator[Block]:
        return (self.at((int(k), int(j), int(i))) for k, j, i in np.ndindex(*self.grid))

    def at(self, index: Size) -> Block:
        """Return the block whose place along z, y, x is `index`."""
        z, y, x = (
            slice(place * size, min((place + 1) * size, end))
            for place, size, end in zip(index, self._size, self._shape, strict=True)
        )
        return Block(index, (z, y, x))

    def lengths(self, axis: int) -> np.ndarray:
        """Return how many voxels the blocks along an axis have: all of a block, at the end what is left."""
        size, end = self._size[axis], self._shape[axis]
        return np.minimum(size, end - size * np.arange(self.grid[axis]))

    def some(self, most: int) -> list[Block]:
        """Return at most so many of the blocks, evenly spread."""
        places = np.unique(np.linspace(0, len(self) - 1, min(len(self), most)).round())
        return [self[int(place)] for place in places]

    def over(self, window: VolumeWindow) -> list[Block]:
        """Return the blocks that have voxels inside `window`."""
        ks, js, iis = (
            range(part.start // size, -(-part.stop // size))
            for part, size in zip(window, self._size, strict=True)
        )
        return [self.at((k, j, i)) for k in ks for j in js for i in iis]


def shard_of(shape: Size, chosen: Size | None, chunk: Size, flat: Size) -> Size:
    """Return what of an output is written into one file.

    Where nothing is chosen, it is `flat`, so that little is lost with a file. Where that makes more than
    `MOST_BLOCKS` files, it is 2, 4, 8, ... times as deep: once for volumes of 10^12 voxels, 32 times for a
    cube of 10^15, and never deeper than it takes to hold all slices.

    Parameters
    ----------
    shape : (int, int, int)
        Of the output in voxels along z, y, x.
    chosen : (int, int, int) or None
        What the user chose.
    chunk : (int, int, int)
        Of the output.
    flat : (int, int, int)
        What is one file of a small volume.

    Raises
    ------
    UserError
        If what is chosen is not a multiple of the chunk, or larger than the output and than `flat`.
    """
    if chosen is None:
        depth = 1
        while depth * flat[0] < shape[0] and len(Blocks(shape, (depth * flat[0], *flat[1:]))) > MOST_BLOCKS:
            depth *= 2
        return depth * flat[0], *flat[1:]
    most = tuple(map(max, _multiple(shape, chunk), flat))
    if any(size > end for size, end in zip(chosen, most, strict=True)):
        raise UserError(
            f"{title_of('shards')} of {shape_text(chosen)} are larger than the output, which has "
            f"{shape_text(shape)} voxels; choose at most {shape_text(most)}, which is whole chunks.",
            ("shards",),
        )
    _check_multiple(chosen, chunk)
    return chosen


def flat_shard(shape: Size, chunk: Size, side_px: int = SHARD_PX) -> Size:
    """Return one slice of an output, in whole chunks and at most `side_px` wide."""
    height, width = (min(side_px, end) for end in _multiple(shape, chunk)[1:])
    return 1, height, width


def _check_multiple(shard: Size, chunk: Size) -> None:
    if any(of % by for of, by in zip(shard, chunk, strict=True)):
        raise UserError(
            f"A shard of {shape_text(shard)} voxels is not a multiple of a chunk of {shape_text(chunk)}; "
            f"make it {shape_text(_multiple(shard, chunk))}.",
            ("shards",),
        )


def ceil_divided(size: Size, by: Size) -> Size:
    """Divide along every axis, rounding up."""
    z, y, x = (-(-s // b) for s, b in zip(size, by, strict=True))
    return z, y, x


def _multiple(size: Size, of: Size) -> Size:
    z, y, x = (n * by for n, by in zip(ceil_divided(size, of), of, strict=True))
    return z, y, x
