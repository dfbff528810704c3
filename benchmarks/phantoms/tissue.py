"""The tissue of a phantom: cells, the warp that bends them, and what a slice shows of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .cells import Cells, Packing
from .geometry import packed, survey
from .settings import PhantomSettings
from .smooth_noise import SmoothNoise

# How far a bump of the warp reaches, in units of how far it moves a membrane.
_REACH = 5.5
_GLIA_SAMPLE_PX = 8


@dataclass
class Plane:
    """What lies in one slice.

    Attributes
    ----------
    cell, next_cell : numpy.ndarray
        int32 (y, x): the cell of each pixel, and the one behind the nearest boundary; the last is glia.
    tube : numpy.ndarray
        int32 (y, x), the tube of the cell, -1 in glia.
    distance, third : numpy.ndarray
        float32 (y, x): pixels to the boundary, square to it also through depth, and to the third cell.
    tilt : numpy.ndarray
        float32 (y, x), 0 where the nearest membrane stands upright in the slice, 1 where it lies flat.
    where : numpy.ndarray
        float32 (3, y, x), the place of each pixel in the unwarped tissue, in pixels.
    """

    cell: np.ndarray
    next_cell: np.ndarray
    tube: np.ndarray
    distance: np.ndarray
    third: np.ndarray
    tilt: np.ndarray
    where: np.ndarray


class Tissue:
    """Cells and their warp, the same for all slices of a stack."""

    def __init__(
        self, rng: np.random.Generator, settings: PhantomSettings, shape: tuple[int, int, int]
    ) -> None:
        self.settings, self.shape = settings, shape
        self.cells: Cells = Packing(rng, settings, shape).fill()
        self.count = len(self.cells.radii) + 1
        scale = 1 / settings.pixel_nm
        self._tubes = (packed(self.cells.tubes * scale), self.cells.owners)
        self._depth_px = settings.section_nm * scale
        self._bends = [
            self._bend(rng, size * scale)
            for size in (settings.bend_nm, 0.35 * settings.bend_nm, settings.crumple_nm)
        ]
        self._first = self._warp(0)
        self._glia = SmoothNoise(rng, 1, shape[1:], 350 * scale).at()[0]
        self._glia *= np.float32(0.4 * (settings.axon_radius_nm * scale) ** 0.7)
        self._glia += self._glia_level()

    def _bend(self, rng: np.random.Generator, size_px: float) -> tuple[float, float, SmoothNoise]:
        spacing = max(_REACH * size_px, 4.0)
        depth = self.shape[0] * self._depth_px / spacing
        return size_px, spacing, SmoothNoise(rng, 3, self.shape[1:], spacing, depth)

    def plane(self, z: int) -> Plane:
        """Return what slice `z` shows."""
        where, shear = self._warp(z) if z else self._first
        cells, lengths = self._survey(where, shear, self._glia)
        np.putmask(cells[:2], cells[:2] < 0, self.count - 1)
        return Plane(*cells, *lengths[:3], where)

    def _survey(
        self, where: np.ndarray, shear: np.ndarray, glia: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        cells, lengths = np.empty(where.shape, np.int32), np.empty((4, *where.shape[1:]), np.float32)
        survey(self._tubes, (where, shear, glia), cells, lengths)
        return cells, lengths

    def _glia_level(self) -> np.float32:
        """Return the nearness from which on a place belongs to glia, for its share of the area."""
        if not self.settings.glia_share:
            return np.float32(1e6)
        thin = np.s_[..., ::_GLIA_SAMPLE_PX, ::_GLIA_SAMPLE_PX]
        where, shear = (np.ascontiguousarray(field[thin]) for field in self._first)
        far = np.full_like(where[0], 1e6)
        nearness = self._survey(where, shear, far)[1][3] - self._glia[thin]
        return np.float32(np.quantile(nearness, 1 - self.settings.glia_share))

    def _warp(self, z: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the place of each pixel in the unwarped tissue, and how it changes with depth."""
        where = np.zeros((3, *self.shape[1:]), np.float32)
        where[1:] = np.indices(self.shape[1:], np.float32)
        where[0] = z * self._depth_px
        shear = np.zeros_like(where)
        shear[0] = 1
        for size, spacing, noise in self._bends:
            depth = z * self._depth_px / spacing
            where += np.float32(size) * noise.at(depth)
            shear += np.float32(size / spacing) * noise.slope(depth)
        return where, shear
