import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from emseg_napari.core.jobs import Cancelled, JobContext, Message, Progress, UserError
from emseg_napari.core.labels import INTERIOR, normalise
from emseg_napari.evaluation.metrics import v_rand
from emseg_napari.segmentation import watershed
from emseg_napari.segmentation.agglomeration import Borders, Regions, in_reading_order, outlined
from emseg_napari.segmentation.linking import link
from emseg_napari.segmentation.overlaps import Shared, overlaps
from emseg_napari.segmentation.stack import cells_of_slice, segment_stack
from emseg_napari.segmentation.tile_joining import _united
from emseg_napari.segmentation.tiles import Face
from emseg_napari.segmentation.watershed import seeds_of, watershed_fragments
from emseg_napari.settings import CellSettings

STEPS = ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]))


def rooms(wall: float = 1.0, gap_px: int = 0) -> np.ndarray:
    """Two rooms of 40 x 19 pixels, with a wall of two pixels between them and perhaps a gap in it."""
    probability = np.zeros((40, 40), np.float32)
    probability[:, 19:21] = wall
    begin = 20 - gap_px // 2
    probability[begin : begin + gap_px, 19:21] = 0
    return probability


def slice_of(text: str) -> np.ndarray:
    """A picture of cells: one digit a pixel."""
    return np.array([[int(digit) for digit in line] for line in text.split()])


def partition(cells: np.ndarray) -> list[np.ndarray]:
    """Cells without their numbers: each slice in reading order."""
    return [in_reading_order(slice_) for slice_ in cells]


@st.composite
def fields(draw: st.DrawFn, slices: int = 1) -> np.ndarray:
    """Smooth random probabilities with ridges, islands, gaps and plateaus."""
    shape = (slices, *draw(st.tuples(st.integers(1, 24), st.integers(1, 24))))
    noise = np.random.default_rng(draw(st.integers(0, 2**32))).random(shape)
    sigma = draw(st.sampled_from([0, 0.7, 1.5, 3]))
    field = ndimage.gaussian_filter(noise, (0, sigma, sigma))
    field = (field - field.min()) / max(np.ptp(field), 1e-9)
    return np.round(field, draw(st.sampled_from([0, 1, 7]))).astype(np.float32)


some_settings = st.builds(
    CellSettings,
    size_px=st.integers(0, 60),
    neck_px=st.floats(0.25, 4),
    merge_threshold=st.floats(0, 1),
    seed_below=st.floats(0.01, 1),
)


# -- cells of a slice ----------------------------------------------------------------------


@given(fields(slices=2), some_settings)
def test_every_pixel_is_in_one_cell_and_every_cell_hangs_together_in_one_slice(probability, settings):
    cells = segment_stack(probability, settings)
    assert cells.dtype == np.int32
    assert set(np.unique(cells)) == set(range(1, cells.max() + 1))
    for number in np.unique(cells):
        inside = cells == number
        assert inside.any(axis=(1, 2)).sum() == 1
        assert ndimage.label(inside.any(axis=0))[1] == 1  # by the sides of its pixels


@given(fields(), some_settings)
def test_no_fragment_is_left_and_no_boundary_is_weaker_than_asked_for(probability, settings):
    cells = cells_of_slice(probability[0], settings)
    sizes = np.bincount(cells.ravel())[1:]
    if len(sizes) == 1:
        return
    assert sizes.min() >= settings.size_px
    assert min(strengths(cells, probability[0])) >= settings.merge_threshold - 1e-9


def strengths(cells: np.ndarray, probability: np.ndarray) -> list[float]:
    """Strength of each boundary between two cells, counted step by step."""
    steps: dict[tuple[int, int], list[float]] = {}
    for here, there in STEPS:
        for one, other, *two in zip(
            *(a[side].ravel() for a in (cells, probability) for side in (here, there)), strict=True
        ):
            if one != other:
                steps.setdefault((min(one, other), max(one, other)), []).append(float(max(two)))
    length = {pair: max(0.0, np.log2(len(values) / 30)) for pair, values in steps.items()}
    return [float(np.mean(values) + 0.055 * length[pair]) for pair, values in steps.items()]


@pytest.mark.parametrize("gap_px", [0, 1, 5, 9])
def test_a_leak_between_two_cells_is_closed_along_the_wall(gap_px):
    probability = rooms(gap_px=gap_px)
    assert ndimage.label(probability < 0.5)[1] == (1 if gap_px else 2)
    cells = cells_of_slice(probability, CellSettings())
    assert (cells[:, :19] == 1).all()
    assert (cells[:, 21:] == 2).all()


def test_a_leak_is_closed_where_it_is_however_unlike_the_cells_are():
    probability = np.pad(rooms(gap_px=5), [(0, 30), (0, 60)])  # much more room on the right
    probability[40:, 19:21] = 1
    cells = cells_of_slice(probability, CellSettings())
    assert (cells[:, :19] == 1).all()
    assert (cells[:, 21:] == 2).all()


def test_one_cell_with_a_wide_passage_stays_one():
    cells = cells_of_slice(rooms(gap_px=26), CellSettings())
    assert set(np.unique(cells)) == {1}


def test_a_leak_wider_than_the_neck_asked_for_joins_cells():
    probability = rooms(gap_px=9)  # half as wide as 5, the rooms as 19 and more
    for neck_px, count in ((12.0, 2), (16.0, 1)):
        settings = CellSettings(neck_px=neck_px)
        assert cells_of_slice(probability, settings).max() == count


@pytest.mark.parametrize(("merge_threshold", "count"), [(0.45, 2), (0.55, 1)])
def test_pieces_are_joined_where_the_boundary_between_them_is_weak(merge_threshold, count):
    settings = CellSettings(merge_threshold=merge_threshold)
    assert cells_of_slice(rooms(wall=0.5), settings).max() == count


def test_a_fragment_goes_to_the_neighbour_with_the_weakest_boundary():
    probability = np.zeros((20, 45), np.float32)
    probability[:, 19], probability[:, 24] = 0.95, 0.8  # between them a room of 20 x 4 pixels
    apart = cells_of_slice(probability, CellSettings(size_px=60))
    assert apart.max() == 3
    joined = cells_of_slice(probability, CellSettings(size_px=150))
    assert joined.max() == 2
    assert (joined[:, 20:] == 2).all()
    assert (joined[:, :19] == 1).all()


def test_a_neurite_thinner_than_the_neck_stays_unless_it_is_a_small_fragment():
    probability = np.ones((30, 60), np.float32)
    probability[2:12, 2:58] = probability[16:26, 2:58] = 0
    probability[13:15, 2:58] = 0  # two pixels wide, 112 in all
    cells = cells_of_slice(probability, CellSettings(neck_px=3.0, size_px=100))
    assert [set(cells[y, 2:58]) for y in (2, 14, 25)] == [{1}, {2}, {3}]
    assert cells_of_slice(probability, CellSettings(neck_px=3.0, size_px=400)).max() == 2


def test_outlines_are_0_where_cells_touch_and_leave_the_rest():
    probability = np.stack([rooms(gap_px=3)] * 2)
    cells = segment_stack(probability, CellSettings())
    lines = segment_stack(probability, CellSettings(outlines=True))
    kept = lines > 0
    np.testing.assert_array_equal(lines[kept], cells[kept])
    np.testing.assert_array_equal(kept, normalise(cells, "cells", "instances") == INTERIOR)
    assert (~kept).sum() == 2 * 40


def test_a_uint8_probability_gives_the_same_cells():
    bytes_ = (255 * np.stack([rooms(wall=0.8, gap_px=3)])).astype(np.uint8)
    np.testing.assert_array_equal(segment_stack(bytes_), segment_stack(bytes_ / np.float32(255)))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_slice_without_boundary_or_without_interior_is_one_cell_and_is_told_of(value):
    events = []
    stack = np.stack([rooms(), np.full((40, 40), value, np.float32)])
    cells = segment_stack(stack, context=JobContext(report=events.append))
    assert set(np.unique(cells[1])) == {3}
    assert [e.text for e in events if isinstance(e, Message)] == [
        "Slice 1 is one single cell: it has no boundary, or only boundary."
    ]


def test_a_single_slice_is_a_stack_of_one():
    cells = segment_stack(rooms())
    assert cells.shape == (1, 40, 40)
    np.testing.assert_array_equal(cells, segment_stack(rooms()[None]))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (np.full((2, 8, 8), np.nan, np.float32), "nan in slice 0"),
        (np.full((2, 8, 8), 1.5, np.float32), "1.5 in slice 0"),
        (np.full((2, 8, 8), -0.5, np.float64), "-0.5 in slice 0"),
        (np.full((2, 8, 8), np.inf, np.float32), "inf in slice 0"),
        (np.ones((2, 8, 8), np.int32), "holds int32 values"),
        (np.ones((2, 8, 8), bool), "holds bool values"),
        (np.ones((2, 8, 8, 3), np.float32), "2 x 8 x 8 x 3"),
        (np.ones((0, 8, 8), np.float32), "0 x 8 x 8"),
        (np.float32(0.5).reshape(()), "a single number"),
    ],
)
def test_what_is_no_probability_is_refused_with_a_sentence(wrong, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        segment_stack(wrong)
    assert "boundary probability is needed" in str(caught.value)


def test_a_slice_that_is_too_large_is_refused_with_words_for_cells_and_for_gaps(monkeypatch):
    monkeypatch.setattr(watershed, "_MOST_PX", 20 * 20)
    with pytest.raises(UserError, match=r"to divide it into cells at once .*OME-Zarr, which is done in"):
        segment_stack(np.zeros((1, 20, 20), np.float32))


def test_progress_comes_with_every_slice_and_ends_at_one():
    events = []
    segment_stack(np.stack([rooms()] * 3), context=JobContext(report=events.append))
    assert [e.fraction for e in events if isinstance(e, Progress)] == [1 / 3, 2 / 3, 1]
    assert events[-1].seconds_left == 0


@pytest.mark.parametrize("job", [segment_stack, lambda stack, **how: link((stack < 1).astype(int), **how)])
def test_a_stop_is_obeyed_in_the_middle(job):
    seen = []
    with pytest.raises(Cancelled):
        job(np.stack([rooms()] * 3), context=JobContext(report=seen.append, should_stop=lambda: bool(seen)))
    assert len(seen) == 1


def test_holes_in_true_membranes_are_closed(tissue):
    truth = tissue[1][:1]
    probability = (truth == 1).astype(np.float32)
    holes = np.random.default_rng(0).random(probability.shape) < 2e-3
    probability[ndimage.binary_dilation(holes, np.ones((1, 7, 7)))] = 0
    cells = normalise(segment_stack(probability), "cells", "instances") == INTERIOR
    plain, closed = (v_rand(truth == INTERIOR, p).best for p in (1 - probability, cells.astype(np.float32)))
    assert closed > plain + 0.3


# -- regions -------------------------------------------------------------------------------


def test_fragments_grow_until_they_are_large_enough():
    numbers = np.repeat(np.arange(8), 2)[None]  # eight regions of two pixels in a row
    regions = Regions(numbers, np.ones(numbers.shape))
    regions.join_small(5)
    assert np.bincount(regions.numbers().ravel())[1:].min() >= 5


def test_joining_weighs_a_boundary_by_its_length():
    # 1 and 2 meet below with 3: 1-3 over two steps of .9, 2-3 over one of .1; 1-2 over .2.
    numbers = slice_of("112 333")
    probability = np.array([[0.9, 0.9, 0.1], [0.9, 0.9, 0.1]])
    regions = Regions(numbers, probability)
    regions.join_weak(0.5)  # 2-3 is .1, then 1 to the rest is .9 three times
    np.testing.assert_array_equal(regions.numbers(), slice_of("112 222"))


@given(arrays.arrays(np.int32, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 5)))
def test_reading_order_keeps_the_regions_and_counts_them_as_they_come(numbers):
    ordered = in_reading_order(numbers)
    np.testing.assert_array_equal(ordered == 0, numbers == 0)
    met = [n for n in dict.fromkeys(ordered.ravel().tolist()) if n]
    assert met == list(range(1, len(met) + 1))
    pairs = set(zip(numbers.ravel().tolist(), ordered.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(numbers)) == len(np.unique(ordered))


def test_outlines_part_regions_at_their_sides_only():
    np.testing.assert_array_equal(outlined(slice_of("112 133 133")), slice_of("100 033 033"))


@pytest.mark.parametrize(("steps", "strength"), [(1, 0.5), (30, 0.5), (60, 0.555), (120, 0.61)])
def test_a_boundary_counts_more_with_every_doubling_of_its_length_from_thirty_steps_on(steps, strength):
    for asked, left in ((strength - 1e-3, 2), (strength + 1e-3, 1)):
        regions = Regions(np.repeat([[0, 1]], steps, axis=0), np.full((steps, 2), 0.5))
        regions.join_weak(asked)
        assert regions.numbers().max() == left


def test_a_boundary_of_just_the_strength_asked_for_stays():
    regions = Regions(slice_of("12"), np.full((1, 2), 0.5))
    regions.join_weak(0.5)
    assert regions.numbers().max() == 2


def test_the_smallest_region_is_joined_first_and_of_equal_boundaries_goes_to_the_lowest_number():
    regions = Regions(slice_of("0001223333"), np.array([[0, 0, 0.9, 0.1, 0.4, 0.2, 0.2, 0, 0, 0]]))
    regions.join_small(3)  # 1 to 2, with which it is large enough; had 2 been first, it were part of 3
    np.testing.assert_array_equal(regions.numbers(), slice_of("1112223333"))
    regions = Regions(slice_of("00122"), np.full((1, 5), 0.5))
    regions.join_small(2)
    np.testing.assert_array_equal(regions.numbers(), slice_of("11122"))


def test_borders_can_be_counted_by_hand():
    borders = Borders.within(slice_of("12 13"), np.array([[0.125, 0.25], [0.375, 0.5]]))
    assert [column.tolist() for column in borders] == [[1, 1, 2], [2, 3, 3], [0.25, 0.5, 0.5], [1, 1, 1]]
    borders = Borders.within(slice_of("113 211"), np.array([[0.125, 0.25, 1], [0.5, 0.25, 0.25]]))
    assert [column.tolist() for column in borders] == [[1, 1], [2, 3], [1.0, 2.0], [2, 2]]


@pytest.mark.parametrize(("neck_px", "seeds"), [(1.75, "01020330"), (2.0, "01110220")])
def test_two_wide_places_are_one_seed_if_the_way_between_is_narrower_by_no_more_than_the_neck(neck_px, seeds):
    distance = np.array([[0, 5, 3, 5, 0, 1, 1, 0]], np.int32)  # the last is thin, but alone
    found, first = seeds_of(distance**2, neck_px)
    np.testing.assert_array_equal(found, slice_of(seeds))
    assert first.tolist() == [seeds.index(number) for number in "123" if number in seeds]


def test_of_seeds_as_wide_the_first_in_reading_order_gets_what_lies_between():
    probability = np.array([[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]], np.float32)
    for picture in (probability, probability.T):
        numbers, first = watershed_fragments(picture, CellSettings())
        assert numbers.ravel().tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3]
        assert first.tolist() == [0, 4, 8]


# -- linking -------------------------------------------------------------------------------

stacks = arrays.arrays(
    np.int32,
    st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
    elements=st.integers(0, 6),
)
link_settings = st.builds(CellSettings, overlap=st.floats(0.01, 1), gap_slices=st.integers(0, 3))


@given(stacks, link_settings)
def test_linking_changes_numbers_and_no_cell(cells, settings):
    linked = link(cells, settings)
    assert linked.dtype == np.int32
    np.testing.assert_array_equal(linked == 0, cells == 0)
    for before, after in zip(partition(cells), partition(linked), strict=True):
        np.testing.assert_array_equal(before, after)  # so two cells of a slice never share a number


@given(stacks, link_settings, st.randoms(use_true_random=False))
def test_linking_depends_on_no_number_that_comes_in(cells, settings, random):
    other = np.stack([np.array([0, *random.sample(range(1, 99), 6)])[slice_] for slice_ in cells])
    np.testing.assert_array_equal(link(other, settings), link(cells, settings))


@given(stacks, link_settings)
def test_linking_again_changes_nothing(cells, settings):
    linked = link(cells, settings)
    np.testing.assert_array_equal(link(linked, settings), linked)


def test_the_larger_part_of_a_cell_that_splits_keeps_its_number():
    cells = np.stack([slice_of("1111 1111"), slice_of("3222 3222")])
    np.testing.assert_array_equal(link(cells)[1], slice_of("2111 2111"))


def test_cells_that_merge_have_the_number_of_the_larger_and_get_theirs_back_when_they_part():
    apart, together = slice_of("1222 1222"), slice_of("1111 1111")
    linked = link(np.stack([apart, together, apart]))
    np.testing.assert_array_equal(linked[1], 2 * together)
    np.testing.assert_array_equal(linked[2], linked[0])


@pytest.mark.parametrize(("gap_slices", "numbers"), [(0, {3, 4}), (1, {1, 2})])
def test_a_damaged_slice_is_bridged_as_far_as_the_gap_goes(gap_slices, numbers):
    apart, damaged = slice_of("1122 1122"), np.zeros((2, 4), int)
    linked = link(np.stack([apart, damaged, apart]), CellSettings(gap_slices=gap_slices))
    assert set(np.unique(linked[2])) == numbers


def test_each_cell_is_linked_to_one_and_the_best_overlap_comes_first():
    # 2 overlaps 1 by 2/7 and 3 by 4/4; so 1 is left without, and starts anew.
    cells = np.stack([slice_of("111111"), slice_of("122222"), slice_of("033330")])
    linked = link(cells, CellSettings(overlap=0.2))
    assert linked[1].tolist() == [[2, 1, 1, 1, 1, 1]]
    assert linked[2].tolist() == [[0, 1, 1, 1, 1, 0]]


def test_of_equal_overlaps_the_lowest_numbers_are_linked():
    apart, together = slice_of("1122"), slice_of("1111")
    np.testing.assert_array_equal(link(np.stack([apart, together]))[1], slice_of("1111"))
    np.testing.assert_array_equal(link(np.stack([together, apart]))[1], slice_of("1122"))


def test_overlaps_can_be_counted_by_hand_also_part_by_part():
    earlier, later = slice_of("1122 1120"), slice_of("1333 1330")
    shared = [(1, 1, 2 / 4), (1, 3, 2 / 7), (2, 3, 3 / 5)]
    for least, kept in ((0.0, shared), (2 / 7, shared), (0.5, [shared[0], shared[2]]), (0.61, [])):
        assert list(zip(*overlaps(earlier, later, least), strict=True)) == kept
    parts = Shared()
    for half in (np.s_[:, 1:], np.s_[:, :1]):  # the second has lower numbers only
        parts.add(earlier[half], later[half])
    assert list(zip(*parts.overlaps(0.0), strict=True)) == shared


def test_less_overlap_than_asked_for_is_no_link():
    cells = np.stack([slice_of("1111 0000"), slice_of("0011 0011")])  # 2 of 6 pixels
    assert link(cells, CellSettings(overlap=0.34)).max() == 2
    assert link(cells, CellSettings(overlap=0.33)).max() == 1


def test_segmenting_with_link_is_segmenting_and_then_linking():
    probability = np.stack([rooms(), rooms(gap_px=3), np.roll(rooms(), 2, axis=1)])
    linked = segment_stack(probability, CellSettings(link=True))
    np.testing.assert_array_equal(linked, link(segment_stack(probability)))
    assert linked.max() == 2


def test_a_number_that_a_nearer_slice_shows_does_not_go_on_over_a_gap():
    cells = np.stack([slice_of("11111111"), slice_of("11100000"), slice_of("00011111")])
    linked = link(cells, CellSettings(gap_slices=1, overlap=0.25))
    np.testing.assert_array_equal(linked, np.stack([cells[0], cells[1], 2 * cells[2]]))


@pytest.mark.parametrize(("agreed", "parts"), [(0, 2), (1, 2), (5, 2), (6, 1), (10, 1)])
def test_fragments_continue_over_a_face_where_most_of_it_is_open_on_both_sides(agreed, parts):
    steps, of_one = np.arange(10), np.zeros(10, np.int64)
    near = Face(of_one + 1, np.zeros(10), steps < agreed)
    far = Face(of_one + 1, np.zeros(10), np.ones(10, bool))
    for faces in ([(of_one, of_one + 1, near, far)], [(of_one, of_one + 1, far, near)]):
        assert len(set(_united(faces, 2).tolist())) == parts
