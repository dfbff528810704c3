"""Blocks that are still to do: few bytes for each, and an order."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from emseg_napari.core.jobs import BlockFailed
from emseg_napari.io.chosen_blocks import ChosenBlocks, indices_of, layers_of
from emseg_napari.io.layout import Blocks

BLOCKS = Blocks((5, 30, 25), (2, 16, 10))  # 3 x 2 x 3


@pytest.fixture
def chosen() -> np.ndarray:
    return np.random.default_rng(0).random(BLOCKS.grid) < 0.6


def test_chosen_blocks_come_in_the_order_of_all_blocks(chosen):
    found = ChosenBlocks(BLOCKS, chosen)
    assert list(found) == [block for block in BLOCKS if chosen[block.index]]
    assert len(found) == len(list(found))
    assert [block in found for block in BLOCKS] == list(chosen.ravel())
    assert found.voxels == sum(np.prod(block.shape) for block in found)
    assert found.slices == {z for block in found for z in block.slices}


def test_layers_that_are_read_together_come_column_by_column(chosen):
    found = ChosenBlocks(BLOCKS, chosen).ordered([[2, 1], [0]])
    expected = sorted(
        (block for block in BLOCKS if chosen[block.index]),
        key=lambda block: (block.index[0] == 0, *block.index[1:], -block.index[0]),
    )
    assert list(found) == expected


def test_some_blocks_are_kept_and_some_left_out_in_the_same_order(chosen):
    found = ChosenBlocks(BLOCKS, chosen).ordered([[2, 1], [0]])
    some = list(found)[1::2]
    indices = indices_of([BlockFailed(block.index, "No.") for block in some])
    assert list(found.only(indices)) == some
    assert list(found.without(indices)) == list(found)[0::2]
    other = next(block.index for block in BLOCKS if not chosen[block.index])
    assert list(found.only([other])) == []
    both = {block.index for block in (*found, BLOCKS.at(other))}
    assert {block.index for block in found.also([other])} == both


def test_places_are_put_into_groups_by_their_keys():
    assert layers_of([(1, 0, 2), (1, 0, 1), (0, 5, 0), (1, 0, 3), (0, 4, 0)]) == [[4], [2], [1, 0, 3]]
    assert layers_of([]) == []


def test_the_blocks_of_a_volume_of_10_to_the_15_voxels_are_not_all_in_memory():
    blocks = Blocks((100_000, 100_000, 100_000), (32, 2048, 2048))
    tracemalloc.start()
    found = ChosenBlocks(blocks, np.ones(blocks.grid, bool)).ordered([[k] for k in range(blocks.grid[0])])
    first = list(islice(found, 1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(found), first[-1].index) == (7_503_125, (0, 20, 19))
    assert peak < 40e6
