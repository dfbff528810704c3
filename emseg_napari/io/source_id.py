"""Identity of a volume: its path, or a hash of its pixels; and its state, by which changes are noticed.

The state is made of the bytes on disk, since decoding takes long: all of a small file, of a large one parts
that lie evenly; of an object store the marks that it has of some objects. They are hashed in groups: a repair
of what could not be read leaves most of them the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from emseg_napari.io import object_store
from emseg_napari.io.address import Address, is_address
from emseg_napari.io.axes import VolumeWindow
from emseg_napari.io.chunk_errors import BrokenChunk
from emseg_napari.io.containers import existing_part
from emseg_napari.io.formats.chunk_files import ChunkFilePixels
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.store_errors import Refused
from emseg_napari.io.volume import Volume

T = TypeVar("T")
IN_MEMORY = "in memory, "  # followed by a hash of pixels
STATE = "source_state"  # what a record calls it
_AROUND_PX = 128
_WHOLE_BYTES = 1 << 28
_MOST_PARTS, _MOST_GROUPS = 1024, 128
_PART_BYTES = 1 << 12
_MOST_READ = 1 << 24  # at once
_MOST_OBJECTS, _REQUESTS = 128, 8  # of a store, and at once
_LAZY_PARTS, _ROWS, _MOST_DAMAGED = 8, 16, 16
_DIGITS = 16


def origin(volume: Volume) -> str:
    """Return where a volume lies; of an array in memory a hash of the middle of its middle slice."""
    if volume.source:
        return volume.source
    part = _middle_of(volume, len(volume) // 2)
    return f"{IN_MEMORY}{_digits(sha256(part.tobytes()))}"


def state_of(volume: Volume, then: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return by what another content of a volume is recognised.

    Parameters
    ----------
    volume : Volume
    then : mapping, optional
        What it returned before: what cannot be decoded now counts as it was then, since it is damaged and
        no other content.

    Returns
    -------
    dict
        JSON values: "content", marks of groups of its parts, empty where a part cannot be read; of a file
        on a disk also "bytes" and "modified" (ISO 8601).
    """
    if not volume.source:
        return {"content": _grouped(_marks_in_memory(volume))}
    if is_address(volume.source):
        return {"content": _grouped(_marks_of_objects(volume))}
    files = _files(volume)
    sizes = {file: _size_and_time(file) for file in files}
    there = [one for one in sizes.values() if one is not None]
    total = sum(size for size, _ in there)
    latest = max((time for _, time in there), default=0.0)
    parts = _parts_of(files[0], total) if len(files) == 1 else list(_one_of_each(files, sizes))
    is_small, fills = total <= _WHOLE_BYTES, bool(getattr(_stored(volume), "fills", False))
    content = _grouped([_mark_of_part(part, is_small, fills) for part in parts])
    return {
        "bytes": total,
        "modified": datetime.fromtimestamp(latest, UTC).isoformat(timespec="seconds"),
        "content": _with_damaged(content, list((then or {}).get("content", ())), volume),
    }


def is_changed(then: Mapping[str, Any], now: Mapping[str, Any], repaired: bool = False) -> bool:
    """Whether the content of a volume is another than it was.

    Parameters
    ----------
    then, now : mapping
        As `state_of` returned them.
    repaired : bool
        Parts of it could not be read then: others than all may differ.
    """
    marks = [list(one.get("content", ())) for one in (then, now)]
    if len(marks[0]) != len(marks[1]):
        return not (repaired and not marks[0])  # the only file was missing
    known = [(a, b) for a, b in zip(*marks, strict=True) if a and b]
    others = sum(a != b for a, b in known)
    return others == len(known) > 0 if repaired else others > 0


def state_text(state: Mapping[str, Any]) -> str:
    """Return size and time of a file for the user; empty for an array in memory."""
    return f"{state['bytes']} bytes of {state['modified']}" if "bytes" in state else ""


def _with_damaged(now: list[str], then: list[str], volume: Volume) -> list[str]:
    """Return the marks of groups, those of before where a part of a group cannot be decoded."""
    some_windows = getattr(_stored(volume), "some_windows", None)
    if some_windows is None or len(now) != len(then) or now == then:
        return now
    windows = _in_groups(some_windows(_MOST_PARTS))
    if len(windows) != len(now):  # parts of the only file
        windows = [windows[0]] * len(now)
    others = [n for n, (a, b) in enumerate(zip(now, then, strict=True)) if a != b]
    if len(others) > _MOST_DAMAGED:  # another content, which need not be read to see that
        return now
    damaged = {n for n in others if not all(_is_whole(volume, one) for one in windows[n])}
    return [then[n] if n in damaged else mark for n, mark in enumerate(now)]


def _is_whole(volume: Volume, window: VolumeWindow) -> bool:
    try:
        volume.pixels.read(window)
    except BrokenChunk:
        return False
    return True


class _Part(NamedTuple):
    """Part of a file; all of it if `length` is None."""

    path: Path
    first: int
    length: int | None


def _files(volume: Volume) -> Sequence[Path]:
    """Return the files that hold the pixels; of many some that lie evenly."""
    some_files = getattr(_stored(volume), "some_files", None)
    return some_files(_MOST_PARTS) if some_files else [existing_part(Path(volume.source))]


def _stored(volume: Volume) -> Any:
    """Return what reads the file, without what changes grey values on the way."""
    return getattr(volume.pixels, "stored", volume.pixels)


def _size_and_time(file: Path) -> tuple[int, float] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime


def _parts_of(file: Path, size: int) -> list[_Part]:
    length = max(_PART_BYTES, -(-size // _MOST_PARTS))
    return [_Part(file, first, min(length, size - first)) for first in range(0, size, length)]


def _one_of_each(files: Sequence[Path], sizes: Mapping[Path, tuple[int, float] | None]) -> Iterator[_Part]:
    """Give a part for each file: all of it, or another each time where one, such as a shard, is repeated."""
    counts, given = Counter(files), Counter[Path]()
    for file in files:
        if counts[file] == 1:
            yield _Part(file, 0, None)
            continue
        size, _ = sizes[file] or (0, 0.0)
        length = max(_PART_BYTES, -(-size // counts[file]))
        yield _Part(file, given[file] * length, length)
        given[file] += 1


def _mark_of_part(part: _Part, is_small: bool, fills: bool) -> str:
    """Return the mark of a part, of a large one of its beginning and end; "" if it cannot be read."""
    found = sha256()
    try:
        with part.path.open("rb") as file:
            length = file.seek(0, 2) if part.length is None else part.length
            places = [(part.first, length)]
            if not is_small and length > 2 * _PART_BYTES:
                found.update(str(length).encode())
                places = [
                    (part.first, _PART_BYTES),
                    (part.first + length - _PART_BYTES, _PART_BYTES),
                ]
            for first, left in places:
                file.seek(first)
                while left > 0 and (read := file.read(min(left, _MOST_READ))):
                    found.update(read)
                    left -= len(read)
    except FileNotFoundError:
        return "missing" if fills else ""  # what is empty then, or else what may still come
    except OSError:
        return ""
    return _digits(found)


def _marks_of_objects(volume: Volume) -> list[str]:
    stored = _stored(volume)
    objects = stored.some_files(_MOST_OBJECTS)
    others = list(dict.fromkeys(objects))  # a shard is there for each of its chunks
    with ThreadPoolExecutor(_REQUESTS) as pool:
        marks = dict(zip(others, pool.map(lambda one: _mark_of_object(one, stored), others), strict=True))
    return [marks[one] for one in objects]


def _mark_of_object(address: Address, stored: ChunkFilePixels) -> str:
    try:
        return _digits(sha256(object_store.mark_of(address)))
    except FileNotFoundError:
        return "missing" if stored.fills else ""
    except Refused:
        if not (stored.fills and stored.may_refuse_missing()):
            raise
        return "missing"


def _marks_in_memory(volume: Volume) -> list[str]:
    """Return marks of slices: of all pixels of a small array, of some rows, or of few parts of a lazy one."""
    depth, height, _ = volume.shape
    volume = in_slabs(volume)  # of deep chunks, several of these slices may lie in one
    if volume.chunks:
        return [_mark_in_memory(volume, z) for z in _spread(depth, _LAZY_PARTS)]
    if volume.nbytes <= _WHOLE_BYTES:
        return [_mark_in_memory(volume, z, slice(None)) for z in range(depth)]
    rows = slice(None, None, max(1, height // _ROWS))
    return [_mark_in_memory(volume, z, rows) for z in _spread(depth, _MOST_PARTS)]


def _mark_in_memory(volume: Volume, z: int, rows: slice | None = None) -> str:
    try:
        part = _middle_of(volume, z) if rows is None else np.ascontiguousarray(volume[z, rows])
    except BrokenChunk:
        return ""
    return _digits(sha256(part.tobytes()))


def _spread(count: int, most: int) -> list[int]:
    """Return at most so many of the first `count` numbers, evenly spread."""
    return [int(n) for n in np.unique(np.linspace(0, count - 1, min(count, most)).round())]


def _middle_of(volume: Volume, z: int) -> np.ndarray:
    rows, columns = (slice(max(0, n // 2 - _AROUND_PX), n // 2 + _AROUND_PX) for n in volume.shape[1:])
    return np.ascontiguousarray(volume[z, rows, columns])


def _grouped(marks: Sequence[str]) -> list[str]:
    """Return marks of at most so many groups; "" for one of which a part has none."""
    groups = _in_groups(marks)
    return [_digits(sha256(" ".join(group).encode())) if all(group) else "" for group in groups]


def _in_groups(parts: Sequence[T]) -> list[Sequence[T]]:
    length = max(1, -(-len(parts) // _MOST_GROUPS))
    return [parts[first : first + length] for first in range(0, len(parts), length)]


def _digits(hash_: Any) -> str:
    digits: str = hash_.hexdigest()[:_DIGITS]
    return digits
