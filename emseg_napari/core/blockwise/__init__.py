"""The same work on many blocks: in this process, or on the workers of a Dask scheduler."""

from emseg_napari.core.blockwise.scheduler import LOCAL, Scheduler, run_blocks, started
from emseg_napari.core.blockwise.work import Block, BlockWork

__all__ = ["LOCAL", "Block", "BlockWork", "Scheduler", "run_blocks", "started"]
