"""The phantom's geometry: neurites that run through the slices, and the membranes between them.

A neurite is a curve with a size at every depth. After a smooth warp, a pixel belongs to
the neurite whose surface is nearest, and a membrane lies where two are equally near.
Lengths are in pixels (4 nm), depths t in slices (50 nm).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from phantom_organelles import ridge, step
from scipy import ndimage

SLICES, SIZE, RIM = 16, 384, 8
CANVAS = SIZE + 2 * RIM
ROUNDING = 0.9
Field = Callable[[float], np.ndarray]


def smooth(rng: np.random.Generator, sigma_px: float) -> np.ndarray:
    """Return a picture of smooth noise, mean 0, standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal((CANVAS, CANVAS)), sigma_px, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def drifting(rng: np.random.Generator, sigma_px: float, period: float) -> Field:
    """Return smooth noise, standard deviation 1, that changes over about `period` slices."""
    waves = [
        (2 * np.pi / (period * stretch), smooth(rng, sigma_px), smooth(rng, sigma_px))
        for stretch in (0.8, 1.3, 2.1)
    ]
    return lambda t: sum(np.cos(w * t) * a + np.sin(w * t) * b for w, a, b in waves) / np.sqrt(len(waves))


@dataclass
class Neurite:
    """One cell process; `birth` and `death` are the depths where it begins and ends."""

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
        """Return its centre (y, x) at depth `t`."""
        return self.place + self.drift * (t - SLICES / 2) + self.wiggle * np.sin(t / 2.3 + self.phase)

    def size(self, t: float) -> float:
        """Return its radius at depth `t`."""
        alive = step((t - self.birth) / 1.5) * step((self.death - t) / 1.5)
        return float(self.radius * alive * (1 + 0.18 * np.sin(t / 3.1 + 2 * self.phase)))


def make_neurites(rng: np.random.Generator) -> list[Neurite]:
    """Throw neurites of very different sizes, large ones first, until the canvas is full."""
    sizes = [(48, 62, 4), (28, 40, 14), (16, 25, 55), (8, 14, 75)]
    placed: list[Neurite] = []
    for radius in np.concatenate([rng.uniform(*size) for size in sizes]):
        for _ in range(25):
            place = rng.uniform(-60, CANVAS + 60, 2)
            if all(np.hypot(*(place - p.place)) > 0.92 * (radius + p.radius) for p in placed):
                placed.append(_neurite(rng, place, radius))
                break
    return placed


def _neurite(rng: np.random.Generator, place: np.ndarray, radius: float) -> Neurite:
    birth, death = -9.0, SLICES + 9.0
    if radius < 40 and rng.random() < 0.35:
        end = rng.uniform(0, SLICES)
        birth, death = (end, death) if rng.random() < 0.5 else (birth, end)
    return Neurite(
        place=place,
        radius=radius,
        drift=rng.normal(0, 2.0, 2),
        wiggle=rng.normal(0, 2.6, 2),
        angle=rng.uniform(0, np.pi),
        elongation=float(np.exp(abs(rng.normal(0, 0.45)))),
        birth=birth,
        death=death,
        phase=rng.uniform(0, 6),
    )


@dataclass
class Plane:
    """The tissue at one depth.

    Attributes
    ----------
    owner : numpy.ndarray
        Number of the neurite that each pixel belongs to.
    distance : numpy.ndarray
        Distance to the nearest other neurite in pixels, 0 to 60.
    """

    owner: np.ndarray
    distance: np.ndarray

    def inside(self, number: int) -> np.ndarray:
        """Return the distance within one neurite, negative everywhere else."""
        return np.where(self.owner == number, self.distance, -9)


class Tissue:
    """Neurites, the fields that bend them, and what differs from membrane to membrane."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.neurites = make_neurites(rng)
        bends = [(12, 32, 16), (3, 9, 9), (0.9, 4, 6)]
        self.bends = [(size, [drifting(rng, *scale) for _ in "yx"]) for size, *scale in bends]
        self.width, self.stain, self.cleft = (drifting(rng, sigma, 8) for sigma in (14, 16, 18))
        self.rough = drifting(rng, 1.8, 3)

    def plane(self, t: float) -> Plane:
        """Return who owns each pixel at depth `t`, and how far the next neurite is."""
        grid = np.indices((CANVAS, CANVAS))
        warped = [grid[axis] + sum(size * fields[axis](t) for size, fields in self.bends) for axis in (0, 1)]
        nearest = np.full((CANVAS, CANVAS), 30.0)
        crowd = np.zeros_like(nearest)
        owner = np.zeros((CANVAS, CANVAS), np.int32)
        for number, neurite in enumerate(self.neurites):
            _claim(neurite, number, t, warped, (nearest, crowd, owner))
        return Plane(owner, _distance(nearest, crowd))

    def membrane(self, t: float, distance: np.ndarray) -> np.ndarray:
        """Return the stain of the membranes at depth `t`, about 1 in their middle."""
        width = 1.35 + 0.3 * np.clip(self.width(t), -1.2, 2)
        cleft = np.clip(1.3 * (self.cleft(t) - 0.5), 0, 2)
        stain = 1.14 + 0.28 * np.clip(self.stain(t), -1.6, 2) + 0.2 * self.rough(t)
        line = ridge(distance + 0.35 * self.rough(t) - cleft, width)
        return stain * (line + 0.22 * ridge(distance, 2.8)) - 0.06 * ridge(distance - 7, 2.5)


def _claim(neurite: Neurite, number: int, t: float, warped: list[np.ndarray], held: tuple) -> None:
    """Give a neurite the pixels that it is nearest to, and count it among the others' neighbours."""
    radius = neurite.size(t)
    if radius < 2:
        return
    centre = neurite.centre(t)
    stretch = neurite.elongation**0.5
    reach = 2.4 * radius * stretch + 62
    low, high = (np.clip(centre + r, 0, CANVAS).astype(int) for r in (-reach, reach))
    window = np.s_[low[0] : high[0], low[1] : high[1]]
    dy, dx = warped[0][window] - centre[0], warped[1][window] - centre[1]
    cos, sin = np.cos(neurite.angle), np.sin(neurite.angle)
    far = np.hypot((cos * dy + sin * dx) / stretch, (cos * dx - sin * dy) * stretch)
    # The root lets large neurites fill the gaps and wrap around small ones.
    near = (far - radius) / np.sqrt(radius)
    nearest, crowd, owner = (array[window] for array in held)
    crowd += np.exp(-near / ROUNDING)
    wins = near < nearest
    nearest[wins] = near[wins]
    owner[wins] = number


def _distance(nearest: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Return pixels to the boundary; all neighbours count a little, which rounds corners."""
    others = np.maximum(crowd - np.exp(-nearest / ROUNDING), 1e-30)
    gap = -ROUNDING * np.log(others) - nearest
    # Across the boundary the gap has a kink, so its slope is taken from beside it.
    slope = ndimage.maximum_filter(np.hypot(*np.gradient(np.minimum(gap, 30))), 5)
    return np.clip(gap / np.maximum(slope, 0.02), 0, 60)
