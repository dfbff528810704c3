"""Pixels in deep chunks that count how often each chunk is decoded."""

from collections import Counter

import numpy as np

from emseg_napari.io.chunk_errors import chunks_over
from emseg_napari.io.volume import Volume


class CountedChunks:
    """An array as if it lay in chunks on disk."""

    def __init__(self, values: np.ndarray, chunks: tuple[int, int, int]) -> None:
        self.values, self.chunks = values, chunks
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
        self.decoded.update(index for index, _ in chunks_over(window, self.shape, self.chunks))
        return self.values[window]
