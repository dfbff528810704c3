"""``emseg model``: networks that come and go, as bioimage.io packages, Keras and ONNX files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from emseg_napari.cli.guard import Commands, Stopped, guarded
from emseg_napari.cli.help import Command
from emseg_napari.cli.info import run_figures, run_lines
from emseg_napari.cli.inputs import JsonOption, RunArgument, parsed_path
from emseg_napari.cli.reporting import job_context, quiet_libraries, show_result
from emseg_napari.core.jobs import Cancelled, JobContext, UserError
from emseg_napari.core.text import counted
from emseg_napari.exchange.answers import Activation, Meaning
from emseg_napari.exchange.credits import Citation, Licence
from emseg_napari.models.run import is_run, is_starter, open_run
from emseg_napari.models.run_list import ListedRun, recent_runs, shipped_runs, usual_runs_folder

model = typer.Typer(
    cls=Commands,
    help="Networks as bioimage.io packages, .keras and .onnx files.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FileArgument = Annotated[
    Path,
    typer.Argument(
        parser=parsed_path,
        metavar="FILE",
        help="A bioimage.io package (.zip or its folder), a .keras or a .onnx file.",
    ),
]
PixelOption = Annotated[
    float | None,
    typer.Option("--pixel-nm", min=0.01, help="Side of a pixel of its training images in nm."),
]
_OPTIONS = {
    "normalisation": "--normalisation",
    "channel": "--channel",
    "channel_is": "--channel-is",
    "activation": "--activation",
}


@model.command("export", cls=Command)
@guarded
def export_run(
    run: RunArgument,
    output: Annotated[Path, typer.Option(parser=parsed_path, metavar="ZIP", help="Package to write.")],
    author: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Author; once for each. Remembered.")
    ] = None,
    licence: Annotated[
        Licence | None,
        typer.Option("--license", metavar="NAME", help=f"Remembered. One of {', '.join(get_args(Licence))}."),
    ] = None,
    cite: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT@DOI", help="Work to cite, with a DOI or an address behind @."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the network; else that of the run.")] = None,
    pixel_nm: PixelOption = None,
    training_data: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it was trained on, with an address or DOI.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run as a bioimage.io package."""
    from emseg_napari.exchange.credits import credits_of, remember
    from emseg_napari.exchange.export import check_exportable, export_package

    opened = open_run(run)
    check_exportable(opened)
    credits = credits_of(opened, author or [], licence, [_citation(text) for text in cite or []])
    with _working() as context:
        export_package(
            opened,
            output,
            credits,
            name=name,
            pixel_nm=pixel_nm,
            training_data=training_data,
            context=context,
        )
    if not is_starter(opened.folder) and opened.record.imported is None:
        remember(credits)
    figures = {"output": str(output), "run": str(opened.folder), **credits.model_dump(exclude_none=True)}
    whose = f"{opened.folder.name} by {', '.join(credits.authors)}, {credits.licence}"
    unknown = "" if pixel_nm else "; it states no pixel size (--pixel-nm)"
    show_result(f"{output}: a bioimage.io package of {whose}{unknown}", figures, as_json)


def _citation(text: str) -> Citation:
    words, _, where = text.rpartition("@")
    where = where.removeprefix("https://doi.org/").removeprefix("doi:").strip()
    if not words.strip() or not where:
        raise UserError(f"--cite {text!r} has no DOI or address; write TEXT@DOI or TEXT@https://...")
    return Citation(text=words.strip(), **{"url" if "://" in where else "doi": where})


@model.command("import", cls=Command)
@guarded
def import_file(
    file: FileArgument,
    output: Annotated[Path, typer.Option(parser=parsed_path, metavar="RUN", help="Run folder to write.")],
    normalisation: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="none, standard (mean 0, deviation 1), range[:1:99.8] (percentiles become 0 and 1), "
            "median (as emseg), or fixed:127:50 (127 becomes 0, 177 becomes 1).",
        ),
    ] = None,
    channel: Annotated[int | None, typer.Option(min=0, help="Channel of its output, from 0.")] = None,
    channel_is: Annotated[Meaning | None, typer.Option(help="What large values in it mean.")] = None,
    activation: Annotated[
        Activation | None, typer.Option(help="What makes probabilities of its output.")
    ] = None,
    pixel_nm: PixelOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import a network as a run; nothing in its file runs code."""
    from emseg_napari.exchange.answers import Answers
    from emseg_napari.exchange.importing import Unanswered, import_network

    answers = Answers(
        normalisation=normalisation,
        channel=channel,
        channel_is=channel_is,
        activation=activation,
        pixel_nm=pixel_nm,
    )
    try:
        with _working() as context:
            run = import_network(file, output, answers, context)
    except Unanswered as error:
        options = ", ".join(_OPTIONS[name] for name in error.unanswered)
        raise UserError(f"{str(error).rstrip('.')}; say it with {options}.") from None
    imported = run.record.imported
    assert imported is not None
    use = "predict and train --from" if run.best_checkpoint.is_file() else "predict"
    show_result(
        f"{run.folder}: {imported.title}, for {use}",
        {"run": str(run.folder), "trainable": run.best_checkpoint.is_file(), **imported.model_dump()},
        as_json,
    )


@contextmanager
def _working() -> Iterator[JobContext]:
    """Give the context of a job, and put its end by Ctrl+C into a sentence."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet_libraries() as stream, job_context(stream) as context:
            yield context
    except (Cancelled, KeyboardInterrupt):
        raise Stopped("Stopped; nothing was written.") from None


@model.command("list", cls=Command)
@guarded
def list_networks(
    folder: Annotated[
        Path | None,
        typer.Argument(
            parser=parsed_path, metavar="[FOLDER]", help="Folder of runs; ~/emseg-runs when not given."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the starter and the newest runs."""
    listed = [*shipped_runs(), *recent_runs(folder or usual_runs_folder())]
    show_result("\n".join(map(_line, listed)), {"networks": [_listed(one) for one in listed]}, as_json)


def _listed(one: ListedRun) -> dict[str, Any]:
    run = one.run
    return {
        "folder": str(one.folder),
        "network": run.settings.network if run else None,
        "accuracy": run.record.kept_accuracy if run else None,
        "imported": run.record.imported.title if run and run.record.imported else None,
        "trainable": bool(run and run.best_checkpoint.is_file()),
        "shipped": one.is_shipped,
        "problem": one.problem,
    }


def _line(one: ListedRun) -> str:
    name = one.folder.name if one.is_shipped else str(one.folder)
    if one.run is None or one.problem:
        return f"{name}: {one.problem}"
    record = one.run.record
    parts = [
        one.run.settings.network,
        f"imported: {record.imported.title}" if record.imported else "",
        "" if record.kept_accuracy is None else f"accuracy {record.kept_accuracy:.2%}",
        counted(len(record.trained_slices), "trained slice") if record.trained_slices else "",
    ]
    return f"{name}: {', '.join(filter(None, parts))}"


@model.command("info", cls=Command)
@guarded
def about(
    what: Annotated[
        Path,
        typer.Argument(parser=parsed_path, metavar="RUN|FILE", help="Run folder, 'starter', or a package."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Print what a network is, and who made it."""
    if is_starter(what) or is_run(what):
        run = open_run(what)
        figures = run_figures(run)
        show_result("\n".join(run_lines(run, figures)), figures, as_json)
        return
    from emseg_napari.exchange.source import OwnPackage, read_source

    source = read_source(what)
    imported = source.imported
    missing = [] if isinstance(source, OwnPackage) else source.known.missing
    figures = imported.model_dump(exclude={"answers", "grid_px", "why_no_training"}) | {"asked": missing}
    show_result("\n".join(_source_lines(figures, imported.title)), figures, as_json)


def _source_lines(figures: dict[str, Any], title: str) -> list[str]:
    lines = [f"{figures['file']}: {title}, {figures['weights']} weights"]
    lines += [f"licence: {figures['licence']}"] if figures["licence"] else []
    lines += [f"cite: {work}" for work in figures["cite"]]
    lines += [f"pixels of {figures['pixel_nm']:g} nm"] if figures["pixel_nm"] else []
    asked = [_OPTIONS[name] for name in figures["asked"]]
    lines += (
        [f"to be answered by import: {', '.join(asked)}"] if asked else ["all that must be known is in it"]
    )
    return [*lines, f"SHA-256 {figures['sha256']}"]
