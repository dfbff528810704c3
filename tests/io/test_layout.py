"""How an output is cut into files."""

import numpy as np
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.io.layout import MOST_BLOCKS, Block, Blocks, Layout, flat_shard, shard_of
from emseg_napari.io.option_text import parse_size

CHUNK, FLAT = (1, 512, 512), (1, 2048, 2048)


@pytest.mark.parametrize(
    ("shape", "shard"),
    [
        ((30, 512, 512), (1, 512, 512)),
        ((30, 513, 2000), (1, 1024, 2048)),
        ((10_000, 10_000, 10_000), (1, 2048, 2048)),
        ((40_000, 30_000, 30_000), (1, 2048, 2048)),
        ((50_000, 50_000, 50_000), (4, 2048, 2048)),
        ((100_000, 100_000, 100_000), (32, 2048, 2048)),
    ],
)
def test_shards_are_deeper_where_there_would_be_too_many_files(shape, shard):
    assert shard_of(shape, None, CHUNK, flat_shard(shape, CHUNK)) == shard
    assert len(Blocks(shape, shard)) <= MOST_BLOCKS
    assert shard[0] == 1 or len(Blocks(shape, (shard[0] // 2, *shard[1:]))) > MOST_BLOCKS
    Layout(shape, "uint8", CHUNK, shard)


def test_chosen_shards_are_taken():
    assert shard_of((100, 3000, 3000), (16, 2048, 2048), CHUNK, FLAT) == (16, 2048, 2048)
    assert shard_of((100, 500, 500), (100, 512, 512), CHUNK, CHUNK) == (100, 512, 512)
    assert (
        shard_of((100, 500, 500), FLAT, CHUNK, FLAT) == shard_of((100, 500, 500), None, CHUNK, FLAT) == FLAT
    )


def test_shards_are_no_deeper_than_the_output_however_many_files_one_layer_has():
    assert shard_of((10, 7_000_000, 7_000_000), None, CHUNK, FLAT) == (16, 2048, 2048)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ((16, 2000, 2048), "16 x 2000 x 2048 voxels is not a multiple.*make it 16 x 2048 x 2048"),
        ((128, 2048, 2048), "128 x 2048 x 2048 are larger than the output.*at most 100 x 3072 x 3072"),
        ((128, 2000, 2048), "are larger than the output.*at most 100 x 3072 x 3072"),
        ((16, 4096, 2048), "larger than the output, which has 100 x 3000 x 3000 voxels"),
    ],
)
def test_shards_that_do_not_fit_are_refused_with_those_that_do(chosen, said):
    with pytest.raises(UserError, match=said) as error:
        shard_of((100, 3000, 3000), chosen, CHUNK, FLAT)
    assert error.value.settings == ("shards",)


@pytest.mark.parametrize("text", ["16x2048x2048", " 16 x 2048 x 2048 ", "16X2048X2048"])
def test_sizes_are_typed(text):
    assert parse_size(text) == (16, 2048, 2048)


@pytest.mark.parametrize(
    "text", ["16x2048", "0x2048x2048", "16x-1x5", "16,2048,2048", "a", "", "1x2x3x4", "1.5x2x3"]
)
def test_other_texts_are_no_sizes(text):
    with pytest.raises(UserError, match="three whole numbers of 1 or more, ZxYxX, such as 16x2048x2048"):
        parse_size(text)


def test_a_block_is_cut_into_slices_and_put_together_again():
    block = Block((1, 0, 0), (slice(4, 7), slice(0, 5), slice(2, 8)))
    values = np.arange(3 * 5 * 6).reshape(3, 5, 6)
    slices = block.by_slice()
    assert [one.window[0] for one in slices] == [slice(4, 5), slice(5, 6), slice(6, 7)]
    assert [(one.index, *one.window[1:]) for one in slices] == 3 * [((1, 0, 0), slice(0, 5), slice(2, 8))]
    results = [values[n : n + 1] for n in range(3)]
    assert (block.joined(results) == values).all()
    assert results == []
    assert [one.window[0] for one in block.by_slice(2)] == [slice(4, 6), slice(6, 7)]
    assert (block.joined([values[:2], values[2:]]) == values).all()
