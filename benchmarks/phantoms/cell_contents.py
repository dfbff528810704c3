"""What each cell of a phantom holds, the same in all slices: cytoplasm, myelin, mitochondria, tendencies."""

from __future__ import annotations

import numpy as np

from .cells import BUNDLED, DENDRITE
from .settings import PhantomSettings
from .tissue import Tissue

_MITOCHONDRION_NM, _CRISTAE_NM = (60, 170), (22, 45)
_THINNEST_WITH_MITOCHONDRION_NM, _THINNEST_WITH_MYELIN_NM = 75, 110
_GLIA_NM = 200.0


class CellContents:
    """What differs from cell to cell; arrays have an entry for each, the last for glia.

    Attributes
    ----------
    cytoplasm, grain : numpy.ndarray
        float32, density of the cytoplasm and of what is grainy in it.
    vesicles, tubules, threads : numpy.ndarray
        float32, how much it has of them, compared with the average cell.
    myelin_px : numpy.ndarray
        float32, thickness of its myelin, mostly 0.
    bodies : numpy.ndarray
        float64 (mitochondrion, 14), sorted by cell; see `organelles.paint_mitochondria`.
    first : numpy.ndarray
        int (cell + 1,), where those of a cell begin.
    across : numpy.ndarray
        float32 (tube + 1, 3), a direction square to each tube.
    """

    def __init__(self, rng: np.random.Generator, settings: PhantomSettings, tissue: Tissue) -> None:
        self._rng, self._settings, self._cells = rng, settings, tissue.cells
        self._radii = np.append(tissue.cells.radii, _GLIA_NM)
        sizes, count = np.append(tissue.cells.sizes, DENDRITE), tissue.count
        dark = self._share(settings.dark_cell_share)
        self.cytoplasm = settings.cytoplasm_density * self._about(0.25, count) + 0.25 * dark
        self.grain = (settings.grain_density * self._about(0.5, count) * (1 + dark)).astype(np.float32)
        crowded = self._share(0.4) * np.where(sizes == DENDRITE, 0.2, 2)
        self.vesicles = (crowded + 0.1) * (sizes != BUNDLED)
        self.tubules = 2.0 * self._share(0.5)
        self.threads = self._share(0.3).astype(np.float32)
        self.myelin_px = self._myelin(sizes == DENDRITE).astype(np.float32)
        self.bodies, self.first = self._mitochondria(count)
        self.across = self._across()

    def _share(self, share: float) -> np.ndarray:
        """Return which cells are of a share that is drawn by lot."""
        return self._rng.random(len(self._radii)) < share

    def _about(self, spread: float, count: int) -> np.ndarray:
        """Return numbers around 1."""
        return self._rng.uniform(1 - spread, 1 + spread, count)

    def _myelin(self, dendrites: np.ndarray) -> np.ndarray:
        """Return the thickness of each cell's myelin in pixels."""
        thick = (self._radii > _THINNEST_WITH_MYELIN_NM) & ~dendrites
        wrapped = thick & self._share(self._settings.myelin_share)
        sheath = self._settings.myelin_nm * self._about(0.3, len(thick))
        return wrapped * np.minimum(sheath, 0.45 * self._radii) / self._settings.pixel_nm

    def _mitochondria(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return them, along the tubes of their cells, and where those of a cell begin."""
        rng, pixel_nm, owners = self._rng, self._settings.pixel_nm, self._cells.owners
        radii = self._radii[owners]
        often = 0.3 * self._settings.mitochondria_share * np.clip(radii / 180, 0.4, 3)
        tubes = np.repeat(
            np.arange(len(owners)), rng.poisson(often * (radii > _THINNEST_WITH_MITOCHONDRION_NM))
        )
        room = 0.8 * radii[tubes] - self.myelin_px[owners[tubes]] * pixel_nm
        ends, way = self._bodies_in(self._cells.tubes[tubes], room)
        normal = way + rng.normal(0, 0.8, way.shape)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        bodies = np.column_stack([ends / pixel_nm, self._looks(len(tubes)), normal])
        return bodies, np.searchsorted(owners[tubes], np.arange(count + 1))

    def _bodies_in(self, tubes: np.ndarray, room: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return one body in each tube, a tube itself, and the direction that it runs in."""
        rng, count = self._rng, len(tubes)
        radius = np.minimum(rng.uniform(*_MITOCHONDRION_NM, count), np.maximum(room, 30))
        way = tubes[:, 4:7] - tubes[:, :3]
        length = np.linalg.norm(way, axis=1)
        half = np.minimum(rng.uniform(0.5, 4, count) * radius, 2 * length)
        aside = rng.normal(0, 0.7, (count, 3)) * [0.2, 1, 1] * np.maximum(room - radius, 0)[:, None]
        middle = tubes[:, :3] + rng.random((count, 1)) * way + aside
        way /= length[:, None] + 1e-9
        reach = half[:, None] * way
        return np.column_stack(
            [middle - reach, radius, middle + reach, radius * rng.uniform(0.7, 1.2, count)]
        ), way

    def _looks(self, count: int) -> np.ndarray:
        """Return densities of matrix and cristae of mitochondria, and the period of the cristae in pixels."""
        s = self._settings
        period = self._rng.uniform(*_CRISTAE_NM, count) / s.pixel_nm
        matrix = s.mitochondrion_density * self._about(0.2, count)
        return np.column_stack([matrix, s.crista_density * self._about(0.3, count), period])

    def _across(self) -> np.ndarray:
        way = np.append(self._cells.tubes[:, 4:7] - self._cells.tubes[:, :3], [[1, 0, 0]], 0)
        square = np.cross(way, self._rng.normal(0, 1, way.shape))
        return (square / (np.linalg.norm(square, axis=1, keepdims=True) + 1e-9)).astype(np.float32)
