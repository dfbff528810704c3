"""What the repair tools promise for any cells: here such as grow from jittered points."""

from contextlib import suppress

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from emseg_napari.annotation.repair.close_gap import close_gap
from emseg_napari.annotation.repair.drop_island import drop_island
from emseg_napari.annotation.repair.drop_membrane import drop_membrane, join_cells
from emseg_napari.annotation.repair.edit import is_membrane
from emseg_napari.annotation.repair.skeleton import SPECK_PX, skeleton_of
from emseg_napari.annotation.repair.split_cell import split_cell
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import PROPOSED_BOUNDARY, PROPOSED_INTERIOR

SIDE = 120
GREY = np.full((SIDE, SIDE), 128, np.uint8)


def tissue(seed: int, thickness_px: int) -> np.ndarray:
    """Nine or so proposed cells, each of the pixels nearest to its point."""
    centres = np.mgrid[20:SIDE:40, 20:SIDE:40].reshape(2, -1).T
    points = centres + np.random.default_rng(seed).integers(-14, 15, centres.shape)
    y, x = np.mgrid[:SIDE, :SIDE]
    nearest = np.hypot(y[..., None] - points[:, 0], x[..., None] - points[:, 1]).argmin(axis=-1)
    edge = ndimage.maximum_filter(nearest, 2) != ndimage.minimum_filter(nearest, 2)
    wall = ndimage.distance_transform_edt(~edge) < (thickness_px + 1) / 2
    return np.where(wall, PROPOSED_BOUNDARY, PROPOSED_INTERIOR).astype(np.uint8)


def cells(labels: np.ndarray) -> np.ndarray:
    return ndimage.label(~is_membrane(labels))[0]


def whole_cells(labels: np.ndarray) -> bool:
    return bool((np.bincount(cells(labels).ravel())[1:] >= SPECK_PX).all())


def joined(before: np.ndarray, after: np.ndarray) -> list[set[int]]:
    """The cells of `before` in each cell of `after`, where these are several."""
    old, new = cells(before), cells(after)
    inside = [set(np.unique(old[new == number])) - {0} for number in range(1, new.max() + 1)]
    return [numbers for numbers in inside if len(numbers) > 1]


def middle_of(cell: np.ndarray) -> tuple[int, int]:
    inside = ndimage.distance_transform_edt(np.pad(cell, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(inside.argmax(), cell.shape)
    return int(y), int(x)


tissues = st.builds(tissue, st.integers(0, 10_000), st.integers(2, 7)).filter(whole_cells)
anywhere = st.tuples(st.integers(12, SIDE - 13), st.integers(12, SIDE - 13))


def wall_pixel(labels: np.ndarray, near: tuple[int, int]) -> tuple[int, int]:
    skeleton = skeleton_of(labels)
    lowest, highest, third = skeleton.sides
    at = skeleton.nearest(near, ~third & (lowest != highest))
    assume(at is not None)
    return int(skeleton.y[at]), int(skeleton.x[at])


@settings(deadline=None, max_examples=60)
@given(labels=tissues, near=anywhere)
def test_a_dropped_membrane_joins_two_cells_and_no_other(labels, near):
    edit = drop_membrane(labels, wall_pixel(labels, near))
    after = edit.applied_to(labels)
    assert [len(numbers) for numbers in joined(labels, after)] == [2]
    assert cells(after).max() == cells(labels).max() - 1


@settings(deadline=None, max_examples=60)
@given(labels=tissues, near=anywhere, radius=st.integers(5, 9))
def test_a_closed_gap_separates_what_the_gap_joined(labels, near, radius):
    y, x = wall_pixel(labels, near)
    rows, columns = np.ogrid[:SIDE, :SIDE]
    hole = np.hypot(rows - y, columns - x) <= radius
    torn = np.where(hole, PROPOSED_INTERIOR, labels).astype(np.uint8)
    around = ndimage.binary_dilation(hole, iterations=4) & ~hole
    ends, count = ndimage.label(around & is_membrane(labels), np.ones((3, 3)))
    assume(count == 2 and [len(numbers) for numbers in joined(labels, torn)] == [2])
    start, end = ndimage.center_of_mass(ends > 0, ends, [1, 2])
    assume(min(*start, *end) > 12 and max(*start, *end) < SIDE - 13)
    closed = close_gap(torn, None, GREY, start, end).applied_to(torn)
    one, other = (middle_of(cells(labels) == number) for number in joined(labels, torn)[0])
    assert cells(closed)[one] != cells(closed)[other]


def way_out(cell: np.ndarray, pixel: np.ndarray, turn: float) -> np.ndarray:
    """The first pixel outside of a cell in some direction, or the last one inside the slice."""
    while True:
        further = pixel + np.array([np.sin(turn), np.cos(turn)])
        at = tuple(np.rint(further).astype(int))
        if min(at) < 0 or max(at) >= SIDE or not cell[tuple(np.rint(pixel).astype(int))]:
            return pixel
        pixel = further


@settings(deadline=None, max_examples=60)
@given(labels=tissues, point=anywhere, turn=st.floats(0, np.pi))
def test_a_split_adds_one_cell_and_merging_its_parts_takes_it_away(labels, point, turn):
    numbers = cells(labels)
    cell = numbers == numbers[point]
    assume(numbers[point] > 0 and np.count_nonzero(cell) > 400)
    middle = np.array(middle_of(cell))
    stroke = np.array([way_out(cell, middle, turn + np.pi), middle, way_out(cell, middle, turn)])
    parted = split_cell(labels, None, GREY, stroke).applied_to(labels)
    parts = cells(parted)
    in_cell = [number for number in np.unique(parts[cell]) if number]
    assert len(in_cell) >= 2
    assert parts.max() - len(in_cell) == numbers.max() - 1  # no other cell is touched
    largest = sorted(in_cell, key=lambda number: -np.count_nonzero(parts == number))[:2]
    clicks = [tuple(int(at[0]) for at in np.nonzero(parts == number)) for number in largest]
    merged = join_cells(parted, *clicks).applied_to(parted)
    assert cells(merged).max() == parts.max() - 1


TOOLS = (
    lambda labels, a, b: join_cells(labels, a, b),
    lambda labels, a, b: drop_membrane(labels, a),
    lambda labels, a, b: drop_island(labels, a),
    lambda labels, a, b: close_gap(labels, None, GREY, a, b),
    lambda labels, a, b: split_cell(labels, None, GREY, np.array([a, b], float)),
)


@settings(max_examples=60)
@given(labels=tissues, seed=st.integers(0, 10_000), holes=st.integers(0, 60))
def test_a_tool_repairs_or_says_why_not_however_torn_the_labels_are(labels, seed, holes):
    random = np.random.default_rng(seed)
    torn = labels.copy()
    for y, x in random.integers(0, SIDE - 6, (holes, 2)):
        height, width = random.integers(1, 7, 2)
        torn[y : y + height, x : x + width] = random.choice((PROPOSED_BOUNDARY, PROPOSED_INTERIOR))
    for tool in TOOLS:
        near = random.integers(2, SIDE - 2, 2)
        far = np.clip(near + random.integers(-25, 26, 2), 0, SIDE - 1)
        with suppress(UserError):
            tool(torn, tuple(map(int, near)), tuple(map(int, far))).applied_to(torn)
