"""Where the phantom's organelles are: how many in a neurite, and through which slices they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from phantom_organelles import (
    Draw,
    Spot,
    dense_core,
    granule,
    mitochondrion,
    reticulum,
    ring,
)
from phantom_tissue import SLICES, Neurite, Plane


@dataclass
class Content:
    """An organelle in one neurite, seen from depth `first` to `last`.

    `place` is relative to the neurite's centre at depth `middle`.
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


class Furnisher:
    """Throws organelles into neurites."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def contents(self, neurites: list[Neurite]) -> list[Content]:
        """Furnish every neurite according to its size."""
        return [content for number, n in enumerate(neurites) for content in self._fill(number, n.radius)]

    def _fill(self, number: int, radius: float) -> Iterator[Content]:
        area = (radius / 20) ** 2
        if radius > 13 and self.rng.random() < 0.62:
            yield from self._mitochondria(number, radius)
        # kind, mean number, spread over the radius, thickness in slices
        plan = [
            (self._tubule, 9 * min(area, 2.5) * (self.rng.random() < 0.6), 0.75, (6, 30)),
            (self._vesicle, 110 * area * self.rng.choice([0.5, 1.0, 1.6]), 1.1, (0.6, 1.8)),
            (self._granule, 150 * area, 1.15, (0.6, 1.4)),
            (self._core, 5 * area, 0.95, (0.6, 1.6)),
            (self._cisterna, 3.5 * area * (radius > 14), 0.8, (1.0, 3.5)),
        ]
        for kind, mean, spread, thickness in plan:
            for _ in range(self.rng.poisson(mean)):
                yield self._content(*kind(), number, spread * radius, thickness)

    def _content(
        self, draw: Draw, spot: Spot, number: int, spread: float, thickness: tuple[float, float]
    ) -> Content:
        angle = self.rng.uniform(0, 2 * np.pi)
        place = spread * np.sqrt(self.rng.random()) * np.array([np.sin(angle), np.cos(angle)])
        first = self.rng.uniform(-3, SLICES)
        last = first + self.rng.uniform(*thickness)
        spot = replace(spot, angle=self.rng.uniform(0, 2 * np.pi), seed=int(self.rng.integers(1 << 30)))
        return Content(draw, number, first, last, place, self.rng.normal(0, 0.5, 2), spot)

    def _mitochondria(self, number: int, room: float) -> list[Content]:
        u = self.rng.uniform
        placed: list[Content] = []
        for _ in range(1 + int(room / 12)):
            radius = min(u(16, 29), 1.15 * room)
            spot = Spot(radius, u(0.55, 0.95), u(0.75, 1.1))
            spread = max(0.0, 0.85 * room - 0.7 * radius)
            new = self._content(mitochondrion, spot, number, spread, (6, 16))
            if all(np.hypot(*(new.place - p.place)) > radius + p.spot.radius for p in placed):
                placed.append(new)
        return placed

    def _tubule(self) -> tuple[Draw, Spot]:
        return ring, Spot(1.8, 1, self.rng.uniform(0.2, 0.45))

    def _vesicle(self) -> tuple[Draw, Spot]:
        u = self.rng.uniform
        return ring, Spot(u(2.4, 4.4), u(0.75, 1), u(0.25, 0.75))

    def _granule(self) -> tuple[Draw, Spot]:
        return granule, Spot(self.rng.uniform(1.0, 2.0), 1, self.rng.uniform(0.2, 0.75))

    def _core(self) -> tuple[Draw, Spot]:
        return dense_core, Spot(self.rng.uniform(2.5, 5.5), 1, self.rng.uniform(0.15, 0.5))

    def _cisterna(self) -> tuple[Draw, Spot]:
        return reticulum, Spot(self.rng.uniform(7, 26), 1, self.rng.uniform(0.25, 0.65))


def dense_spots(rng: np.random.Generator, plane: Plane, before: list[Spot]) -> list[Spot]:
    """Return the synapses of a slice: new ones on membranes, and what is left of the last slice's."""
    y, x = np.nonzero(plane.distance < 1)
    left = [replace(spot, strength=0.55 * spot.strength) for spot in before if spot.strength > 0.5]
    return left + [_dense_spot(rng, float(y[at]), float(x[at])) for at in rng.integers(0, len(y), 3)]


def _dense_spot(rng: np.random.Generator, y: float, x: float) -> Spot:
    u = rng.uniform
    return Spot(u(8, 28), u(0.35, 0.8), u(0.6, 1.6), u(0, np.pi), int(rng.integers(1 << 30)), y, x)
