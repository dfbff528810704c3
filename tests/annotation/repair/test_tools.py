"""The repair tools on drawn cells that can be counted by hand."""

import contextlib
import time

import numpy as np
import pytest
from scipy import ndimage

from emseg_napari.annotation.repair.close_gap import close_gap
from emseg_napari.annotation.repair.copy_slice import copy_neighbour
from emseg_napari.annotation.repair.drop_island import drop_island
from emseg_napari.annotation.repair.drop_membrane import drop_membrane, join_cells
from emseg_napari.annotation.repair.edit import Edit, is_membrane
from emseg_napari.annotation.repair.loose_ends import loose_ends, snap
from emseg_napari.annotation.repair.split_cell import split_cell
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_BOUNDARY, PROPOSED_INTERIOR, UNLABELLED

STEP = 40  # from one wall of the grid to the next


def grid(side_px: int = 120, thickness_px: int = 5) -> np.ndarray:
    """Proposed square cells with straight walls in between; the first walls are at 40."""
    wall = np.abs(np.arange(side_px) % STEP - thickness_px // 2) <= thickness_px // 2
    wall[:STEP] = False
    return np.where(wall | wall[:, None], PROPOSED_BOUNDARY, PROPOSED_INTERIOR).astype(np.uint8)


def picture(labels: np.ndarray) -> np.ndarray:
    """The slice to which labels belong: dark membranes, with noise."""
    noise = np.random.default_rng(0).normal(0, 10, labels.shape)
    return np.where(is_membrane(labels), 60, 180) + noise


def probability(labels: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(is_membrane(labels).astype(np.float32), 1.5)


def cells(labels: np.ndarray) -> int:
    return ndimage.label(~is_membrane(labels))[1]


def with_hole(labels: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    damaged = labels.copy()
    damaged[rows, columns] = PROPOSED_INTERIOR
    return damaged


GRID = grid()
GAP = with_hole(GRID, np.s_[15:27], np.s_[38:48])  # in the wall between the two upper left cells


def check(edit: Edit, labels: np.ndarray, value: int) -> np.ndarray:
    """Return the labels after an edit that changes nothing twice or in vain."""
    assert edit.values.dtype == np.uint8
    assert set(edit.values.tolist()) == {value}
    assert len(set(zip(edit.y.tolist(), edit.x.tolist(), strict=True))) == len(edit.y)
    assert (labels[edit.y, edit.x] != value).all()
    return edit.applied_to(labels)


# Loose ends


def test_a_membrane_with_a_gap_has_two_loose_ends_and_a_whole_one_has_none():
    ends = loose_ends(GAP)
    assert sorted(ends[:, 1].tolist()) == pytest.approx([42, 42], abs=2)
    assert sorted(ends[:, 0].tolist()) == pytest.approx([13, 28], abs=3)
    assert len(loose_ends(GRID)) == 0


def test_bumps_of_a_membrane_are_no_loose_ends():
    rough = GRID.copy()
    rough[20:23, 45:47] = rough[60:62, 38:40] = PROPOSED_BOUNDARY
    assert len(loose_ends(rough)) == 0


def test_a_click_snaps_to_a_loose_end_before_membrane_and_to_membrane_before_nothing():
    assert snap(GAP, (18, 50)) == pytest.approx((13, 42), abs=3)
    assert snap(GRID, (20.4, 50)) == (20, 44)
    assert snap(GRID, (20, 20.2)) == (20, 20)


# Gaps


@pytest.mark.parametrize("known", [True, False])
def test_a_closed_gap_parts_its_cells_and_is_as_thick_as_the_membrane(known):
    edit = close_gap(GAP, probability(GRID) if known else None, picture(GRID), (12, 40), (30, 44))
    closed = check(edit, GAP, BOUNDARY)
    assert cells(GAP) == 8
    assert cells(closed) == 9
    assert is_membrane(closed)[16:26, :60].sum(axis=1) == pytest.approx(np.full(10, 5), abs=1)


def test_the_path_follows_what_looks_like_membrane_not_the_straight_line():
    bent = np.full((80, 80), PROPOSED_INTERIOR, np.uint8)
    rows = np.arange(80)
    bent[rows, 40 + np.round(8 * np.sin(rows / 79 * np.pi)).astype(int)] = PROPOSED_BOUNDARY
    bent[ndimage.binary_dilation(is_membrane(bent), iterations=2)] = PROPOSED_BOUNDARY
    torn = with_hole(bent, np.s_[20:60], np.s_[:])
    closed = check(close_gap(torn, None, picture(bent), (18, 45), (61, 45)), torn, BOUNDARY)
    assert is_membrane(bent)[is_membrane(closed)].mean() > 0.8
    assert cells(closed) == 2


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf, 3.4e38])
def test_pixels_without_a_value_neither_end_a_tool_nor_lead_it_astray(unknown):
    image, likely = picture(GRID).astype(np.float32), probability(GRID)
    image[18:22, 41:46] = likely[18:22, 41:46] = unknown
    for known in (None, likely):
        assert cells(close_gap(GAP, known, image, (12, 40), (30, 44)).applied_to(GAP)) == 9
        stroke = np.array([(60, 43), (60, 83)])
        assert cells(split_cell(GRID, known, np.full_like(image, unknown), stroke).applied_to(GRID)) == 10
        cut = with_hole(GRID, np.s_[60:80], np.s_[60:62])
        assert cells(drop_membrane(cut, (60, 42), known).applied_to(cut)) == cells(cut) - 1
        assert cells(join_cells(GRID, (20, 20), (20, 60), known).applied_to(GRID)) == 8


def test_no_detour_over_membranes_that_are_there():
    nothing = np.full(GAP.shape, 128, np.uint8)
    edit = close_gap(GAP, None, nothing, (12, 42), (29, 42))
    assert cells(edit.applied_to(GAP)) == 9
    assert edit.y.min() > 5
    assert edit.y.max() < 36


def test_over_a_long_way_too_the_path_follows_what_looks_like_membrane():
    bent = np.full((360, 120), PROPOSED_INTERIOR, np.uint8)
    rows = np.arange(360)
    bent[rows, 60 + np.round(16 * np.sin(rows / 359 * np.pi * 3)).astype(int)] = PROPOSED_BOUNDARY
    bent[ndimage.binary_dilation(is_membrane(bent), iterations=2)] = PROPOSED_BOUNDARY
    torn = with_hole(bent, np.s_[50:310], np.s_[:])
    edit = close_gap(torn, 0.4 * probability(bent), picture(bent), (48, 76), (311, 76))
    closed = check(edit, torn, BOUNDARY)
    assert is_membrane(bent)[is_membrane(closed)].mean() > 0.95
    assert cells(closed) == 2


def test_membrane_can_be_drawn_where_there_is_none():
    empty = np.full((60, 60), UNLABELLED, np.uint8)
    edit = close_gap(empty, None, np.zeros(empty.shape), (0, 30), (59, 30))
    assert cells(check(edit, empty, BOUNDARY)) == 2


def test_a_membrane_that_begins_close_to_the_edge_of_the_slice_begins_at_it():
    empty = np.full((60, 60), INTERIOR, np.uint8)
    edit = close_gap(empty, None, np.zeros(empty.shape), (4, 30), (29, 56))
    assert cells(check(edit, empty, BOUNDARY)) == 2


def test_the_two_ends_of_a_gap_must_differ():
    with pytest.raises(UserError, match="click on either side"):
        close_gap(GAP, None, picture(GAP), (12, 42), (12, 42))


@pytest.mark.parametrize("rows", [(17, 20), (20, 17)])
def test_of_two_clicks_that_mean_one_loose_end_the_nearer_has_it(rows):
    start, end = ((row, 42.0) for row in rows)
    assert snap(GAP, start) == snap(GAP, end)
    assert close_gap(GAP, None, picture(GAP), start, end).y.max() >= 20


# Membranes that go


def test_a_dropped_membrane_joins_its_two_cells_and_leaves_the_others_as_thick_as_they_were():
    dropped = check(drop_membrane(GRID, (60, 42)), GRID, INTERIOR)
    assert cells(dropped) == 8
    assert not is_membrane(dropped)[46:79, 30:60].any()
    crossing = is_membrane(dropped)[:, 42]
    assert crossing[40:45].all()
    assert crossing[80:85].all()
    others = np.ones(GRID.shape, bool)
    others[45:80, 40:45] = False
    assert (is_membrane(dropped) == is_membrane(GRID))[others].all()


def test_a_stub_goes_with_the_wall_on_which_it_stands_and_a_long_branch_stays():
    stubs = GRID.copy()
    stubs[52:55, 45:53] = stubs[66:69, 45:72] = PROPOSED_BOUNDARY
    dropped = check(drop_membrane(stubs, (60, 42)), stubs, INTERIOR)
    assert not is_membrane(dropped)[46:63, 30:60].any()
    assert is_membrane(dropped)[67, 50:70].all()


def test_of_a_loose_membrane_only_the_loose_piece_goes():
    dropped = check(drop_membrane(GAP, (8, 42)), GAP, INTERIOR)
    assert cells(dropped) == cells(GAP)
    assert not is_membrane(dropped)[:14, 42].any()
    assert is_membrane(dropped)[30, 42]


def test_a_click_beside_membranes_drops_nothing():
    with pytest.raises(UserError, match="no membrane at"):
        drop_membrane(GRID, (20, 20))
    with pytest.raises(UserError, match="outside of the slice"):
        drop_membrane(GRID, (-5, 20))


def test_merging_removes_all_that_parts_two_cells_and_nothing_else():
    merged = check(join_cells(GRID, (60, 60), (60, 100)), GRID, INTERIOR)
    assert cells(merged) == 8
    numbers = ndimage.label(~is_membrane(merged))[0]
    assert numbers[60, 60] == numbers[60, 100]
    assert is_membrane(merged)[42].all()
    assert is_membrane(merged)[82].all()


@pytest.mark.parametrize("across", [False, True])
def test_cells_that_reach_beyond_the_surroundings_of_the_clicks_are_merged_inside_of_them(across):
    wide = np.full((320, 320), INTERIOR, np.uint8)
    wide[159:162] = BOUNDARY
    wide, clicks = (wide.T, ((160, 150), (160, 170))) if across else (wide, ((150, 160), (170, 160)))
    merged = is_membrane(check(join_cells(wide, *clicks), wide, INTERIOR))
    line = merged[:, 160] if across else merged[160]
    assert not line[50:270].any()
    assert line[:30].all()
    assert line[-30:].all()


def test_two_cells_that_touch_twice_are_merged_at_both_places():
    between = GRID.copy()
    between[55:70, 35:50] = PROPOSED_BOUNDARY
    between[58:67, 38:47] = PROPOSED_INTERIOR  # a small cell in the middle of the wall
    merged = check(join_cells(between, (60, 10), (60, 70)), between, INTERIOR)
    assert cells(merged) == cells(between) - 1
    assert not is_membrane(merged)[50, 30:55].any()
    assert not is_membrane(merged)[75, 30:55].any()
    assert is_membrane(merged)[62, 36]


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ((20, 20), (25, 25), "same cell"),
        ((20, 20), (100, 100), "neighbouring cells"),
        ((42, 20), (20, 20), "There is membrane"),
    ],
)
def test_what_cannot_be_merged_is_refused(a, b, words):
    with pytest.raises(UserError, match=words):
        join_cells(GRID, a, b)


def same_cell(labels: np.ndarray, one: tuple[int, int], other: tuple[int, int]) -> bool:
    numbers = ndimage.label(~is_membrane(labels))[0]
    return bool(numbers[one] and numbers[one] == numbers[other])


def test_cells_that_only_meet_where_membranes_cross_are_merged_and_the_two_others_stay_apart():
    merged = check(join_cells(GRID, (20, 20), (60, 60)), GRID, INTERIOR)
    assert same_cell(merged, (20, 20), (60, 60))
    assert cells(merged) == 8
    assert not same_cell(merged, (20, 60), (60, 20))


def test_clicks_that_are_far_apart_merge_nothing():
    wide = np.full((20, 900), PROPOSED_INTERIOR, np.uint8)
    wide[:, 450:453] = PROPOSED_BOUNDARY
    with pytest.raises(UserError, match="far apart"):
        join_cells(wide, (10, 10), (10, 890))


# Thick membrane

THICK = np.full((120, 120), PROPOSED_INTERIOR, np.uint8)
THICK[:, 50:70] = PROPOSED_BOUNDARY
POCKETS = THICK.copy()  # in all of its length, so that the membrane nowhere parts just the two cells
for top in range(0, 120, 14):
    POCKETS[top : top + 10, 57:62] = PROPOSED_INTERIOR


@pytest.mark.parametrize("side", [2, 3, 5, 9])
@pytest.mark.parametrize("apart", [4, 12])
def test_cells_as_small_as_pockets_are_joined_when_they_are_clicked_on(side, apart):
    thick = np.full((80, 80), BOUNDARY, np.uint8)
    thick[:20], thick[60:] = INTERIOR, INTERIOR
    other = 30 + side + apart
    for left in (30, other):
        thick[38 : 38 + side, left : left + side] = INTERIOR
    joined = check(join_cells(thick, (38, 30), (38, other)), thick, INTERIOR)
    numbers = ndimage.label(joined == INTERIOR)[0]
    assert numbers[38, 30] == numbers[38, other]
    assert numbers.max() == 3  # and neither of the cells above and below is opened


def test_cells_merge_through_pockets_in_the_membrane_between():
    merged = check(join_cells(POCKETS, (60, 20), (60, 100)), POCKETS, INTERIOR)
    assert same_cell(merged, (60, 20), (60, 100))


def test_a_pocket_in_a_membrane_is_no_cell_that_a_click_means():
    pocket = THICK.copy()
    pocket[58:63, 56:61] = PROPOSED_INTERIOR
    dropped = check(drop_membrane(pocket, (60, 64), probability(pocket)), pocket, INTERIOR)
    assert same_cell(dropped, (60, 20), (60, 100))


def test_in_a_thick_junction_the_weak_membrane_goes_not_the_nearest():
    blob = GRID.copy()
    y, x = np.ogrid[:120, :120]
    blob[np.hypot(y - 42, x - 42) < 16] = PROPOSED_BOUNDARY
    seen = np.where(is_membrane(blob), 1, 0).astype(np.float32)
    seen[:50, 38:47] *= 0.4  # between the two upper cells
    click = (44, 45)
    dropped = check(drop_membrane(blob, click, seen), blob, INTERIOR)
    assert cells(dropped) == cells(blob) - 1
    assert same_cell(dropped, (10, 30), (10, 60))


# A false island, speck or ring


RING = GRID.copy()
RING[8:30, 8:30] = PROPOSED_BOUNDARY
RING[12:26, 12:26] = PROPOSED_INTERIOR
RING[16, 16] = BOUNDARY


@pytest.mark.parametrize("point", [(9, 9), (22, 22), (6, 9)])
def test_an_island_goes_with_all_that_it_encloses(point):
    filled = check(drop_island(RING, point), RING, INTERIOR)
    assert cells(filled) == 9
    assert not is_membrane(filled)[5:32, 5:32].any()


def test_a_speck_is_hit_by_a_click_beside_it():
    edit = drop_island(RING, (17, 18))
    assert (edit.y.tolist(), edit.x.tolist()) == ([16], [16])


def test_a_ring_against_a_membrane_goes_up_to_that_membrane():
    ring = GRID.copy()
    ring[8:30, 18:42] = PROPOSED_BOUNDARY
    ring[12:26, 22:40] = PROPOSED_INTERIOR
    filled = check(drop_island(ring, (20, 30)), ring, INTERIOR)
    assert cells(filled) == 9
    assert not is_membrane(filled)[3:36, 15:38].any()
    assert is_membrane(filled)[:, 42].all()


def test_a_cell_among_others_and_a_membrane_among_others_are_not_filled():
    with pytest.raises(UserError, match="between several others"):
        drop_island(GRID, (60, 60))
    with pytest.raises(UserError, match="is connected with others"):
        drop_island(GRID, (60, 42))
    with pytest.raises(UserError, match="No membrane separates this cell"):
        drop_island(np.full((50, 50), INTERIOR, np.uint8), (20, 20))
    with pytest.raises(UserError, match="larger than 512 px"):
        drop_island(np.full((50, 600), INTERIOR, np.uint8), (20, 20))


def test_a_cell_among_others_goes_to_the_one_from_which_a_weak_membrane_parts_it():
    sure = is_membrane(GRID).astype(np.float32)
    with pytest.raises(UserError, match="between several others"):
        drop_island(GRID, (60, 60), sure)
    weak = sure.copy()
    weak[45:80, 80:85] = 0.6
    filled = check(drop_island(GRID, (60, 60), weak), GRID, INTERIOR)
    assert cells(filled) == 8
    assert same_cell(filled, (60, 60), (60, 100))


# A stroke across a cell


@pytest.mark.parametrize(
    "stroke", [[(60, 43), (60, 83)], [(60, 50), (57, 60), (62, 75)], [(60, 20), (60, 110)]]
)
def test_a_stroke_parts_a_cell_between_its_membranes(stroke):
    parted = check(split_cell(GRID, None, picture(GRID), np.array(stroke)), GRID, BOUNDARY)
    if stroke[0] == (60, 20):  # through three cells: the middle one is meant
        assert not is_membrane(parted)[60, 10:38].any()
    assert cells(parted) == 10


def test_the_membrane_of_a_split_follows_the_image_beside_the_stroke():
    whole = with_hole(GRID, np.s_[46:79], np.s_[38:48])
    image = picture(GRID)
    parted = split_cell(whole, probability(GRID), image, np.array([(44, 45), (60, 47), (81, 44)])).applied_to(
        whole
    )
    assert cells(whole) == 8
    assert cells(parted) == 9
    assert is_membrane(parted)[50:75, 42].mean() > 0.9


def test_a_stroke_may_close_one_of_two_gaps():
    twice = with_hole(GAP, np.s_[40:45], np.s_[15:27])  # leads round the corner from cell to cell
    twice = with_hole(with_hole(twice, np.s_[40:45], np.s_[55:67]), np.s_[50:60], np.s_[38:48])
    once = check(split_cell(twice, None, picture(GRID), np.array([(12, 42), (29, 42)])), twice, BOUNDARY)
    assert is_membrane(once)[14:28, 42].all()
    assert cells(once) == cells(twice)


def test_a_cell_at_the_edge_of_the_slice_can_be_split():
    open_cell = np.full((60, 60), INTERIOR, np.uint8)
    assert (
        cells(
            split_cell(open_cell, None, picture(open_cell), np.array([(30, 4), (30, 57)])).applied_to(
                open_cell
            )
        )
        == 2
    )


@pytest.mark.parametrize("turns", range(4))
def test_a_stroke_that_ends_up_to_twenty_pixels_before_any_edge_of_the_slice_is_led_there(turns):
    open_cell, nothing = np.full((61, 61), INTERIOR, np.uint8), np.zeros((61, 61))
    stroke, beyond = np.array([(30, 0), (30, 40)]), np.array([(30, 0), (30, 39)])
    for _ in range(turns):
        stroke, beyond = (np.stack([60 - line[:, 1], line[:, 0]], axis=1) for line in (stroke, beyond))
    assert cells(split_cell(open_cell, None, nothing, stroke).applied_to(open_cell)) == 2
    with pytest.raises(UserError, match="does not split"):
        split_cell(open_cell, None, nothing, beyond)


def test_a_short_stroke_cuts_where_it_was_drawn_whatever_lies_farther_than_its_quarter():
    thin = np.full((80, 60), PROPOSED_BOUNDARY, np.uint8)
    thin[:, :20] = thin[:, 25:35] = thin[:, 40:] = PROPOSED_INTERIOR
    image = picture(thin)
    image[45:48, 25:35] = 60  # looks like membrane, six pixels beside the stroke
    edit = split_cell(thin, None, image, np.array([(40, 22), (40, 37)]))
    assert edit.y[edit.x == 25].min() <= 42
    assert cells(edit.applied_to(thin)) == cells(thin) + 1


@pytest.mark.parametrize(
    ("stroke", "words"),
    [
        ([(50, 60), (55, 60)], "does not split"),
        ([(42, 50), (42, 60)], "lies on membrane"),
        ([(60, 60)], "single point"),
    ],
)
def test_strokes_that_part_nothing_are_refused(stroke, words):
    far = np.full((200, 200), INTERIOR, np.uint8)
    labels = far if words == "does not split" else GRID
    with pytest.raises(UserError, match=words):
        split_cell(labels, None, picture(labels), np.array(stroke) + (50 if labels is far else 0))


# All of them


def test_proposals_that_a_repair_confirms_change_too():
    edit = close_gap(GAP, None, picture(GRID), (12, 42), (30, 42))
    assert (GAP[edit.y, edit.x] == PROPOSED_BOUNDARY).any()


def open_everywhere(labels: np.ndarray) -> np.ndarray:
    """Labels with a hole in every wall, so that all is one cell."""
    torn = labels.copy()
    torn[20::STEP] = torn[:, 20::STEP] = PROPOSED_INTERIOR
    return torn


def used(tool, labels: np.ndarray, image: np.ndarray) -> None:
    with contextlib.suppress(UserError):  # to refuse takes its time too
        tool(labels, image)


@pytest.mark.parametrize(
    "tool",
    [
        lambda labels, image: close_gap(labels, None, image, (1012, 1042), (1030, 1042)),
        lambda labels, image: close_gap(labels, None, image, (1012, 1042), (1210, 1242)),
        lambda labels, image: drop_membrane(labels, (1060, 1042)),
        lambda labels, image: snap(labels, (1050, 1047)),
        lambda labels, image: join_cells(labels, (1060, 1060), (1060, 1100)),
        lambda labels, image: drop_island(labels, (1050, 1065)),
        lambda labels, image: join_cells(open_everywhere(labels), (1060, 1060), (1060, 1110)),
        lambda labels, image: drop_island(open_everywhere(labels), (1060, 1110)),
        lambda labels, image: copy_neighbour(labels, image, image[::-1]),
        lambda labels, image: split_cell(labels, None, image, np.array([(1100, 1043), (1100, 1083)])),
    ],
)
def test_a_large_slice_takes_no_longer_than_a_preview_may(tool):
    labels = grid(2048)
    labels[1040:1060, 1055:1075] = PROPOSED_BOUNDARY  # a ring on a wall
    labels[1045:1056, 1059:1071] = PROPOSED_INTERIOR
    image = picture(labels).astype(np.uint8)
    used(tool, labels, image)
    taken = []
    for _ in range(3):  # a busy machine takes the caches away
        start = time.process_time()
        used(tool, labels, image)
        taken.append(time.process_time() - start)
    assert min(taken) < 0.2  # 0.05 is the aim, benchmarks/repairs.py; machines differ


def test_a_membrane_that_widens_to_the_edge_of_the_slice_is_a_junction_there_too():
    wide = np.full((80, 160), PROPOSED_INTERIOR, np.uint8)
    y, x = np.mgrid[:80, :160]
    wide[38:43, :118] = PROPOSED_BOUNDARY
    wide[(y > 40) & (np.abs(x - 80) < 19 + (y - 40) / 2)] = PROPOSED_BOUNDARY
    dropped = drop_membrane(wide, (40, 20)).applied_to(wide)
    assert not is_membrane(dropped)[:, 20].any()
    assert is_membrane(dropped)[45:, 80].all()
