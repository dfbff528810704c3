"""What a file says of the image in it, and how that becomes one grey stack (z, y, x).

Every format fills a `FileDescription` from its own metadata; no pixel is read for it. `stack_axes` alone
decides which of its axes are z, y and x, or refuses in a sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import Size, VolumeWindow, Voxel, shape_text

# What grey values mean: TIFF may count from white, or store the numbers of colours.
Photometric = Literal["0 = black", "0 = white", "colour table", "colour"]

GREY_NEEDED = "an image with one grey channel is needed, so save it as greyscale"
UNKNOWN = "?"  # an axis that the file does not name
_PLANE_STACK = ("t", "i", "q", UNKNOWN)  # may be the slices of a file that names no z
_SHORT = {
    "angstrom": "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}",
    "picometer": "pm",
    "nanometer": "nm",
    "micrometer": "\N{MICRO SIGN}m",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
}
_CHANNELS = ("c", "s")  # of microscopes, and of colours


@dataclass(frozen=True)
class FileDescription:
    """What a file, or a dataset in a container, says of its image.

    Attributes
    ----------
    name : str
        What the user calls it; starts the sentence of an error.
    container : str
        Its format, such as "TIFF" or "OME-Zarr".
    axes : tuple of str
        Of the array in the file, in its order: "z", "y", "x", "c" (channel), "s" (colour), "t" (time), other
        words of the file, or `UNKNOWN` where it states none.
    shape : tuple of int
        Of the array in the file, as many as `axes`.
    dtype : numpy.dtype
        Of its values, in any byte order.
    photometric : str
        What the values mean.
    voxel : Voxel or None
        Size of a voxel along z, y, x where it is known.
    origin : (float, float, float) or None
        Where the file places the centre of its first voxel along z, y, x, in the unit of `voxel`.
    is_labels : bool
        Whether the file says that its values are names and not grey values.
    claimed : int or None
        How many slices the file says that it has, where that can differ from what lies in it.
    notes : tuple of str
        What was read in another way than it is stored, or not understood: each goes on after the file's name
        and a colon, so it begins in small letters and has no full stop.
    """

    name: str
    container: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    photometric: Photometric = "0 = black"
    voxel: Voxel | None = None
    origin: tuple[float, float, float] | None = None
    is_labels: bool = False
    claimed: int | None = None
    notes: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return in one line what is in it: slices, type, voxel (z, y, x), and the notes."""
        voxel = ""
        if self.voxel is not None:
            voxel = f", {shape_text(self.voxel.size)} {short_unit(self.voxel.unit)} (z, y, x)"
        return "; ".join([f"{self._slices()}, {_bits(self.dtype)}{voxel}", *self.notes])

    def _slices(self) -> str:
        try:
            depth, *size = stack_axes(self).size(self.shape)
        except UserError:  # of a layer, which can be anything
            return shape_text(self.shape)
        return f"{depth} slice{'s' * (depth != 1)} of {shape_text(size)}"


def short_unit(unit: str) -> str:
    """Return a unit of OME-Zarr as people write it, such as nm."""
    return _SHORT.get(unit, unit)


def _bits(dtype: np.dtype[Any]) -> str:
    if dtype.kind == "b":
        return "1 bit"
    kind = {"i": " with sign", "f": " float", "c": " complex"}.get(dtype.kind, "")
    return f"{8 * dtype.itemsize} bit{kind}"


@dataclass(frozen=True)
class StackAxes:
    """Which axes of a file's array are z, y and x; all others have length 1.

    Attributes
    ----------
    ndim : int
        Number of axes of the array.
    order : tuple of int or None
        The places of z, y and x among them; z is None in a single slice.
    """

    ndim: int
    order: tuple[int | None, int, int]

    def size(self, sizes: Sequence[int]) -> Size:
        """Return what belongs to z, y, x of sizes of all axes, such as a shape or a chunk."""
        z, y, x = (1 if axis is None else int(sizes[axis]) for axis in self.order)
        return z, y, x

    def key(self, window: VolumeWindow) -> tuple[int | slice, ...]:
        """Return the index of a window in the file's array."""
        places = {axis: part for axis, part in zip(self.order, window, strict=True) if axis is not None}
        return tuple(places.get(axis, 0) for axis in range(self.ndim))

    def stack(self, values: np.ndarray) -> np.ndarray:
        """Return what the array gave for `key` as (z, y, x)."""
        kept = sorted(axis for axis in self.order if axis is not None)
        turned = values.transpose([kept.index(axis) for axis in self.order if axis is not None])
        stack = turned if turned.ndim == 3 else turned[np.newaxis]
        return (
            stack
            if kept == [axis for axis in self.order if axis is not None]
            else np.ascontiguousarray(stack)
        )

    def places(self, index: Size) -> tuple[int, ...]:
        """Return the place of a chunk on all axes, by that along z, y, x."""
        known = {axis: place for axis, place in zip(self.order, index, strict=True) if axis is not None}
        return tuple(known.get(axis, 0) for axis in range(self.ndim))

    def part(self, array: Any, window: VolumeWindow) -> np.ndarray:
        """Return the voxels (z, y, x) of a window of the file's array."""
        return self.stack(np.asarray(array[self.key(window)]))


def plain_axes(ndim: int) -> tuple[str, ...]:
    """Return the axes of an array of which the file states none."""
    return (UNKNOWN,) * ndim


def stack_axes(file: FileDescription) -> StackAxes:
    """Return which axes of a file are z, y and x.

    Raises
    ------
    UserError
        If it is not one stack of grey values: colour, several channels or points in time, no y or x, no
        pixels, or values that are no plain numbers.
    """
    _check_values(file)
    named = [axis for axis in file.axes if axis != UNKNOWN]
    return _named(file) if named else _unnamed(file)


def _check_values(file: FileDescription) -> None:
    sizes = shape_text(file.shape)
    if file.dtype.kind not in "buif":
        raise UserError(f"{file.name} holds {file.dtype} values; an image of plain grey values is needed.")
    if len(file.shape) < 2:
        raise UserError(
            f"{file.name} has the shape {sizes or 'of one number'}; an image (z, y, x) is needed."
        )
    if 0 in file.shape:
        raise UserError(f"{file.name} has no pixels (shape {sizes}); choose another image.")
    if file.photometric == "colour":
        raise UserError(f"{file.name} is a colour image; {GREY_NEEDED}.")


def _unnamed(file: FileDescription) -> StackAxes:
    """Take the last axes for z, y, x."""
    *leading, y, x = file.shape
    if len(leading) == 1 and x in (3, 4) and min(leading[0], y) > 4:
        raise UserError(
            f"{file.name} looks like a colour image (shape {shape_text(file.shape)}); {GREY_NEEDED}."
        )
    if any(length > 1 for length in leading[:-1]):
        raise _not_one_stack(file)
    ndim = len(file.shape)
    return StackAxes(ndim, (ndim - 3 if ndim > 2 else None, ndim - 2, ndim - 1))


def _named(file: FileDescription) -> StackAxes:
    twice = [axis for axis, count in Counter(file.axes).items() if count > 1 and axis != UNKNOWN]
    if twice or not {"y", "x"} <= set(file.axes):
        raise UserError(f"{file.name} has the axes {', '.join(file.axes)}; save it with the axes z, y, x.")
    longer = {axis: n for axis, n in enumerate(file.shape) if n > 1 and file.axes[axis] not in ("y", "x")}
    for axis, length in longer.items():
        if file.axes[axis] in _CHANNELS:
            raise UserError(
                f"{file.name} has {length} channels; save one of them as greyscale, or, if they are slices, "
                "save it with the axes z, y, x."
            )
    slices = [axis for axis in longer if file.axes[axis] == "z"] or [
        axis for axis in longer if file.axes[axis] in _PLANE_STACK
    ]
    if set(longer) - set(slices[:1]):
        raise _not_one_stack(file)
    z = slices[0] if slices else file.axes.index("z") if "z" in file.axes else None
    return StackAxes(len(file.axes), (z, file.axes.index("y"), file.axes.index("x")))


def _not_one_stack(file: FileDescription) -> UserError:
    named = [f"{axis} ({n})" for axis, n in zip(file.axes, file.shape, strict=True)]
    axes = shape_text(file.shape) if UNKNOWN in file.axes else ", ".join(named)
    return UserError(
        f"{file.name} has {len(file.shape)} axes, {axes}; "
        "save one channel of one point in time as a stack with the axes z, y, x."
    )
