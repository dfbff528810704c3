"""Merge trees of a few pieces, counted by hand."""

import numpy as np

from emseg_napari.annotation.suggest.joins import Join, Joining, parted_areas


def joins(*borders: tuple[int, int, float, int, int]) -> list[Join]:
    """From the pieces on both sides, total, steps and open steps of each border."""
    one, other, total, steps, opens = map(np.array, zip(*borders, strict=True))
    return Joining(np.stack([one, other], axis=1), total, steps, opens).joins()


def test_the_weakest_border_is_joined_first_and_those_of_both_sides_become_one():
    # 1-2 is .1; then 3 is joined to both over 1-3 (.8) and 2-3 (.5), of which the weaker says where.
    assert joins((1, 2, 1, 10, 5), (1, 3, 8, 10, 5), (2, 3, 1, 2, 1)) == [
        Join(1, 2, (0,)),
        Join(2, 3, (1, 2)),
    ]


def test_the_mean_of_borders_that_became_one_is_that_of_all_their_steps():
    # With 1-2 joined, 3 is behind (.9 x 9 + .1) / 10 = .82 and comes after 4, behind .8.
    found = joins((1, 2, 0.5, 10, 1), (1, 3, 8.1, 9, 1), (2, 3, 0.1, 1, 1), (1, 4, 8.0, 10, 1))
    assert found == [Join(1, 2, (0,)), Join(1, 4, (3,)), Join(2, 3, (1, 2))]


def test_what_touches_through_boundary_alone_waits_for_what_is_open():
    assert joins((1, 2, 1, 10, 0), (2, 3, 9, 10, 1)) == [Join(2, 3, (1,)), Join(1, 2, (0,))]
    # Once 2 and 3 are one, their borders to 1 are together as open as the one, and .5.
    found = joins((1, 2, 1, 10, 0), (2, 3, 0, 10, 1), (1, 3, 9, 10, 1), (3, 4, 6, 10, 1))
    assert found == [Join(2, 3, (1,)), Join(1, 3, (2, 0)), Join(3, 4, (3,))]


def test_of_equal_borders_that_of_the_lowest_pieces_is_joined_first():
    assert joins((3, 4, 5, 10, 1), (1, 2, 5, 10, 1), (2, 3, 5, 10, 1)) == [
        Join(1, 2, (1,)),
        Join(2, 3, (2,)),
        Join(3, 4, (0,)),
    ]


def test_undoing_a_join_parts_all_that_hangs_on_its_two_sides():
    tree = [Join(0, 1, (0,)), Join(2, 1, (1,)), Join(2, 3, (2,)), Join(5, 4, (3,))]  # 0-1-2-3, and 4-5
    areas = np.array([5.0, 7, 11, 2, 1, 3])
    assert parted_areas(tree, areas).tolist() == [[5, 20], [13, 12], [23, 2], [3, 1]]
    assert parted_areas([], areas).shape == (0, 2)
