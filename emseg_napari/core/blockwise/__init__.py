"""Block-wise processing of volumes: in this process, or on the workers of a Dask scheduler."""

from emseg_napari.core.blockwise.scheduler import LOCAL, Scheduler, connected, run_blocks
from emseg_napari.core.blockwise.work import Block, BlockWork

__all__ = ["LOCAL", "Block", "BlockWork", "Scheduler", "connected", "run_blocks"]
