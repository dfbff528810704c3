"""What lies inside the phantom's cells: it looks like membrane and is none in the labels.

Every function adds stain (optical density) to a picture of one slice. Positions and sizes
are in pixels, angles in radians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np


def step(x: np.ndarray | float) -> np.ndarray:
    """Rise smoothly from 0 at -1 to 1 at 1."""
    x = np.clip((np.asarray(x) + 1) / 2, 0, 1)
    return x * x * (3 - 2 * x)


def ridge(x: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """Return the profile of a stained line, 1 at x = 0."""
    return np.exp(-((x / width) ** 2))


@dataclass(frozen=True)
class Spot:
    """One organelle, cut by a slice.

    Attributes
    ----------
    y, x : float
        Centre.
    radius : float
        Half of the longer axis.
    angle, shape : float
        Orientation; short over long axis.
    strength : float
        Stain, 0 to about 1.
    seed : int
        For what is random about it.
    """

    y: float
    x: float
    radius: float
    angle: float = 0.0
    shape: float = 1.0
    strength: float = 1.0
    seed: int = 0


# (stain, distance to the own cell's boundary or negative outside, spot)
Draw = Callable[[np.ndarray, np.ndarray, Spot], None]


def _window(spot: Spot, reach: float, size: int) -> tuple[slice, slice]:
    low_y, low_x = (int(np.clip(c - reach, 0, size)) for c in (spot.y, spot.x))
    high_y, high_x = (int(np.clip(c + reach + 1, 0, size)) for c in (spot.y, spot.x))
    return np.s_[low_y:high_y], np.s_[low_x:high_x]


def _along_and_across(spot: Spot, window: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[window]
    dy, dx = y - spot.y, x - spot.x
    cos, sin = np.cos(spot.angle), np.sin(spot.angle)
    return cos * dx + sin * dy, cos * dy - sin * dx


def mitochondrion(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a dark body with a rim, cristae and a bright halo, kept off the cell's membrane."""
    window = _window(spot, spot.radius + 8, len(stain))
    along, across = _along_and_across(spot, window)
    rng = np.random.default_rng(spot.seed)
    p = rng.uniform(0, 6, 4)
    dent = (
        1
        + 0.07 * np.sin(2 * np.arctan2(across, along) + p[0])
        + 0.05 * np.sin(3 * np.arctan2(across, along) + p[1])
    )
    depth = (dent - np.hypot(along, across / spot.shape) / spot.radius) * spot.radius * spot.shape
    room = inside[window]
    depth = np.minimum(depth, room - 4.5)
    body = step(depth / 1.6) * (room > 0)
    bend = 2.2 * np.sin(along / 8 + p[2]) + 1.2 * np.sin(along / 3.7 + across / 9 + p[3])
    sheet = np.sin((across + bend) * 2 * np.pi / rng.uniform(6.5, 9.5))
    cristae = step((sheet - 0.35) * 2.2) * step((np.sin(along / 5.1 + across / 2.9 + p[0]) + 0.55) * 2)
    matrix = 0.42 + 0.1 * np.sin(along / 7 + p[1]) * np.sin(across / 6 + p[3])
    fill = matrix + 0.2 * (sheet < -0.2) - 0.42 * cristae * step((depth - 4) / 1.5)
    rim = 0.4 * ridge(depth - 0.8, 1.3) - 0.22 * ridge(depth - 3.3, 1.0) - 0.1 * ridge(depth + 3, 2)
    stain[window] += spot.strength * (fill * body + rim * (room > 1.5))


def ring(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a vesicle, or a microtubule when it is small: a dark rim around a clear lumen."""
    window = _window(spot, spot.radius + 4, len(stain))
    along, across = _along_and_across(spot, window)
    radius = np.hypot(along, across / spot.shape)
    profile = ridge(radius - spot.radius, 1.15) - 0.35 * step((spot.radius - 1.5 - radius) / 1.2)
    stain[window] += spot.strength * profile * step(inside[window] - 3)


def dense_core(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a dark granule, the core of a large vesicle."""
    window = _window(spot, spot.radius + 5, len(stain))
    radius = np.hypot(*_along_and_across(spot, window))
    profile = step((spot.radius - radius) / 1.4) - 0.2 * ridge(radius - spot.radius - 2.5, 1.4)
    stain[window] += spot.strength * profile * step(inside[window] - 3)


def reticulum(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a cisterna: a bent tube, two dark lines close together or one."""
    window = _window(spot, spot.radius + 6, len(stain))
    y, x = np.mgrid[window]
    rng = np.random.default_rng(spot.seed)
    points = _walk(rng, spot)
    distance = np.full(y.shape, 1e3)
    for point_y, point_x in points:
        np.minimum(distance, np.hypot(y - point_y, x - point_x), out=distance)
    half_width = rng.choice([0.0, 1.8, 2.4])
    line = ridge(distance - half_width, 1.15) - 0.25 * ridge(distance, 1.2) * (half_width > 0)
    stain[window] += spot.strength * line * step((inside[window] - 5) / 2)


def _walk(rng: np.random.Generator, spot: Spot) -> np.ndarray:
    """Return points half a pixel apart along a smooth random curve through the spot."""
    count = int(4 * spot.radius * 0.9)
    turn = np.cumsum(rng.normal(0, 0.012, count)) + rng.normal(0, 0.018)
    heading = spot.angle + np.cumsum(turn * 0.5)
    path = 0.5 * np.cumsum(np.stack([np.sin(heading), np.cos(heading)], 1), 0)
    return path - path[count // 2] + (spot.y, spot.x)


def dense_spot(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a synapse-like density: dark, ragged, on both sides of a membrane."""
    window = _window(spot, 2.2 * spot.radius, len(stain))
    along, across = _along_and_across(spot, window)
    rng = np.random.default_rng(spot.seed)
    ragged = 1 + 0.35 * np.sin(along / 2.7 + rng.uniform(0, 6)) * np.sin(across / 2.3 + rng.uniform(0, 6))
    blob = np.exp(-((np.hypot(along, across / spot.shape) / spot.radius) ** 2) * 1.3)
    stain[window] += spot.strength * blob * ragged


def nearby(spot: Spot, rng: np.random.Generator, spread: float) -> Spot:
    """Return the same spot a little elsewhere."""
    y, x = rng.normal(0, spread, 2)
    return replace(spot, y=spot.y + y, x=spot.x + x)
