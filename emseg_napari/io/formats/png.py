"""PNG files: what their header says, and the numbers in them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.decode import guarded
from emseg_napari.io.description import FileDescription, Photometric
from emseg_napari.io.grey_values import EQUAL_COLOURS, GreyValues, grey_table, one_channel, table_note
from emseg_napari.io.units import pixel_note

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _TABLE = 0, 3  # types of colour in the header
_CHANNELS = {_GREY: 1, 2: 3, _TABLE: 1, 4: 2, 6: 4}
_DEFLATE_MOST = 1032  # bytes that one byte can unfold to


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    bits: int
    colour: int
    rest: bytes  # compression, filter and interlace
    pixels_a_unit: bytes = b""  # the chunk pHYs

    @property
    def channels(self) -> int:
        return _CHANNELS[self.colour]

    def packed(self) -> bytes:
        return struct.pack(">IIBB", self.width, self.height, self.bits, self.colour) + self.rest


def describe_png(path: Path, labels: bool = False) -> FileDescription:
    """Return what a PNG file holds; no pixel is decoded but those of colour, to compare the channels.

    Parameters
    ----------
    path : Path
    labels : bool
        Whether labels are wanted, which are the numbers in a table of colours and not the colours.

    Raises
    ------
    UserError
        If it is damaged, or a colour image.
    """
    header, _, grey = guarded(lambda one: _opened(one, labels), path)
    notes = _size_notes(header.pixels_a_unit)
    if header.colour == _TABLE and (labels or grey.changes):
        notes += (table_note(labels),)
    if header.channels > 1:
        read_png(path)
        notes += (EQUAL_COLOURS,)
    dtype = grey.dtype(np.dtype(np.uint16 if header.bits > 8 else np.uint8))
    meaning: Photometric = "colour table" if header.colour == _TABLE else "0 = black"
    return FileDescription(
        path.name, "PNG", ("y", "x"), (header.height, header.width), dtype, meaning, notes=notes
    )


def read_png(path: Path, labels: bool = False) -> np.ndarray:
    """Return the pixels (y, x) of a PNG file, uint8 or uint16; colour with equal channels is grey.

    Parameters
    ----------
    path, labels
        As for `describe_png`.

    Raises
    ------
    UserError
        If it is damaged, or a colour image.
    """
    return guarded(lambda one: _read(one, labels), path)


def _read(path: Path, labels: bool) -> np.ndarray:
    header, data, grey = _opened(path, labels)
    pixels = imagecodecs.png_decode(_plain(header, data))
    if header.colour == _TABLE:  # was decoded as grey of so few bits, which become 8 by scaling
        return grey.of(pixels // (255 // (2**header.bits - 1)))
    return pixels if pixels.ndim == 2 else one_channel(pixels, path.name)


def _opened(path: Path, labels: bool) -> tuple[_Header, bytes, GreyValues]:
    """Return the header, the chunks of pixels as they lie in the file, and what the numbers mean."""
    first: dict[bytes, bytes] = {}
    pixels = []
    for kind, content, chunk in _chunks(path.read_bytes(), path.name):
        if kind == b"IDAT":
            pixels.append(chunk)
        else:
            first.setdefault(kind, content)
    header, data = _header(first.get(b"IHDR", b""), path.name), b"".join(pixels)
    header = replace(header, pixels_a_unit=first.get(b"pHYs", b""))
    row = (header.width * header.channels * header.bits + 7) // 8
    if row * header.height > _DEFLATE_MOST * len(data):
        raise _cut_off(path.name)
    table = None
    if header.colour == _TABLE and not labels:
        table = _table(first.get(b"PLTE", b""), path.name)
    return header, data, GreyValues(table=table)


def _chunks(data: bytes, name: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Give name, content and all bytes of each chunk; raise `UserError` if the last one is not there."""
    place = len(_SIGNATURE)
    while data.startswith(_SIGNATURE) and place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunk = data[place : place + length + 12]
        if len(chunk) < length + 12:
            break
        yield chunk[4:8], chunk[8:-4], chunk
        if chunk[4:8] == b"IEND":
            return
        place += len(chunk)
    raise _cut_off(name)


def _cut_off(name: str) -> UserError:
    return UserError(f"{name} is cut off or not a PNG image; save or copy it again.")


def _header(content: bytes, name: str) -> _Header:
    if len(content) != 13 or content[9] not in _CHANNELS:
        raise UserError(f"{name} is damaged or not a PNG image (no header); save or copy it again.")
    width, height, bits, colour = struct.unpack(">IIBB", content[:10])
    found = _Header(width, height, bits, colour, content[10:])
    if found.bits not in (1, 2, 4, 8, 16) or min(found.width, found.height) < 1:
        raise UserError(f"{name} is damaged or not a PNG image (no pixels); save or copy it again.")
    return found


def _size_notes(content: bytes) -> tuple[str, ...]:
    if len(content) != 9:
        return ()
    x, y, unit = struct.unpack(">IIB", content)
    return pixel_note((1 / y, 1 / x), "meter") if unit == 1 and min(x, y) else ()


def _table(content: bytes, name: str) -> np.ndarray | None:
    if not content or len(content) % 3:
        raise UserError(f"{name} is damaged (it has no table of its colours); save or copy it again.")
    return grey_table(np.frombuffer(content, np.uint8).reshape(-1, 3).T, name)


def _plain(header: _Header, pixels: bytes) -> bytes:
    """Return a PNG of the pixels alone, numbers of colours as grey values, and of nothing else.

    Else a transparent colour would become an alpha channel, and numbers would become colours.
    """
    colour = _GREY if header.colour == _TABLE else header.colour
    plain = replace(header, colour=colour)
    return _SIGNATURE + _chunk(b"IHDR", plain.packed()) + pixels + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def encoded_png(plane: np.ndarray, **options: Any) -> bytes:
    """Encode a slice, uint8 or uint16 (y, x), however it lies in memory; options as of imagecodecs."""
    native = np.ascontiguousarray(plane, plane.dtype.newbyteorder("="))
    return bytes(imagecodecs.png_encode(native, **options))
