"""Stain and truth of the membranes of a slice."""

from __future__ import annotations

import math

import numpy as np

from emseg_napari.core.compiled import compiled

from .settings import PhantomSettings
from .smooth_noise import SmoothNoise
from .tissue import Plane

# A person draws a boundary a little wider than the membrane; these are the sums at the membrane's two sides.
_DRAWN_WIDER_NM, _LEAST_HALF_PX = 2.5, 1.2
# How much of an oblique membrane's grey band is drawn as boundary.
_OBLIQUE_DRAWN = 0.3


def _projected(distance: float, width: float, half_rise: float) -> float:
    """Return the mean of a stained line's profile exp(-(x / width)^2) from `distance` - to + `half_rise`."""
    if half_rise < 0.15 * width:
        return math.exp(-((distance / width) ** 2))
    low, high = (distance - half_rise) / width, (distance + half_rise) / width
    return 0.443113 * width / half_rise * (math.erf(high) - math.erf(low))


projected = compiled(_projected)


def _sheath(depth: float, thickness: float, lamella: float) -> float:
    """Return the profile of myelin: a dark band with fine lines, as far as the pixels show them."""
    edge = min(max((thickness - depth) * 0.7 + 0.5, 0.0), 1.0) * (depth > 0)
    lines = 0.3 * math.exp(-((2 / lamella) ** 2)) * math.cos(2 * math.pi * depth / lamella)
    return edge * (0.85 + lines)


sheath = compiled(_sheath)


def _paint(plane: tuple, fields: np.ndarray, numbers: tuple, stain: np.ndarray, drawn: np.ndarray) -> None:
    """Write the stain of membranes and of what is between cells, and which pixels are boundary.

    Parameters
    ----------
    plane : tuple
        Distance and third (pixels), tilt: float32 (y, x), see `Plane`.
    fields : numpy.ndarray
        float32 (6, y, x): density and half width (pixels) of a membrane, half of the cleft (pixels), shift of
        the line by what is rough about it (pixels), density of the cytoplasm, thickness of the myelin inside
        of the membrane (pixels, mostly 0).
    numbers : tuple
        Half of the slice's thickness, what is drawn beyond the membrane's middle line (pixels), density
        between cells, period of the lines in myelin (pixels).
    stain : numpy.ndarray
        float32 (y, x), gets the optical density.
    drawn : numpy.ndarray
        bool (y, x), gets the boundary.
    """
    (distances, thirds, tilts), (half_slice, beyond, between, lamella) = plane, numbers
    density, widths, clefts, rough, cytoplasm, sheaths = fields
    for i in range(stain.shape[0]):
        for j in range(stain.shape[1]):
            # At junctions of three cells there is more room between them.
            cleft = clefts[i, j] * (1 + 0.8 * math.exp(-((thirds[i, j] / (4 * widths[i, j])) ** 2)))
            distance = max(distances[i, j] + rough[i, j], 0.0)
            rise = half_slice * tilts[i, j]
            line = 0.0
            inside = 1.0
            if distance < cleft + rise + 4 * widths[i, j]:
                near = projected(distance - cleft, widths[i, j], rise)
                far = projected(distance + cleft, widths[i, j], rise)
                line = (near + far) / (1 + math.exp(-((2 * cleft / widths[i, j]) ** 2)))
                inside = min(max((distance - cleft) / widths[i, j] * 0.5 + 0.5, 0.0), 1.0)
            base = inside * cytoplasm[i, j] + (1 - inside) * between
            if sheaths[i, j] > 0:
                base += density[i, j] * sheath(distance - cleft, sheaths[i, j], lamella)
            stain[i, j] = base + density[i, j] * line
            drawn[i, j] = distances[i, j] < cleft + sheaths[i, j] + beyond + _OBLIQUE_DRAWN * rise


paint = compiled(_paint)


def _part(cell: np.ndarray, drawn: np.ndarray) -> None:
    """Draw boundary on both sides of where two cells meet, so that no two touch, not even by a corner."""
    rows, columns = cell.shape
    for i in range(rows):
        for j in range(columns):
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                k, m = i + down, j + right
                if k < rows and 0 <= m < columns and cell[k, m] != cell[i, j]:
                    drawn[i, j] = True
                    drawn[k, m] = True


part = compiled(_part)


class Membranes:
    """What differs from membrane to membrane, and through the slices."""

    def __init__(
        self, rng: np.random.Generator, settings: PhantomSettings, shape: tuple[int, int, int]
    ) -> None:
        self.settings = settings
        self._spacing_px = 130 / settings.pixel_nm
        depth = shape[0] * settings.section_nm / 130
        self._fields = SmoothNoise(rng, 4, shape[1:], self._spacing_px, depth)
        self._rough = SmoothNoise(rng, 1, shape[1:], max(9 / settings.pixel_nm, 1.5), shape[0])

    def draw(
        self, plane: Plane, z: int, cytoplasm: np.ndarray, myelin: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the stain, float32 (y, x), and the boundary, bool (y, x), of slice `z`.

        `cytoplasm` and `myelin` are the density and the sheath's thickness (pixels) of each pixel's cell.
        """
        s = self.settings
        stain, drawn = np.empty(plane.cell.shape, np.float32), np.empty(plane.cell.shape, bool)
        half_membrane = s.membrane_nm / 2 / s.pixel_nm
        beyond = max(half_membrane + _DRAWN_WIDER_NM / s.pixel_nm, _LEAST_HALF_PX)
        numbers = s.section_nm / 2 / s.pixel_nm, beyond, s.extracellular_density, 13 / s.pixel_nm
        fields = np.stack([*self._varied(z), cytoplasm, myelin]).astype(np.float32)
        paint((plane.distance, plane.third, plane.tilt), fields, numbers, stain, drawn)
        part(plane.cell, drawn)
        return stain, drawn

    def _varied(self, z: int) -> list[np.ndarray]:
        s = self.settings
        density, width, cleft, faint = self._fields.at(z * s.section_nm / 130)
        (rough,) = self._rough.at(z)
        varied = s.membrane_variation
        # Where faint noise is highest, a membrane has hardly any stain.
        limit = np.float32(_exceeded_by(s.faint_share))
        left = np.clip(1 - 2 * (faint - limit), 0.12, 1)
        half_px = 0.6 * s.membrane_nm / s.pixel_nm
        return [
            s.membrane_density * np.clip(1 + varied * density + 0.5 * varied * rough, 0.3, 2) * left,
            half_px * np.clip(1 + 0.7 * varied * width, 0.5, 2),
            np.clip(s.extracellular_nm * (1 + 0.6 * cleft), 0, 60) / (2 * s.pixel_nm),
            0.8 * varied * half_px * rough,
        ]


def _exceeded_by(share: float) -> float:
    """Return what a share of normal noise exceeds, 0 < share < 0.5, by a rational approximation."""
    if share <= 0.0005:
        return 9.0
    t = math.sqrt(-2 * math.log(share))
    return t - (2.30753 + 0.27061 * t) / (1 + 0.99229 * t + 0.04481 * t * t)
