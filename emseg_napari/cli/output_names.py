"""Names of outputs in a folder: each is called as its image is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emseg_napari.core.jobs import UserError
from emseg_napari.io.address import Address, Location
from emseg_napari.io.containers import FOLDER_SUFFIXES, ZARR, container_of, existing_part
from emseg_napari.io.decode import PNG_SUFFIXES, TIFF_SUFFIXES
from emseg_napari.io.open import HDF5_SUFFIXES, MRC_SUFFIXES, display_name

_SUFFIXES = {*TIFF_SUFFIXES, *PNG_SUFFIXES, *FOLDER_SUFFIXES, *HDF5_SUFFIXES, *MRC_SUFFIXES}


def outputs_in(folder: Path, images: Sequence[Location], in_blocks: bool) -> list[Path]:
    """Return the output of each image: NAME.zarr of a volume in chunks, NAME.tif of any other image.

    Parameters
    ----------
    folder : Path
    images : sequence of Path or Address
    in_blocks : bool
        All are written as NAME.zarr, block by block.

    Raises
    ------
    UserError
        If two have one name, or one is its own image.
    """
    outputs: dict[str, tuple[Path, Location]] = {}
    for image in images:
        suffix = ZARR.suffix if in_blocks or _is_in_chunks(image) else ".tif"
        output = folder / f"{_stem(image)}{suffix}"
        other = outputs.setdefault(output.name.casefold(), (output, image))[1]
        if other is not image:
            raise UserError(
                f"{other} and {image} would both be written to {output}; rename one of them, or predict them "
                "into two folders."
            )
        if isinstance(image, Path) and output.resolve() == image.resolve():
            raise UserError(
                f"{output} is the image itself and would be lost; choose another --output-folder."
            )
    return [output for output, _ in outputs.values()]


def _is_in_chunks(image: Location) -> bool:
    """Whether an image is a volume in Zarr, N5 or precomputed, which may be of any size."""
    if isinstance(image, Address):
        return True
    there = existing_part(image.absolute())
    return there.is_dir() and container_of(there) is not None


def _stem(image: Location) -> str:
    """Return a name without its suffix, a dataset's with that of its container: brain-volumes-raw."""
    container, *inside = display_name(image).split("/")
    for suffix in (Path(container).suffix, ".ome"):
        if suffix.lower() in {*_SUFFIXES, ".ome"}:
            container = container.removesuffix(suffix)
    return "-".join([container, *inside])
