"""A Dask scheduler whose workers are threads of this process: it starts in a tenth of a second."""

from collections.abc import Iterator
from contextlib import contextmanager

from emseg_napari.core.blockwise import Scheduler


@contextmanager
def thread_workers(count: int = 1) -> Iterator[Scheduler]:
    from distributed import LocalCluster

    with LocalCluster(
        processes=False,
        n_workers=count,
        threads_per_worker=1,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=":0",
    ) as cluster:
        yield Scheduler(cluster.scheduler_address)
