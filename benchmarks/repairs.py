"""How long the repair tools take on a large slice.

    python benchmarks/repairs.py IMAGE RUN [--side 2048] [--only TOOL ...]

Every tool is a preview under the cursor, which should follow within 50 ms. Two neighbouring slices of
IMAGE are mirrored to the given side, with what RUN's network proposes for them; each tool is used at
ten places, drawn with a seed, of the proposal as it is and of one that is torn: holes in its membranes
make nearly all of it one cell. Each use counts with the best of three times, of the processor, of which
the tools keep one busy: other programs run as well. A tool that refuses a place has taken its time too.
Interpolating is measured with two slices that it sees for the first time, and between two that it knows, as
while its preview follows the slider. What is compiled is compiled before.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from emseg_napari.annotation.label_state import proposed
from emseg_napari.annotation.repair.close_gap import close_gap
from emseg_napari.annotation.repair.copy_slice import copy_neighbour
from emseg_napari.annotation.repair.drop_island import drop_island
from emseg_napari.annotation.repair.drop_membrane import drop_membrane, join_cells
from emseg_napari.annotation.repair.edit import Pixel, is_membrane
from emseg_napari.annotation.repair.interpolate import Between, interpolate
from emseg_napari.annotation.repair.loose_ends import snap
from emseg_napari.annotation.repair.skeleton import skeleton_of
from emseg_napari.annotation.repair.split_cell import split_cell
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import PROPOSED_INTERIOR, from_probability
from emseg_napari.inference import load_predictor
from emseg_napari.io.stacks import read_image
from emseg_napari.models.run import Run, open_run
from emseg_napari.segmentation.close_gaps import close_gaps
from emseg_napari.settings import PredictionSettings

PLACES, TIMES, AIM_MS, ENOUGH_MS = 10, 3, 50, 500
HOLES_A_MEGAPIXEL, HOLE_PX = 2000, 6
LARGEST_FALSE_CELL_PX = 3000
Use = Callable[[], Any]


class Page(NamedTuple):
    """Two neighbouring slices, all (y, x): the image, the labels and the boundary probability of one."""

    image: np.ndarray
    labels: np.ndarray
    probability: np.ndarray
    other_image: np.ndarray
    other_labels: np.ndarray


class Hand:
    """Draws places of a page at which tools are used."""

    def __init__(self, page: Page) -> None:
        self._page, self._random = page, np.random.default_rng(0)
        skeleton = skeleton_of(page.labels)
        lowest, highest, third = skeleton.sides
        wall = ~third & (lowest != highest)
        self._walls = np.stack([skeleton.y[wall], skeleton.x[wall]], axis=1)
        self._sides = np.stack([lowest[wall], highest[wall]], axis=1)
        self._cells = np.where(skeleton.mask, 0, skeleton.regions)
        self._areas = np.bincount(self._cells.ravel())

    def wall(self) -> Pixel:
        return self._pixel(int(self._random.integers(len(self._walls))))

    def walls(self, least_px: float, most_px: float) -> tuple[Pixel, Pixel]:
        """Return two pixels of walls that are as far apart."""
        while True:
            first, last = self.wall(), self.wall()
            if least_px <= np.hypot(first[0] - last[0], first[1] - last[1]) <= most_px:
                return first, last
            y, x = (self._walls - first).T
            near = np.flatnonzero((np.hypot(y, x) >= least_px) & (np.hypot(y, x) <= most_px))
            if len(near):
                return first, self._pixel(int(self._random.choice(near)))

    def two_cells(self) -> tuple[Pixel, Pixel]:
        """Return a click in each of the two cells that a wall parts."""
        at = int(self._random.integers(len(self._walls)))
        one, other = (self._inside(int(number), self._pixel(at)) for number in self._sides[at])
        return one, other

    def small_cell(self) -> Pixel:
        """Return a click in a cell such as a false one is, in the largest where none is small."""
        small = np.flatnonzero((self._areas > 0) & (self._areas <= LARGEST_FALSE_CELL_PX))[1:]
        number = int(self._random.choice(small)) if len(small) else int(self._areas[1:].argmax()) + 1
        return self._inside(number, self.wall())

    def large_cell(self) -> Pixel:
        return self._inside(int(self._areas[1:].argmax()) + 1, self.wall())

    def fraction(self) -> float:
        """Return where between two slices another one lies."""
        return float(self._random.random())

    def _pixel(self, number: int) -> Pixel:
        y, x = self._walls[number].tolist()
        return y, x

    def _inside(self, number: int, near: Pixel) -> Pixel:
        y, x = np.nonzero(self._cells == number)
        if len(y) == 0:  # a speck
            return self.small_cell()
        at = ((y - near[0]) ** 2 + (x - near[1]) ** 2).argmin()
        return int(y[at]), int(x[at])


def uses(page: Page) -> dict[str, list[Use]]:
    """Return ten uses of each tool."""
    hand, seen = Hand(page), (page.labels, page.probability, page.image)
    between = Between(page.labels, page.other_labels)

    def ten(draw: Callable[[], Use]) -> list[Use]:
        return [draw() for _ in range(PLACES)]

    return {
        "snap": ten(lambda: partial(snap, page.labels, hand.wall())),
        "close a gap, 10 to 40 px": ten(lambda: partial(close_gap, *seen, *hand.walls(10, 40))),
        "close a gap, 150 to 300 px": ten(lambda: partial(close_gap, *seen, *hand.walls(150, 300))),
        "drop a membrane": ten(lambda: partial(drop_membrane, page.labels, hand.wall(), seen[1])),
        "merge two cells": ten(lambda: partial(join_cells, page.labels, *hand.two_cells(), seen[1])),
        "split a cell, 20 to 60 px": ten(lambda: partial(split_cell, *seen, np.array(hand.walls(20, 60)))),
        "split a cell, 150 to 300 px": ten(
            lambda: partial(split_cell, *seen, np.array(hand.walls(150, 300)))
        ),
        "fill a small cell": ten(lambda: partial(drop_island, page.labels, hand.small_cell(), seen[1])),
        "fill at a membrane": ten(lambda: partial(drop_island, page.labels, hand.wall(), seen[1])),
        "fill in the largest cell": ten(
            lambda: partial(drop_island, page.labels, hand.large_cell(), seen[1])
        ),
        "copy the neighbour": ten(
            lambda: partial(copy_neighbour, page.other_labels, page.other_image, page.image)
        ),
        "interpolate": ten(lambda: partial(interpolate, page.labels, page.other_labels, hand.fraction())),
        "interpolate, slices known": ten(lambda: partial(between.at, hand.fraction())),
    }


def milliseconds(use: Use) -> tuple[float, bool]:
    """Return how long a use takes, and whether the tool refused."""
    took, refused = list[float](), False
    while len(took) < TIMES and sum(took) < ENOUGH_MS:
        began = time.process_time()
        try:
            use()
        except UserError:
            refused = True
        took.append(1000 * (time.process_time() - began))
    return min(took), refused


def pages(image: np.ndarray, run: Run, side: int) -> Iterator[tuple[str, Page]]:
    """Yield a page as the run's network proposes it, and a torn one."""
    predictor, record = load_predictor(run, PredictionSettings()), run.record
    slices, labels, probabilities = [], [], []
    for slice_ in image:
        probability = predictor.probability(slice_)
        closed = close_gaps(probability, record.threshold, record.merge_threshold)
        labels.append(mirrored(proposed(from_probability(closed, record.threshold)), side))
        slices.append(mirrored(slice_, side))
        probabilities.append(mirrored(probability, side))
    yield "as proposed", Page(slices[0], labels[0], probabilities[0], slices[1], labels[1])
    yield "torn", Page(slices[0], torn(labels[0]), probabilities[0], slices[1], torn(labels[1]))


def mirrored(slice_: np.ndarray, side: int) -> np.ndarray:
    """Return a slice repeated, every second time as in a mirror, to a square of the given side."""
    return np.pad(slice_, [(0, max(0, side - size)) for size in slice_.shape], "symmetric")[:side, :side]


def torn(labels: np.ndarray) -> np.ndarray:
    """Return labels with holes in their membranes."""
    random, membrane = np.random.default_rng(1), np.argwhere(is_membrane(labels))
    at = random.choice(membrane, HOLES_A_MEGAPIXEL * labels.size // 1_000_000)
    whole = np.ones(labels.shape, bool)
    whole[tuple(at.T)] = False
    return np.where(ndimage.distance_transform_edt(whole) <= HOLE_PX, PROPOSED_INTERIOR, labels)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--side", type=int, default=2048, help="of the square slice, in pixels")
    parser.add_argument("--slice", type=int, default=0, help="the first of the two slices")
    parser.add_argument("--only", nargs="*", help="words in the names of tools")
    chosen = parser.parse_args()
    image = read_image(chosen.image)[chosen.slice : chosen.slice + 2]
    print(f"| labels | tool | median of {PLACES}, ms | worst, ms | refused |\n|---|---|---|---|---|")
    for name, page in pages(image, open_run(chosen.run), chosen.side):
        for tool, ten in uses(page).items():
            if chosen.only and not any(word in tool for word in chosen.only):
                continue
            milliseconds(ten[0])
            took, refused = zip(*map(milliseconds, ten), strict=True)
            late = " (late)" if max(took) > AIM_MS else ""
            print(
                f"| {name} | {tool} | {np.median(took):.0f} | {max(took):.0f}{late} | {sum(refused)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
