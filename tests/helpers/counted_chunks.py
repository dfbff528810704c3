"""Pixels in deep chunks that count how often each chunk is decoded."""

import os
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emseg_napari.io.chunk_errors import BrokenChunk, chunks_over
from emseg_napari.io.layout import Block, Blocks
from emseg_napari.io.slabs import Slabs, layer_of
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


@dataclass(frozen=True)
class ReadingSlabs:
    """Work that reads each slice of a volume of whose chunks all slices of a layer are decoded together."""

    slabs: Slabs
    seconds: float = 0.02
    paths: list[Path] = field(default_factory=list)

    @classmethod
    def counted(cls, depth: int, folder: Path) -> tuple["ReadingSlabs", Blocks, ChunksOfWorkers]:
        """Return work on 48 slices in chunks of some depth, its blocks, and the pixels that are counted."""
        pixels = ChunksOfWorkers(np.zeros((48, 32, 32), np.uint8), (depth, 16, 16), folder)
        return cls(Slabs(pixels.volume)), Blocks(pixels.shape, (1, 32, 32)), pixels

    def column(self, block: Block) -> int:
        return layer_of(self.slabs._volume, block.index[0]).start

    def read(self, block: Block) -> np.ndarray:
        return self.slabs.read(block.index[0], (slice(0, 32), slice(0, 32)))

    def compute(self, block: Block, given: np.ndarray, should_stop: object) -> None:
        time.sleep(self.seconds)

    def write(self, block: Block, result: None) -> None:
        """Nothing: what counts is what was read."""
