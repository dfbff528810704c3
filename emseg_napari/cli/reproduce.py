"""``emseg reproduce``: make an output again from its record, and compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Annotated, Any

import typer

from emseg_napari.cli.completion import runs
from emseg_napari.cli.guard import FAULT, Stopped, guarded
from emseg_napari.cli.inputs import JsonOption, parsed_location, parsed_path, parsed_run
from emseg_napari.cli.reporting import show_result
from emseg_napari.cli.reproduction import Places, Recipe
from emseg_napari.cli.streams import echo
from emseg_napari.core import files
from emseg_napari.core.jobs import UserError
from emseg_napari.core.text import counted
from emseg_napari.io.address import Address, Location
from emseg_napari.io.compare import Comparison, PartDifference
from emseg_napari.io.decode import TIFF_SUFFIXES
from emseg_napari.io.export import RECORD, export_record
from emseg_napari.io.records import PREDICT_SOFTWARE, SEGMENT_SOFTWARE, record_of_path
from emseg_napari.models.run import is_run

_RECORD_FILES = (RECORD, "run.json", "settings.json", "zarr.json")
_LISTED = 10


def _place(what: str, parser: Callable[[str], Any] = parsed_location, complete: Any = None) -> Any:
    told = f"Where {what} lies now; where the record says when not given."
    return typer.Option(parser=parser, metavar="PATH", help=told, autocompletion=complete)


@guarded
def reproduce(
    output: Annotated[
        Any,
        typer.Argument(
            parser=parsed_location,
            metavar="RECORD",
            help="Prediction, cells, export or run folder; or the file in it that is its record.",
        ),
    ],
    image: Annotated[Any, _place("the image")] = None,
    labels: Annotated[Any, _place("the labels file")] = None,
    probability: Annotated[Any, _place("the probability that was divided into cells")] = None,
    run: Annotated[
        Path | None,
        _place("the run that predicted, or from which a training started", parsed_run, runs),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--output",
            parser=parsed_path,
            metavar="PATH",
            help="Keep what is made again there; it is removed after the comparison when not given.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an output again from its record and compare the bytes.

    The output itself stays as it is. Exit code 1 if the bytes differ.
    """
    path = _of_record(output)
    recipe = _recipe(path, Places(image, labels, probability, run))
    for note in recipe.notes:
        echo(f"note: {note}", err=True)
    with _new(path, keep) as target:
        try:
            recipe.make(target)
        except (Stopped, KeyboardInterrupt):
            raise Stopped("Stopped; nothing was compared.") from None
        found = recipe.compare(target)
    lines = _lines(path, recipe, found, keep)
    show_result("\n".join(lines), _figures(path, recipe, found, keep), as_json)
    if found.differences:
        raise typer.Exit(FAULT)


def _of_record(path: Location) -> Location:
    """Return the output of which a path is the record."""
    if isinstance(path, Address):
        return path
    if path.is_file() and path.name in _RECORD_FILES:
        return path.parent
    if path.suffix != ".json" or not path.is_file():
        return path
    labels = (
        one for one in path.parent.glob(f"{escape(path.stem)}.*") if one.suffix.lower() in TIFF_SUFFIXES
    )
    return next(labels, path)


def _recipe(path: Location, places: Places) -> Recipe:
    if isinstance(path, Path) and not path.exists():
        raise UserError(f"{path} does not exist; check the name.")
    if isinstance(path, Path) and is_run(path):
        from emseg_napari.cli.reproduce_training import training_recipe

        return training_recipe(path, places)
    if isinstance(path, Path) and (record := export_record(_export_file(path))):
        from emseg_napari.cli.reproduce_training import export_recipe

        return export_recipe(path, record, places)
    from emseg_napari.cli.reproduce_prediction import cells_recipe, prediction_recipe

    record = record_of_path(path)
    recipes = {PREDICT_SOFTWARE: prediction_recipe, SEGMENT_SOFTWARE: cells_recipe}
    if record.get("software") not in recipes:
        raise UserError(
            f"{path} has no record of how it was made; choose what 'emseg predict', 'segment', 'export' or "
            "'train' wrote."
        )
    return recipes[record["software"]](path, record, places)


def _export_file(path: Path) -> Path:
    return path / RECORD if path.is_dir() else path.with_suffix(".json")


@contextmanager
def _new(path: Location, keep: Path | None) -> Iterator[Path]:
    """Give where the output is made again: where it is kept, or in a folder that goes at the end."""
    if keep is not None:
        _check_place(path, keep)
        yield keep
        return
    folder = files.beside(path.resolve() if isinstance(path, Path) else Path.cwd() / path.name)
    files.writable_folder(folder)
    try:
        yield folder / path.name
    finally:
        files.remove(folder)


def _check_place(path: Location, keep: Path) -> None:
    """Refuse a place that is taken or in the output itself, and one of a file for a folder or the reverse."""
    if keep.exists():
        raise UserError(f"{keep} is there already; choose a new name for --output.")
    if isinstance(path, Path) and keep.resolve().is_relative_to(path.resolve()):
        raise UserError(f"{keep} lies in {path}, which would be changed; choose another --output.")
    is_file = isinstance(path, Path) and path.is_file()
    if is_file != (keep.suffix.lower() in TIFF_SUFFIXES):
        kind, advice = ("TIFF file", "that ends") if is_file else ("folder", "that does not end")
        raise UserError(
            f"{path} is a {kind}, so what is made again is one, too; choose a name {advice} in .tif."
        )


def _lines(path: Location, recipe: Recipe, found: Comparison, keep: Path | None) -> Iterator[str]:
    if not found.differences:
        yield f"{path} was made again: the bytes agree ({found.compared})."
    else:
        yield f"{path} was made again: the bytes differ (of {found.compared}):"
        yield from (f"  {_clause(one)}" for one in found.differences[:_LISTED])
        if len(found.differences) > _LISTED:
            yield f"  and {len(found.differences) - _LISTED} more; --json lists all"
    if recipe.changes:
        expected = "so other bytes are to be expected: " if found.differences else ""
        yield f"since then, {expected}{'; '.join(recipe.changes)}"
    if keep is not None:
        yield f"kept: {keep}"


def _clause(one: PartDifference) -> str:
    if one.largest is None:
        return f"{one.part}: is another"
    return f"{one.part}: {counted(one.count, 'value')}, by at most {one.largest:.6g}"


def _figures(path: Location, recipe: Recipe, found: Comparison, keep: Path | None) -> dict[str, Any]:
    return {
        "output": str(path),
        "made": recipe.what,
        "agrees": not found.differences,
        "compared": found.compared,
        "differences": [
            {
                "part": one.part,
                "values": one.count,
                "largest": one.largest,
            }
            for one in found.differences
        ],
        "changes": list(recipe.changes),
        "notes": list(recipe.notes),
        "kept": None if keep is None else str(keep),
    }
