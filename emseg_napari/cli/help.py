"""Help of the commands: plain text in which no option's name is cut, however narrow the terminal.

Rich's tables cut the names that a column has no room for, so that nobody can type them. Here a long name has
a line of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

from emseg_napari.cli.examples import EXAMPLES

EXIT_CODES = "Exit code: 0 done, 1 a part failed, 2 a mistake to correct, 130 Ctrl+C."
# Of help as a whole; and of the names in it, beside which descriptions begin.
WIDTH, _NAMES_WIDTH = 100, 22


class Command(TyperCommand):
    """A command whose help lists options panel by panel, the common ones first, and ends with examples."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is None:
                continue
            is_argument = parameter.param_type_name == "argument"
            usual = "Arguments" if is_argument else "Options"
            panel = getattr(parameter, "rich_help_panel", None) or usual
            # The type of an argument is that of Python, which says less than its name.
            name = record[0].split(" <")[0] if is_argument else record[0]
            panels.setdefault(panel, []).append((name, record[1]))
        for panel, rows in panels.items():
            _write_section(formatter, panel, rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are typed."""
        _, _, name = ctx.command_path.partition(" ")
        _write_lines(formatter, "Examples", EXAMPLES.get(name, ()))


def write_overview(group: Any, ctx: Any, formatter: Any) -> None:
    """Write the help of a group of commands, a line each, so that all of it fits on a screen."""
    formatter.write_usage(ctx.command_path, "COMMAND ...", "Usage: ")
    group.format_help_text(ctx, formatter)
    group.format_commands(ctx, formatter)
    names = [", ".join(option.opts) for option in group.get_params(ctx)]
    lines = [f"'{ctx.command_path} COMMAND --help' shows options and examples.", EXIT_CODES]
    formatter.write_paragraph()
    formatter.write_text(f"Options: {', '.join(names)}")
    for line in lines:
        formatter.write_text(line)


def _write_section(formatter: Any, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows, col_max=_NAMES_WIDTH)


def _write_lines(formatter: Any, title: str, lines: Sequence[str]) -> None:
    if lines:
        with formatter.section(title):
            for line in lines:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
