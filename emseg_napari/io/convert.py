"""Cells, labels, probabilities and images in the formats of other programs.

What is not an OME-Zarr is written beside its name and takes its place when it is complete; an OME-Zarr is
written block by block and resumed. Memory: a few blocks, up to two gigabytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast, get_args

from emseg_napari.core import files
from emseg_napari.core.jobs import JobContext, UserError
from emseg_napari.core.meter import Meter
from emseg_napari.core.owned_output import replacing_folder, writing_file
from emseg_napari.io.address import Location, local_path, location_of
from emseg_napari.io.decode import TIFF_SUFFIXES
from emseg_napari.io.layout import CHUNK_PX, Layout, OutputType, Version, flat_shard, shard_of
from emseg_napari.io.records import CONVERT_SOFTWARE, RECORD_FILE
from emseg_napari.io.resume_check import LATER, check_unchanged
from emseg_napari.io.slabs import in_slabs
from emseg_napari.io.some_slices import some_slices
from emseg_napari.io.source_id import STATE, origin, state_of
from emseg_napari.io.volume import Volume, with_fill_value
from emseg_napari.io.writers.source import Source

Format = Literal["ome-zarr", "ome-zarr-0.4", "precomputed", "webknossos", "tiles", "tiff"]
FORMATS: dict[Format, str] = {
    "ome-zarr": "OME-Zarr 0.5, for napari, Neuroglancer and Fiji's newest readers",
    "ome-zarr-0.4": "OME-Zarr 0.4, which most programs read",
    "precomputed": "Neuroglancer's own format, also for CloudVolume",
    "webknossos": "a webKnossos dataset, and of labels an annotation",
    "tiles": "PNG tiles for CATMAID",
    "tiff": "one TIFF for Fiji and ImageJ",
}
RESUMED: dict[str, Version] = {"ome-zarr": "0.5", "ome-zarr-0.4": "0.4"}  # what is resumed, by version
# What of a record holds for a copy, too.
_KEPT = (
    *("kind", "convention", "values", "image", "run", "run_folder", "network", "scale", "orientations"),
    *("threshold", "closed_gaps", "tile_px", "predicted_by", "probability", "made_from", "settings"),
)


@dataclass(frozen=True)
class Conversion:
    """What is written, and where.

    Attributes
    ----------
    volume : Volume
    output : Path or Address
        A folder, for "tiff" a file; an address only of an OME-Zarr.
    to : str
        One of `FORMATS`.
    record : mapping
        What is recorded of the volume; empty if emseg did not write it.
    labels : bool
        Whether its values are labels, such as numbers of cells, whatever it states itself.
    slices : (int, int), optional
        A half-open range; all when not given.
    image : Volume, optional
        What lies below labels in a webKnossos dataset.
    missing_is_empty : bool
        Whether chunks without a file are the fill value, and no error.
    """

    volume: Volume
    output: Location
    to: Format
    record: Mapping[str, Any] = field(default_factory=dict)
    labels: bool = False
    slices: tuple[int, int] | None = None
    image: Volume | None = None
    missing_is_empty: bool = False

    @property
    def range(self) -> tuple[int, int]:
        """The slices that are written, half-open."""
        return self.slices or (0, len(self.volume))

    def source(self) -> Source:
        """Return what is written, with its record."""
        return Source(self._part(self.volume), self.is_labels, self._record())

    def below(self) -> Source | None:
        """Return the image below it."""
        return None if self.image is None else Source(self._part(self.image), False)

    @property
    def is_labels(self) -> bool:
        """Whether values are names and not grey values."""
        stated = self.labels or self.volume.is_labels or self.record.get("kind") == "labels"
        return stated and self.volume.dtype.kind in "bui"

    def _part(self, volume: Volume) -> Volume:
        fills = self.missing_is_empty or self.is_labels  # which are empty where nobody wrote any
        return some_slices(with_fill_value(volume, fills), *self.range)

    def _record(self) -> dict[str, Any]:
        first, end = self.range
        kept = {name: self.record[name] for name in _KEPT if name in self.record}
        marks, before = self.record.get("fingerprints"), self.record.get("slices")
        if marks and len(marks) == len(self.volume):
            kept["fingerprints"] = list(marks[first:end])
        if self.slices or before:
            start = before[0] if before else 0
            kept["slices"] = [start + first, start + end]
        made = {"file": self.volume.name, "software": self.record.get("software")}
        own = {"software": CONVERT_SOFTWARE, "version": version("emseg-napari"), "converted_from": made}
        return kept | own


def convert(conversion: Conversion, context: JobContext | None = None) -> dict[str, Any]:
    """Write a stack of any size in a format of other programs; a long job (`emseg_napari.core.jobs`).

    Parameters
    ----------
    conversion : Conversion
    context : JobContext, optional
        Gets `Progress`, and a `Message` of what the format cannot hold.

    Returns
    -------
    dict
        What was written, JSON values: "output", "format", "shape", "voxel", "labels", and the record.

    Raises
    ------
    UserError
        If something else is there, the source cannot be read, numbers do not fit, or it cannot be written.
    Cancelled
        Of an OME-Zarr what is written stays, of other formats nothing.
    """
    context = context or JobContext()
    check_output(conversion.output, conversion.to, conversion.volume, conversion.image)
    _check_image(conversion)
    source = conversion.source()
    if conversion.to in RESUMED:
        _write_zarr(conversion, source, context)
    elif conversion.to == "tiff":
        with writing_file(local_path(conversion.output)) as temporary:
            from emseg_napari.io.writers.tiff import write_tiff

            write_tiff(temporary, source, context)
    else:
        _write_folder(conversion, source, context)
    return {
        "output": str(conversion.output),
        "format": conversion.to,
        "shape": list(source.volume.shape),
        "labels": source.is_labels,
        **source.record,
    }


def check_output(output: Location, to: Format, *inputs: Volume | None) -> None:
    """Refuse an output that could not be written, holds something else, or is an input.

    Raises
    ------
    UserError
    """
    if to not in get_args(Format):
        raise UserError(f"{to} is not a format; choose one of {', '.join(FORMATS)}.")
    if to not in RESUMED:
        output = local_path(output)
    if not isinstance(output, Path):
        return
    _check_name(output, to)
    for volume in inputs:
        _refuse_input(output, volume)
    if to not in RESUMED and not _is_free(output, to):
        raise UserError(
            f"{output} exists and was not written by emseg convert; choose another name, or remove it first."
        )


def _check_name(output: Path, to: Format) -> None:
    is_tiff = output.suffix.lower() in TIFF_SUFFIXES
    if to == "tiff":
        if not is_tiff:
            raise UserError(f"{output} is not a TIFF name; let the name end in .tif.")
        files.check_place(output)
    elif is_tiff:
        raise UserError(f"{output} is the name of a file, but {to} is a folder; give the name of one.")


def _refuse_input(output: Path, volume: Volume | None) -> None:
    source = location_of(volume.source) if volume and volume.source else None
    if not isinstance(source, Path):
        return
    one, other = Path(os.path.realpath(output)), Path(os.path.realpath(source))
    if one == other or one.is_relative_to(other) or other.is_relative_to(one):
        raise UserError(f"{output} is the input, or lies in it or around it; choose another --output.")


def _is_free(output: Path, to: Format) -> bool:
    if not os.path.lexists(output):
        return True
    if to == "tiff":
        from emseg_napari.io.writers.tiff import record_in

        return output.is_file() and record_in(output).get("software") == CONVERT_SOFTWARE
    if not output.is_dir():
        return False
    own = output / RECORD_FILE
    if own.is_file():
        with suppress(UserError, AttributeError):
            return bool(files.read_json(own).get("software") == CONVERT_SOFTWARE)
    return all(files.is_temporary(one.name) for one in output.iterdir())


def _check_image(conversion: Conversion) -> None:
    image, volume = conversion.image, conversion.volume
    if image is None:
        return
    if conversion.to != "webknossos" or not conversion.is_labels:
        raise UserError(
            "An image lies below labels in a webKnossos dataset only; leave it out, or convert it alone."
        )
    if image.shape != volume.shape:
        raise UserError(f"{image.name} and {volume.name} differ in size; choose the image of these labels.")


def _write_folder(conversion: Conversion, source: Source, context: JobContext) -> None:
    output = local_path(conversion.output)
    with replacing_folder(output) as folder, files.explained(output, folder):
        if conversion.to == "precomputed":
            from emseg_napari.io.writers.precomputed import write_precomputed

            write_precomputed(folder, source, context)
        elif conversion.to == "webknossos":
            from emseg_napari.io.writers.webknossos import write_webknossos

            write_webknossos(folder, output.name, source, context, conversion.below())
        else:
            from emseg_napari.io.writers.tiles import write_tiles

            write_tiles(folder, source, context)
        files.write_json(folder / RECORD_FILE, dict(source.record))
        check_output(output, conversion.to)  # it took a while


def _write_zarr(conversion: Conversion, source: Source, context: JobContext) -> None:
    """Write an OME-Zarr, or the blocks of it that are missing."""
    from emseg_napari.io.ome_zarr_writer import VolumeOutput
    from emseg_napari.io.output_place import is_begun
    from emseg_napari.io.output_place import owned as owned_place
    from emseg_napari.io.records import record_of_path

    path, volume = conversion.output, source.volume
    with owned_place(path):
        begun = record_of_path(path) if is_begun(path) else {}
        record = {
            **source.record,
            "source": origin(conversion.volume),
            LATER: conversion.missing_is_empty,
            STATE: state_of(conversion.volume, begun.get(STATE)),
        }
        output = VolumeOutput.prepare(path, _layout(volume, source.is_labels, RESUMED[conversion.to]), record)
        missing = output.missing()
        meter, pixels = Meter(context, missing.voxels), in_slabs(volume)
        depth = (volume.chunks or (1,))[0]
        layers = [list(range(z, min(z + depth, len(volume)))) for z in range(0, len(volume), depth)]
        for block in missing.ordered(layers) if output.blocks.grid[0] == len(volume) else missing:
            values = pixels[block.window].astype(output.dtype, copy=False)
            output.write(block, values)
            meter.done(values.size, f"slice {block.slices[0]} written")
        check_unchanged(path, conversion.volume, output.record)
        output.finish(context)


def _layout(volume: Volume, labels: bool, of: Version) -> Layout:
    chunk = (1, CHUNK_PX, CHUNK_PX)
    shard = None if of == "0.4" else shard_of(volume.shape, None, chunk, flat_shard(volume.shape, chunk))
    kind = {"b": "uint8", "f": "float32"}.get(volume.dtype.kind, volume.dtype.name)
    if not labels and volume.dtype.itemsize > 4:  # of which no mean is taken
        kind = "float32"
    return Layout(
        volume.shape,
        cast(OutputType, kind),
        chunk,
        shard,
        voxel=volume.voxel,
        version=of,
        labels=labels,
        origin=volume.origin,
    )
