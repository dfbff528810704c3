"""MRC files (Cheng et al. 2015, doi:10.1016/j.jsb.2015.04.002), read through a memory map.

Many programs write headers that are not quite right. What still has only one meaning is read, and said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size
from emseg_napari.io.description import FileDescription, stack_axes
from emseg_napari.io.memmap import MappedPixels
from emseg_napari.io.placing import placed
from emseg_napari.io.volume import Volume

# IMOD's part of the header: its stamp and its flags, of which the first bit says that bytes are signed
# (https://bio3d.colorado.edu/imod/doc/mrc_format.txt). In `extra2`, which begins at byte 112.
_STAMP, _SIGNED = 1146047817, 1
_STAMP_AT = 152 - 112
_MOST_SIGNED = 127
_MODES = {0: "i1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 12: "f2"}
_OTHER_MODES = {3: "complex values", 16: "colours", 101: "values of 4 bits"}
_ORDERS = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_VOLUMES = range(401, 631)  # space groups that stand for several volumes in one file


def open_mrc(path: Path) -> Volume:
    """Open an MRC file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    UserError
        If it is damaged or cut off, or not a grey stack.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(HEADER_DTYPE.itemsize)
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"{path.name} cannot be read ({error.strerror}); check the file.") from error
    header = _header(raw, size, path.name)
    file_says, offset = _described(header, path.name), HEADER_DTYPE.itemsize + header["nsymbt"]
    axes = stack_axes(file_says)
    shape = axes.size(file_says.shape)
    file_says = replace(file_says, notes=file_says.notes + _checked_size(file_says, offset, size))
    pixels = MappedPixels(path, shape, file_says.dtype, offset, None, cast(Size, axes.order))
    return Volume.described(_placed(file_says, header), str(path), pixels)


@dataclass(frozen=True)
class _Header:
    """The first 1024 bytes, and what was wrong with them."""

    fields: Any
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> int:
        return int(self.fields[name])

    @property
    def order(self) -> str:
        """The byte order."""
        return ">" if self.fields.dtype["mode"].byteorder == ">" else "<"

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Sections, rows and columns."""
        return self["nz"], self["ny"], self["nx"]

    def fits(self, size: int) -> bool:
        """Whether it can be the header of a file of so many bytes, if that were whole."""
        known = self["mode"] in _MODES or self["mode"] in _OTHER_MODES
        return known and min(self.numbers) > 0 and 0 <= self["nsymbt"] <= size

    def expected(self) -> int:
        """Return the bytes of a whole file."""
        itemsize = np.dtype(_MODES.get(self["mode"], "u1")).itemsize
        return HEADER_DTYPE.itemsize + self["nsymbt"] + math.prod(self.numbers) * itemsize


def _header(raw: bytes, size: int, name: str) -> _Header:
    """Read a header in the byte order that its machine stamp states, or in which it makes sense."""
    if len(raw) < HEADER_DTYPE.itemsize:
        raise UserError(
            f"{name} is damaged or not an MRC file: it has {size} bytes, fewer than a header; copy it again."
        )
    plain = np.frombuffer(raw, HEADER_DTYPE.newbyteorder("<"))[0]
    stated, marked = _ORDERS.get(bytes(plain["machst"])[:2]), bytes(plain["map"])[:3] == b"MAP"
    both = [_Header(np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0]) for order in "<>"]
    usable = [one for one in both if one.fits(size)]
    usable.sort(key=lambda one: (one.order != stated, one.expected() != size))
    if not usable or not (marked or usable[0].expected() == size):
        raise UserError(
            f"{name} is damaged or not an MRC file: its header states {_stated(both[0])}; copy it again."
        )
    found, notes = usable[0], []
    if found.order != stated:
        stamp = " ".join(f"{byte:02X}" for byte in bytes(plain["machst"]))
        words = "little-endian" if found.order == "<" else "big-endian"
        notes.append(f"its machine stamp is wrong ({stamp}); it is read as {words}, which fits its header")
    if not marked:
        notes.append("its header lacks the word MAP, as those of old programs do")
    return replace(found, notes=tuple(notes))


def _stated(header: _Header) -> str:
    z, y, x = header.numbers
    return f"{z} x {y} x {x} pixels of mode {header['mode']}"


def _described(header: _Header, name: str) -> FileDescription:
    """Return the axes in the file's order, the sections being the slowest."""
    if header["mode"] in _OTHER_MODES:
        raise UserError(
            f"{name} holds {_OTHER_MODES[header['mode']]} (mode {header['mode']}); save it with 8 or 16 bits "
            "of grey, as IMOD's newstack -mode does."
        )
    places = [header[axis] for axis in ("maps", "mapr", "mapc")]
    axes: tuple[str, ...] = ("z", "y", "x")
    shape: tuple[int, ...] = header.numbers
    notes = header.notes
    if sorted(places) == [1, 2, 3]:
        axes = tuple("xyz"[place - 1] for place in places)
    elif any(places):
        notes = (*notes, f"its axes are stated as {places[2]}, {places[1]}, {places[0]} and read as x, y, z")
    if header["ispg"] in _VOLUMES and 0 < header["mz"] < header["nz"]:
        if header["nz"] % header["mz"]:
            raise UserError(
                f"{name} states {header['nz']} sections in volumes of {header['mz']}, which do not fit; "
                "correct its header."
            )
        shape = (header["nz"] // header["mz"], header["mz"], *shape[1:])
        axes = ("volume", *axes)
    dtype, more = _dtype(header)
    return FileDescription(name, "MRC", axes, shape, dtype, claimed=header["nz"], notes=notes + more)


def _dtype(header: _Header) -> tuple[np.dtype[Any], tuple[str, ...]]:
    """Bytes are signed in MRC 2014, but unsigned in IMOD's files unless they say so, and in many others."""
    if header["mode"]:
        return np.dtype(f"{header.order}{_MODES[header['mode']]}"), ()
    stamp, flags = np.frombuffer(bytes(header.fields["extra2"]), f"{header.order}i4", 2, _STAMP_AT)
    if stamp == _STAMP:
        return np.dtype(np.int8 if flags & _SIGNED else np.uint8), ()
    least, most = float(header.fields["dmin"]), float(header.fields["dmax"])
    if least >= 0 and _MOST_SIGNED < most <= 255:
        note = f"its bytes are read as unsigned, since its header states values up to {most:g}"
        return np.dtype(np.uint8), (note,)
    return np.dtype(np.int8), ()


def _checked_size(file: FileDescription, offset: int, size: int) -> tuple[str, ...]:
    """Compare what the header states with what lies there.

    Raises
    ------
    UserError
        If slices are missing.
    """
    section = math.prod(file.shape[-2:]) * file.dtype.itemsize
    there, claimed = (size - offset) // section, file.claimed or 0
    if there < claimed:
        raise UserError(
            f"{file.name} is cut off: {max(there, 0)} of {claimed} slices are whole; copy it again."
        )
    if there == claimed:
        return ()
    return (f"it has room for {there} slices, of which its header states {claimed}; those are read",)


def _placed(file: FileDescription, header: _Header) -> FileDescription:
    """Add the size of a voxel, in angstrom in the file; the place is said only.

    Programs do not agree on the sign of the origin, nor whether it or the first index counts.
    """
    fields = header.fields
    cell = [float(fields["cella"][axis]) for axis in "zyx"]
    counts = [header[f"m{axis}"] for axis in "zyx"]
    if any(cell):
        sizes = [round(c / n / 10, 6) if n else math.nan for c, n in zip(cell, counts, strict=True)]
        file = placed(file, sizes, "nanometer")
    origin = [float(fields["origin"][axis]) for axis in "xyz"]
    if any(origin):
        stated = ", ".join(f"{one:g}" for one in origin)
        note = f"its origin ({stated} for x, y, z) is not used, since programs differ in what it means"
        file = replace(file, notes=(*file.notes, note))
    return file
