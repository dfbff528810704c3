"""What `crashes.py` and the process that it kills agree on: what is painted, and when it ends."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHAPE = (6, 300, 400)
STAGES = ("encoded", "half written", "flushed", "renamed", "folder flushed")
_MOMENTS_S = 0.5, 4.5  # from the first stroke


@dataclass(frozen=True)
class Plan:
    """How a session goes.

    Attributes
    ----------
    seed : int
        Of what is painted.
    stage : str
        Of a write, at which the process kills itself; empty if it is killed from outside.
    moment_s : float
        From the first stroke to the death; where there is a stage, to the first write after that.
    name : Path or None
        Under which the work is saved meanwhile.
    from_file : bool
        Whether the image has a file; otherwise it has to be copied.
    """

    seed: int
    stage: str
    moment_s: float
    name: Path | None
    from_file: bool


def plan_of(seed: int, folder: Path) -> Plan:
    """Return the plan of a seed; all combinations come in turn."""
    stage = "" if seed % 3 == 2 else STAGES[seed % len(STAGES)]
    name = folder / f"{seed}.emseg" if seed % 4 == 3 else None
    return Plan(seed, stage, random.Random(seed).uniform(*_MOMENTS_S), name, from_file=seed // 4 % 2 == 0)


def fingerprint(labels: np.ndarray, confirmed: Iterable[int]) -> tuple[str, ...]:
    """Return a checksum of every slice, and the confirmed slices."""
    checksums = (str(zlib.crc32(np.ascontiguousarray(plane))) for plane in labels)
    return *checksums, ",".join(map(str, sorted(confirmed))) or "none"


def environment(folder: Path) -> dict[str, str]:
    """Return variables by which plugin and napari keep to `folder`, and say little."""
    own = {"EMSEG_DATA_DIR": str(folder), "EMSEG_CONFIG_DIR": str(folder)}
    cache = {"XDG_CACHE_HOME": str(folder / "cache")}  # each start of napari writes its icons anew
    return {**own, **cache, "NAPARI_CONFIG": "", "PYTHONWARNINGS": "ignore"}
