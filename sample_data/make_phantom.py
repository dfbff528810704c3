"""Draw the phantom: an imitated stack of serial-section TEM with exact boundary labels.

Run ``python sample_data/make_phantom.py``; it writes ``phantom.tif`` and
``phantom-labels.tif`` beside itself, always the same. A slice shows the projection of its
whole thickness, as in a microscope, so membranes that run obliquely are blurred.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from phantom_contents import Content, Furnisher, dense_spots
from phantom_organelles import Spot, dense_spot, ridge, step
from phantom_tissue import CANVAS, RIM, SIZE, SLICES, Plane, Tissue, smooth
from scipy import ndimage

SEED = 7
DAMAGED = 10
# Depths, within a slice, of the planes whose mean is its projection; the first is its middle.
DEPTHS = (0.0, -0.32, -0.16, 0.16, 0.32)
HALF_BOUNDARY_PX = 2.35
SMALLEST_CELL_PX = 40


class Painter:
    """Paints the stain of one slice after the other."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tissue = Tissue(rng)
        count = len(self.tissue.neurites)
        self.contents = Furnisher(rng).contents(self.tissue.neurites)
        dark = rng.random(count) < 0.1
        self.cytoplasm = rng.uniform(0.17, 0.27, count) + 0.13 * dark
        self.grain = rng.uniform(0.04, 0.1, count) + 0.12 * dark
        self.synapses: list[Spot] = []

    def slice(self, z: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the stain (optical density) and the boundary (bool) of a slice."""
        planes = [self.tissue.plane(z + depth) for depth in DEPTHS]
        membranes = [
            self.tissue.membrane(z + depth, plane.distance)
            for depth, plane in zip(DEPTHS, planes, strict=True)
        ]
        stain = np.mean(membranes, axis=0)
        boundary = _boundary(planes[0], stain)
        self._fill_cells(stain, planes[0], z)
        return stain, boundary

    def _fill_cells(self, stain: np.ndarray, plane: Plane, z: int) -> None:
        stain += self.cytoplasm[plane.owner] * step((plane.distance - 1) / 2)
        texture = 2.5 * step((smooth(self.rng, 1.1) - 1.1) / 0.7) + 0.7 * smooth(self.rng, 3.5)
        stain += ndimage.gaussian_filter(self.grain[plane.owner], 1) * texture
        inside: dict[int, np.ndarray] = {}
        for content, spot in self._seen(z):
            if content.neurite not in inside:
                inside[content.neurite] = plane.inside(content.neurite)
            content.draw(stain, inside[content.neurite], spot)
        self.synapses = dense_spots(self.rng, plane, self.synapses)
        for spot in self.synapses:
            dense_spot(stain, plane.distance, spot)

    def _seen(self, z: int) -> list[tuple[Content, Spot]]:
        cuts = [(content, content.cut(z, self.tissue.neurites[content.neurite])) for content in self.contents]
        return [
            (content, spot)
            for content, spot in cuts
            if spot and -40 < spot.y < CANVAS + 40 and -40 < spot.x < CANVAS + 40
        ]


def _boundary(plane: Plane, membranes: np.ndarray) -> np.ndarray:
    """Return the boundary: near the middle of a membrane, or where it lies flat in the slice."""
    interior = (plane.distance >= HALF_BOUNDARY_PX) & (membranes < 0.7)
    cells, _ = ndimage.label(interior)
    sizes = np.bincount(cells.ravel())
    sizes[0] = 0
    return sizes[cells] < SMALLEST_CELL_PX


def micrograph(rng: np.random.Generator, stain: np.ndarray, damaged: bool) -> np.ndarray:
    """Return the grey values (uint8) of a slice, with its own focus, brightness, contrast and noise."""
    stain = ndimage.gaussian_filter(stain, rng.uniform(0.45, 0.75))
    tint = 0.06 * smooth(rng, 70) + 0.045 * smooth(rng, 20)
    light = np.exp(-(stain * rng.uniform(0.92, 1.1) + tint))
    if damaged:
        light = damage(rng, light)
    electrons = np.sqrt(np.maximum(light, 0.05) / 0.6)
    light = light + electrons * (0.074 * smooth(rng, 0.87) + 0.02 * smooth(rng, 0.5))
    grey = 205 * rng.uniform(0.9, 1.08) * light + rng.uniform(-12, 8)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def damage(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Return a slice with a fold, a blurred band beside it and dirt."""
    y, x = np.indices(light.shape)
    fold = (y - 0.45 * x - 90 + 14 * np.sin(x / 60)) / np.hypot(1, 0.45) + 1.2 * smooth(rng, 6)
    band = step((26 - abs(fold - 22)) / 9)
    light = light * (1 - band) + ndimage.gaussian_filter(light, 2.8) * band
    light = light * (1 - 0.62 * step((5.5 - abs(fold)) / 3)) + 0.15 * ridge(fold - 9, 2.5)
    for _ in range(5):
        dirt_y, dirt_x = rng.uniform(20, CANVAS - 20, 2)
        size = rng.uniform(3, 9)
        rim = np.hypot(y - dirt_y, x - dirt_x) + 0.8 * smooth(rng, 3) - size
        light = light * (1 - 0.75 * step(-rim / 2)) + 0.12 * ridge(rim - 2, 1.5)
    return light


def make_slices(seed: int = SEED) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield image and labels of one slice after the other, uint8; labels: 0 = boundary, 255 = interior."""
    rng = np.random.default_rng(seed)
    painter = Painter(rng)
    for z in range(SLICES):
        stain, boundary = painter.slice(z)
        # The sections are not quite aligned: each lies 1 to 3 pixels off, image and labels alike.
        y, x = RIM + rng.integers(1, 4, 2) * rng.choice([-1, 1], 2)
        view = np.s_[y : y + SIZE, x : x + SIZE]
        yield micrograph(rng, stain, z == DAMAGED)[view], np.where(boundary, 0, 255).astype(np.uint8)[view]


def main() -> None:
    """Write the two files beside this script."""
    folder = Path(__file__).parent
    for name, slices in zip(
        ("phantom.tif", "phantom-labels.tif"), zip(*make_slices(), strict=True), strict=True
    ):
        tifffile.imwrite(folder / name, np.stack(slices), compression="deflate", metadata={"axes": "ZYX"})


if __name__ == "__main__":
    main()
