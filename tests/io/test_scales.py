"""Coarser scales: what is read at once."""

from math import prod

import numpy as np

from emseg_napari.core.jobs import JobContext
from emseg_napari.io.axes import size_of
from emseg_napari.io.pyramid import reduced
from emseg_napari.io.writers.scales import Extent, Scale, write_scales

BLOCK = (4, 8, 8)


def test_no_more_than_a_block_is_read_at_once():
    values = np.random.default_rng(0).integers(0, 3, (16, 32, 32)).astype(np.uint64)
    arrays = [np.zeros_like(values), np.zeros((8, 16, 16), np.uint64), np.zeros((4, 8, 8), np.uint64)]
    read = []

    def scale(n: int) -> Scale:
        def reading(window):
            read.append(prod(size_of(window)))
            return arrays[n][window]

        def writing(window, part):
            arrays[n][window] = part

        return Scale(Extent.of((0, 0, 0), values.shape, (2**n,) * 3), BLOCK, (0, 0, 0), reading, writing)

    write_scales(lambda window: values[window], [scale(n) for n in range(3)], True, JobContext())
    assert max(read) == prod(BLOCK)
    assert sum(read) == arrays[0].size + arrays[1].size
    for finer, coarser in zip([values, arrays[1]], arrays[1:], strict=True):
        assert (coarser == reduced(finer, (2, 2, 2), True)).all()
