"""``emseg convert``."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from emseg_napari.cli.guard import Stopped, guarded
from emseg_napari.cli.inputs import (
    STACK,
    JsonOption,
    MissingIsEmptyOption,
    parsed_location,
    parsed_output,
    say_notes,
)
from emseg_napari.cli.reporting import job_context, quietly, show_result
from emseg_napari.core.jobs import Cancelled
from emseg_napari.io.address import Location
from emseg_napari.io.axes import shape_text
from emseg_napari.io.convert import FORMATS, RESUMED, Conversion, Format
from emseg_napari.io.convert import convert as write
from emseg_napari.io.open import display_name, open_volume
from emseg_napari.io.records import record_of_path
from emseg_napari.io.stacks import check_range, parse_range

SourceArgument = Annotated[
    Any,
    typer.Argument(
        parser=parsed_location,
        metavar="SOURCE",
        help=f"Cells, labels, a probability or an image of any size: {STACK}.",
    ),
]


@guarded
def convert(
    source: SourceArgument,
    output: Annotated[
        Any,
        typer.Option(
            parser=parsed_output,
            metavar="OUT",
            help="Folder to write; for tiff a file, NAME.tif. An interrupted OME-Zarr is resumed.",
        ),
    ],
    to: Annotated[
        Format,
        typer.Option(help="; ".join(f"{name}: {words}" for name, words in FORMATS.items()) + "."),
    ],
    slices: Annotated[
        str | None, typer.Option(metavar="FIRST:END", help="Only these slices; all when not given.")
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels", help="SOURCE holds labels, such as numbers of cells, though no file says so."
        ),
    ] = False,
    image: Annotated[
        Any,
        typer.Option(
            parser=parsed_location, metavar="IMAGE", help="Image below the labels, in a webKnossos dataset."
        ),
    ] = None,
    missing_is_empty: MissingIsEmptyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write cells, labels or images for another program."""
    wanted = None if slices is None else parse_range(slices)
    record = quietly(record_of_path, source)
    are_labels = labels or record.get("kind") == "labels"
    volume = quietly(open_volume, source, fills=missing_is_empty or are_labels, labels=are_labels)
    say_notes(source, volume)
    chosen = check_range(wanted, len(volume), f"--slices of {display_name(source)}")
    below = None if image is None else quietly(open_volume, image, fills=missing_is_empty)
    conversion = Conversion(
        volume,
        output,
        to,
        record,
        labels=are_labels,
        slices=None if wanted is None else chosen,
        image=below,
        missing_is_empty=missing_is_empty,
    )
    started = time.monotonic()
    try:
        with job_context(sys.stderr, by_slices=True) as context:
            figures = write(conversion, context)
    except (Cancelled, KeyboardInterrupt):
        raise Stopped(_stopped(output, to)) from None
    seconds = round(time.monotonic() - started, 2)
    kind = "labels" if figures["labels"] else "image"
    sentence = f"{output}: {kind} of {shape_text(figures['shape'])} voxels as {FORMATS[to]}; {seconds:.1f} s"
    show_result(sentence, figures | {"seconds": seconds}, as_json)


def _stopped(output: Location, to: Format) -> str:
    if to in RESUMED:
        return f"Stopped; finished parts stay in {output}: run the same command again to resume."
    return f"Stopped; {output} was not written."
