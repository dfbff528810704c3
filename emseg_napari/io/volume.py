"""Volumes: stacks of any size, of which only the requested part is read.

A `Volume` stands where an array with axes (z, y, x) stands: it has a shape and a dtype and gives
numpy arrays for what is indexed. Behind it is a `PixelSource`, one class for each file format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from emseg_napari.io.axes import NOWHERE, Point, Size, VolumeWindow, Voxel, last_three, part_of
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.description import FileDescription, plain_axes, stack_axes
from emseg_napari.io.indexing import AxisSelection, complete
from emseg_napari.io.memmap import mapped_again

__all__ = [
    "BrokenChunk",
    "PixelSource",
    "Size",
    "Volume",
    "VolumeWindow",
    "Voxel",
    "volume_of",
    "with_fill_value",
]

S = TypeVar("S")


class PixelSource(Protocol):
    """The pixels of a file, with axes (z, y, x); it can be pickled, without the open file."""

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the file, in any byte order."""
        ...

    @property
    def chunks(self) -> Size | None:
        """What has to be read together, in voxels; None if any part can be read alone."""
        ...

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window, whose slices lie inside the shape and have step 1.

        Raises
        ------
        BrokenChunk
            If a chunk of it is missing or damaged.
        """
        ...


@dataclass(frozen=True, eq=False)
class Volume:
    """A stack of any size, of which only the requested part is read.

    Attributes
    ----------
    name : str
        What the user calls it; starts the sentence of an error.
    source : str
        Path by which it can be opened again, with the dataset inside a container
        (``/data/a.h5/volumes/raw``); empty for an array in memory.
    pixels : PixelSource
        What reads it.
    voxel : Voxel or None
        Size of a voxel where it is known.
    is_labels : bool
        Whether the file says that its values are names and not grey values.
    description : FileDescription or None
        What the file says of itself; None of an array in memory.
    origin : (float, float, float)
        Where the centre of its first voxel lies along z, y, x, in the unit of `voxel`; in voxels where
        that is not known.
    """

    name: str
    source: str
    pixels: PixelSource = field(repr=False)
    voxel: Voxel | None = None
    is_labels: bool = False
    description: FileDescription | None = field(default=None, repr=False)
    origin: Point = NOWHERE

    @classmethod
    def described(cls, file: FileDescription, source: str, pixels: PixelSource) -> Volume:
        """Return the volume of a file that is described."""
        return cls(file.name, source, pixels, file.voxel, file.is_labels, file, file.origin or NOWHERE)

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        return self.pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is read, in native byte order."""
        return self.pixels.dtype.newbyteorder("=")

    @property
    def chunks(self) -> Size | None:
        """What lies together on disk, in voxels; None if any part can be read alone."""
        return self.pixels.chunks

    @property
    def ndim(self) -> int:
        """3."""
        return 3

    @property
    def size(self) -> int:
        """Number of voxels."""
        z, y, x = self.shape
        return z * y * x

    @property
    def nbytes(self) -> int:
        """Memory in bytes that the whole would take."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[z] for z in range(len(self)))

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return what numpy would return for the same key.

        Parameters
        ----------
        key : int, slice, sequence of int, or tuple of int and slice
            As for an array; only the first axis takes a sequence.

        Returns
        -------
        numpy.ndarray
            In native byte order.

        Raises
        ------
        BrokenChunk
            If a chunk of it is missing or damaged.
        IndexError
            If the key lies outside.
        """
        keys = complete(key)
        z, y, x = (AxisSelection.of(one, length) for one, length in zip(keys, self.shape, strict=True))
        if z.places is None:
            return self._read(z.cover, y.cover, x.cover)[z.inside, y.inside, x.inside]
        slices = np.empty((len(z.places), y.stop - y.start, x.stop - x.start), self.dtype)
        for n, place in enumerate(z.places):
            slices[n] = self._read(slice(place, place + 1), y.cover, x.cover)[0]
        return slices[:, y.inside, x.inside]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[...].astype(dtype or self.dtype, copy=False)

    def _read(self, *window: slice) -> np.ndarray:
        if any(part.start == part.stop for part in window):
            return np.empty([part.stop - part.start for part in window], self.dtype)
        z, y, x = window
        return np.asarray(self.pixels.read((z, y, x))).astype(self.dtype, copy=False)


@dataclass(frozen=True, eq=False)
class ArrayPixels:
    """An array in memory, or a lazy one that reads itself, such as one of dask.

    Attributes
    ----------
    array : array
        (y, x), (z, y, x), or more axes of which all but the last three have length 1.
    """

    array: Any

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self.array, np.memmap):
            return mapped_again(self.array) or (ArrayPixels, (self.array,))
        return ArrayPixels, (self.array,)

    @property
    def shape(self) -> Size:
        """Voxels along z, y, x."""
        return last_three(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return np.dtype(self.array.dtype)

    @property
    def chunks(self) -> Size | None:
        """Of a lazy array; the largest where they differ."""
        chunks = getattr(self.array, "chunks", None)
        return last_three([one if isinstance(one, int) else max(one) for one in chunks]) if chunks else None

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        return part_of(self.array, window)


def volume_of(
    array: Any, name: str = "The image", voxel: Voxel | None = None, origin: Point = NOWHERE
) -> Volume:
    """Make a volume of an array.

    Parameters
    ----------
    array : numpy, zarr or dask array, or Volume
        (z, y, x) or (y, x), grey values; further leading axes of length 1 are dropped. A Volume is
        returned as it is.
    name : str
        What the user calls it.
    voxel : Voxel, optional
        Size of a voxel.
    origin : (float, float, float)
        Of the centre of the first voxel, as of `Volume`.

    Raises
    ------
    UserError
        If it is not a single grey stack.
    """
    if isinstance(array, Volume):
        return array
    stack_axes(FileDescription(name, "", plain_axes(array.ndim), tuple(array.shape), np.dtype(array.dtype)))
    return Volume(name, "", ArrayPixels(array), voxel, origin=origin)


def with_fill_value(stack: S, fills: bool = True) -> S:
    """Return a stack whose chunks without a file are the fill value, or else an error.

    Parameters
    ----------
    stack : Volume or array
        (z, y, x). Anything but a Zarr or N5 volume is returned as it is.
    fills : bool
    """
    pixels: Any = getattr(stack, "pixels", None)
    if getattr(pixels, "fills", fills) == fills:
        return stack
    return replace(cast(Any, stack), pixels=replace(pixels, fills=fills))
