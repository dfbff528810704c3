"""Which blocks of an array are there: files in folders, or objects of a store, named by numbers."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from emseg_napari.core import files
from emseg_napari.io import object_store
from emseg_napari.io.address import Address, Location
from emseg_napari.io.axes import Size

_MOST_LISTED, _LISTS = 100_000, 32  # blocks in one list of a store, and lists at the same time


def blocks_in(place: Location, grid: Size) -> np.ndarray:
    """Return which blocks are there: bool, the grid of blocks along z, y, x.

    Parameters
    ----------
    place : Path or Address
        Of the files ``z/y/x``. It is listed, which takes less than to ask for each.
    grid : (int, int, int)
        How many blocks there can be along z, y, x.
    """
    return _objects_in(place, grid) if isinstance(place, Address) else _files_in(place, grid)


def _files_in(place: Path, grid: Size) -> np.ndarray:
    there = np.zeros(grid, bool)
    layers, rows, columns = grid
    for k in _numbers(str(place), layers):
        for j in range(rows):
            there[k, j, _numbers(os.path.join(place, str(k), str(j)), columns)] = True
    return there


def _objects_in(place: Address, grid: Size) -> np.ndarray:
    there = np.zeros(grid, bool)
    parts = list(_parts_to_list(grid))
    with ThreadPoolExecutor(_LISTS) as pool:
        for n in range(0, len(parts), _LISTS):
            some = parts[n : n + _LISTS]
            listed = pool.map(lambda part: object_store.keys_below(place / "/".join(part)), some)
            for part, keys in zip(some, listed, strict=True):
                for key in keys:
                    index = _index_of((*part, *key.split("/")), grid)
                    if index is not None:
                        there[index] = True
    return there


def _parts_to_list(grid: Size) -> Iterator[tuple[str, ...]]:
    """Give the beginnings of keys below which a store lists a part of the blocks, of which none is large."""
    split = next(n for n in range(3) if n == 2 or math.prod(grid[n:]) <= _MOST_LISTED)
    return itertools.product(*(map(str, range(length)) for length in grid[:split]))


def _index_of(numbers: Sequence[str], grid: Size) -> Size | None:
    """Return the index that a key names; None if it is none of a block."""
    if len(numbers) != 3 or not all(map(str.isdecimal, numbers)):
        return None
    k, j, i = map(int, numbers)
    return (k, j, i) if k < grid[0] and j < grid[1] and i < grid[2] else None


def _numbers(folder: str, end: int) -> list[int]:
    """Return the numbers below `end` that are names in a folder, of folders or of files with content."""
    try:
        with os.scandir(folder) as entries:
            names = [one.name for one in entries if one.name.isdecimal() and _is_done(one)]
    except FileNotFoundError:
        return []
    return [int(name) for name in names if str(int(name)) == name and int(name) < end]


def _is_done(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() or files.is_filled(entry.path)
