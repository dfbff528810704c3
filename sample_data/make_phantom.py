"""Draw the phantom: an imitated stack of serial-section TEM with exact boundary labels.

Run ``python sample_data/make_phantom.py``; it writes ``phantom.tif`` and
``phantom-labels.tif`` beside itself, always the same. Neurites are curves through the
stack with a size at every depth; a pixel belongs to the nearest one in units of its size,
after a smooth warp. Membranes lie where two neurites are equally near, and a slice
shows the projection of its whole thickness, so that oblique membranes blur as they do in a
microscope. Lengths are in pixels (4 nm), depth in slices (50 nm).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from phantom_organelles import Draw, Spot, dense_core, dense_spot, mitochondrion, reticulum, ridge, ring, step
from skimage.morphology import remove_small_objects

SLICES, SIZE, RIM = 16, 384, 8
CANVAS = SIZE + 2 * RIM
DAMAGED = 10
# Depths, within a slice, of the planes whose mean is its projection.
DEPTHS = (0.0, -0.4, -0.2, 0.2, 0.4)
HALF_BOUNDARY_PX = 2.5
ROUNDING = 0.7
Field = Callable[[float], np.ndarray]


def smooth(rng: np.random.Generator, sigma_px: float) -> np.ndarray:
    """Return a picture of smooth noise, mean 0, standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), sigma_px, mode="wrap")
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def drifting(rng: np.random.Generator, sigma_px: float, period: float) -> Field:
    """Return smooth noise that changes with depth, over about `period` slices."""
    waves = [
        (2 * np.pi / (period * stretch), smooth(rng, sigma_px), smooth(rng, sigma_px))
        for stretch in (0.8, 1.3, 2.1)
    ]
    return lambda t: sum(np.cos(w * t) * a + np.sin(w * t) * b for w, a, b in waves) / np.sqrt(len(waves))


@dataclass
class Neurite:
    """One cell process that runs through the slices."""

    place: np.ndarray
    radius: float
    drift: np.ndarray
    wiggle: np.ndarray
    angle: float
    elongation: float
    birth: float
    death: float
    phase: float

    def centre(self, t: float) -> np.ndarray:
        return self.place + self.drift * (t - SLICES / 2) + self.wiggle * np.sin(t / 2.3 + self.phase)

    def size(self, t: float) -> float:
        alive = step((t - self.birth) / 1.5) * step((self.death - t) / 1.5)
        return float(self.radius * alive * (1 + 0.18 * np.sin(t / 3.1 + 2 * self.phase)))


def make_neurites(rng: np.random.Generator) -> list[Neurite]:
    """Throw neurites of very different sizes, large ones first, until the canvas is full."""
    radii = np.concatenate(
        [rng.uniform(42, 58, 3), rng.uniform(26, 40, 12), rng.uniform(15, 26, 95), rng.uniform(8, 14, 120)]
    )
    placed: list[Neurite] = []
    for radius in radii:
        for _ in range(25):
            place = rng.uniform(-60, CANVAS + 60, 2)
            if all(np.hypot(*(place - p.place)) > 0.92 * (radius + p.radius) for p in placed):
                placed.append(_neurite(rng, place, radius))
                break
    return placed


def _neurite(rng: np.random.Generator, place: np.ndarray, radius: float) -> Neurite:
    short = rng.random() < 0.35 and radius < 40
    birth, death = (-9.0, 99.0)
    if short:
        birth, death = (
            (rng.uniform(0, SLICES), 99.0) if rng.random() < 0.5 else (-9.0, rng.uniform(0, SLICES))
        )
    return Neurite(
        place,
        radius,
        rng.normal(0, 1.1, 2),
        rng.normal(0, 2.5, 2),
        rng.uniform(0, np.pi),
        float(np.exp(abs(rng.normal(0, 0.42)))),
        birth,
        death,
        rng.uniform(0, 6),
    )


@dataclass
class Plane:
    """The tissue at one depth: whose pixel it is, and how far the next cell is."""

    owner: np.ndarray
    distance: np.ndarray


class Tissue:
    """Neurites and the fields that bend them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.neurites = make_neurites(rng)
        self.bends = [
            (11.0, drifting(rng, 32, 22), drifting(rng, 32, 22)),
            (2.6, drifting(rng, 9, 12), drifting(rng, 9, 12)),
        ]
        self.width = drifting(rng, 14, 9)
        self.stain = drifting(rng, 16, 8)
        self.gap = drifting(rng, 18, 8)

    def plane(self, t: float) -> Plane:
        """Return who owns each pixel at depth `t` and its distance to the boundary in pixels."""
        grid = np.indices((CANVAS, CANVAS), np.float32)
        y, x = (grid[axis] + sum(a * f[axis](t) for a, *f in self.bends) for axis in (0, 1))
        nearest = np.full((CANVAS, CANVAS), 30, np.float64)
        crowd = np.zeros_like(nearest)
        owner = np.zeros((CANVAS, CANVAS), np.int32)
        for number, neurite in enumerate(self.neurites):
            _claim(neurite, number, t, (y, x), (nearest, crowd, owner))
        # All others count, not only the second nearest: that rounds the corners of cells.
        others = crowd - np.exp(-nearest / ROUNDING)
        gap = -ROUNDING * np.log(np.maximum(others, 1e-30)) - nearest
        slope = ndimage.maximum_filter(np.hypot(*np.gradient(np.minimum(gap, 30))), 5)
        return Plane(owner, np.clip(gap / np.maximum(slope, 0.02), 0, 60))

    def membrane(self, t: float, distance: np.ndarray) -> np.ndarray:
        """Return the stain of the membranes at depth `t`."""
        width = 1.75 + 0.45 * np.clip(self.width(t), -1.5, 2)
        cleft = np.clip(1.5 * (self.gap(t) - 0.6), 0, 2.0)
        stain = 0.95 + 0.25 * np.clip(self.stain(t), -1.8, 2)
        return stain * ridge(distance - cleft, width)


def _claim(neurite: Neurite, number: int, t: float, warped: tuple, held: tuple) -> None:
    """Give a neurite the pixels that it is nearest to."""
    radius = neurite.size(t)
    if radius < 2:
        return
    centre = neurite.centre(t)
    reach = 2.4 * radius * neurite.elongation**0.5 + 62
    low = np.clip(centre - reach, 0, CANVAS).astype(int)
    high = np.clip(centre + reach, 0, CANVAS).astype(int)
    window = np.s_[low[0] : high[0], low[1] : high[1]]
    dy, dx = warped[0][window] - centre[0], warped[1][window] - centre[1]
    cos, sin = np.cos(neurite.angle), np.sin(neurite.angle)
    stretch = neurite.elongation**0.5
    far = np.hypot((cos * dy + sin * dx) / stretch, (cos * dx - sin * dy) * stretch)
    near = (far - radius) / np.sqrt(radius)
    nearest, crowd, owner = (array[window] for array in held)
    crowd += np.exp(-near / ROUNDING)
    wins = near < nearest
    nearest[wins] = near[wins]
    owner[wins] = number


@dataclass
class Content:
    """An organelle that runs through some slices of one neurite.

    `place` is relative to the neurite's centre.
    """

    draw: Draw
    neurite: int
    first: float
    last: float
    place: np.ndarray
    drift: np.ndarray
    spot: Spot

    def cut(self, t: float, neurite: Neurite) -> Spot | None:
        """Return what a slice at depth `t` shows of it."""
        middle, half = (self.first + self.last) / 2, (self.last - self.first) / 2
        if abs(t - middle) >= half:
            return None
        y, x = neurite.centre(t) + self.place + self.drift * (t - middle)
        taper = np.sqrt(1 - ((t - middle) / half) ** 4)
        return replace(self.spot, y=float(y), x=float(x), radius=self.spot.radius * taper)


def make_contents(rng: np.random.Generator, neurites: list[Neurite]) -> list[Content]:
    """Furnish the neurites according to their size."""
    contents: list[Content] = []
    for number, neurite in enumerate(neurites):
        r = neurite.radius
        area = r * r / 400
        if r > 13 and rng.random() < 0.5:
            for _ in range(1 + (r > 30)):
                contents.append(_mitochondrion(rng, number, neurite))
        tubules = rng.poisson(5 * min(area, 2.5)) if rng.random() < 0.5 else 0
        for _ in range(tubules):
            contents.append(
                _content(
                    rng, ring, number, 0.75 * r, (6, 30), Spot(0, 0, 1.9, strength=rng.uniform(0.2, 0.4))
                )
            )
        for _ in range(rng.poisson(7 * area)):
            spot = Spot(
                0, 0, rng.uniform(3.2, 5.2), rng.uniform(0, 3), rng.uniform(0.75, 1), rng.uniform(0.1, 0.32)
            )
            contents.append(_content(rng, ring, number, 0.95 * r, (0.6, 2.0), spot))
        for _ in range(rng.poisson(0.9 * area)):
            contents.append(
                _content(
                    rng,
                    dense_core,
                    number,
                    0.9 * r,
                    (0.6, 1.6),
                    Spot(0, 0, rng.uniform(3, 6), strength=rng.uniform(0.2, 0.5)),
                )
            )
        for _ in range(rng.poisson(1.5 * area * (r > 14))):
            spot = Spot(
                0,
                0,
                rng.uniform(8, 26),
                rng.uniform(0, 6),
                1,
                rng.uniform(0.25, 0.6),
                int(rng.integers(1 << 30)),
            )
            contents.append(_content(rng, reticulum, number, 0.6 * r, (1.0, 3.5), spot))
    return contents


def _content(rng, draw, number, spread, thickness, spot) -> Content:
    place = rng.uniform(0, spread) * _direction(rng)
    first = rng.uniform(-3, SLICES)
    return Content(draw, number, first, first + rng.uniform(*thickness), place, rng.normal(0, 0.5, 2), spot)


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle), np.cos(angle)])


def _mitochondrion(rng: np.random.Generator, number: int, neurite: Neurite) -> Content:
    radius = min(rng.uniform(15, 28), neurite.radius * 1.0)
    spot = Spot(
        0,
        0,
        radius,
        rng.uniform(0, 3),
        rng.uniform(0.55, 0.95),
        rng.uniform(0.7, 1.15),
        int(rng.integers(1 << 30)),
    )
    return _content(rng, mitochondrion, number, max(0.0, neurite.radius - 0.8 * radius), (5, 16), spot)


def make_synapses(rng: np.random.Generator, z: int, plane: Plane) -> list[Spot]:
    """Put dense spots on membranes, two or three in a slice."""
    y, x = np.nonzero(plane.distance < 1)
    spots = []
    for at in rng.integers(0, len(y), 4):
        spots.append(
            Spot(
                float(y[at]),
                float(x[at]),
                rng.uniform(6, 18),
                rng.uniform(0, 3),
                rng.uniform(0.4, 0.9),
                rng.uniform(0.3, 0.9),
                int(at),
            )
        )
    return spots


class Microscope:
    """Turns stain into grey values, a little differently for every slice."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def picture(self, stain: np.ndarray, z: int) -> np.ndarray:
        """Return the uint8 micrograph of a slice."""
        rng = self.rng
        focus = rng.uniform(0.6, 0.95)
        stain = ndimage.gaussian_filter(stain, focus)
        tint = 0.06 * smooth(rng, 70) + 0.03 * smooth(rng, 25)
        grey = np.exp(-(stain * rng.uniform(0.92, 1.1) + tint))
        if z == DAMAGED:
            grey = damage(rng, grey)
        noise = 0.085 * smooth(rng, 1.1) + 0.02 * smooth(rng, 0.5)
        grey = 212 * rng.uniform(0.88, 1.08) * (
            grey + noise * np.sqrt(np.maximum(grey, 0.05) / 0.6)
        ) + rng.uniform(-12, 8)
        return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def damage(rng: np.random.Generator, grey: np.ndarray) -> np.ndarray:
    """Return a slice with a fold, a blurred band beside it and dirt."""
    y, x = np.indices(grey.shape)
    fold = (y - 0.45 * x - 90 + 14 * np.sin(x / 60)) / np.hypot(1, 0.45)
    blurred = ndimage.gaussian_filter(grey, 3.2)
    band = step((26 - abs(fold - 22)) / 9)
    grey = grey * (1 - band) + blurred * band
    grey = grey * (1 - 0.62 * step((5.5 - abs(fold)) / 3)) + 0.2 * ridge(fold - 9, 2.5)
    for _ in range(5):
        py, px = rng.uniform(20, CANVAS - 20, 2)
        size = rng.uniform(3, 9)
        radius = np.hypot(y - py, x - px) + 0.8 * smooth(rng, 3)
        grey = grey * (1 - 0.75 * step((size - radius) / 2)) + 0.12 * ridge(radius - size - 2, 1.5)
    return grey


def draw_slice(
    tissue: Tissue, contents: list[Content], looks: dict, z: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the stain and the boundary (bool) of one slice."""
    stain = np.zeros((CANVAS, CANVAS))
    planes = [tissue.plane(z + depth) for depth in DEPTHS]
    for depth, plane in zip(DEPTHS, planes, strict=True):
        stain += tissue.membrane(z + depth, plane.distance) / len(DEPTHS)
    middle = planes[0]
    boundary = _boundary(middle, stain)
    stain += looks["stain"][middle.owner] * step((middle.distance - 1) / 2)
    texture = 0.5 * smooth(rng, 1.6) + 0.5 * smooth(rng, 2.6)
    stain += looks["grain"][middle.owner] * texture
    inside_of: dict[int, np.ndarray] = {}
    for content in contents:
        spot = content.cut(z, tissue.neurites[content.neurite])
        if spot is None or not (-40 < spot.y < CANVAS + 40 and -40 < spot.x < CANVAS + 40):
            continue
        if content.neurite not in inside_of:
            inside_of[content.neurite] = np.where(middle.owner == content.neurite, middle.distance, -9)
        content.draw(stain, inside_of[content.neurite], spot)
    for spot in make_synapses(rng, z, middle):
        dense_spot(stain, middle.distance, spot)
    return stain, boundary


def _boundary(plane: Plane, stain: np.ndarray) -> np.ndarray:
    interior = (plane.distance >= HALF_BOUNDARY_PX) & (stain < 0.62)
    return ~remove_small_objects(interior, max_size=40, connectivity=1)


def make_phantom(seed: int = 2012) -> tuple[np.ndarray, np.ndarray]:
    """Return image and labels, uint8 (z, y, x); labels 0 = boundary, 255 = interior."""
    rng = np.random.default_rng(seed)
    tissue = Tissue(rng)
    contents = make_contents(rng, tissue.neurites)
    count = len(tissue.neurites)
    looks = {
        "stain": rng.uniform(0.16, 0.34, count) + 0.22 * (rng.random(count) < 0.1),
        "grain": rng.uniform(0.05, 0.13, count),
    }
    microscope = Microscope(rng)
    image = np.empty((SLICES, SIZE, SIZE), np.uint8)
    labels = image.copy()
    for z in range(SLICES):
        stain, boundary = draw_slice(tissue, contents, looks, z, rng)
        dy, dx = RIM + rng.integers(1, 4, 2) * rng.choice([-1, 1], 2)
        view = np.s_[dy : dy + SIZE, dx : dx + SIZE]
        image[z] = microscope.picture(stain, z)[view]
        labels[z] = np.where(boundary, 0, 255)[view]
    return image, labels


def main() -> None:
    """Write the two files beside this script."""
    folder = Path(__file__).parent
    for name, stack in zip(("phantom.tif", "phantom-labels.tif"), make_phantom(), strict=True):
        tifffile.imwrite(folder / name, stack, compression="deflate", metadata={"axes": "ZYX"})


if __name__ == "__main__":
    main()
