"""Arguments that several commands share, and the checks whose sentences name the user's files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import typer

from emseg_napari.cli.completion import runs
from emseg_napari.cli.reporting import quietly
from emseg_napari.cli.streams import echo
from emseg_napari.core.files import writable_folder
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import CONVENTIONS, AmbiguousLabels, Convention, UnknownLabels
from emseg_napari.io.address import Location, local_path, location_of
from emseg_napari.io.containers import container_of, webknossos_root
from emseg_napari.io.decode import TIFF_SUFFIXES
from emseg_napari.io.open import display_name, open_volume
from emseg_napari.io.records import Kind, read_description
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.io.stack_or_volume import labels_in, loaded, refuse_image
from emseg_napari.io.stacks import check_image, check_pair, check_range
from emseg_napari.io.volume import Volume
from emseg_napari.models.run import run_path
from emseg_napari.settings import PredictionSettings

L = TypeVar("L", bound=Location)
STACK = (
    "TIFF, PNG, OME-Zarr, N5, precomputed, HDF5 or MRC, a folder of numbered slices, or an address (s3://, "
    "gs://, https://, http://) of an OME-Zarr, Zarr, N5 or precomputed volume"
)


def parsed_location(text: str) -> Location:
    """Return the path or address that a word of the command line is."""
    return _parsed(location_of, text)


def parsed_path(text: str) -> Path:
    """Return the path that a word of the command line is, which cannot be an address."""
    return _parsed(local_path, text)


def parsed_run(text: str) -> Path:
    """Return the path of a run that a word of the command line is, which cannot be an address."""
    return _parsed(run_path, text)


def _parsed(read: Callable[[str], L], text: str) -> L:
    try:
        return read(text)
    except UserError as error:
        raise typer.BadParameter(str(error)) from None


# Typer takes no unions of types: each of them is a Location.
ImageArgument = Annotated[
    Any, typer.Argument(parser=parsed_location, metavar="IMAGE", help=f"Image stack: {STACK}.")
]
RunArgument = Annotated[
    Path,
    typer.Argument(
        parser=parsed_run,
        autocompletion=runs,
        metavar="RUN",
        help="Run folder that a training wrote, or 'starter', the network that comes with the package.",
    ),
]
LabelsArgument = Annotated[
    Any, typer.Argument(parser=parsed_location, metavar="LABELS", help=f"Labels of the same size: {STACK}.")
]
ConventionOption = Annotated[
    Convention | None,
    typer.Option(
        help="What the values of the labels mean; recognised when not given. "
        + "; ".join(f"{name}: {meaning}" for name, meaning in CONVENTIONS.items())
    ),
]
MissingIsEmptyOption = Annotated[
    bool,
    typer.Option("--missing-is-empty", help=PredictionSettings.model_fields["missing_is_empty"].description),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write the figures as one JSON object to stdout.")]


def parsed_output(text: str) -> Location:
    """Return the path or address to write to that a word of the command line is."""
    return _parsed(_output_location, text)


def _output_location(text: str) -> Location:
    from emseg_napari.io.output_place import check_writable  # loads Zarr, which help does without

    output = location_of(text)
    check_writable(output)
    return output


def output_option(name: str) -> Any:
    """Declare where a command writes a stack, `name` being what it is called in the help."""
    return typer.Option(
        parser=parsed_output,
        metavar=f"{name}.tif|{name}.zarr",
        help="TIFF file to write, or for volumes of any size an OME-Zarr folder, with which the same "
        "command resumes if it was interrupted.",
    )


def kind_option(argument: str) -> Any:
    """Declare --as, which says what an argument holds."""
    return typer.Option(
        "--as",
        help=f"What {argument} holds. labels: 0 boundary and 255 interior; probability: of the "
        "boundary, float 0 to 1 or uint8 0 to 255. When not given, what the file states.",
    )


def interior_option(argument: str) -> Any:
    """Declare --interior, which says the same of a probability."""
    return typer.Option("--interior", help=f"{argument} holds the probability of the interior.")


def checked_kind(kind: Literal["labels", "probability"] | None, interior: bool) -> Kind | None:
    """Return what --as and --interior state; raise `UserError` if they contradict each other."""
    if interior and kind == "labels":
        raise UserError("--as labels and --interior exclude each other; give one of them.")
    return "interior" if interior else kind


def open_pair(
    image_path: Location, labels_path: Location, convention: Convention | None, *, fills: bool = False
) -> tuple[Stack, SparseStack]:
    """Open an image of any size, with `fills` as for `stack_or_volume.open_image`, and read its labels.

    Returns
    -------
    image : numpy.ndarray or Volume
        (z, y, x), grey values.
    labels : SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.

    Raises
    ------
    UserError
        If one cannot be read or they do not belong together.
    """
    refuse_image(labels_path, image_path)
    volume = quietly(open_volume, image_path, fills=fills)
    known = quietly(open_volume, labels_path, fills=True, labels=True)
    with _naming_the_option():
        image, labels = loaded(volume), labels_in(known, convention)
    say_notes(image_path, volume)
    say_notes(labels_path, known)
    check_pair(image, labels, display_name(image_path), display_name(labels_path))
    return image, labels


def data_sources(image: Location, labels: Location, convention: Convention | None) -> dict[str, Any]:
    """Return for a record where image and labels lie, and what their user stated of the labels."""
    stated = {} if convention is None else {"convention": convention}
    return {"image": str(image.absolute()), "labels": str(labels.absolute())} | stated


def read_known(path: Location, convention: Convention | None) -> SparseStack:
    """Read labels; if their convention is not clear, the sentence names the option to add.

    Returns
    -------
    SparseStack
        uint8 (z, y, x): 0 unlabelled, 1 boundary, 2 interior.

    Raises
    ------
    UserError
    """
    volume = quietly(open_volume, path, fills=True, labels=True)
    with _naming_the_option():
        known = labels_in(volume, convention)
    say_notes(path, volume)
    return known


def say_notes(path: Location, volume: Volume) -> None:
    """Say on stderr what of a file, opened as a volume, was read in another way than it is stored."""
    for note in volume.description.notes if volume.description else ():
        echo(f"note: {display_name(path)}: {note}", err=True)


@contextmanager
def _naming_the_option() -> Iterator[None]:
    try:
        yield
    except AmbiguousLabels as error:
        options = " or ".join(f"--convention {reading}" for reading in error.readings)
        raise UserError(f"{str(error).removesuffix('.')}: add {options}.") from None
    except UnknownLabels as error:
        if error.looks_like is None:
            raise
        option = f"--convention {error.looks_like}"
        raise UserError(str(error).replace(f"the convention '{error.looks_like}'", option)) from None


def checked_range(
    chosen: tuple[int, int] | None, image: np.ndarray, path: Location, flag: str = "--slices"
) -> tuple[int, int]:
    """Return the half-open range of slices that `flag` asks for, checked, with usable grey values.

    Raises
    ------
    UserError
        Naming the file and the option.
    """
    first, end = check_range(chosen, len(image), f"{flag} of {display_name(path)}")
    check_image(image, display_name(path), range(first, end))
    return first, end


def refuse_other_output(output: Path, software: str) -> None:
    """Raise `UserError` if there is a file that this command did not write."""
    try:
        is_own = not output.exists() or read_description(output).get("software") == software
    except UserError:  # it is not a TIFF file, or it is damaged
        is_own = False
    if not is_own:
        command = software.replace("emseg-napari", "emseg")
        raise UserError(
            f"{output} exists and was not written by {command}; choose another name, or remove it first."
        )


def check_tiff_place(output: Location) -> Path:
    """Return the path of a TIFF file; raise `UserError` at once if it could not be written at the end."""
    output = local_path(output)
    if output.suffix.lower() not in TIFF_SUFFIXES:
        raise UserError(f"{output} is not a TIFF name; let the name end in .tif, or in .zarr.")
    if output.is_dir():
        raise UserError(f"{output} is a folder, so no file can be written there; choose another name.")
    if not output.parent.is_dir():
        raise UserError(f"{output} cannot be written: {output.parent} is not a folder; make it first.")
    if (volume := container_of(output.parent)) is not None and not webknossos_root(output.parent):
        raise UserError(f"{output} would be written into the volume {volume}; choose another place.")
    writable_folder(output.parent)
    return output
