"""Base of Zarr and N5 arrays, which have a file, or an object of a store, for every chunk."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.core.machine import free_memory
from emseg_napari.io.address import Address, Location
from emseg_napari.io.axes import Size, VolumeWindow, shape_text, size_of
from emseg_napari.io.chunk_errors import LazyFile, MissingChunk, chunks_over, read_or_find_broken
from emseg_napari.io.description import StackAxes
from emseg_napari.io.layout import Blocks
from emseg_napari.io.store_errors import Refused
from emseg_napari.settings.titles import title_of

_GIB = 1 << 30


@dataclass(frozen=True)
class ChunkFilePixels(LazyFile):
    """An array in a folder or at an address, opened in each process when it is first read.

    Attributes
    ----------
    folder : Path or Address
        Of the array itself.
    name : str
        What the user calls it.
    shape, chunks : (int, int, int)
    dtype : numpy.dtype
    axes : StackAxes
        Which axes of the array are z, y and x.
    fills : bool
        Whether chunks without a file are the array's fill value, and no error.
    """

    folder: Location
    name: str
    shape: Size
    dtype: np.dtype[Any]
    chunks: Size
    axes: StackAxes
    fills: bool = False

    _metadata: ClassVar[tuple[str, ...]]  # its files, one or more of which are in the folder

    @property
    @abstractmethod
    def _array(self) -> Any:
        """The array, as its library opens it."""

    @property
    @abstractmethod
    def _in_a_file(self) -> Size:
        """Voxels along z, y, x that lie in one file."""

    @property
    @abstractmethod
    def _fill_value(self) -> Any:
        """What a chunk without a file holds."""

    @abstractmethod
    def _file(self, place: tuple[int, ...]) -> str:
        """Return the name of a file in the folder, by its place on all axes of the array."""

    @abstractmethod
    def _values(self, window: tuple[int | slice, ...]) -> Any:
        """Return the values in a window on all axes."""

    def some_files(self, most: int) -> list[Location]:
        """Return at most so many of the files, evenly spread; some may not be there."""
        return [self.folder / file for one in self.some_windows(most) for _, file in self._files(one)]

    def some_windows(self, most: int) -> list[VolumeWindow]:
        """Return the voxels that lie in each of `some_files`."""
        return [block.window for block in Blocks(self.shape, self._in_a_file).some(most)]

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        if isinstance(self.folder, Address):
            return read_or_find_broken(self._read_of_store, window, self.shape, self.chunks, self.name)
        if not self.fills:
            self._check_files(window)
        elif not any((self.folder / file).is_file() for _, file in self._files(window)):
            # Most chunks of sparse labels are missing, and looking for files is much quicker than reading.
            return np.full(size_of(window), self._fill_value, self.dtype)
        return read_or_find_broken(self._read, window, self.shape, self.chunks, self.name)

    def _read(self, window: VolumeWindow) -> np.ndarray:
        return self.axes.stack(np.asarray(self._values(self.axes.key(window))))

    def _read_of_store(self, window: VolumeWindow) -> np.ndarray:
        """Read, and look for what is missing only where that fails: to ask takes as long as to read."""
        try:
            return self._read(window)
        except Refused as error:
            if not self.may_refuse_missing():
                raise
            if self.fills:
                return self._read_permitted(window)
            raise _maybe_missing(error) from None
        except UserError:
            raise
        except Exception:
            self._check_files(window)
            raise

    def may_refuse_missing(self) -> bool:
        """Whether chunks that a store refuses may be missing: at least it lets the metadata be read.

        A store that does not let be listed what it has refuses what is missing, too.
        """
        return any((self.folder / name).is_file() for name in self._metadata)

    def _read_permitted(self, window: VolumeWindow) -> np.ndarray:
        """Read file by file; what is refused is the fill value."""
        values = np.full(size_of(window), self._fill_value, self.dtype)
        for whole, _ in self._files(window):
            part = common(whole, window)
            with suppress(Refused):
                values[shifted(part, window)] = self._read(part)
        return values

    def _check_files(self, window: VolumeWindow) -> None:
        """Raise `BrokenChunk` where a file is not there; a library would return the fill value."""
        for part, file in self._files(window):
            if not (self.folder / file).is_file():
                raise MissingChunk(self.name, _first(part, window, self.chunks), file)

    def _files(self, window: VolumeWindow) -> Iterator[tuple[VolumeWindow, str]]:
        """Give voxels and name of each file that a window touches."""
        for index, part in chunks_over(window, self.shape, self._in_a_file):
            yield part, self._file(self.axes.places(index))


def check_chunks(chunks: Size, dtype: np.dtype[Any], name: str) -> None:
    """Raise `UserError` if a chunk, which is decoded as a whole, does not fit into memory."""
    size, free = math.prod(chunks) * dtype.itemsize, free_memory()
    if size > free:
        raise UserError(
            f"{name} has chunks of {shape_text(chunks)} voxels, each of which takes {size / _GIB:.1f} GiB of "
            f"memory, and {free / _GIB:.1f} GiB are free; save it with smaller chunks."
        )


def _maybe_missing(error: Refused) -> Refused:
    return Refused(
        f"{str(error).rstrip('.')}. A store that does not let be listed what it has refuses what is missing, "
        "too: if the program that wrote the volume leaves out empty chunks, choose "
        f"{title_of('missing_is_empty')}.",
        ("missing_is_empty",),
    )


def common(one: VolumeWindow, other: VolumeWindow) -> VolumeWindow:
    """Return what lies in both windows."""
    z, y, x = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return z, y, x


def shifted(part: VolumeWindow, window: VolumeWindow) -> VolumeWindow:
    """Return a part of a window as seen from the beginning of that."""
    z, y, x = (slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, window, strict=True))
    return z, y, x


def _first(part: VolumeWindow, window: VolumeWindow, chunks: Size) -> Size:
    """Return the first chunk that both windows touch."""
    k, j, i = (max(p.start, w.start) // c for p, w, c in zip(part, window, chunks, strict=True))
    return k, j, i
