"""Help that can be read on a terminal: nothing is cut, and every command shows how it is typed."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from emseg_napari.cli import app
from emseg_napari.cli.examples import EXAMPLES

PROGRAM: Any = get_command(app)


def commands(group: Any = PROGRAM, *before: str) -> Iterator[tuple[str, Any]]:
    """Every command by the words that it is called with."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)
        else:
            yield " ".join([*before, name]), command


COMMANDS = dict(commands())


def help_of(name: str, columns: int) -> str:
    done = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": str(columns), "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_list_of_commands_fits_a_screen_and_cuts_no_sentence() -> None:
    lines = help_of("", 80).splitlines()
    assert len(lines) <= 23  # a line is left for the prompt
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.endswith("...") and "Usage:" not in line] == []
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= set(PROGRAM.commands)


def test_the_list_of_commands_names_the_exit_codes() -> None:
    assert "0 done, 1 a part failed, 2 a mistake to correct, 130 Ctrl+C" in help_of("", 80)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_options_name_is_cut(name: str, columns: int) -> None:
    shown = help_of(name, columns)
    options = {flag for one in COMMANDS[name].params for flag in (*one.opts, *one.secondary_opts)}
    flags = {flag for flag in options if flag.startswith("-")}
    assert flags <= {word.strip(",") for word in shown.split()}
    assert "…" not in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_two_examples_as_they_are_typed(name: str) -> None:
    lines = help_of(name, 80).splitlines()
    examples = EXAMPLES[name]
    assert len(examples) == 2
    assert lines[-3:] == ["Examples:", *(f"  {example}" for example in examples)]
    assert max(map(len, lines[-2:])) <= 80


@pytest.mark.parametrize("example", [one for both in EXAMPLES.values() for one in both])
def test_examples_are_accepted(example: str) -> None:
    name = next(name for name in COMMANDS if f"{example} ".startswith(f"emseg {name} "))
    words = shlex.split(example.removeprefix(f"emseg {name}"))
    COMMANDS[name].make_context(name, words)  # an error of usage would be raised


def test_common_options_come_before_the_advanced_ones() -> None:
    shown = help_of("train", 80)
    places = [shown.index(f"\n  {flag} ") for flag in ("--output", "--minutes", "--beta-2")]
    assert places == sorted(places)
    assert places[1] < shown.index("\nAdvanced:\n") < places[2]
