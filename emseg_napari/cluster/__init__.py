"""The same work on many blocks: in this process, or on the workers of a Dask scheduler."""

from emseg_napari.cluster.blocks import Block, BlockWork
from emseg_napari.cluster.doing import HERE, Where, do_blocks, started

__all__ = ["HERE", "Block", "BlockWork", "Where", "do_blocks", "started"]
