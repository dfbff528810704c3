"""What lies inside the phantom's cells: it looks like membrane and is none in the labels.

Every function adds stain (optical density) to a picture of one slice. Positions and sizes
are in pixels, angles in radians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Spot:
    """One organelle, cut by a slice.

    Attributes
    ----------
    radius, shape : float
        Half of the longer axis; shorter over longer axis.
    strength : float
        Stain, 0 to about 1.
    angle : float
        Orientation.
    seed : int
        For what is random about it.
    y, x : float
        Centre.
    """

    radius: float
    shape: float
    strength: float
    angle: float = 0.0
    seed: int = 0
    y: float = 0.0
    x: float = 0.0


# (stain; distance to the own neurite's membrane, negative outside; spot)
Draw = Callable[[np.ndarray, np.ndarray, Spot], None]


def step(x: np.ndarray | float) -> np.ndarray:
    """Rise smoothly from 0 at -1 to 1 at 1."""
    x = np.clip((np.asarray(x) + 1) / 2, 0, 1)
    return x * x * (3 - 2 * x)


def ridge(x: np.ndarray, width: np.ndarray | float) -> np.ndarray:
    """Return the profile of a stained line, 1 at x = 0."""
    return np.exp(-((x / width) ** 2))


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
    """Draw a dark body with a rim, bright cristae and a halo, kept off the neurite's membrane."""
    window = _window(spot, 1.15 * spot.radius + 8, len(stain))
    along, across = _along_and_across(spot, window)
    phases = np.random.default_rng(spot.seed).uniform(0, 2 * np.pi, 4)
    turn = np.arctan2(across, along)
    outline = 1 + 0.07 * np.sin(2 * turn + phases[0]) + 0.05 * np.sin(3 * turn + phases[1])
    depth = (outline - np.hypot(along, across / spot.shape) / spot.radius) * spot.radius * spot.shape
    room = inside[window]
    depth = np.minimum(depth, room - 4)
    body = _matrix(along, across, depth, phases) * step(depth / 1.5)
    rim = 0.32 * ridge(depth - 0.6, 1.2) - 0.15 * ridge(depth - 3.0, 0.9) - 0.12 * ridge(depth + 3, 1.8)
    stain[window] += spot.strength * (body + rim) * step(room - 1.5)


def _matrix(along: np.ndarray, across: np.ndarray, depth: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Return the stain inside a mitochondrion: patchy, with thin bright sheets that come and go."""
    bend = 1.5 * np.sin(along / 9 + phases[2]) + 0.5 * np.sin(along / 3.1 + across / 7 + phases[3])
    period = 5.2 + phases[0] / 2.2
    sheet = np.cos((across + bend) * 2 * np.pi / period)
    seen = step((np.sin(along / 6.1 + across / 3.7 + phases[1]) + 0.35) * 2) * step((depth - 3.5) / 1.5)
    patches = 0.62 + 0.1 * np.sin(along / 6 + phases[1]) * np.sin(across / 5 + phases[3])
    return patches + 0.14 * step(-2 * sheet) - 0.5 * step((sheet - 0.55) * 3) * seen


def ring(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a vesicle, or a microtubule when it is small: a dark rim around a clear lumen."""
    window = _window(spot, spot.radius + 4, len(stain))
    along, across = _along_and_across(spot, window)
    radius = np.hypot(along, across / spot.shape)
    profile = ridge(radius - spot.radius, 1.05) - 0.12 * step((spot.radius - 1.5 - radius) / 1.2)
    stain[window] += spot.strength * profile * step(inside[window] - 3)


def granule(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a dark dot, a ribosome or a cut filament."""
    window = _window(spot, 3 * spot.radius + 1, len(stain))
    radius = np.hypot(*_along_and_across(spot, window))
    stain[window] += spot.strength * ridge(radius, 1.2 * spot.radius) * step(inside[window] - 2.5)


def dense_core(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a dark blob with a bright halo, the core of a large vesicle."""
    window = _window(spot, spot.radius + 5, len(stain))
    radius = np.hypot(*_along_and_across(spot, window))
    profile = step((spot.radius - radius) / 1.4) - 0.25 * ridge(radius - spot.radius - 2.5, 1.4)
    stain[window] += spot.strength * profile * step(inside[window] - 3)


def reticulum(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a cisterna: a bent tube, seen as one dark line or as two close together."""
    window = _window(spot, spot.radius + 6, len(stain))
    if min(side.stop - side.start for side in window) < 1:
        return
    rng = np.random.default_rng(spot.seed)
    half_width = rng.choice([0.0, 1.6, 2.2])
    distance = _distance_to_walk(rng, spot, window)
    line = ridge(distance - half_width, 1.05) - 0.3 * ridge(distance, 1.1) * (half_width > 0)
    stain[window] += spot.strength * line * step((inside[window] - 5) / 2)


def _distance_to_walk(rng: np.random.Generator, spot: Spot, window: tuple[slice, slice]) -> np.ndarray:
    """Return the distance to a smooth random curve through the spot."""
    count = int(3.6 * spot.radius) + 2
    turn = np.cumsum(rng.normal(0, 0.012, count)) + rng.normal(0, 0.018)
    heading = spot.angle + np.cumsum(turn * 0.5)
    path = 0.5 * np.cumsum(np.stack([np.sin(heading), np.cos(heading)]), 1)
    y, x = path - path[:, count // 2, np.newaxis] + [[spot.y], [spot.x]]
    grid_y, grid_x = np.mgrid[window]
    return np.min([np.hypot(grid_y - v, grid_x - u) for v, u in zip(y, x, strict=True)], axis=0)


def dense_spot(stain: np.ndarray, inside: np.ndarray, spot: Spot) -> None:
    """Draw a synapse-like density: dark and ragged, across whatever lies there."""
    window = _window(spot, 2.2 * spot.radius, len(stain))
    along, across = _along_and_across(spot, window)
    noise = np.random.default_rng(spot.seed).standard_normal(along.shape)
    ragged = 1 + 0.9 * ndimage.gaussian_filter(noise, 1.3) + 1.6 * ndimage.gaussian_filter(noise, 4)
    radius = np.hypot(along, across / spot.shape) / spot.radius
    stain[window] += spot.strength * ridge(radius, 0.85) * np.maximum(ragged, 0)
