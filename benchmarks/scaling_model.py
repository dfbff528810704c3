"""What a volume of any size costs, and how many workers are too many: arithmetic and a small simulation."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import prod

from emseg_napari.io.layout import Layout, ceil_divided
from emseg_napari.io.pyramid import level_factors
from emseg_napari.io.volume import Voxel

Size = tuple[int, int, int]

HALO_PX = 96 + 96  # what the network sees beyond a block, and the context in which gaps are closed


@dataclass(frozen=True)
class Measured:
    """What was measured on one processor core.

    Attributes
    ----------
    megavoxels_per_s : float
        Of an inner block of one slice of 2048 x 2048 with its halo, in voxels of the result.
    ordering_s : float
        Work of the ordering process per block, Dask's scheduler included, which nobody shares with it.
    bytes_per_voxel : float
        Of the compressed result, level 0.
    """

    megavoxels_per_s: float
    ordering_s: float
    bytes_per_voxel: float


@dataclass(frozen=True)
class Store:
    """Where the voxels lie.

    Attributes
    ----------
    name : str
    bytes_per_s : float
        For all workers together.
    gets_per_s, puts_per_s : float
        Files or objects opened for reading, and created.
    """

    name: str
    bytes_per_s: float
    gets_per_s: float
    puts_per_s: float


@dataclass(frozen=True)
class Job:
    """One prediction.

    Attributes
    ----------
    shape : (int, int, int)
        Of the volume along z, y, x.
    chunk : (int, int, int)
        Of the image, uncompressed uint8, one file each.
    shard : (int, int, int)
        Of the result.
    at_once : bool
        Whether all slices of a block are read at once, or each for itself.
    windows : int
        That are read of every slice to know its grey levels, when its block is done; each lies in a chunk of
        its own.
    """

    shape: Size
    chunk: Size = (1, 512, 512)
    shard: Size = (1, 2048, 2048)
    at_once: bool = True
    windows: int = 0

    @property
    def voxels(self) -> int:
        return prod(self.shape)

    @property
    def blocks(self) -> int:
        return blocks_of(self.shape, self.shard)

    def files(self) -> int:
        """Count those of the result: one a block at every resolution, voxels of 40 x 4 x 4 nm."""
        layout = Layout(self.shape, "uint8", shard=self.shard, voxel=Voxel((40.0, 4.0, 4.0), "nanometer"))
        levels = level_factors(layout)
        return sum(blocks_of(ceil_divided(self.shape, factor), self.shard) for factor in levels)

    @property
    def chunks_per_block(self) -> int:
        """Chunks that are read for one inner block, repeatedly where slices are read one by one."""
        depth, *sides = self.shard
        across = prod(
            _touched(n - HALO_PX, 2 * n + HALO_PX, of) for n, of in zip(sides, self.chunk[1:], strict=True)
        )
        along = _touched(depth, 2 * depth, self.chunk[0]) if self.at_once else depth
        return along * across + depth * self.windows

    @property
    def bytes_read_per_block(self) -> int:
        return self.chunks_per_block * prod(self.chunk)

    def bytes_written_per_block(self, measured: Measured) -> float:
        """Coarser levels, which are a third of it more, included."""
        return prod(self.shard) * measured.bytes_per_voxel * 4 / 3

    def block_s(self, measured: Measured) -> float:
        """Seconds of one core for one block."""
        return prod(self.shard) / 1e6 / measured.megavoxels_per_s


def blocks_of(shape: Size, by: Size) -> int:
    """Count the blocks of such a size that a volume is cut into."""
    return prod(ceil_divided(shape, by))


def _touched(start: int, stop: int, chunk: int) -> int:
    return -(-stop // chunk) - start // chunk


def line_s(job: Job, measured: Measured, store: Store) -> float:
    """Return the seconds of the storage for one block, when it does nothing else."""
    moved = job.bytes_read_per_block + job.bytes_written_per_block(measured)
    opened = job.chunks_per_block / store.gets_per_s + job.files() / job.blocks / store.puts_per_s
    return max(moved / store.bytes_per_s, opened)


def limits(job: Job, measured: Measured, store: Store) -> dict[str, float]:
    """Return how many cores can be kept busy before something else is the limit, by its name."""
    seconds = job.block_s(measured)
    moved = job.bytes_read_per_block + job.bytes_written_per_block(measured)
    return {
        "ordering": seconds / measured.ordering_s,
        "bandwidth": seconds * store.bytes_per_s / moved,
        "reads": seconds * store.gets_per_s / job.chunks_per_block,
        "writes": seconds * store.puts_per_s * job.blocks / job.files(),
    }


def simulated_efficiency(job: Job, measured: Measured, store: Store, workers: int, rounds: int = 12) -> float:
    """Return the share of its time in which a core computes, of so many that share scheduler and storage.

    Each worker does one block after the other: it is given one by the scheduler, which serves one worker
    after the other; its files are moved by the storage, which serves one block after the other; it computes
    alone. Times are fixed but for the start, which is spread over the time of one block.

    Parameters
    ----------
    job, measured, store
        As of `limits`.
    workers : int
        How many cores.
    rounds : int
        Blocks per worker.
    """
    compute_s, storage_s = job.block_s(measured), line_s(job, measured, store)
    services = {"scheduler": measured.ordering_s, "storage": storage_s}
    free = dict.fromkeys(services, 0.0)
    ready = [(compute_s * number / workers, number) for number in range(workers)]
    begun, left, spent = [start for start, _ in ready], [rounds] * workers, 0.0
    while ready:
        now, number = heapq.heappop(ready)
        for server, service_s in services.items():
            now = free[server] = max(now, free[server]) + service_s
        now += compute_s
        left[number] -= 1
        if left[number]:
            heapq.heappush(ready, (now, number))
        else:
            spent += now - begun[number]
    return workers * rounds * compute_s / spent
