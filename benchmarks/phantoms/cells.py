"""Cells of a phantom: chains of tapered tubes with spines, packed into a block of tissue.

Lengths are in nm, axes (z, y, x); z = 0 is the middle of the first slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .settings import PhantomSettings
from .smooth_noise import SmoothNoise
from .tubes import joined, place

AXON, DENDRITE, BUNDLED = 0, 1, 2
NODES = 6
# How much of the area tubes claim before thin ones fill gaps, and after; cells grow into what is left.
_FILLED, _GAPS_FILLED = 0.72, 0.84
_MOST_CANDIDATES = 5000
# Thinner cells would be nothing but boundary, thicker ones nothing but cytoplasm.
_RADII_PX = (6, 90)
_SPINE_NECK_NM, _SPINE_HEAD_NM = (30, 60), (90, 230)


@dataclass
class Cells:
    """The tubes of all cells.

    Attributes
    ----------
    tubes : numpy.ndarray
        float64 (tube, 8), see `tubes`.
    owners : numpy.ndarray
        int32 (tube,), the cell of each, ascending.
    sizes : numpy.ndarray
        int (cell,), `AXON`, `DENDRITE` or `BUNDLED`.
    radii : numpy.ndarray
        float64 (cell,), in nm.
    """

    tubes: np.ndarray
    owners: np.ndarray
    sizes: np.ndarray
    radii: np.ndarray


class Packing:
    """The block that is filled: what is in view and a rim, since membranes wander."""

    def __init__(
        self, rng: np.random.Generator, settings: PhantomSettings, shape: tuple[int, int, int]
    ) -> None:
        self.rng, self.settings = rng, settings
        self.depth = (shape[0] - 1) * settings.section_nm
        self.rim = 2.5 * settings.bend_nm + 100
        self.step = max(3 * settings.pixel_nm, 0.4 * settings.bundle_radius_nm)
        self.size = np.array(shape[1:]) * settings.pixel_nm + 2 * self.rim
        planes = np.linspace(0, self.depth, min(shape[0], 3))
        self.grid = (np.full(2, -self.rim), float(self.step), planes)
        points = tuple(int(p) for p in self.size / self.step + 1)
        self.taken = np.zeros((len(planes), *points), bool)
        self.bundles = self._bundles(points)

    def _bundles(self, points: tuple[int, int]) -> np.ndarray:
        """Return where only thin axons run, bool (y, x)."""
        if not self.settings.bundle_share:
            return np.zeros(points, bool)
        (noise,) = SmoothNoise(self.rng, 1, points, 900 / self.step).at()
        return noise > np.quantile(noise, 1 - self.settings.bundle_share)

    def fill(self) -> Cells:
        """Place thick cells with their spines first, then thin ones, at last those that fill gaps."""
        s = self.settings
        dendrites = self._place(DENDRITE, s.dendrite_radius_nm, 0.35, s.dendrite_share * _FILLED)
        spines, parents = self._spines(dendrites)
        rest = [
            self._place(BUNDLED, s.bundle_radius_nm, 0.25, (s.dendrite_share + s.bundle_share) * _FILLED),
            self._place(AXON, s.axon_radius_nm, 0.4, _FILLED),
            self._place(AXON, 0.5 * s.axon_radius_nm, 0.3, _GAPS_FILLED),
        ]
        chains = np.concatenate([dendrites, *rest])
        sizes = np.repeat([DENDRITE, BUNDLED, AXON, AXON], [len(dendrites), *map(len, rest)])
        owners = np.concatenate([np.arange(len(chains)), parents])
        tubes = joined(np.concatenate([chains, spines])).reshape(-1, 8)
        owners = np.repeat(owners, NODES - 1).astype(np.int32)
        order = np.argsort(owners, kind="stable")
        return Cells(tubes[order], owners[order], sizes, chains[:, :, 3].mean(1))

    def _place(self, size: int, median_nm: float, spread: float, until: float) -> np.ndarray:
        """Return the chains (cell, node, 4) that found room, until that share of the block is full."""
        spots = np.argwhere(self.bundles == (size == BUNDLED))
        if not len(spots):
            return np.zeros((0, NODES, 4))
        wanted = until * self.taken[0].size * self.step**2 / (np.pi * median_nm**2)
        count = int(min(6 * wanted + 20, _MOST_CANDIDATES))
        radii = median_nm * np.exp(self.rng.normal(0, spread, count))
        radii = np.sort(np.clip(radii, *(limit * self.settings.pixel_nm for limit in _RADII_PX)))[::-1]
        chains = self._chains(self._origins(spots, count), radii)
        room = until * self.taken.size - self.taken.sum()
        return chains[place(joined(chains), 0, self.grid, self.taken, int(room))]

    def _origins(self, spots: np.ndarray, count: int) -> np.ndarray:
        """Return points that cells run through, float64 (count, 3), at some of the spots (y, x)."""
        plane = spots[self.rng.integers(0, len(spots), count)] + self.rng.random((count, 2))
        return np.column_stack([self.rng.uniform(0, self.depth, count), plane * self.step - self.rim])

    def _chains(self, origins: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Return chains (cell, node, 4) through the origins: across the slices or within them."""
        rng, count = self.rng, len(radii)
        within = rng.random(count) < self.settings.in_plane_share
        steps = np.where(within[:, None, None], self._steps_within(radii), self._steps_across(radii))
        path = np.cumsum(steps, 1)
        # An end in the block is a cell that begins or ends there.
        middle = np.where(rng.random(count) < 0.15, 0, rng.integers(1, NODES - 1, count))
        path += (origins - path[np.arange(count), middle])[:, None]
        thick = radii[:, None] * np.exp(rng.normal(0, 0.18, (count, NODES)))
        return np.concatenate([path, thick[..., None]], 2)

    def _steps_across(self, radii: np.ndarray) -> np.ndarray:
        """Return the ways from node to node (cell, node, 3) of cells that run through the slices."""
        shape = (len(radii), NODES)
        down = np.repeat((self.depth + 4 * radii[:, None]) / 3, NODES, 1)
        heading = self.rng.normal(0, self.settings.slope, (len(radii), 1, 2))
        aside = (heading + self.rng.normal(0, 0.4 * self.settings.slope, (*shape, 2))) * down[..., None]
        return np.concatenate([down[..., None], aside], 2)

    def _steps_within(self, radii: np.ndarray) -> np.ndarray:
        """Return the ways from node to node (cell, node, 3) of cells that run along the slices."""
        shape = (len(radii), NODES)
        angle = self.rng.uniform(0, 2 * np.pi, (len(radii), 1)) + np.cumsum(self.rng.normal(0, 0.4, shape), 1)
        length = radii[:, None] * self.rng.uniform(1.5, 4, shape)
        rise = self.rng.normal(0, 0.15, (len(radii), 1)) + self.rng.normal(0, 0.1, shape)
        return np.stack([rise * length, np.sin(angle) * length, np.cos(angle) * length], 2)

    def _spines(self, dendrites: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return thin necks with heads on thick cells (spine, node, 4), and the cell of each."""
        rng = self.rng
        length = 4 * dendrites[:, :, 3].mean(1).sum() * self.settings.spines_per_um / 1000
        count = 4 * rng.poisson(length)
        if not count or not len(dendrites):
            return np.zeros((0, NODES, 4)), np.zeros(0, int)
        parents = rng.integers(0, len(dendrites), count)
        base = dendrites[parents, rng.integers(1, NODES - 1, count)]
        base[:, 0] = rng.uniform(0, self.depth + 1, count)
        angle, rise = rng.uniform(0, 2 * np.pi, count), rng.normal(0, 0.2, count)
        heading = np.stack([rise, np.sin(angle), np.cos(angle)], 1)
        head = rng.uniform(*_SPINE_HEAD_NM, count)
        reach = np.linspace(0, 1, NODES) * rng.uniform(300, 900, (count, 1)) + 0.8 * base[:, 3:]
        path = base[:, None, :3] + reach[..., None] * heading[:, None]
        path += 40 * np.cumsum(rng.normal(0, 1, path.shape), 1)
        thick = np.repeat(rng.uniform(*_SPINE_NECK_NM, (count, 1)), NODES, 1)
        thick[:, -2:] = head[:, None] * [0.8, 1]
        spines = np.concatenate([path, thick[..., None]], 2)
        placed = place(joined(spines), 2, self.grid, self.taken, self.taken.size)
        return spines[placed], parents[placed]
