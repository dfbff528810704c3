"""What a TIFF file says of its stack: axes and meaning of the values, and all of it together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile

from emseg_napari.core.jobs import UserError
from emseg_napari.io.description import (
    GREY_NEEDED,
    UNKNOWN,
    FileDescription,
    StackAxes,
    plain_axes,
    stack_axes,
)
from emseg_napari.io.formats.tiff_claims import Pages, shape_record, stack_pages
from emseg_napari.io.formats.tiff_pages import check_alike, check_complete
from emseg_napari.io.formats.tiff_voxel import stated_place
from emseg_napari.io.grey_values import (
    EQUAL_COLOURS,
    FROM_WHITE,
    GreyValues,
    from_white,
    grey_table,
    one_channel,
    table_note,
)

MOST_CHANNELS = 4  # more are slices, if the file has no others: Python programs call them so
_PHOTOMETRIC = tifffile.PHOTOMETRIC
_GREY = (_PHOTOMETRIC.MINISBLACK, _PHOTOMETRIC.MINISWHITE, _PHOTOMETRIC.PALETTE, _PHOTOMETRIC.MASK)
_COLOURS = (_PHOTOMETRIC.RGB, _PHOTOMETRIC.YCBCR)  # which tifffile decodes to RGB
_MIDDLE_PX = 512
_WHOLE_BYTES = 1 << 28  # of a page that is decoded as a whole to compare its colours


@dataclass(frozen=True)
class TiffStack:
    """The stack of a TIFF file, and how its pages become it.

    Attributes
    ----------
    series : tifffile.TiffPageSeries
        Of an open file.
    file : FileDescription
        Without the axis of colour channels, which are equal.
    axes : StackAxes
        Of `file`.
    colour : int or None
        The place of colour channels among the axes of the series.
    grey : GreyValues
        What is done to the values.
    """

    series: tifffile.TiffPageSeries
    file: FileDescription
    axes: StackAxes
    colour: int | None
    grey: GreyValues


@dataclass(frozen=True)
class _Axes:
    """Axes of the series in words, the place of the colour channels, and notes."""

    names: tuple[str, ...]
    colour: int | None = None
    notes: tuple[str, ...] = ()


def described(file: tifffile.TiffFile, name: str, labels: bool) -> TiffStack:
    """Find out what a TIFF file holds; no pixel is read, except where grey may be stored as colours.

    Parameters
    ----------
    file : tifffile.TiffFile
    name : str
        What the user calls it; starts the sentence of an error.
    labels : bool
        Whether labels are wanted, which are the numbers in a table of colours and not the colours.

    Raises
    ------
    UserError
        If it is cut off, not one grey stack, or its claims cannot be read.
    """
    stored = check_complete(file, name)
    pages = stack_pages(file, name)
    page, series = pages.series.keyframe, pages.series
    check_alike(series, stored, name, labels)
    axes = _axes(pages, name, labels)
    grey, meaning = _grey(series, _meaning(file, page, labels), name, labels)
    voxel, origin, of_voxel = stated_place(file, name)
    notes = (*pages.notes, *axes.notes, *_grey_notes(page, grey, labels), *of_voxel)
    shape = tuple(n for axis, n in enumerate(series.shape) if axis != axes.colour)
    names = tuple(one for axis, one in enumerate(axes.names) if axis != axes.colour)
    found = FileDescription(
        name,
        "TIFF",
        names,
        shape,
        grey.dtype(series.dtype),
        meaning,
        voxel,
        origin,
        claimed=pages.claimed,
        notes=notes,
    )
    return TiffStack(series, found, stack_axes(found), axes.colour, grey)


# -- axes ------------------------------------------------------------------------------------


def _axes(pages: Pages, name: str, labels: bool) -> _Axes:
    """Name the axes of the series; planes of colour that are slices become z.

    Equal planes are slices of labels, most of which are empty, but hardly ever those of an image.
    """
    series = pages.series
    names, shape = _names(series), series.shape
    if "s" in names:
        colour = names.index("s")
        if _planes_are_slices(series) and (labels or not _equal(series, colour, name)):
            note = f"its {shape[colour]} planes, stored as those of a colour image, are read as slices"
            return _Axes(tuple("z" if axis == "s" else axis for axis in names), None, (note,))
        if series.keyframe.photometric not in (*_COLOURS, *_GREY) or not _equal(series, colour, name):
            raise UserError(f"{name} is a colour image ({shape[colour]} channels); {GREY_NEEDED}.")
        return _Axes(names, colour, (EQUAL_COLOURS,))
    if "c" in names:
        channels, longer = shape[names.index("c")], sum(n > 1 for n in shape)
        if channels > MOST_CHANNELS and longer <= 3:
            as_slices = tuple("z" if axis == "c" else "?" if axis == "z" else axis for axis in names)
            return _Axes(as_slices, None, (f"its {channels} channels are read as slices",))
    return _Axes(names)


def _names(series: tifffile.TiffPageSeries) -> tuple[str, ...]:
    """Name axes by tifffile's letters, of which I and Q are unknown.

    Where the record of the shape states no axes, tifffile goes by lengths, and errs if y or x has length 1.
    """
    names = tuple(UNKNOWN if letter in "IQ" else letter.lower() for letter in series.axes)
    if series.kind != "shaped" or "s" in names or '"axes"' in (series.keyframe.shaped_description or ""):
        return names
    return (*plain_axes(len(names) - 2), "y", "x")


def _planes_are_slices(series: tifffile.TiffPageSeries) -> bool:
    """Whether planes that lie apart were written as one array (3 or 4, y, x), not as colour."""
    page = series.keyframe
    if page.planarconfig != tifffile.PLANARCONFIG.SEPARATE or page.extrasamples.count(1) > 0:
        return False
    return len(series.pages) == 1 and shape_record(page) == tuple(page.shape) and len(page.shape) == 3


def _equal(series: tifffile.TiffPageSeries, colour: int, name: str) -> bool:
    """Whether the colours of the first page are equal; of a large page those that are decoded first."""
    page = series.keyframe
    place = colour - (len(series.shape) - page.ndim)
    parts = [page.asarray()] if page.nbytes <= _WHOLE_BYTES else [_middle(page)]
    try:
        for part in parts:
            one_channel(np.moveaxis(part, place, -1), name)
    except UserError:
        return False
    return True


def _middle(page: tifffile.TiffPage) -> np.ndarray:
    """Return the middle of a page with all of its colours."""
    import zarr  # slow to import, and rarely needed here

    array: Any = zarr.open_array(page.aszarr(), mode="r")
    around = (slice(max(0, n // 2 - _MIDDLE_PX), n // 2 + _MIDDLE_PX) for n in page.shape)
    return np.asarray(array[tuple(around)])


# -- values -----------------------------------------------------------------------------------


def _meaning(file: tifffile.TiffFile, page: tifffile.TiffPage, labels: bool) -> int | None:
    """Return what the values mean; None where the file does not say it.

    An inverted grey table, by which ImageJ shows an image, may stand among its metadata only. It changes no
    numbers of cells, and no floats.
    """
    if "PhotometricInterpretation" not in page.tags:
        return None
    shown_by = (file.imagej_metadata or {}).get("LUTs")  # tables (3, 256) of red, green and blue
    dtype = np.dtype(page.dtype)
    is_table = shown_by is not None and dtype.kind in "bu" and not (labels and dtype.itemsize > 1)
    if page.photometric == _PHOTOMETRIC.MINISBLACK and is_table and _are_inverted(shown_by):
        return _PHOTOMETRIC.MINISWHITE
    return page.photometric


def _are_inverted(tables: Any) -> bool:
    """Whether tables, or a single one, are grey from white to black."""
    listed = tables if isinstance(tables, list) else [tables]
    return all(np.array_equal(table, np.tile(np.arange(255, -1, -1), (3, 1))) for table in listed)


def _grey(
    series: tifffile.TiffPageSeries, meaning: int | None, name: str, labels: bool
) -> tuple[GreyValues, Any]:
    """Return what is done to the values, and what they mean."""
    page = series.keyframe
    if meaning is None or meaning in _COLOURS:
        return GreyValues(), "0 = black"
    if meaning not in _GREY:
        kind = getattr(meaning, "name", meaning)
        raise UserError(f"{name} is stored as {kind}, which is not grey; {GREY_NEEDED}.")
    if meaning == _PHOTOMETRIC.PALETTE:
        return _of_table(page, name, labels), "colour table"
    if meaning != _PHOTOMETRIC.MINISWHITE:
        return GreyValues(), "0 = black"
    return from_white(series.dtype, page.bitspersample, name), "0 = white"


def _of_table(page: tifffile.TiffPage, name: str, labels: bool) -> GreyValues:
    if labels:
        return GreyValues()
    colours = page.colormap
    if colours is None or colours.ndim != 2 or colours.shape != (3, 1 << page.bitspersample):
        raise UserError(f"{name} is damaged (it has no table of its colours); save or copy it again.")
    return GreyValues(table=grey_table(colours, name))


def _grey_notes(page: tifffile.TiffPage, grey: GreyValues, labels: bool) -> tuple[str, ...]:
    """Return the note on values that are not shown as they are stored."""
    if grey.white is not None:
        return (FROM_WHITE,)
    if page.photometric == _PHOTOMETRIC.PALETTE and (labels or grey.changes):
        return (table_note(labels),)
    return ()
