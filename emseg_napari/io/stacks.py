"""Reading and writing of image stacks, and the checks that every stack passes.

A stack is an array with axes (z, y, x). Formats: TIFF (multi-page, ImageJ, OME; any byte
order and compression), single PNG, and folders of numbered TIFF or PNG slices; `open` reads the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import CONVENTIONS, Convention, normalise
from emseg_napari.core.owned_output import writing_file
from emseg_napari.io.address import Location, location_of
from emseg_napari.io.axes import NOWHERE, Point, shape_text
from emseg_napari.io.decode import BIGTIFF_SUFFIXES
from emseg_napari.io.description import GREY_NEEDED
from emseg_napari.io.open import open_volume, read_whole
from emseg_napari.io.own_record import record_text
from emseg_napari.io.records import record_of_path
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.volume import Voxel

BIGTIFF_BYTES = 4_000_000_000
_UNKNOWN = "pixels that are not finite numbers (NaN or infinity)"
_REPLACE = "replace them by grey values"
_PER_CENTIMETRE = {
    "angstrom": 1e8,
    "nanometer": 1e7,
    "micrometer": 1e4,
    "millimeter": 10.0,
    "centimeter": 1.0,
}


def read_image(path: str | Location, *, fills: bool = False) -> np.ndarray:
    """Read an image stack.

    Parameters
    ----------
    path : str or Path
        A TIFF or PNG file, or a folder of slices, which are ordered by the numbers in their names; or
        whatever `open.open_volume` takes.
    fills : bool
        Whether chunks of Zarr, N5 or precomputed without a file are the fill value, and no error.

    Returns
    -------
    numpy.ndarray
        (z, y, x), native byte order. uint8, uint16 and float32 are as in the file; other integers
        become uint16 where they all fit, else float32; other floats become float32.

    Raises
    ------
    UserError
        If it is missing, damaged, in colour, has more than three axes, or does not fit into memory.
    """
    return supported(read_whole(open_volume(path, fills=fills)))


def read_labels(path: str | Location, convention: Convention | None = None) -> np.ndarray:
    """Read labels.

    Parameters
    ----------
    path : str or Path
        As for `read_image`; of a container its labels, see `open.open_volume`.
    convention : Convention, optional
        What the values mean. When not given, what the file's own record or that of an export beside it
        says, else recognised from the values.

    Returns
    -------
    numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.

    Raises
    ------
    UserError
        As for `read_image`, or if the values fit no convention or two.
    """
    volume = open_volume(path, fills=True, labels=True)
    return normalise(read_whole(volume), volume.name, convention or recorded_convention(volume.source))


def write_stack(
    path: str | Path,
    array: np.ndarray,
    description: dict[str, Any] | None = None,
    voxel: Voxel | None = None,
    origin: Point = NOWHERE,
) -> None:
    """Write a stack as a deflated TIFF, whole or not at all; BigTIFF when it is large.

    Parameters
    ----------
    path : str or Path
        The file to write.
    array : numpy.ndarray
        (z, y, x) or (y, x).
    description : dict, optional
        JSON values that `records.read_description` gives back.
    voxel : Voxel, optional
        Its size goes into the file's resolution (y and x) and description.
    origin : (float, float, float)
        Of the centre of the first voxel, as of a `Volume`; goes into the description.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    place = ({"voxel": asdict(voxel)} if voxel else {}) | ({"origin": list(origin)} if any(origin) else {})
    described = (description or {}) | place
    text = record_text(described) if described or description is not None else None
    with writing_file(path) as temporary:
        tifffile.imwrite(
            temporary,
            array,
            bigtiff=array.nbytes > BIGTIFF_BYTES or Path(path).suffix.lower() in BIGTIFF_SUFFIXES,
            photometric="minisblack",
            compression="zlib",
            description=text,
            metadata=None,
            ome=False,
            **_resolution(voxel),
        )


def _resolution(voxel: Voxel | None) -> dict[str, Any]:
    """Return the tags for pixels per centimetre, the smallest unit that TIFF has."""
    if voxel is None or voxel.unit not in _PER_CENTIMETRE:
        return {}
    per = _PER_CENTIMETRE[voxel.unit]
    return {"resolution": (per / voxel.size[2], per / voxel.size[1]), "resolutionunit": "CENTIMETER"}


def check_image(image: Any, name: str, slices: Sequence[int] | None = None) -> None:
    """Raise `UserError` unless `image` can be trained on or predicted.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x) or (y, x): real numbers, finite, not all the same.
    name : str
        What the user calls it; starts the sentence of an error.
    slices : sequence of int, optional
        The slices that are used; the others may hold anything. All when not given.
    """
    if image.dtype.kind not in "uif":
        raise UserError(
            f"{name} holds {image.dtype.newbyteorder('=')} values; an image of plain grey values is needed."
        )
    if image.ndim == 3 and image.shape[-1] in (3, 4) and min(image.shape[:2]) > 4:
        raise UserError(f"{name} looks like a colour image (shape {shape_text(image.shape)}); {GREY_NEEDED}.")
    if image.ndim not in (2, 3):
        raise UserError(
            f"{name} has {image.ndim} axes; an image with the axes (y, x) or (z, y, x) is needed."
        )
    if image.size == 0:
        raise UserError(f"{name} has no pixels (shape {shape_text(image.shape)}); choose another image.")
    stack = in_slabs(as_stack(image))
    _check_values(stack, name, range(len(stack)) if slices is None else slices)


def as_stack(image: Any) -> Any:
    """Return a view with axes (z, y, x) of an image (z, y, x) or (y, x); a volume is one already."""
    return image[np.newaxis] if image.ndim == 2 else image


def check_pair(image: Any, labels: Any, image_name: str, labels_name: str) -> None:
    """Raise `UserError` unless labels and image have the same shape."""
    if image.shape != labels.shape:
        sizes = f"{labels_name} ({shape_text(labels.shape)}) and {image_name} ({shape_text(image.shape)})"
        raise UserError(f"{sizes} differ in size; choose labels that belong to this image.")


def parse_range(text: str) -> tuple[int, int]:
    """Read a half-open range such as ``0:20``, which is the slices 0 to 19.

    Raises
    ------
    UserError
        If it is not FIRST:END with 0 <= FIRST < END.
    """
    match = re.fullmatch(r"\s*(\d+):(\d+)\s*", text, re.ASCII)
    if not match or int(match[1]) >= int(match[2]):
        raise UserError(
            f"'{text}' is not a range of slices; write FIRST:END with FIRST < END, "
            "such as 0:20 for the slices 0 to 19."
        )
    return int(match[1]), int(match[2])


def check_range(chosen: tuple[int, int] | None, depth: int, what: str) -> tuple[int, int]:
    """Return the half-open range of slices, the whole stack when none is chosen.

    Parameters
    ----------
    chosen : (int, int) or None
        First slice and the one after the last.
    depth : int
        Number of slices of the stack.
    what : str
        What the user calls the range; starts the sentence of an error.

    Raises
    ------
    UserError
        If the range is empty or does not lie inside the stack.
    """
    first, end = chosen or (0, depth)
    if not 0 <= first < end <= depth:
        raise UserError(
            f"{what}: {first}:{end} does not lie inside the stack, which has {_slices(depth)}; "
            f"choose a range inside 0:{depth}."
        )
    return first, end


def _check_values(stack: np.ndarray, name: str, slices: Sequence[int]) -> None:
    """Raise `UserError` unless the slices, each of which is read once, are finite and not of one value."""
    bad, ends = {}, set()
    for z in slices:
        plane = stack[z]
        bad[z] = _count_unknown(plane)
        ends |= {plane.min(), plane.max()}
    if any(bad.values()):
        first = next(z for z, count in bad.items() if count)
        raise UserError(f"{name} has {sum(bad.values())} {_UNKNOWN}, the first in slice {first}; {_REPLACE}.")
    if len(ends) == 1:
        raise UserError(f"{name} has the same value ({ends.pop()}) in every pixel; choose another image.")


def refuse_unknown(plane: np.ndarray) -> None:
    """Raise `UserError` if pixels of a slice (y, x) are no numbers, of which no network can predict any."""
    if count := _count_unknown(plane):
        raise UserError(f"it has {count} {_UNKNOWN}; {_REPLACE}.")


def _count_unknown(plane: np.ndarray) -> int:
    return plane.size - int(np.count_nonzero(np.isfinite(plane))) if plane.dtype.kind == "f" else 0


def supported(array: np.ndarray) -> np.ndarray:
    """Give uint8, uint16 or float32 with the same values wherever one of them can hold them."""
    if array.dtype in (np.uint8, np.uint16, np.float32):
        return array
    if array.dtype == bool:
        return array.astype(np.uint8)
    whole = array.dtype.kind in "ui" and array.size > 0
    if whole and array.min() >= 0 and array.max() <= np.iinfo(np.uint16).max:
        return array.astype(np.uint16)
    return array.astype(np.float32)


def recorded_convention(source: str | Location) -> Convention | None:
    """Return the convention that the record of a file, a level of an OME-Zarr or an export states.

    Parameters
    ----------
    source : str or Path
        Where the labels themselves lie, as of a `Volume`: a container may hold others beside its own.
    """
    path = location_of(source)
    if isinstance(path, Path) and path.is_dir():
        record = path.parent / "export.json"
        stated = files.read_json(record) if record.is_file() else record_of_path(path)
    else:
        stated = record_of_path(path)
    convention = stated.get("convention") if isinstance(stated, dict) else None
    return next((one for one in CONVENTIONS if one == convention), None)


def _slices(count: int) -> str:
    return f"{count} slice" + "s" * (count != 1)
