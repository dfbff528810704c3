"""The command line: one module for each command of ``emseg``; two examples of each are in `cli.examples`.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done; 1 a part could not be done, or a
fault of the program; 2 an error that the user can correct; 130 stopped with Ctrl+C.
"""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from emseg_napari import __version__
from emseg_napari.cli.convert import convert
from emseg_napari.cli.demo import demo
from emseg_napari.cli.doctor import doctor
from emseg_napari.cli.evaluate import evaluate
from emseg_napari.cli.export import export
from emseg_napari.cli.guard import Commands
from emseg_napari.cli.help import WIDTH, Command
from emseg_napari.cli.info import info
from emseg_napari.cli.model import model
from emseg_napari.cli.predict import predict
from emseg_napari.cli.reproduce import reproduce
from emseg_napari.cli.segment import segment
from emseg_napari.cli.streams import echo
from emseg_napari.cli.table import table
from emseg_napari.cli.train import train

app = typer.Typer(
    name="emseg",
    cls=Commands,
    help="Boundary masks from stacks of TEM images. Ranges such as 0:20 are half-open: slices 0 to 19.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)
for _command in (train, predict, segment, evaluate, info, export, convert, table, reproduce, doctor, demo):
    app.command(cls=Command)(_command)
app.add_typer(model, name="model")


def _show_version(wanted: bool) -> None:
    if wanted:
        echo(f"emseg-napari {__version__}")
        raise typer.Exit


@app.callback()
def _emseg(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line of this process."""
    # What tifffile logs of a damaged file, and asyncio of a store that broke off, comes as our own sentence.
    for library in ("tifffile", "asyncio"):
        logging.getLogger(library).addHandler(logging.NullHandler())
    app(prog_name="emseg")
