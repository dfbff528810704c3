"""Base of volumes that are read slice by slice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from emseg_napari.core.lazy_property import lazy_property
from emseg_napari.io.axes import Size, VolumeWindow, size_of
from emseg_napari.io.chunk_errors import LazyFile

_KEPT = 2  # tiles of one slice are read one after the other


class SlicePixels(LazyFile, ABC):
    """Base of volumes that decode whole slices, of which the last ones stay in memory."""

    shape: Size
    dtype: np.dtype[Any]

    @property
    def chunks(self) -> Size:
        """One slice."""
        return 1, self.shape[1], self.shape[2]

    @lazy_property
    def _slice(self) -> Callable[[int], np.ndarray]:
        return lru_cache(_KEPT)(self.read_slice)

    @abstractmethod
    def read_slice(self, z: int) -> np.ndarray:
        """Return one slice (y, x)."""

    def read(self, window: VolumeWindow) -> np.ndarray:
        """Return the voxels of a window."""
        block = np.empty(size_of(window), self.dtype)
        for n, z in enumerate(range(window[0].start, window[0].stop)):
            block[n] = self._slice(z)[window[1:]]
        return block
