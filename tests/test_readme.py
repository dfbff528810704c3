"""README and the pages in docs/: the example runs, the links lead somewhere, the commands exist."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from emseg_napari.cli import app
from helpers.paths import CHECKOUT

README = (CHECKOUT / "README.md").read_text("utf-8")
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])
HOME = "https://github.com/emseg/emseg-napari/blob/main/"
RAW = "https://raw.githubusercontent.com/emseg/emseg-napari/main/"
BLOCKS = re.compile(r"^ *```[\s\S]*?^ *```|(?:^    [^\n]*\n)+", re.MULTILINE)  # fenced, or indented


def options_of(command: Any) -> set[str]:
    """The options of a command; of a group those of all its commands."""
    parts = getattr(command, "commands", {}).values()
    own = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    return {"--help"} | own.union(*map(options_of, parts))


OPTIONS = {name: options_of(command) for name, command in get_command(app).commands.items()}


def links(page: Path) -> list[str]:
    """The addresses of a page's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> Iterator[tuple[str, set[str]]]:
    """Each ``emseg COMMAND`` of a page, in sentences and blocks, with the options that are given with it."""
    text = page.read_text("utf-8")
    blocks = BLOCKS.findall(text)
    for code in [*blocks, *re.findall(r"`([^`\n]+)`", BLOCKS.sub("", text))]:
        for part in re.split(r"(?<![\w/.-])(?=emseg [a-z])", code)[1:]:
            command = part.split()[1].strip("':")
            yield command, set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", part))


@pytest.mark.slow
def test_the_python_example_of_the_readme_runs_in_a_script_without_a_main_guard(tmp_path):
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    shorter = example.replace("minutes=0.5", "epochs=1, steps_per_epoch=4, patch_px=64, batch_size=1")
    assert shorter != example
    check = "\nassert proposal.shape == (8, 384, 384)\nassert set(proposal.ravel()) <= {1, 2}\n"
    check += "import sys\nassert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    (tmp_path / "example.py").write_text(shorter + check, "utf-8")
    command = [sys.executable, "-W", "error", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "phantom-run" / "network.onnx").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_scripts_that_a_page_starts_exist(page):
    found = re.findall(r"(?:\bbash|\bpython) ([\w./-]+\.(?:py|sh)|\.ci/\w+)", page.read_text("utf-8"))
    assert [script for script in found if not (CHECKOUT / script).is_file()] == []


def test_the_two_commands_of_the_readme_exist():
    scripts = re.findall(r"^bash (\S+)", README, re.MULTILINE)
    assert scripts == [".ci/demo", ".ci/test"]
    for script in scripts:
        assert (CHECKOUT / script).is_file()


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 120


def test_the_readme_has_absolute_links_only_since_it_is_shown_elsewhere_too():
    assert [link for link in links(CHECKOUT / "README.md") if not link.startswith("https://")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_the_repository_lead_to_files_and_headings(page):
    for link in links(page):
        inside = link.startswith((HOME, RAW))
        if link.startswith(("http://", "https://")) and not inside:
            continue
        path, _, anchor = link.removeprefix(HOME).removeprefix(RAW).partition("#")
        target = (CHECKOUT if inside else page.parent) / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_of_docs_can_be_reached_from_the_readme():
    reached, waiting = set(), {CHECKOUT / "README.md"}
    while waiting:
        page = waiting.pop()
        reached.add(page)
        targets = {
            CHECKOUT / link.removeprefix(HOME) if link.startswith(HOME) else page.parent / link
            for link in (one.partition("#")[0] for one in links(page))
            if link and (link.startswith(HOME) or "://" not in link)
        }
        waiting |= {target.resolve() for target in targets if target.suffix == ".md"} - reached
    assert set(PAGES) - reached == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_exist_with_their_options(page):
    for command, flags in commands(page):
        assert command in OPTIONS
        assert flags - OPTIONS[command] == set(), command


def test_the_page_of_the_command_line_describes_every_command():
    page = CHECKOUT / "docs" / "command-line.md"
    assert {command for command, _ in commands(page)} - {"COMMAND"} == set(OPTIONS)
    assert set(OPTIONS) <= anchors(page)
    known = set().union(*OPTIONS.values(), *(option.opts for option in get_command(app).params))
    assert set(re.findall(r"`(--[a-z-]+)", page.read_text("utf-8"))) <= known


def test_commands_are_found_where_pages_write_them():
    found = list(commands(CHECKOUT / "docs" / "cluster.md"))
    assert ("predict", {"--output", "--scheduler", "--workers"}) in found
    assert {"predict", "segment"} <= {command for command, _ in found}
    assert ("train", {"--output", "--slices", "--minutes", "--resume", "--from"}) in commands(
        CHECKOUT / "README.md"
    )
