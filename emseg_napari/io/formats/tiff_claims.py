"""Which pages of a TIFF file are its stack: what the file claims is compared with what lies in it.

ImageJ, OME-XML and tifffile's shape record each count the slices. A file that was cut off, or whose text
belongs to another file, must not pass as a shorter or longer stack.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.io.axes import shape_text
from emseg_napari.io.decode import one_line

_MOST_PLANES = 1_000_000  # a claim of more is none that a file was ever written with


@dataclass(frozen=True)
class Pages:
    """The one stack of a TIFF file.

    Attributes
    ----------
    series : tifffile.TiffPageSeries
    claimed : int or None
        How many slices the file says that it has.
    notes : tuple of str
        What of its claims was not followed.
    """

    series: tifffile.TiffPageSeries
    claimed: int | None = None
    notes: tuple[str, ...] = ()


def stack_pages(file: tifffile.TiffFile, name: str) -> Pages:
    """Return the one stack of pages that a TIFF file holds.

    Parameters
    ----------
    file : tifffile.TiffFile
    name : str
        What the user calls it; starts the sentence of an error.

    Raises
    ------
    UserError
        If there are fewer slices than the file claims, several stacks, or only a part of one; or if its
        claims cannot be read.
    """
    try:
        found = _stack_pages(file, name)
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UserError(
            f"{name} describes its pages in a way that cannot be read ({one_line(error)}); save it again."
        ) from error
    _check_sizes(found.series, name)
    return found


def _stack_pages(file: tifffile.TiffFile, name: str) -> Pages:
    there = _slices_there(file)
    if file.ome_metadata:
        _check_ome(file.ome_metadata, name)
    claimed = _claimed_by_imagej(file) or _claimed_by_shape(file)
    if claimed is not None and claimed > there:
        raise _cut_off(name, there, claimed)
    if claimed is not None and file.is_imagej and claimed < len(file.pages):
        _check_one_axis(file.imagej_metadata or {}, claimed, there, name)
        note = f"its description counts {claimed} slices, but it holds {there}, which are all read"
        return Pages(_all_pages(file), claimed, (note,))
    series = _only_series(file, name)
    if not file.ome_metadata:
        return Pages(series, claimed)
    return _checked_ome(file, series, name)


def _check_one_axis(stated: Mapping[str, Any], claimed: int, there: int, name: str) -> None:
    """Raise `UserError` if pages that are not counted may belong to any of several axes."""
    longer = [axis for axis in ("channels", "slices", "frames") if int(stated.get(axis, 1)) > 1]
    if longer and (len(longer) > 1 or longer == ["channels"]):
        raise UserError(
            f"{name} counts {claimed} pages ({' x '.join(f'{stated[axis]} {axis}' for axis in longer)}), but "
            f"holds {there}; save one channel of one point in time as a stack."
        )


def _slices_there(file: tifffile.TiffFile) -> int:
    """Return how many slices lie in the file: pages, or what follows the only page as ImageJ writes it."""
    page = file.pages.first
    if len(file.pages) > 1 or not page.is_contiguous or not page.nbytes:
        return len(file.pages)
    return max(1, (file.filehandle.size - page.dataoffsets[0]) // page.nbytes)


def _claimed_by_imagej(file: tifffile.TiffFile) -> int | None:
    stated = file.imagej_metadata if file.is_imagej else None
    if not stated:
        return None
    page = file.pages.first
    channels = 1 if page.samplesperpixel > 1 else stated.get("channels", 1)
    counted = int(stated.get("frames", 1)) * int(stated.get("slices", 1)) * int(channels)
    claimed = counted if counted > 1 else int(stated.get("images", 1))
    return claimed if claimed > 0 else None


def _claimed_by_shape(file: tifffile.TiffFile) -> int | None:
    """Return the slices that tifffile's record of the shape counts, if it fits the page."""
    page = file.pages.first
    shape = shape_record(page)
    if shape is None or not page.size:
        return None
    claimed, rest = divmod(math.prod(shape), page.size)
    return claimed if claimed and not rest else None


def shape_record(page: tifffile.TiffPage) -> tuple[int, ...] | None:
    """Return the shape of the whole array that tifffile writes into the description of the first page."""
    text = page.shaped_description
    if text is None or not text.startswith("{"):
        return None
    shape = json.loads(text).get("shape")
    if not isinstance(shape, list) or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"the shape {shape}")
    return tuple(shape)


def _only_series(file: tifffile.TiffFile, name: str) -> tifffile.TiffPageSeries:
    found = file.series
    if len(found) != 1:
        sizes = ", ".join(shape_text(one.shape) for one in found[:3])
        if len({tuple(one.shape[-2:]) for one in found}) > 1:
            raise UserError(
                f"{name} has pages of different sizes ({sizes}); save it as one stack of equal slices."
            )
        raise UserError(f"{name} holds {len(found)} images ({sizes}); save the one that is meant as a file.")
    return found[0]


def _all_pages(file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    pages = [*file.pages]
    first = file.pages.first
    if any(page.shape != first.shape or page.dtype != first.dtype for page in pages):
        raise ValueError("pages of different sizes")
    shape = (len(pages), *first.shape)
    return tifffile.TiffPageSeries(pages, shape, first.dtype, "I" + first.axes, parent=file, kind="uniform")


def _check_sizes(series: tifffile.TiffPageSeries, name: str) -> None:
    """Raise `UserError` unless the pages hold as many pixels as the stack; tifffile adds or drops some."""
    pages = [page for page in series.pages if page is not None]
    if series.dataoffset is not None:
        end = series.dataoffset + math.prod(series.shape) * series.dtype.itemsize
        whole = end <= series.keyframe.parent.filehandle.size
    else:
        whole = sum(page.size for page in pages) == math.prod(series.shape)
    if not whole or len(pages) != len(series.pages):
        raise UserError(
            f"{name} holds other pages than it describes ({shape_text(series.shape)}); save it again."
        )


def _cut_off(name: str, there: int, claimed: int) -> UserError:
    return UserError(f"{name} is cut off: {there} of {claimed} slices are whole; save or copy it again.")


# -- OME-XML --------------------------------------------------------------------------------


def ome_pixels(text: str) -> ElementTree.Element | None:
    """Return the first element Pixels of OME-XML, None if it is not well-formed or has none."""
    return next(_elements(text, "Pixels"), None)


def _elements(text: str, *names: str) -> Iterator[ElementTree.Element]:
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return
    yield from (one for one in root.iter() if one.tag.rpartition("}")[2] in names)


def _check_ome(text: str, name: str) -> None:
    """Raise `UserError` where OME-XML claims more than can be true, for which tifffile would make room."""
    if "<!ENTITY" in text:  # none has them, and they can be nested without end
        raise UserError(f"{name} has OME-XML that declares entities; save it again.")
    for one in _elements(text, "Pixels", "TiffData", "ModuloAlongZ", "ModuloAlongC", "ModuloAlongT"):
        numbers = {key: float(value) for key, value in one.items() if re.fullmatch(r"-?[\d.e+]+", value)}
        sizes = [numbers.get(f"Size{axis}", 1) for axis in "ZCT"]
        steps = (numbers.get("End", 0) - numbers.get("Start", 0)) / (abs(numbers.get("Step", 1)) or 1e-9)
        places = [value for key, value in numbers.items() if not key.startswith("PhysicalSize")]
        if max(math.prod(sizes), steps, *places, 0) > _MOST_PLANES or min(*sizes, *places, 1) < 0:
            raise UserError(f"{name} has OME-XML that claims more slices than can be; save it again.")


def _checked_ome(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, name: str) -> Pages:
    """Compare what OME-XML describes with the pages of the file."""
    if series.kind != "ome":
        return _without_ome(file, series, name)
    missing = sum(page is None for page in series.pages)
    if missing and _other_files(file):
        raise UserError(f"{name} is a part of a set of OME-TIFF files; save the whole stack as one file.")
    if missing:
        raise _cut_off(name, len(series.pages) - missing, len(series.pages))
    places = [(page.parent.filehandle.name, page.offset) for page in series.pages if page is not None]
    if len(set(places)) < len(places):
        raise UserError(f"{name} has OME-XML that names a page for two slices; save it again.")
    described = math.prod(series.shape) // series.keyframe.size
    if not series.is_multifile and _pages_like(file, series.keyframe, described) > described:
        raise UserError(
            f"{name} holds more slices than the {described} that its OME-XML describes; save it again."
        )
    return Pages(series, len(series.pages))


def _pages_like(file: tifffile.TiffFile, page: tifffile.TiffPage, expected: int) -> int:
    """Count the pages of the size of one, if there are more pages than expected: others are small copies."""
    if len(file.pages) <= expected:
        return expected
    found: list[Any] = [file.pages.get(n, aspage=True, cache=False) for n in range(len(file.pages))]
    return sum(one.shape == page.shape for one in found)


def _without_ome(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, name: str) -> Pages:
    if next(_elements(file.ome_metadata or "", "BinaryOnly"), None) is not None:
        raise UserError(f"{name} is a part of a set of OME-TIFF files; save the whole stack as one file.")
    if series.kind != "imagej" and len(file.pages) > 1:
        raise UserError(f"{name} has OME-XML that is malformed or does not fit its pages; save it again.")
    return Pages(series, None, ("its OME-XML is malformed or does not fit, and is not used",))


def _other_files(file: tifffile.TiffFile) -> bool:
    named = {one.get("FileName") for one in _elements(file.ome_metadata or "", "UUID")}
    return bool(named - {None, Path(file.filename).name})
