"""Decoding of TIFF and PNG files to arrays (z, y, x); every failure becomes a sentence."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import imagecodecs
import numpy as np
import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import shape_text

TIFF_SUFFIXES, PNG_SUFFIXES = (".tif", ".tiff"), (".png",)
MOST_CHANNELS = 4
GREY_NEEDED = "an image with one grey channel is needed, so save it as greyscale"

T = TypeVar("T")


def read(path: Path) -> np.ndarray:
    """Read one file or a folder of slices.

    Parameters
    ----------
    path : Path
        TIFF (multi-page, ImageJ, OME) or PNG, or a folder of such files, ordered by the numbers in
        their names; other files in it are ignored.

    Returns
    -------
    numpy.ndarray
        (z, y, x) of the file's own data type in native byte order. Colour with equal channels is grey.

    Raises
    ------
    UserError
        If it is missing, empty, damaged, of another format, in colour, or has more than three axes.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; check the name.")
    return _folder(path) if path.is_dir() else _file(path)


def tiff_text(path: Path) -> str:
    """Return the description of a TIFF file's first page, empty if there is none."""
    return guarded(_first_description, path)


def slice_paths(folder: Path) -> list[Path]:
    """Return the TIFF and PNG files of a folder in the order of the numbers in their names.

    Raises
    ------
    UserError
        If there are none, or the folder cannot be read.
    """
    try:
        paths = sorted(filter(_is_slice, folder.iterdir()), key=_natural)
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error
    if not paths:
        raise UserError(f"{folder} has no TIFF or PNG files; choose a folder of numbered slices.")
    return paths


def _folder(folder: Path) -> np.ndarray:
    paths = slice_paths(folder)
    slices = [_file(p) for p in paths]
    usual = Counter(map(_kind, slices)).most_common(1)[0][0]
    for path, array in zip(paths, slices, strict=True):
        _check_slice(array, usual, f"{folder.name}/{path.name}")
    return np.concatenate(slices)


def _is_slice(path: Path) -> bool:
    return path.suffix.lower() in TIFF_SUFFIXES + PNG_SUFFIXES and not path.name.startswith(".")


def _kind(array: np.ndarray) -> str:
    return f"{shape_text(array.shape[1:])} pixels, {array.dtype}"


def _check_slice(array: np.ndarray, usual: str, name: str) -> None:
    if len(array) != 1:
        raise UserError(f"{name} is a stack of {len(array)} slices; choose that file itself, not its folder.")
    if _kind(array) != usual:
        raise UserError(
            f"{name} ({_kind(array)}) is unlike the other slices of its folder ({usual}); "
            "remove it or save it like them."
        )


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which 2.png comes before 10.png."""
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(0, int(p), p) if p.isdigit() and p.isascii() else (1, 0, p) for p in parts]


def _file(path: Path) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix not in TIFF_SUFFIXES + PNG_SUFFIXES:
        raise UserError(f"{path.name} is neither TIFF nor PNG; save the image as TIFF.")
    array = guarded(_tiff if suffix in TIFF_SUFFIXES else _png, path)
    if array.dtype.kind not in "buif":
        raise UserError(f"{path.name} holds {array.dtype} values; save it with 8, 16 or 32 bits.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def guarded(reader: Callable[[Path], T], path: Path) -> T:
    """Call `reader`; decoders raise anything at all on damaged files, and it all means the same."""
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path.name} is empty (0 bytes); save or copy it again.")
        return reader(path)
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path.name} does not fit into memory; save a part of it as a file.") from None
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the name.") from None
    except OSError as error:
        raise UserError(f"{path.name} cannot be read ({error.strerror or error}); check the file.") from error
    except Exception as error:
        raise UserError(
            f"{path.name} is damaged or not an image ({error}); save or copy it again."
        ) from error


def _first_description(path: Path) -> str:
    with tifffile.TiffFile(path) as file:
        return file.pages.first.description


def _png(path: Path) -> np.ndarray:
    data = path.read_bytes()
    if b"IEND" not in data:
        raise UserError(f"{path.name} is cut off or not a PNG image; save or copy it again.")
    pixels = imagecodecs.png_decode(data)
    return _as_grey(pixels, path.name)[np.newaxis]


def _tiff(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        series = checked_series(file, path)
        array, axes = series.asarray(), series.axes
    if "S" in axes:
        array, axes = _as_grey(np.moveaxis(array, axes.index("S"), -1), path.name), axes.replace("S", "")
    return _as_stack(array, axes, path.name)


def checked_series(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    """Return the one stack of pages that a TIFF file holds.

    Raises
    ------
    UserError
        If the file is cut off, holds several stacks, or only a part of one.
    """
    _check_complete(file, path)
    if len(file.series) != 1:
        sizes = ", ".join(shape_text(s.shape) for s in file.series[:3])
        raise UserError(
            f"{path.name} has pages of different sizes ({sizes}); save it as one stack of equal slices."
        )
    series = file.series[0]
    if any(page is None for page in series.pages):
        raise UserError(
            f"{path.name} is a part of a set of OME-TIFF files; save the whole stack as one file."
        )
    return series


def check_axes(shape: Sequence[int], axes: str, name: str) -> None:
    """Raise `UserError` unless an array is one grey stack.

    Parameters
    ----------
    shape : sequence of int
    axes : str
        tifffile's letters: C is channel, S is colour, and Z, T (time), I and Q (unknown) may all be z.
    name : str
        What the user calls it; starts the sentence.
    """
    if "S" in axes:
        raise UserError(f"{name} is a colour image ({shape[axes.index('S')]} channels); {GREY_NEEDED}.")
    channels = shape[axes.index("C")] if "C" in axes else 1
    if channels > 1 and (len(shape) > 3 or channels <= MOST_CHANNELS):
        raise UserError(f"{name} has {channels} channels; {GREY_NEEDED}.")
    if len(shape) > 3:
        raise UserError(
            f"{name} has {len(shape)} axes ({shape_text(shape)}); save a single stack with the axes z, y, x."
        )


def _as_stack(array: np.ndarray, axes: str, name: str) -> np.ndarray:
    """Give (z, y, x)."""
    check_axes(array.shape, axes, name)
    return array if array.ndim == 3 else array[np.newaxis]


def _as_grey(pixels: np.ndarray, name: str) -> np.ndarray:
    """Drop a last axis of colour channels that are equal, and an opaque alpha channel."""
    if pixels.ndim == 2:
        return pixels
    colours = pixels.shape[-1] - (pixels.shape[-1] in (2, 4))
    grey = pixels[..., 0]
    opaque = pixels[..., colours:]
    equal = all(np.array_equal(grey, pixels[..., c]) for c in range(1, colours))
    if not equal or (opaque.size and opaque.min() != opaque.max()):
        raise UserError(f"{name} is a colour image ({pixels.shape[-1]} channels); {GREY_NEEDED}.")
    return np.ascontiguousarray(grey)


def _check_complete(file: tifffile.TiffFile, path: Path) -> None:
    """Raise unless the chain of pages ends properly and all pixel data lie inside the file.

    tifffile itself only logs a broken chain and returns the pages before the break.
    """
    size = file.filehandle.size
    whole = _next_page(file) == 0 and all(_inside(page, size) for page in file.pages)
    if not whole:
        raise UserError(
            f"{path.name} is cut off: a part of its pixel data is missing; save or copy it again."
        )


def _inside(page: tifffile.TiffPage | tifffile.TiffFrame, size: int) -> bool:
    counts = page.databytecounts
    return all(counts) and all(o + n <= size for o, n in zip(page.dataoffsets, counts, strict=True))


def _next_page(file: tifffile.TiffFile) -> int:
    """Return the offset that the last readable page gives for its follower; 0 is the proper end."""
    layout, handle = file.tiff, file.filehandle
    offset = file.pages[-1].offset
    handle.seek(offset)
    (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(offset + layout.tagnosize + tags * layout.tagsize)
    return struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))[0]
