"""Checks of Dask workers: the same library versions, and the same files under the same names.

A worker that differs would write other bytes, or fail at every block.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from emseg_napari.core.blockwise.work import FatalBlockError

# What a block's bytes depend on, and what sends blocks to workers.
PACKAGES = (
    "emseg-napari",
    "cloudpickle",
    "dask",
    "distributed",
    "numcodecs",
    "numpy",
    "onnxruntime",
    "scikit-image",
    "scipy",
    "zarr",
)

# Names and versions, hashable; None = not installed.
Versions = tuple[tuple[str, str | None], ...]


def versions_here() -> Versions:
    """Return the package versions of this process."""
    from distributed.versions import get_package_info

    return _versions(get_package_info(PACKAGES))


def check_cluster(client: Any, paths: Sequence[Path]) -> None:
    """Check that a scheduler and its workers can process the blocks.

    Parameters
    ----------
    client : distributed.Client
    paths : sequence of Path
        Files and folders that every worker must see.

    Raises
    ------
    UserError
        If a worker, or the scheduler itself, has other versions, or a worker sees other files.
    """
    found = client.get_versions(packages=PACKAGES)
    here = versions_here()
    _check_versions("The scheduler", _versions(found["scheduler"]["packages"]), here)
    for address, there in found["workers"].items():
        _check_versions(f"The worker {address}", _versions(there["packages"]), here)
    # Any other answer is the error of a worker that has ended meanwhile: it gets no blocks.
    for answer in client.run(unseen, list(paths), on_error="return").values():
        if isinstance(answer, str):
            raise FatalBlockError(answer)


@lru_cache(maxsize=8)
def check_this_worker(versions: Versions, paths: tuple[Path, ...]) -> None:
    """Check the worker that this runs in as `check_cluster` does: it may have joined late."""
    from distributed import get_worker

    _check_versions(f"The worker {get_worker().address}", versions_here(), versions)
    missing = unseen(paths)
    if missing is not None:
        raise FatalBlockError(missing)


def unseen(paths: Sequence[Path]) -> str | None:
    """Return a sentence about a path that this process does not see, None if it sees all."""
    for path in paths:
        if not os.path.exists(path):
            return (
                f"A worker on the host {socket.gethostname()} cannot see {path}; the run, the image and the "
                "output must lie on a file system that all workers share, under the same names."
            )
    return None


def _versions(packages: dict[str, str | None]) -> Versions:
    python = ".".join(str(packages.get("python")).split(".")[:2])
    return (("Python", python), *((name, packages.get(name)) for name in PACKAGES))


def _check_versions(name: str, found: Versions, needed: Versions) -> None:
    pairs = [(there, here) for there, here in zip(found, needed, strict=True) if there != here]
    if pairs:
        has = ", ".join(_words(there) for there, _ in pairs)
        needs = ", ".join(_words(here) for _, here in pairs)
        raise FatalBlockError(
            f"{name} has {has}, but this process has {needs}; give all of them the same environment and "
            "start again."
        )


def _words(package: tuple[str, str | None]) -> str:
    name, version = package
    return f"no {name}" if version is None else f"{name} {version}"
