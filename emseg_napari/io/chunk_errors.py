"""Errors of single chunks: which one is missing or damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, VolumeWindow
from emseg_napari.io.decode import one_line
from emseg_napari.settings.titles import title_of

Read = Callable[[VolumeWindow], np.ndarray]


class BrokenChunk(UserError):
    """A part of a volume that is missing or cannot be decoded; the rest may be readable.

    Parameters
    ----------
    sentence : str
        For the user.
    index : (int, int, int)
        Its place among the volume's chunks along z, y, x.
    """

    def __init__(self, sentence: str, index: Size) -> None:
        super().__init__(sentence)
        self.index = index

    def __reduce__(self) -> tuple[Any, ...]:
        return BrokenChunk, (str(self), self.index)


class MissingChunk(BrokenChunk):
    """A chunk without a file, where one that is empty would have one too.

    Parameters
    ----------
    name : str
        What the user calls the volume.
    index : (int, int, int)
        As of `BrokenChunk`.
    file : str
        The file that is missing, also an attribute.
    """

    def __init__(self, name: str, index: Size, file: str) -> None:
        super().__init__(
            f"chunk {index} of {name} is missing (no file {file}); copy the volume again, or, if the program "
            f"that wrote it leaves out empty chunks, choose {title_of('missing_is_empty')}.",
            index,
        )
        self.name, self.file, self.settings = name, file, ("missing_is_empty",)

    def __reduce__(self) -> tuple[Any, ...]:
        return MissingChunk, (self.name, self.index, self.file)


class LazyFile:
    """Base of pixel sources that open their file when it is first read, once in each process.

    Attributes whose names begin with an underscore, such as open files, are not pickled.
    """

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_")}


def chunks_over(window: VolumeWindow, shape: Size, chunks: Size) -> Iterator[tuple[Size, VolumeWindow]]:
    """Give index and voxels, cut off at the end of the volume, of each chunk that a window touches."""
    ranges = [range(w.start // c, -(-w.stop // c)) for w, c in zip(window, chunks, strict=True)]
    first = [places.start for places in ranges]
    for offset in np.ndindex(*map(len, ranges)):
        k, j, i = (int(o) + f for o, f in zip(offset, first, strict=True))
        z, y, x = (
            slice(n * c, min((n + 1) * c, s)) for n, c, s in zip((k, j, i), chunks, shape, strict=True)
        )
        yield (k, j, i), (z, y, x)


def read_or_find_broken(read: Read, window: VolumeWindow, shape: Size, chunks: Size, name: str) -> np.ndarray:
    """Read a window; where that fails, find the chunk that cannot be read.

    Parameters
    ----------
    read : callable
        Reads a window, or raises anything at all: so do decoders on damaged files.
    window : (slice, slice, slice)
    shape, chunks : (int, int, int)
        Of the volume and of one of its chunks.
    name : str
        What the user calls it.

    Raises
    ------
    BrokenChunk
        Naming the first chunk that cannot be read.
    UserError
        If it does not fit into memory, or each chunk can be read alone.
    """
    try:
        return read(window)
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"a part of {name} does not fit into memory; choose a smaller part.") from None
    except Exception as error:
        for index, part in chunks_over(window, shape, chunks):
            _try(read, index, part, name)
        raise UserError(f"{name} cannot be read ({one_line(error)}); try again.") from error


def _try(read: Read, index: Size, part: VolumeWindow, name: str) -> None:
    try:
        read(part)
    except UserError:  # as of a store that cannot be reached now
        raise
    except Exception as error:
        sentence = f"chunk {index} of {name} is damaged ({one_line(error)}); copy the volume again."
        raise BrokenChunk(sentence, index) from error
