"""Boundaries of errors: where two neighbouring parts of an outline meet, and what lies between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

Pixels = tuple[np.ndarray, np.ndarray]
Pair = tuple[int, int]
Sizes = dict[int, dict[int, int]]


@dataclass(frozen=True)
class Picture:
    """What walls are sought in; all (y, x).

    Attributes
    ----------
    outlines, parts : numpy.ndarray
        int: numbered from 1; 0 is none.
    passable : numpy.ndarray
        bool: interior in the eyes of the outlines' side.
    wall : numpy.ndarray
        bool: boundary in the eyes of the parts' side.
    """

    outlines: np.ndarray
    parts: np.ndarray
    passable: np.ndarray
    wall: np.ndarray


@dataclass(frozen=True)
class Wall:
    """Runs in an outline between two parts; `size_px` is the smaller one's."""

    outline: int
    parts: Pair
    size_px: int
    pixels: Pixels


def walls(picture: Picture, sizes: Sizes) -> Iterator[Wall]:
    """Yield the walls between the parts of each outline that has two or more.

    The parts flood their outline at one speed, through `passable` first. Where two floods meet, in
    `passable` if they meet there at all, is the middle of a wall; it grows over the wall's pixels by
    half of its thickness.

    Parameters
    ----------
    picture : Picture
    sizes : dict of dict
        Outline -> part -> pixels that they have in common, for the parts that count.
    """
    thickness = ndimage.distance_transform_cdt(picture.wall, "taxicab")
    boxes = ndimage.find_objects(picture.outlines)
    for outline, sizes_px in sizes.items():
        if len(sizes_px) < 2:
            continue
        box = boxes[outline - 1]
        near = Picture(*(getattr(picture, name)[box] for name in Picture.__annotations__))
        for pair, (y, x) in _walls_between(near, near.outlines == outline, thickness[box], list(sizes_px)):
            pixels = (y + box[0].start, x + box[1].start)
            yield Wall(outline, pair, min(sizes_px[part] for part in pair), pixels)


def _walls_between(
    picture: Picture, inside: np.ndarray, thickness: np.ndarray, counted: list[int]
) -> Iterator[tuple[Pair, Pixels]]:
    """Yield pairs of parts that meet inside an outline, and the wall between them."""
    parts = np.where(inside & np.isin(picture.parts, counted), picture.parts, 0)
    flooded = watershed((~picture.passable).astype(np.uint8), parts, mask=inside)
    between = inside & (parts == 0) & (picture.wall | (picture.parts > 0))
    open_wall = inside & picture.wall & picture.passable
    for pair, seam in _seams(flooded, between).items():
        leak = picture.passable[seam]
        y, x = (seam[0][leak], seam[1][leak]) if leak.any() else seam
        yield pair, _grown((y, x), open_wall, int(np.ceil(np.median(thickness[y, x]))))


def _seams(flooded: np.ndarray, between: np.ndarray) -> dict[Pair, Pixels]:
    """Return the pixels `between` two floods that meet: both sides of the line where they do."""
    sides = []
    for step in ((1, 0), (0, 1)):
        here, there = np.s_[: -step[0] or None, : -step[1] or None], np.s_[step[0] :, step[1] :]
        meet = (flooded[here] != flooded[there]) & (flooded[here] > 0) & (flooded[there] > 0)
        pairs = np.sort(np.stack([flooded[here][meet], flooded[there][meet]], axis=1), axis=1)
        pixels = np.argwhere(meet)
        sides += [np.hstack([pairs, pixels]), np.hstack([pairs, pixels + step])]
    rows = np.unique(np.concatenate(sides), axis=0)
    rows = rows[between[rows[:, 2], rows[:, 3]]]
    starts = np.flatnonzero(np.any(np.diff(rows[:, :2], axis=0, prepend=0), axis=1))
    groups = np.split(rows, starts[1:]) if len(rows) else []
    return {(int(rows[0, 0]), int(rows[0, 1])): (rows[:, 2], rows[:, 3]) for rows in groups}


def _grown(seam: Pixels, wall: np.ndarray, steps: int) -> Pixels:
    """Grow a seam over the wall by some pixels."""
    if steps == 0:
        return seam
    box = tuple(slice(max(0, int(at.min()) - steps), int(at.max()) + steps + 1) for at in seam)
    marked = np.zeros(wall.shape, bool)
    marked[seam] = True
    near = marked[box]
    y, x = np.nonzero(ndimage.binary_dilation(near, iterations=steps, mask=wall[box] | near))
    return y + box[0].start, x + box[1].start
