"""Whether all pages of a TIFF file are there, and stored alike."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any

import tifffile

from emseg_napari.core.jobs import UserError

_MOST_UNFOLDED = 100_000  # bytes that a compressed byte can stand for
_UNCOMPRESSED = 1


def check_complete(file: tifffile.TiffFile, name: str) -> dict[int, Any]:
    """Return how the values of each page are stored, by the page's place in the file, for `check_alike`.

    tifffile itself only logs a broken chain and returns the pages before the break.

    Raises
    ------
    UserError
        Unless the chain of pages ends properly and all pixel data lie inside the file.
    """
    size, stored = file.filehandle.size, {}
    whole = _next_page(file) == 0
    pages: Iterable[Any] = file.pages if whole else ()
    for page in pages:
        whole = whole and _is_whole(page, size)
        stored[page.offset] = page.hash, page.photometric, _colours(page)
    if not whole:
        raise UserError(f"{name} is cut off: a part of its pixel data is missing; save or copy it again.")
    return stored


def check_alike(series: tifffile.TiffPageSeries, stored: dict[int, Any], name: str, labels: bool) -> None:
    """Raise `UserError` if pages of a stack differ in how their values are stored, or in what they mean.

    tifffile takes all of them for what the first one is.

    Parameters
    ----------
    series : tifffile.TiffPageSeries
    stored : dict
        What `check_complete` returned.
    name : str
        What the user calls the file; starts the sentence.
    labels : bool
        Whether labels are wanted, for which tables of colours do not count.
    """
    first = stored.get(series.keyframe.offset)
    if first is None:  # of another file of a set
        return
    counts = slice(2 if labels else 3)
    for number, page in enumerate(series.pages):
        if page is None or page.parent is not series.keyframe.parent:  # of another file of a set
            continue
        if stored.get(page.offset, first)[counts] != first[counts]:
            raise UserError(
                f"{name} has pages that are stored in different ways or count grey values otherwise (the "
                f"first and page {number + 1}); save it as one stack of equal slices."
            )


def _colours(page: Any) -> bytes:
    """Return the table of colours of a page; empty if its values are no numbers of colours."""
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        return b""
    return bytes(page.colormap.tobytes())


def _is_whole(page: Any, size: int) -> bool:
    """Whether the data of a page lie in the file, and are as many as its pixels take."""
    counts, offsets = page.databytecounts, page.dataoffsets
    if len(counts) != len(offsets) or len(counts) < math.prod(page.chunked) or not all(counts):
        return False
    kinds = {type(number) for number in (*counts, *offsets, *page.shape, page.bitspersample)}
    if not all(issubclass(kind, int) for kind in kinds):  # a tag may give fractions for a place or a size
        return False
    if any(offset + count > size for offset, count in zip(offsets, counts, strict=True)):
        return False
    taken = sum(counts)
    if page.compression == _UNCOMPRESSED and not page.is_tiled:
        return taken >= _stored_bytes(page)
    return page.nbytes <= _MOST_UNFOLDED * taken


def _stored_bytes(page: Any) -> int:
    """Return the bytes of a page that is neither compressed nor tiled; a row begins with a byte."""
    apart = page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
    in_row, planes = (1, page.samplesperpixel) if apart else (page.samplesperpixel, 1)
    row = (page.imagewidth * in_row * page.bitspersample + 7) // 8
    return int(row * page.imagelength * page.imagedepth * planes)


def _next_page(file: tifffile.TiffFile) -> int:
    """Return the offset that the last readable page gives for its follower; 0 is the proper end."""
    layout, handle = file.tiff, file.filehandle
    offset = file.pages[-1].offset
    handle.seek(offset)
    (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(offset + layout.tagnosize + tags * layout.tagsize)
    return int(struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))[0])
