"""Drawing of what lies in the cells of one slice of a phantom."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .cell_contents import CellContents
from .organelles import paint_cytoplasm, paint_mitochondria, paint_spots, paint_synapses
from .settings import PhantomSettings
from .smooth_noise import SmoothNoise
from .spots import Scatter
from .tissue import Plane

# The line that a thin membrane makes; no thinner than a microscope would blur it.
_LINE_NM, _LEAST_LINE_PX = 4.5, 0.9


class SliceContents:
    """Draws the contents of slices."""

    def __init__(self, rng: np.random.Generator, settings: PhantomSettings, held: CellContents) -> None:
        self.rng, self.settings, self.held = rng, settings, held
        self.scatter = Scatter(rng, settings, held)
        self.line = max(_LINE_NM / settings.pixel_nm, _LEAST_LINE_PX)

    def draw(self, plane: Plane, stain: np.ndarray) -> None:
        """Add the contents of one slice to its stain, float32 (y, x)."""
        inside = plane.distance - self.held.myelin_px[plane.cell]
        depths = self._mitochondria(plane, inside, stain)
        self._cytoplasm(plane, inside, depths, stain)
        rough = self._fine(stain.shape, 4)
        synapses = self.scatter.synapses(plane)
        paint_synapses((plane.cell, plane.next_cell, plane.distance), synapses, rough, stain)
        spots = self._with_room(self.scatter.spots(plane.cell, synapses), plane.cell, inside, depths)
        spots = np.concatenate([spots, self.scatter.smears(synapses)])
        ragged = 1 + 0.7 * rough + 0.6 * self._noise(stain.shape, 1, 30)[0]
        paint_spots((plane.cell, inside), spots, ragged, self.line, stain)

    def _mitochondria(self, plane: Plane, inside: np.ndarray, stain: np.ndarray) -> np.ndarray:
        """Return how deep in a mitochondrion each pixel lies, negative outside, float32 (y, x)."""
        depths = np.empty_like(stain)
        bend = self._noise(stain.shape, 1, 45)[0] * np.float32(6 / self.settings.pixel_nm)
        places, sizes = (plane.cell, inside, plane.where, bend), (self.line, 3 * self.line)
        paint_mitochondria(places, self.held.bodies, self.held.first, sizes, stain, depths)
        return depths

    def _cytoplasm(self, plane: Plane, inside: np.ndarray, depths: np.ndarray, stain: np.ndarray) -> None:
        s, held = self.settings, self.held
        dots, (clouds,) = self._fine(stain.shape, 5), self._noise(stain.shape, 1, 28)
        grain = held.grain[plane.cell] * (np.maximum(dots - 0.6, -0.4) + 0.5 * clouds)
        (level,) = self._noise(stain.shape, 1, 150)
        here, strength, threads = self._noise(stain.shape, 3, 230)
        here -= np.float32(np.quantile(here[::4, ::4], 1 - s.reticulum_share))
        density = np.float32(0.75 * s.membrane_density) * np.clip(0.7 + 0.3 * strength, 0.2, 1.2)
        thread = np.float32(s.filament_density) * held.threads[plane.cell]
        fields = np.stack([grain, level, here, density, threads, thread])
        across = np.einsum("ayx,yxa->yx", plane.where, held.across[plane.tube]) + 2 * clouds
        sizes = self.line, self.rng.uniform(0, 14) / s.pixel_nm, max(26 / s.pixel_nm, 3.0), 4 * self.line
        paint_cytoplasm((inside, depths, across), fields, sizes, stain)

    def _with_room(
        self, spots: np.ndarray, cell: np.ndarray, inside: np.ndarray, depths: np.ndarray
    ) -> np.ndarray:
        """Return the spots that lie clear of membranes and mitochondria, each with its cell."""
        y, x = spots[:, 1:3].astype(int).T
        free = (inside[y, x] > spots[:, 3] + 1.5 * self.line) & (depths[y, x] < -spots[:, 3])
        free &= (spots[:, 7] < 0) | (spots[:, 7] == cell[y, x])
        spots[:, 7] = cell[y, x]
        return spots[free]

    def _noise(self, shape: tuple[int, int], count: int, spacing_nm: float) -> np.ndarray:
        return SmoothNoise(self.rng, count, shape, spacing_nm / self.settings.pixel_nm).at()

    def _fine(self, shape: tuple[int, int], size_nm: float) -> np.ndarray:
        """Return noise whose dots have about that radius, standard deviation 1."""
        noise = self.rng.standard_normal(shape, np.float32)
        noise = ndimage.gaussian_filter(noise, max(size_nm / self.settings.pixel_nm, 0.8), truncate=3)
        return noise / noise.std()
