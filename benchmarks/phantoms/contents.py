"""What lies in the cells of a phantom, and where: mitochondria, vesicles, tubules, cisternae, synapses."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .cells import BUNDLED, DENDRITE
from .organelles import (
    DENSE_CORE,
    GRANULE,
    RING,
    SMEAR,
    paint_cytoplasm,
    paint_mitochondria,
    paint_spots,
    paint_synapses,
)
from .settings import PhantomSettings
from .smooth_noise import SmoothNoise
from .tissue import Plane, Tissue

# The line that a thin membrane makes; no thinner than a microscope would blur it.
_LINE_NM, _LEAST_LINE_PX = 4.5, 0.9
_MITOCHONDRION_NM, _CRISTAE_NM = (60, 170), (22, 45)
_SMALLEST_WITH_MITOCHONDRION_NM, _SMALLEST_WITH_MYELIN_NM = 75, 110


class CellContents:
    """What each cell holds, the same in all slices."""

    def __init__(self, rng: np.random.Generator, settings: PhantomSettings, tissue: Tissue) -> None:
        self.rng, self.settings, self.tissue = rng, settings, tissue
        self.line_px = max(_LINE_NM / settings.pixel_nm, _LEAST_LINE_PX)
        count = tissue.count
        self.radii = np.append(tissue.cells.radii, 200.0)  # the last is glia
        sizes = np.append(tissue.cells.sizes, DENDRITE)
        dark = rng.random(count) < settings.dark_cell_share
        self.cytoplasm = settings.cytoplasm_density * rng.uniform(0.75, 1.25, count) + 0.25 * dark
        self.grain = settings.grain_density * rng.uniform(0.5, 1.5, count) * (1 + dark)
        crowded = np.where(sizes == DENDRITE, 0.1, 1.0) * (rng.random(count) < 0.4)
        self.vesicles = (crowded * 2 + 0.1) * (sizes != BUNDLED)
        self.tubules = 2.0 * (rng.random(count) < 0.5)
        self.threads = rng.random(count) < 0.3
        self.across = _across(rng, tissue.cells.tubes)
        thick = (self.radii > _SMALLEST_WITH_MYELIN_NM) & (sizes != DENDRITE)
        wrapped = thick & (rng.random(count) < settings.myelin_share)
        sheath = np.minimum(settings.myelin_nm * rng.uniform(0.7, 1.3, count), 0.45 * self.radii)
        self.myelin_px = wrapped * sheath / settings.pixel_nm
        self.bodies, self.first = self._mitochondria()

    def _mitochondria(self) -> tuple[np.ndarray, np.ndarray]:
        """Return them (mitochondrion, 14) sorted by cell, and where those of a cell begin."""
        rng, s, cells = self.rng, self.settings, self.tissue.cells
        room = self.radii[cells.owners] > _SMALLEST_WITH_MITOCHONDRION_NM
        often = s.mitochondria_share * np.clip(self.radii[cells.owners] / 180, 0.4, 3)
        tubes = np.repeat(np.arange(len(room)), rng.poisson(0.3 * often * room))
        tube, owners = cells.tubes[tubes], cells.owners[tubes]
        wide = 0.8 * self.radii[owners] - self.myelin_px[owners] * s.pixel_nm
        radius = np.minimum(rng.uniform(*_MITOCHONDRION_NM, len(tubes)), np.maximum(wide, 30))
        way = tube[:, 4:7] - tube[:, :3]
        length = np.linalg.norm(way, axis=1, keepdims=True)
        half = np.minimum(rng.uniform(0.5, 4, len(tubes)) * radius, 2 * length[:, 0])[:, None] * way / length
        aside = rng.normal(0, 1, (len(tubes), 3)) * [0.2, 1, 1]
        aside *= np.maximum(wide - radius, 0)[:, None] * 0.7
        middle = tube[:, :3] + rng.random((len(tubes), 1)) * way + aside
        ends = [
            middle - half,
            radius[:, None],
            middle + half,
            radius[:, None] * rng.uniform(0.7, 1.2, (len(tubes), 1)),
        ]
        normal = way / length + rng.normal(0, 0.8, way.shape)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        look = np.column_stack(
            [
                s.mitochondrion_density * rng.uniform(0.8, 1.2, len(tubes)),
                s.crista_density * rng.uniform(0.6, 1.2, len(tubes)),
                rng.uniform(*_CRISTAE_NM, len(tubes)) / s.pixel_nm,
            ]
        )
        bodies = np.column_stack([np.column_stack(ends) / s.pixel_nm, look, normal])
        return bodies, np.searchsorted(owners, np.arange(self.tissue.count + 1))


class SliceContents:
    """Draws the contents of slices."""

    def __init__(self, rng: np.random.Generator, settings: PhantomSettings, held: CellContents) -> None:
        self.rng, self.settings, self.held = rng, settings, held
        self.line = held.line_px

    def draw(self, plane: Plane, stain: np.ndarray) -> None:
        """Add the contents of one slice to its stain, float32 (y, x)."""
        s, held = self.settings, self.held
        depths = np.empty_like(stain)
        bend = self._noise(1, 45)[0] * np.float32(6 / s.pixel_nm)
        places = plane.cell, plane.distance, plane.where, bend
        inside = plane.distance - held.myelin_px[plane.cell].astype(np.float32)
        places = plane.cell, inside, plane.where, bend
        paint_mitochondria(places, held.bodies, held.first, (self.line, 3 * self.line), stain, depths)
        self._cytoplasm(plane, inside, depths, stain)
        rough = self._fine(4)
        synapses = self._synapses(plane)
        paint_synapses((plane.cell, plane.next_cell, plane.distance), synapses, rough, stain)
        spots = self._spots(plane.cell, inside, depths, synapses)
        paint_spots(
            (plane.cell, inside), spots, 1 + 0.7 * rough + 0.6 * self._noise(1, 30)[0], self.line, stain
        )

    def _noise(self, count: int, spacing_nm: float) -> np.ndarray:
        return SmoothNoise(
            self.rng, count, self.held.tissue.shape[1:], spacing_nm / self.settings.pixel_nm
        ).at()

    def _fine(self, size_nm: float) -> np.ndarray:
        """Return noise whose dots have about that radius."""
        noise = self.rng.standard_normal(self.held.tissue.shape[1:], np.float32)
        noise = ndimage.gaussian_filter(noise, max(size_nm / self.settings.pixel_nm, 0.8), truncate=3)
        return noise / noise.std()

    def _cytoplasm(self, plane: Plane, inside: np.ndarray, depths: np.ndarray, stain: np.ndarray) -> None:
        s, held = self.settings, self.held
        dots, (clouds,) = self._fine(5), self._noise(1, 28)
        grain = held.grain.astype(np.float32)[plane.cell] * (np.maximum(dots - 0.6, -0.4) + 0.5 * clouds)
        level = self._noise(1, 150)[0]
        here, strength, threads = self._noise(3, 230)
        here = here - np.float32(np.quantile(here[::4, ::4], 1 - s.reticulum_share))
        density = np.float32(0.75 * s.membrane_density) * np.clip(0.7 + 0.3 * strength, 0.2, 1.2)
        thread = np.float32(s.filament_density) * held.threads.astype(np.float32)[plane.cell]
        fields = np.stack([grain, level, here, density, threads, thread]).astype(np.float32)
        sizes = self.line, self.rng.uniform(0, 14) / s.pixel_nm, max(26 / s.pixel_nm, 3.0), 4 * self.line
        across = np.einsum("ayx,yxa->yx", plane.where, held.across[plane.tube]) + 2 * clouds
        paint_cytoplasm((inside, depths, across), fields, sizes, stain)

    def _synapses(self, plane: Plane) -> np.ndarray:
        """Return synapses (synapse, 7) on membranes, see `organelles`."""
        rng, s = self.rng, self.settings
        y, x = np.nonzero(plane.distance < 1)
        if not len(y):
            return np.zeros((0, 7))
        at = rng.integers(
            0, len(y), rng.poisson(s.synapses_per_um2 * plane.cell.size * (s.pixel_nm / 1000) ** 2)
        )
        y, x, count = y[at], x[at], len(at)
        cells = np.stack([plane.cell[y, x], plane.next_cell[y, x]], 1)
        length, thick = rng.uniform(80, 260, count) / s.pixel_nm, rng.uniform(12, 35, count) / s.pixel_nm
        density = s.synapse_density * rng.uniform(0.5, 1.2, count)
        return np.column_stack([y, x, cells, length, thick, density])

    def _spots(
        self, cell: np.ndarray, inside: np.ndarray, depths: np.ndarray, synapses: np.ndarray
    ) -> np.ndarray:
        """Return small organelles (spot, 8), see `organelles`."""
        s, held, rng = self.settings, self.held, self.rng
        (clusters,) = self._noise(1, 120)
        vesicle = s.vesicle_nm / 2
        plan = [  # kind, number per square micrometre, radius in nm, density, how much of it each cell has
            (RING, 3 * s.vesicles_per_um2, (0.85 * vesicle, 1.15 * vesicle), (0.2, 0.8), held.vesicles / 2.2),
            (RING, 2 * s.tubules_per_um2, (9, 13), (0.25, 0.7), held.tubules / 2),
            (GRANULE, s.granules_per_um2, (5, 11), (0.15, 0.7), np.minimum(held.grain / held.grain.max(), 1)),
            (DENSE_CORE, s.dense_cores_per_um2, (14, 45), (0.4, 1.1), np.ones(len(held.grain))),
            (RING, 0.25 * s.tubules_per_um2, (25, 65), (0.25, 0.7), np.ones(len(held.grain))),
        ]
        found = [self._scattered(cell, entry, clusters if n == 0 else None) for n, entry in enumerate(plan)]
        found += [self._docked(synapses, vesicle)]
        spots = np.concatenate(found)
        y, x = spots[:, 1].astype(int), spots[:, 2].astype(int)
        seen = (y >= 0) & (x >= 0) & (y < cell.shape[0]) & (x < cell.shape[1])
        spots, y, x = spots[seen], y[seen], x[seen]
        free = (inside[y, x] > spots[:, 3] + 1.5 * self.line) & (depths[y, x] < -spots[:, 3])
        spots = spots[free & ((spots[:, 7] < 0) | (spots[:, 7] == cell[y, x]))]
        spots[:, 7] = cell[spots[:, 1].astype(int), spots[:, 2].astype(int)]
        smears = self._smears(synapses)
        return np.concatenate([spots, smears])

    def _scattered(self, cell: np.ndarray, entry: tuple, clusters: np.ndarray | None) -> np.ndarray:
        kind, often, radius, density, shares = entry
        rng, s = self.rng, self.settings
        count = rng.poisson(often * cell.size * (s.pixel_nm / 1000) ** 2)
        place = rng.random((count, 2)) * cell.shape
        y, x = place.astype(int).T
        chance = shares[cell[y, x]]
        if clusters is not None:
            chance = chance * np.clip(0.4 + clusters[y, x], 0.05, 1)
        place = place[rng.random(count) < chance]
        return self._spot_rows(kind, place, radius, density)

    def _spot_rows(self, kind: int, place: np.ndarray, radius: tuple, density: tuple) -> np.ndarray:
        rng, count = self.rng, len(place)
        return np.column_stack(
            [
                np.full(count, kind),
                place,
                np.maximum(rng.uniform(*radius, count) / self.settings.pixel_nm, 0.8),
                self.settings.membrane_density * rng.uniform(*density, count),
                rng.uniform(0.45 if radius[1] > 60 else 0.75, 1, count),
                rng.uniform(0, np.pi, count),
                np.full(count, -1),
            ]
        )

    def _docked(self, synapses: np.ndarray, radius_nm: float) -> np.ndarray:
        """Return vesicles on the side of a synapse that has no density."""
        each = self.rng.poisson(12, len(synapses))
        nearby = np.repeat(synapses, each, 0)
        place = nearby[:, :2] + self.rng.normal(0, 90 / self.settings.pixel_nm, (len(nearby), 2))
        spots = self._spot_rows(RING, place, (0.85 * radius_nm, 1.15 * radius_nm), (0.4, 0.9))
        spots[:, 7] = nearby[:, 3]
        return spots

    def _smears(self, synapses: np.ndarray) -> np.ndarray:
        """Return what a synapse looks like that lies flat in the slice: a dark cloud across everything."""
        flat = synapses[self.rng.random(len(synapses)) < 0.45]
        smears = self._spot_rows(SMEAR, flat[:, :2], (35, 130), (0.25, 0.8))
        smears[:, 5] = self.rng.uniform(0.4, 1, len(flat))
        return smears


def _across(rng: np.random.Generator, tubes: np.ndarray) -> np.ndarray:
    """Return a direction square to each tube, float32 (tube + 1, 3); the last, for glia, is any."""
    way = np.append(tubes[:, 4:7] - tubes[:, :3], [[1, 0, 0]], 0)
    square = np.cross(way, rng.normal(0, 1, way.shape))
    return (square / (np.linalg.norm(square, axis=1, keepdims=True) + 1e-9)).astype(np.float32)
