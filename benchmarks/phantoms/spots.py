"""Where small organelles and synapses lie in one slice of a phantom."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .cell_contents import CellContents
from .organelles import DENSE_CORE, GRANULE, RING, SMEAR
from .settings import PhantomSettings
from .smooth_noise import SmoothNoise
from .tissue import Plane


class SpotKind(NamedTuple):
    """One kind of small organelle: how many in a square micrometre, and what they look like."""

    shape: int
    per_um2: float
    radius_nm: tuple[float, float]
    density: tuple[float, float]  # compared with that of membranes
    roundness: float  # shorter over longer axis, at least
    chances: np.ndarray  # of each cell, 0 to 1
    clustered: bool = False


def spot_kinds(settings: PhantomSettings, held: CellContents) -> list[SpotKind]:
    """Return all kinds: vesicles, tubules, granules, dense cores, and cut sheets of reticulum."""
    s, vesicle = settings, settings.vesicle_nm / 2
    every, grain = np.ones(len(held.grain)), held.grain / held.grain.max()
    sizes = 0.85 * vesicle, 1.15 * vesicle
    return [
        SpotKind(RING, 3 * s.vesicles_per_um2, sizes, (0.2, 0.8), 0.75, held.vesicles / 2.2, True),
        SpotKind(RING, 2 * s.tubules_per_um2, (9, 13), (0.25, 0.7), 0.75, held.tubules / 2),
        SpotKind(GRANULE, s.granules_per_um2, (5, 11), (0.15, 0.7), 0.75, grain),
        SpotKind(DENSE_CORE, s.dense_cores_per_um2, (14, 45), (0.4, 1.1), 0.75, every),
        SpotKind(RING, 0.25 * s.tubules_per_um2, (25, 65), (0.25, 0.7), 0.45, every),
    ]


class Scatter:
    """Scatters small organelles and synapses over slices."""

    def __init__(self, rng: np.random.Generator, settings: PhantomSettings, held: CellContents) -> None:
        self.rng, self.settings = rng, settings
        self.kinds = spot_kinds(settings, held)

    def synapses(self, plane: Plane) -> np.ndarray:
        """Return synapses on membranes, float64 (synapse, 7); see `organelles.paint_synapses`."""
        rng, s = self.rng, self.settings
        y, x = np.nonzero(plane.distance < 1)
        if not len(y):
            return np.zeros((0, 7))
        at = rng.integers(0, len(y), rng.poisson(s.synapses_per_um2 * self._area_um2(plane.cell)))
        y, x, count = y[at], x[at], len(at)
        length, thick = rng.uniform(80, 260, count) / s.pixel_nm, rng.uniform(12, 35, count) / s.pixel_nm
        density = s.synapse_density * rng.uniform(0.5, 1.2, count)
        return np.column_stack([y, x, plane.cell[y, x], plane.next_cell[y, x], length, thick, density])

    def spots(self, cell: np.ndarray, synapses: np.ndarray) -> np.ndarray:
        """Return small organelles, float64 (spot, 8), wherever they fall; see `organelles.paint_spots`.

        Those that belong to a cell only where they fall into it have the cell -1.
        """
        found = [self._scattered(cell, kind) for kind in self.kinds]
        spots = np.concatenate([*found, self._docked(synapses)])
        inside = (spots[:, 1:3] >= 0).all(1) & (spots[:, 1:3] < cell.shape).all(1)
        return spots[inside]

    def smears(self, synapses: np.ndarray) -> np.ndarray:
        """Return what a synapse looks like that lies flat in the slice: a dark cloud across everything."""
        flat = synapses[self.rng.random(len(synapses)) < 0.45]
        kind = SpotKind(SMEAR, 0, (35, 130), (0.25, 0.8), 0.4, np.ones(0))
        return self._rows(kind, flat[:, :2])

    def _scattered(self, cell: np.ndarray, kind: SpotKind) -> np.ndarray:
        count = self.rng.poisson(kind.per_um2 * self._area_um2(cell))
        place = self.rng.random((count, 2)) * cell.shape
        y, x = place.astype(int).T
        chance = kind.chances[cell[y, x]]
        if kind.clustered:
            clusters = SmoothNoise(self.rng, 1, cell.shape, 120 / self.settings.pixel_nm).at()[0]
            chance = chance * np.clip(0.4 + clusters[y, x], 0.05, 1)
        return self._rows(kind, place[self.rng.random(count) < chance])

    def _docked(self, synapses: np.ndarray) -> np.ndarray:
        """Return vesicles on the side of a synapse that has no density."""
        nearby = np.repeat(synapses, self.rng.poisson(12, len(synapses)), 0)
        place = nearby[:, :2] + self.rng.normal(0, 90 / self.settings.pixel_nm, (len(nearby), 2))
        spots = self._rows(self.kinds[0], place)
        spots[:, 7] = nearby[:, 3]
        return spots

    def _rows(self, kind: SpotKind, place: np.ndarray) -> np.ndarray:
        rng, count = self.rng, len(place)
        radius = np.maximum(rng.uniform(*kind.radius_nm, count) / self.settings.pixel_nm, 0.8)
        density = self.settings.membrane_density * rng.uniform(*kind.density, count)
        shape, angle = rng.uniform(kind.roundness, 1, count), rng.uniform(0, np.pi, count)
        everywhere = np.full((2, count), [[kind.shape], [-1]])
        return np.column_stack([everywhere[0], place, radius, density, shape, angle, everywhere[1]])

    def _area_um2(self, cell: np.ndarray) -> float:
        return cell.size * (self.settings.pixel_nm / 1000) ** 2
