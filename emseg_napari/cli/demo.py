"""``emseg demo``: open the window with something to try."""

from __future__ import annotations

import os
import subprocess
from typing import Annotated, Any

import typer

from emseg_napari.cli.guard import guarded
from emseg_napari.cli.inputs import parsed_location
from emseg_napari.core import child
from emseg_napari.core.jobs import UserError
from emseg_napari.doctor.checks import obstacle
from emseg_napari.io.address import Address


@guarded
def demo(
    path: Annotated[
        Any,
        typer.Argument(
            parser=parsed_location,
            metavar="SESSION_OR_STACK",
            help="What to open; the sample when not given.",
        ),
    ] = None,
) -> None:
    """Open napari with the sample, a session or a stack."""
    if isinstance(path, Address):
        raise UserError(f"{path} is an address; open it in the window: Menu > Open an address...")
    if path is not None and not path.exists():
        raise UserError(f"{path} does not exist; check the name, or leave it out to open the sample.")
    if (reason := obstacle()) is not None:  # Qt would end the process, or napari show a traceback
        raise UserError(f"{reason.advice} 'emseg doctor' says more.")
    # A process of its own: the command line never imports napari.
    words = child.command("emseg_napari.widgets.demo", *([str(path)] if path else []))
    raise typer.Exit(subprocess.run(words, env=os.environ | child.module_path(), check=False).returncode)
