"""Compiled: stain of what lies in cells. It looks like membrane and is none in the truth.

Lengths are in pixels, densities optical.
"""

from __future__ import annotations

import math

import numpy as np

from emseg_napari.core.compiled import compiled

from .membranes import projected
from .tubes import depth_in

RING, GRANULE, DENSE_CORE, SMEAR = 0, 1, 2, 3


def _rise(x: float) -> float:
    """Rise smoothly from 0 at -1 to 1 at 1."""
    x = min(max(0.5 * x + 0.5, 0.0), 1.0)
    return x * x * (3 - 2 * x)


rise = compiled(_rise)


def _mitochondrion(body: np.ndarray, depth: float, phase: float, line: float) -> float:
    """Return the stain of a mitochondrion at a depth below its surface.

    `body` is its tube (8 numbers) followed by the density of its membranes and matrix, that of its cristae,
    and their period; `phase` is where between two cristae the point lies, `line` the width of a membrane.
    """
    if depth < -4 * line:
        return 0.0
    inner = 2.2 * line
    rim = projected(depth, line, 0.0) + 0.8 * projected(depth - inner, line, 0.0)
    sheet = rise(3 * math.cos(phase) - 1.2) * rise((depth - inner - line) / line)
    halo = 0.15 * projected(depth + 2 * line, line, 0.0)
    return body[8] * (0.8 * rim + 0.6 * rise((depth - inner) / line) - halo) + body[9] * sheet


mitochondrion = compiled(_mitochondrion)


def _paint_mitochondria(
    plane: tuple, bodies: np.ndarray, first: np.ndarray, sizes: tuple, stain: np.ndarray, depths: np.ndarray
) -> None:
    """Add the mitochondria of a slice.

    Parameters
    ----------
    plane : tuple
        Cell int32 (y, x), distance to the boundary, place in the unwarped tissue and what bends cristae:
        float32 (y, x), (3, y, x), (y, x).
    bodies : numpy.ndarray
        float64 (mitochondrion, 14), sorted by cell: see `_mitochondrion`, then the direction square to the
        cristae.
    first : numpy.ndarray
        int (cell + 1,), where those of a cell begin.
    sizes : tuple
        Width of a membrane, and what is left free below the cell's membrane.
    stain, depths : numpy.ndarray
        float32 (y, x): gets stain added; gets the depth in the nearest mitochondrion, negative outside.
    """
    (cell, distance, where, bend), (line, gap) = plane, sizes
    for i in range(cell.shape[0]):
        for j in range(cell.shape[1]):
            deepest, found = -99.0, -1
            for b in range(first[cell[i, j]], first[cell[i, j] + 1]):
                depth = depth_in(bodies[b], where[0, i, j], where[1, i, j], where[2, i, j])
                if depth > deepest:
                    deepest, found = depth, b
            depths[i, j] = min(deepest, distance[i, j] - gap)
            if found >= 0 and depths[i, j] > -4 * line:
                body, across = bodies[found], bend[i, j]
                for axis in range(3):
                    across += (where[axis, i, j] - body[axis]) * body[11 + axis]
                phase = 2 * math.pi * across / body[10]
                stain[i, j] += mitochondrion(body, depths[i, j], phase, line)


paint_mitochondria = compiled(_paint_mitochondria)


def _paint_cytoplasm(plane: tuple, fields: np.ndarray, sizes: tuple, stain: np.ndarray) -> None:
    """Add grain, cisternae and filaments to the cytoplasm.

    Parameters
    ----------
    plane : tuple
        float32 (y, x): distance to the boundary, depth in a mitochondrion, way across filaments.
    fields : numpy.ndarray
        float32 (6, y, x): grain; a smooth field whose zero lines are cisternae, and where they are (> 0) and
        how dense; where filaments are (> 0) and how dense.
    sizes : tuple
        Width of a membrane, half width of a cisterna, period of filaments, what is left free below the
        cell's membrane.
    """
    (distance, depths, across), (line, half, period, gap) = plane, sizes
    grain, level, is_here, density, threads, thread_density = fields
    for i in range(stain.shape[0]):
        for j in range(stain.shape[1]):
            room = rise((distance[i, j] - gap) / line) * rise((-depths[i, j] - line) / line)
            add = grain[i, j] * rise(distance[i, j] / line - 1)
            if is_here[i, j] > 0 and room > 0:
                k, m = max(i, 1), max(j, 1)
                steep = math.hypot(level[k, m] - level[k - 1, m], level[k, m] - level[k, m - 1])
                away = abs(level[i, j]) / max(steep, 1e-3)
                if away < half + 3 * line:
                    end = min(4 * is_here[i, j], 1.0)
                    add += room * end * density[i, j] * projected(away - half, line, 0.0)
            if threads[i, j] > 0:
                wave = rise(2 * math.cos(2 * math.pi * across[i, j] / period) - 1)
                add += room * min(threads[i, j], 1.0) * thread_density[i, j] * wave
            stain[i, j] += add


paint_cytoplasm = compiled(_paint_cytoplasm)


def _profile(kind: int, away: float, radius: float, line: float) -> float:
    """Return the stain of a small organelle at a distance from its middle."""
    if kind == RING:
        # A vesicle is seen through its upper and lower half, a tubule along its clear middle.
        middle = 0.2 if radius > 3 * line else -0.15
        return projected(away - radius, line, 0.0) + middle * rise((radius - line - away) / line)
    if kind == GRANULE:
        return projected(away, 1.2 * radius, 0.0)
    if kind == DENSE_CORE:
        halo = projected(away - 1.7 * radius, line, 0.0)
        return rise((radius - away) / line) + 0.35 * halo - 0.1 * projected(away - 1.3 * radius, line, 0.0)
    return projected(away, radius, 0.0)


profile = compiled(_profile)


def _paint_spots(plane: tuple, spots: np.ndarray, rough: np.ndarray, line: float, stain: np.ndarray) -> None:
    """Add small organelles, each in its own cell, and smears, which lie across everything.

    `spots` is float64 (spot, 8): kind, y, x, radius, density, shorter over longer axis, angle, cell;
    `rough`, float32 (y, x), is what smears are multiplied by.
    """
    cell, distance = plane
    for number in range(len(spots)):
        kind, y, x, radius, density, shape, angle, owner = spots[number]
        reach = 2.2 * radius + 3 * line
        cos, sin = math.cos(angle), math.sin(angle)
        for i in range(max(int(y - reach), 0), min(int(y + reach) + 2, cell.shape[0])):
            for j in range(max(int(x - reach), 0), min(int(x + reach) + 2, cell.shape[1])):
                along, across = cos * (j - x) + sin * (i - y), cos * (i - y) - sin * (j - x)
                away = math.hypot(along, across / shape)
                if kind == SMEAR:
                    stain[i, j] += density * profile(kind, away, radius, line) * max(rough[i, j], 0.0)
                elif cell[i, j] == owner:
                    free = rise((distance[i, j] - 2 * line) / line)
                    stain[i, j] += free * density * profile(kind, away, radius, line)


paint_spots = compiled(_paint_spots)


def _paint_synapses(plane: tuple, synapses: np.ndarray, rough: np.ndarray, stain: np.ndarray) -> None:
    """Add densities to membranes between two cells, mostly on one side.

    `synapses` is float64 (synapse, 7): y, x, the cell of the density, the other cell, length along the
    membrane, thickness, density.
    """
    cell, next_cell, distance = plane
    for number in range(len(synapses)):
        y, x, inner, outer, length, thick, density = synapses[number]
        for i in range(max(int(y - length), 0), min(int(y + length) + 2, cell.shape[0])):
            for j in range(max(int(x - length), 0), min(int(x + length) + 2, cell.shape[1])):
                inside = cell[i, j] == inner and next_cell[i, j] == outer
                outside = cell[i, j] == outer and next_cell[i, j] == inner
                if not (inside or outside) or distance[i, j] > 3 * thick:
                    continue
                away = math.hypot(i - y, j - x) / (0.7 * length)
                depth = thick if inside else 0.45 * thick
                part = math.exp(-(away**4)) * math.exp(-((distance[i, j] / depth) ** 2))
                stain[i, j] += density * part * max(1 + 0.4 * rough[i, j], 0.2)


paint_synapses = compiled(_paint_synapses)
