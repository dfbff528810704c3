"""Block-wise processing of volumes: in this process, in others, or on the workers of a Dask scheduler."""

from emseg_napari.core.blockwise.batch import job_script
from emseg_napari.core.blockwise.job_plan import BATCH_SYSTEMS
from emseg_napari.core.blockwise.scheduler import LOCAL, Scheduler, connected, run_blocks
from emseg_napari.core.blockwise.work import Block, BlockWork

__all__ = [
    "BATCH_SYSTEMS",
    "LOCAL",
    "Block",
    "BlockWork",
    "Scheduler",
    "connected",
    "job_script",
    "run_blocks",
]
