"""What of the machine this process may use: processors and memory.

Affinity (``taskset``, a batch system) and control groups (containers, services; Linux, both versions) may
allow less than the machine has.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import psutil

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def processors() -> int:
    """Return how many processors this process may use, at least 1."""
    try:
        allowed = len(psutil.Process().cpu_affinity() or ())
    except (AttributeError, OSError, psutil.Error):  # macOS has none
        allowed = 0
    quotas = [math.ceil(quota) for folder in _groups("cpu") if (quota := _quota(folder))]
    return max(1, min([allowed or os.cpu_count() or 1, *quotas]))


def processor_name() -> str:
    """Return what its maker calls the processor, such as "AMD EPYC 7B13"; else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:  # no Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, [*names, platform.processor()]), platform.machine())


def threads(wanted: int = 0) -> int:
    """Return how many threads to compute with.

    Parameters
    ----------
    wanted : int
        As many; 0 = what OMP_NUM_THREADS says, else one for each processor.
    """
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return wanted or (int(said) if said.isdecimal() and said.isascii() else 0) or processors()


def free_memory() -> int:
    """Return how many bytes of memory this process may still take."""
    left = [free for folder in _groups("memory") if (free := _left(folder)) is not None]
    return max(0, min([psutil.virtual_memory().available, *left]))


def memory_limit() -> int | None:
    """Return to how many bytes control groups limit the memory; None if they do not."""
    limits = [limit[0] for folder in _groups("memory") if (limit := _limit(folder)) is not None]
    return min((one for one in limits if one < psutil.virtual_memory().total), default=None)


def _groups(controller: str) -> Iterator[Path]:
    """Give the folders of the control groups that this process is in, and of those around them."""
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        for mounted in (_GROUPS / controller, _GROUPS / names) if names else (_GROUPS, _GROUPS / "unified"):
            parts = [part for part in path.split("/") if part not in ("", "..")]
            yield from (mounted.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))


def _quota(folder: Path) -> float | None:
    """Return how many processors a group may use; None if that is not limited."""
    amount, period = [*_words(folder / "cpu.max"), "", ""][:2]
    if not amount:
        amount, period = (
            (_words(folder / name) or [""])[0] for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        )
    limited = amount.isdecimal() and period.isdecimal() and int(amount) and int(period)
    return int(amount) / int(period) if limited else None


def _left(folder: Path) -> int | None:
    """Return how many bytes a group may still take; None if that is not limited.

    What it holds of files that may be dropped counts as free.
    """
    if (limit := _limit(folder)) is None:
        return None
    stated = _words(folder / "memory.stat")
    held = dict(zip(stated[::2], stated[1::2], strict=False))
    return limit[0] - limit[1] + int(held.get("total_inactive_file", held.get("inactive_file", 0)))


def _limit(folder: Path) -> tuple[int, int] | None:
    """Return how many bytes a group may take and how many it took; None if that is not limited."""
    for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        most, taken = ((_words(folder / name) or [""])[0] for name in (limit, used))
        if most.isdecimal() and taken.isdecimal():
            return int(most), int(taken)
    return None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
