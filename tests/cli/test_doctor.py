"""`emseg doctor`: what it prints, and its exit code."""

import json
import sys

import pytest
from typer.testing import CliRunner

from emseg_napari.cli import app
from emseg_napari.doctor.finding import Finding, note, problem

FINE = Finding("memory", "a value of so many words that it does not fit into one line of eighty columns")
SLOW = note("OpenGL", "llvmpipe", "The processor draws.", "Install a driver.")
BROKEN = problem("Qt", "does not start", "Libraries are missing: libGL.so.1.", "Install them: " + "apt " * 30)


@pytest.fixture
def doctor(monkeypatch):
    """Run the command where it finds this."""

    def run(found, *words):
        monkeypatch.setattr(
            sys.modules["emseg_napari.cli.doctor"], "checks", lambda runs: {"A group": lambda: iter(found)}
        )
        return CliRunner().invoke(app, ["doctor", *words])

    return run


def test_problems_come_last_with_what_to_do(doctor):
    done = doctor([BROKEN, FINE, SLOW])
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "A group"
    assert lines[1].split() == ["problem", "Qt", "does", "not", "start"]
    assert "- OpenGL: The processor draws. Install a driver." in lines
    assert lines.index("Notes") < lines.index("Problems")
    assert "- Qt: Libraries are missing: libGL.so.1. Install them: apt apt" in done.stdout


def test_without_a_problem_the_exit_code_is_0(doctor):
    done = doctor([FINE, SLOW])
    assert done.exit_code == 0
    assert done.stdout.endswith("\nNo problem was found.\n")


def test_json_is_one_object_with_all_findings(doctor):
    done = doctor([FINE, BROKEN], "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)["findings"]
    assert [one["state"] for one in told] == ["ok", "problem"]
    assert set(told[0]) == {"name", "value", "state", "sentence", "action"}


def test_the_issue_template_asks_for_it():
    from helpers.paths import CHECKOUT

    template = (CHECKOUT / ".github" / "ISSUE_TEMPLATE" / "bug_report.yml").read_text("utf-8")
    assert "`emseg doctor`" in template
