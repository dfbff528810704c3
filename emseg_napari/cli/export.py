"""``emseg export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from emseg_napari.cli.guard import guarded
from emseg_napari.cli.inputs import (
    ConventionOption,
    JsonOption,
    LabelsArgument,
    data_sources,
    open_pair,
    parsed_location,
    parsed_path,
)
from emseg_napari.cli.options import given_values, with_options_of
from emseg_napari.cli.reporting import show_result
from emseg_napari.cli.streams import echo
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import UNLABELLED
from emseg_napari.core.text import counted
from emseg_napari.io.address import Location
from emseg_napari.io.export import chosen_slices, export_training_labels
from emseg_napari.io.open import display_name
from emseg_napari.io.sparse_stack import SparseStack, exchanged
from emseg_napari.io.stack_or_volume import place_of_file
from emseg_napari.io.stacks import check_range, parse_range
from emseg_napari.settings import ExportSettings, validated

# A labels file has no proposals and no confirmed slices: all of its labels count as the user's.
WITHOUT_MEANING = ("which", "include_proposals", "file_format")


@guarded
@with_options_of(ExportSettings, leave_out=WITHOUT_MEANING)
def export(
    labels: LabelsArgument,
    image: Annotated[
        Any,
        typer.Option(parser=parsed_location, metavar="IMAGE", help="Image stack that the labels belong to."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            parser=parsed_path,
            metavar="FOLDER_OR_TIF",
            help="Folder for images and labels; or a .tif for the labels, with the image beside it.",
        ),
    ],
    slices: Annotated[
        str | None,
        typer.Option(metavar="FIRST:END", help="Exactly these slices; all that have labels when not given."),
    ] = None,
    numbered_pngs: Annotated[
        bool, typer.Option("--numbered-pngs", help="Folders of numbered PNG files instead of TIFF stacks.")
    ] = False,
    convention: ConventionOption = None,
    as_json: JsonOption = False,
    **options: Any,
) -> None:
    """Write labelled slices and their images for other programs.

    In the labels 0 = boundary, 255 = interior.
    """
    file_format = "numbered PNGs" if numbered_pngs else "TIFF stack"
    given = given_values(ExportSettings, options)
    settings = validated(ExportSettings, which="labelled", file_format=file_format, **given)
    wanted = None if slices is None else parse_range(slices)
    _check_target(output, image, labels)
    stack, known = open_pair(image, labels, convention, fills=settings.missing_is_empty)
    if (note := exchanged(known, display_name(labels))) is not None:
        echo(f"note: {note}", err=True)
    chosen = _chosen(known, wanted, settings, labels)
    sources = data_sources(image, labels, convention)
    place = place_of_file(image)
    record = export_training_labels(stack, known, chosen, settings, output, *place, sources=sources)
    sentence = f"{output}: {counted(len(chosen), 'slice')} of images and labels ({record['values']})"
    show_result(sentence, {"output": str(output)} | record, as_json)


def _check_target(output: Path, *sources: Location) -> None:
    """Refuse an output that would take the place of its own input."""
    beside = output.with_name(f"{output.stem}-images.tif").resolve()
    for source in sources:
        if isinstance(source, Path) and (
            source.resolve().is_relative_to(output.resolve()) or source.resolve() == beside
        ):
            raise UserError(
                f"{output} would take the place of {source}, which is an input; choose another --output."
            )


def _chosen(
    known: SparseStack, wanted: tuple[int, int] | None, settings: ExportSettings, path: Location
) -> list[int]:
    """Return the slices to export, all of them free of unlabelled pixels unless these are allowed."""
    if wanted is None and not known.stored_slices:
        raise UserError(f"{display_name(path)} has no labels; label some boundary and some interior first.")
    if wanted is None:
        chosen = chosen_slices(known, (), settings)
    else:
        chosen = list(range(*check_range(wanted, len(known), f"--slices of {display_name(path)}")))
    holes = [z for z in chosen if (known[z] == UNLABELLED).any()]
    if holes and not settings.allow_unlabelled:
        raise UserError(
            f"{display_name(path)} has unlabelled pixels, the first in slice {holes[0]}; choose other "
            "--slices, or add --allow-unlabelled to export them as 128."
        )
    return chosen
