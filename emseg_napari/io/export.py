"""Export of training labels with their images, to files that other programs read.

Images keep every bit. Labels are written as ISBI values: 0 = boundary, 128 = unlabelled, 255 = interior.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.core import files, owned_output
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import BOUNDARY, CONVENTIONS, INTERIOR, UNLABELLED, to_isbi
from emseg_napari.io import stacks
from emseg_napari.io.axes import NOWHERE, Point, slices_text
from emseg_napari.io.containers import FOLDER_SUFFIXES
from emseg_napari.io.decode import PNG_SUFFIXES, TIFF_SUFFIXES
from emseg_napari.io.formats.png import encoded_png
from emseg_napari.io.open import HDF5_SUFFIXES, MRC_SUFFIXES
from emseg_napari.io.placing import shifted
from emseg_napari.io.sparse_stack import SparseStack, labelled_slices, stacked
from emseg_napari.io.volume import Volume, Voxel, with_fill_value
from emseg_napari.settings import ExportSettings

RECORD = "export.json"
SOURCES = "sources"  # what the record calls where image and labels lay
_OTHER_FORMATS = {*FOLDER_SUFFIXES, *HDF5_SUFFIXES, *MRC_SUFFIXES, *PNG_SUFFIXES}


def chosen_slices(
    labels: np.ndarray | SparseStack, confirmed: Collection[int], settings: ExportSettings
) -> list[int]:
    """Return the slices that the settings ask for, in order.

    Parameters
    ----------
    labels : numpy.ndarray
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior; already without unwanted proposals.
    confirmed : collection of int
        Slices.
    settings : ExportSettings
        `which` is used.

    Raises
    ------
    UserError
        If there are none.
    """
    if settings.which == "all":
        return list(range(len(labels)))
    if settings.which == "confirmed":
        chosen, missing = sorted(confirmed), "is confirmed; confirm the slices that are ready"
    else:
        chosen = labelled_slices(labels)
        missing = "has labels; label or confirm some"
    if not chosen:
        raise UserError(f"There is nothing to export, because no slice {missing}, or choose other slices.")
    return chosen


def export_training_labels(
    image: np.ndarray | Volume,
    labels: np.ndarray | SparseStack,
    chosen: Sequence[int],
    settings: ExportSettings,
    target: Path,
    voxel: Voxel | None = None,
    origin: Point = NOWHERE,
    sources: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the chosen slices of image and labels, all files or none.

    Parameters
    ----------
    image : numpy.ndarray or Volume
        (z, y, x), uint8, uint16 or float32; only the chosen slices are read.
    labels : numpy.ndarray or SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior; already without unwanted proposals.
    chosen : sequence of int
        The slices; they are written in ascending order.
    settings : ExportSettings
        `file_format`, `allow_unlabelled` and `missing_is_empty` are used.
    target : Path
        A folder for `images` and `labels` (files with ``.tif``, or folders of slices numbered as in the
        image); or a name ending in ``.tif`` for the labels, with the image beside it in NAME-images.tif.
    voxel : Voxel, optional
        Size of a voxel of the image, for the record and TIFF files.
    origin : (float, float, float)
        Of the centre of the image's first voxel, as of a `Volume`: TIFF files lie where the first chosen
        slice does.

    Returns
    -------
    dict
        The record, which is also written as `export.json` (NAME.json beside a ``.tif``).

    Raises
    ------
    UserError
        If slices have unlabelled pixels and this is not allowed, sizes differ, the target's name is that of
        another format, or it holds something that is not an earlier export or cannot be written.
    """
    target, chosen = Path(target), sorted(set(chosen))
    _check_name(target)
    image = with_fill_value(image, settings.missing_is_empty)
    stacks.check_pair(image, labels, "the image", "the labels")
    _check_chosen(labels, chosen, settings.allow_unlabelled)
    kept = labels[chosen]
    record = _record(image, kept, chosen, settings, voxel)
    record |= {SOURCES: dict(sources)} if sources else {}
    export = _Export(stacked(image, chosen), kept, voxel, shifted(origin, chosen[0], voxel), record)
    single = target.suffix.lower() in TIFF_SUFFIXES
    if single and settings.file_format != "TIFF stack":
        raise UserError(f"{target} is the name of a file, but numbered PNGs need a folder; choose a folder.")
    (_write_beside if single else _write_folder)(target, export)
    return export.record


def _check_name(target: Path) -> None:
    """Refuse names that end as those of other formats."""
    if target.suffix.lower() in _OTHER_FORMATS:
        raise UserError(
            f"{target} cannot be written: training labels are exported as TIFF or numbered PNG files, not as "
            f"{target.suffix}; give the name of a folder, or one that ends in .tif."
        )


@dataclass(frozen=True)
class _Export:
    """What is written: image and labels (z, y, x) of the chosen slices, and their record."""

    image: np.ndarray
    labels: np.ndarray
    voxel: Voxel | None
    origin: Point
    record: dict[str, Any]

    def write_image(self, path: Path) -> None:
        stacks.write_stack(path, self.image, None, self.voxel, self.origin)

    def write_labels(self, path: Path) -> None:
        stacks.write_stack(path, to_isbi(self.labels), {"convention": "isbi"}, self.voxel, self.origin)


def _check_chosen(labels: np.ndarray | SparseStack, chosen: list[int], allow_unlabelled: bool) -> None:
    if not chosen:
        raise UserError("There is nothing to export, because no slice is chosen; choose some.")
    outside = [z for z in chosen if not 0 <= z < len(labels)]
    if outside:
        raise UserError(
            f"There is no slice {outside[0]} to export; choose slices from 0 to {len(labels) - 1}."
        )
    holes = [z for z in chosen if (labels[z] == UNLABELLED).any()]
    if holes and not allow_unlabelled:
        raise UserError(
            f"There are unlabelled pixels in {slices_text(holes)}, so nothing is exported; "
            "label them, choose other slices, or allow unlabelled pixels."
        )


def _record(
    image: np.ndarray | Volume,
    kept: np.ndarray,
    chosen: list[int],
    settings: ExportSettings,
    voxel: Voxel | None,
) -> dict[str, Any]:
    return {
        "software": f"emseg-napari {version('emseg-napari')}",
        "slices": [int(z) for z in chosen],
        "file_format": settings.file_format,
        "image_dtype": str(image.dtype),
        "shape_zyx": list(kept.shape),
        "voxel": asdict(voxel) if voxel else None,
        "convention": "isbi",
        "values": CONVENTIONS["isbi"],
        "boundary_pixels": int(np.count_nonzero(kept == BOUNDARY)),
        "interior_pixels": int(np.count_nonzero(kept == INTERIOR)),
        "unlabelled_pixels": int(np.count_nonzero(kept == UNLABELLED)),
    }


def export_files(target: Path, record: Mapping[str, Any]) -> list[Path]:
    """Return the files of an export by its target and record: of the image, then of the labels."""
    if target.suffix.lower() in TIFF_SUFFIXES:
        return [target.with_name(f"{target.stem}-images.tif"), target]
    if record["file_format"] == "TIFF stack":
        return [target / "images.tif", target / "labels.tif"]
    # As TIFF where PNG has no such data type.
    suffix = ".png" if record["image_dtype"] in ("uint8", "uint16") else ".tif"
    digits = max(4, len(str(max(record["slices"]))))
    names = [f"{number:0{digits}d}" for number in record["slices"]]
    return [
        *(target / "images" / f"{name}{suffix}" for name in names),
        *(target / "labels" / f"{name}.png" for name in names),
    ]


def _write_folder(target: Path, export: _Export) -> None:
    with owned_output.replacing_folder(target) as folder:
        _refuse_foreign(target)
        paths = export_files(folder, export.record)
        if export.record["file_format"] == "TIFF stack":
            export.write_image(paths[0])
            export.write_labels(paths[1])
        else:
            _write_slices(paths, [*export.image, *to_isbi(export.labels)])
        files.write_json(folder / RECORD, export.record)
        _refuse_foreign(target)  # it took a while


def _refuse_foreign(target: Path) -> None:
    foreign = _foreign_file(target)
    if foreign is not None:
        raise UserError(
            f"{target} is not an empty folder or an earlier export, since it holds {foreign.name}"
            f"{', a link' if foreign.is_symlink() else ''}; choose a new or empty folder."
        )


def _foreign_file(target: Path) -> Path | None:
    """Return a file at or below `target` that was not written by an earlier export."""
    if target.is_file():
        return target
    found = [path for path in target.rglob("*") if path.is_symlink() or not path.is_dir()]
    known: set[Path] = set()
    if found and _is_record(target / RECORD):
        names = [str(z) for z in files.read_json(target / RECORD).get("slices", [])]
        known = {target / name for name in (RECORD, "images.tif", "labels.tif")}
        slices = [path for path in found if _is_slice(path, target)]
        known |= {path for path in slices if (path.stem.lstrip("0") or "0") in names}
    return next((path for path in sorted(found) if path not in known or path.is_symlink()), None)


def _is_slice(path: Path, target: Path) -> bool:
    folders = target / "images", target / "labels"
    return path.parent in folders and path.suffix in (*PNG_SUFFIXES, ".tif")


def _write_slices(paths: Sequence[Path], planes: Sequence[np.ndarray]) -> None:
    for path, plane in zip(paths, planes, strict=True):
        path.parent.mkdir(exist_ok=True)
        if path.suffix in PNG_SUFFIXES:
            path.write_bytes(encoded_png(plane))
            files.flush(path)
        else:
            stacks.write_stack(path, plane)


def _write_beside(target: Path, export: _Export) -> None:
    """Write three files that share a name, each into its place only when all of them are complete."""
    images, note = export_files(target, export.record)[0], target.with_suffix(".json")
    with owned_output.owned(target), owned_output.adding_files(target.parent) as folder:
        if any(os.path.lexists(path) for path in (target, images, note)) and not _is_record(note):
            raise UserError(
                f"{target} or its image or record is there and not an earlier export; choose another name."
            )
        export.write_labels(folder / target.name)
        export.write_image(folder / images.name)
        files.write_json(folder / note.name, export.record)


def _is_record(path: Path) -> bool:
    return bool(export_record(path))


def export_record(path: Path) -> dict[str, Any]:
    """Return what a JSON file records of an export; empty if it is another file, or none."""
    try:
        record: dict[str, Any] = files.read_json(path)
        is_own = str(record["software"]).startswith("emseg-napari") and "file_format" in record
        return record if is_own else {}
    except (UserError, KeyError, TypeError):
        return {}
