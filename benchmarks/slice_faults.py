"""What is wrong in a slice, by the truth, and the repairs that could help: the annotator's knowledge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from scipy import ndimage
from skimage.graph import route_through_array
from skimage.morphology import skeletonize

from emseg_napari.annotation.repair.close_gap import close_gap
from emseg_napari.annotation.repair.drop_island import drop_island
from emseg_napari.annotation.repair.drop_membrane import drop_membrane, join_cells
from emseg_napari.annotation.repair.edit import Edit, edit_of
from emseg_napari.annotation.repair.split_cell import split_cell
from emseg_napari.annotation.suggest import Place
from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_INTERIOR
from emseg_napari.evaluation.errors import segmentation_errors
from emseg_napari.evaluation.thinning import thinned_regions

NEAR_PX = 5
_PART_PX = 50  # of the parts of a cell that are worth a click
_TOGETHER = np.ones((3, 3), bool)

Pixels = tuple[np.ndarray, np.ndarray]


@dataclass
class Page:
    """One slice as the tools see it: all (y, x)."""

    image: np.ndarray
    probability: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Fault:
    """A connected piece of membrane that is missing ("merge"), false ("split") or too thick ("smear")."""

    kind: Literal["merge", "split", "smear"]
    pixels: Pixels

    @cached_property
    def middle(self) -> tuple[int, int]:
        y, x = self.pixels
        nearest = int(((y - y.mean()) ** 2 + (x - x.mean()) ** 2).argmin())
        return int(y[nearest]), int(x[nearest])

    @property
    def right_value(self) -> int:
        return BOUNDARY if self.kind == "merge" else INTERIOR

    def window(self, margin_px: int) -> tuple[slice, slice]:
        y, x = (slice(max(0, int(at.min()) - margin_px), int(at.max()) + margin_px + 1) for at in self.pixels)
        return y, x

    def is_like(self, other: Fault) -> bool:
        """Return whether it is the same error as one that was there before another repair."""
        far = np.subtract(self.middle, other.middle)
        return self.kind == other.kind and bool(np.abs(far).max() <= NEAR_PX)

    def touches(self, place: Place) -> bool:
        """Return whether it comes near the line that a place shows."""
        line, own = np.stack(place.pixels, axis=1), np.stack(self.pixels, axis=1)
        far = np.abs(line[:, None] - own[None]).max(axis=2)
        return bool(far.min() <= NEAR_PX)

    def drawn(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return it as bool (y, x)."""
        drawn = np.zeros(shape, bool)
        drawn[self.pixels] = True
        return drawn

    def line(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return the way along it, int (n, 2), from one end to the other."""
        y, x = self.pixels
        first = int(((y - y.mean()) ** 2 + (x - x.mean()) ** 2).argmax())
        last = int(((y - y[first]) ** 2 + (x - x[first]) ** 2).argmax())
        rows, columns = self.window(1)
        depth = ndimage.distance_transform_edt(self.drawn(shape)[rows, columns])
        cost = np.where(depth > 0, 1 / np.maximum(depth, 1), 100.0)
        corner = np.array([rows.start, columns.start])
        ends = [tuple(np.array([y[i], x[i]]) - corner) for i in (first, last)]
        return np.array(route_through_array(cost, *ends)[0]) + corner


def is_inside(labels: np.ndarray) -> np.ndarray:
    """Return which labels say interior, proposed or not: bool."""
    return (labels == INTERIOR) | (labels == PROPOSED_INTERIOR)


def faults(truth: np.ndarray, labels: np.ndarray) -> list[Fault]:
    """Return missing and false membranes of a slice, both uint8 (y, x), the largest error first."""
    return [
        Fault(error.kind, piece)
        for error in segmentation_errors(truth, is_inside(labels))
        for piece in _pieces(Fault(error.kind, error.pixels).drawn(truth.shape))
    ]


def smears(truth: np.ndarray, labels: np.ndarray) -> list[Fault]:
    """Return where thick membrane gives a part of a cell to another one, the largest first."""
    cells, regions = ndimage.label(truth == INTERIOR)[0], thinned_regions(is_inside(labels))
    counts = np.zeros((cells.max() + 1, regions.max() + 1), int)
    np.add.at(counts, (cells.ravel(), regions.ravel()), 1)
    counts[:, 0] = 0
    lost = (cells > 0) & (regions != counts.argmax(axis=1)[cells]) & ~is_inside(labels)
    found = [Fault("smear", pixels) for pixels in _pieces(lost) if len(pixels[0]) >= _PART_PX]
    return sorted(found, key=lambda fault: -len(fault.pixels[0]))


def _pieces(mask: np.ndarray) -> list[Pixels]:
    numbers, count = ndimage.label(mask, _TOGETHER)
    return [np.nonzero(numbers == number) for number in range(1, count + 1)]


@dataclass(frozen=True)
class Trial:
    """A tool, what it costs, and what it would do."""

    tool: str
    clicks: int
    strokes: int
    edit: Callable[[], Edit]


def trials(fault: Fault, page: Page, truth: np.ndarray) -> Iterator[Trial]:
    """Yield the repairs of an error in the order in which they are tried; the truth only leads the hand."""
    if fault.kind == "merge":
        yield from _of_merge(fault, page)
    elif fault.kind == "split":
        yield from _of_split(fault, page, truth)
    else:
        band = _widened(fault.line(truth.shape), 5, truth.shape) & (truth == INTERIOR)
        yield Trial("brush", 0, 1, lambda: edit_of(page.labels, band, INTERIOR))


def _of_merge(fault: Fault, page: Page) -> Iterator[Trial]:
    seen, shape = (page.labels, page.probability, page.image), page.labels.shape
    line = fault.line(shape)
    stroke = np.concatenate([line[:-1:4], line[-1:]])
    yield Trial("close gap", 2, 0, lambda: close_gap(*seen, tuple(line[0]), tuple(line[-1])))
    yield Trial("split cell", 0, 1, lambda: split_cell(*seen, stroke))
    whole = np.concatenate([line, np.argwhere(skeletonize(fault.drawn(shape)))])
    yield Trial("brush", 0, 1, lambda: edit_of(page.labels, _widened(whole, 1, shape), BOUNDARY))


def _of_split(fault: Fault, page: Page, truth: np.ndarray) -> Iterator[Trial]:
    labels = page.labels
    yield Trial("drop membrane", 1, 0, lambda: drop_membrane(labels, fault.middle, page.probability))
    parts = _parts_beside(fault, labels, truth)
    if len(parts) == 2:
        a, b = (_highest(ndimage.distance_transform_edt(part)) for part in parts)
        yield Trial("fill interior", 1, 0, lambda: drop_island(labels, a, page.probability))
        yield Trial("merge cells", 2, 0, lambda: join_cells(labels, a, b, page.probability))
        yield Trial("brush", 0, 1, lambda: edit_of(labels, _erased(fault, parts, truth), INTERIOR))


def _parts_beside(fault: Fault, labels: np.ndarray, truth: np.ndarray) -> list[np.ndarray]:
    """Return the two parts of the true cell that a false membrane makes, bool (y, x), the smaller first."""
    cells = ndimage.label(truth == INTERIOR)[0]
    parts, count = ndimage.label(is_inside(labels) & (cells == cells[fault.middle]))
    numbers = np.arange(1, count + 1)
    away = ndimage.minimum(ndimage.distance_transform_edt(~fault.drawn(labels.shape)), parts, numbers)
    large = np.bincount(parts.ravel())[1:] >= _PART_PX
    nearest = np.argsort(np.where(large, away, np.inf))[: min(2, np.count_nonzero(large))]
    return sorted((parts == number for number in numbers[nearest]), key=np.count_nonzero)


def _erased(fault: Fault, parts: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Return what a stroke of a brush of five pixels from one part to the other erases, bool (y, x)."""
    away = ndimage.distance_transform_edt(~fault.drawn(truth.shape))
    ends = [_highest(np.where(part, -away, -np.inf)) for part in parts]
    way, _ = route_through_array(np.where(truth == INTERIOR, 1.0, 100.0), *ends)
    return _widened(np.array(way), 2, truth.shape) & (truth == INTERIOR)


def _widened(line: np.ndarray, by_px: int, shape: tuple[int, ...]) -> np.ndarray:
    drawn = np.zeros(shape, bool)
    drawn[tuple(line.T)] = True
    return ndimage.binary_dilation(drawn, _TOGETHER, by_px)


def _highest(values: np.ndarray) -> tuple[int, int]:
    y, x = np.unravel_index(values.argmax(), values.shape)
    return int(y), int(x)
