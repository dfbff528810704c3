"""Pixels in deep chunks that count how often each chunk is decoded."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import numpy as np

from emseg_napari.io.chunk_errors import BrokenChunk, chunks_over
from emseg_napari.io.volume import Volume


class CountedChunks:
    """An array as if it lay in chunks on disk, some of which are broken."""

    def __init__(
        self,
        values: np.ndarray,
        chunks: tuple[int, int, int],
        broken: Collection[tuple[int, int, int]] = (),
    ) -> None:
        self.values, self.chunks, self.broken = values, chunks, broken
        self.shape, self.dtype = values.shape, values.dtype
        self.decoded: Counter[tuple[int, ...]] = Counter()

    @property
    def most(self) -> int:
        """How often the chunk was decoded that was decoded most often."""
        return max(self.decoded.values())

    @property
    def volume(self) -> Volume:
        return Volume("V", "", self)

    def read(self, window):
        indices = [index for index, _ in chunks_over(window, self.shape, self.chunks)]
        self.decoded.update(indices)
        for index in indices:
            if index in self.broken:
                raise BrokenChunk(f"Chunk {index} is damaged.", index)
        return self.values[window]


class ChunksOfWorkers(CountedChunks):
    """The same in several processes, each of which notes in a folder what it has decoded."""

    def __init__(self, values: np.ndarray, chunks: tuple[int, int, int], folder: Path) -> None:
        super().__init__(values, chunks)
        self._folder = folder

    def read(self, window):
        found = super().read(window)
        (self._folder / str(os.getpid())).write_text("\n".join(map(repr, self.decoded.elements())))
        return found

    def in_all(self) -> Counter[str]:
        """How often each chunk was decoded, in all processes."""
        return Counter(line for one in self._folder.iterdir() for line in one.read_text().splitlines())
