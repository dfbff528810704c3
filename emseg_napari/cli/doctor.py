"""``emseg doctor``: what is installed here, whether it works, and what to do about what does not."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import Annotated, Any

import typer

from emseg_napari.cli.guard import guarded
from emseg_napari.cli.inputs import JsonOption, parsed_path
from emseg_napari.cli.reporting import quiet_libraries
from emseg_napari.cli.streams import echo
from emseg_napari.doctor.checks import checks
from emseg_napari.doctor.finding import Finding

_WIDTH = 80
_NAME = 17
_TITLES = {"note": "Notes", "problem": "Problems"}


@guarded
def doctor(
    as_json: JsonOption = False,
    runs: Annotated[
        Any,
        typer.Option(
            parser=parsed_path, metavar="FOLDER", help="Where runs are written; ~/emseg-runs when not given."
        ),
    ] = None,
) -> None:
    """Check this installation and say what to do where it fails."""
    found: list[Finding] = []
    with quiet_libraries():
        for title, check in checks(runs).items():
            if not as_json:
                echo(title)
            for finding in check():
                found.append(finding)
                if not as_json:
                    echo(_line(finding))
    echo(json.dumps({"findings": [asdict(one) for one in found]}) if as_json else _summary(found))
    raise typer.Exit(int(any(one.state == "problem" for one in found)))


def _line(finding: Finding) -> str:
    head = f"  {finding.state:<8} {finding.name:<{_NAME}} "
    return textwrap.fill(
        finding.value, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )


def _summary(found: list[Finding]) -> str:
    """Return what to do, problems last."""
    lines = []
    for state, title in _TITLES.items():
        if chosen := [one for one in found if one.state == state]:
            lines += ["", title, *map(_advice, chosen)]
    if not any(one.state == "problem" for one in found):
        lines += ["", "No problem was found."]
    return "\n".join(lines)


def _advice(finding: Finding) -> str:
    return textwrap.fill(
        f"{finding.name}: {finding.advice}",
        _WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_on_hyphens=False,
        break_long_words=False,
    )
