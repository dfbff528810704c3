"""The checks are the same wherever they run: .ci/test, before a commit, on GitHub."""

import re
import tomllib

import pytest
import yaml

from helpers.paths import CHECKOUT

GITHUB = CHECKOUT / ".github"
SCRIPT = (CHECKOUT / ".ci" / "test").read_text("utf-8")
CHECKS = [f"{name}{rest}" for name, rest in re.findall(r'^"\$BIN/([\w-]+)"(.*)$', SCRIPT, re.MULTILINE)]
CHECKS = [check for check in CHECKS if not check.startswith("python ")]
PYTHONS = ["3.11", "3.12", "3.13"]
BINDINGS = ["pyqt5", "pyqt6", "pyside6"]


def read(path):
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def jobs():
    return read(GITHUB / "workflows" / "test.yml")["jobs"]


def commands(job) -> list[str]:
    return [line.strip() for step in job["steps"] for line in step.get("run", "").splitlines()]


def test_the_script_runs_four_checks():
    assert CHECKS == ["ruff check .", "ruff format --check .", "mypy", "lint-imports --no-logo"]


def test_the_checks_before_a_commit_are_those_of_the_script():
    (local,) = read(CHECKOUT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == CHECKS
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        assert hook["pass_filenames"] is False  # all files, as the script


def test_the_checks_on_github_are_those_of_the_script(jobs):
    assert [command for command in commands(jobs["lint"]) if "pip install" not in command] == CHECKS


def test_every_system_meets_every_python_and_every_binding_that_it_has(jobs):
    rows = [
        (row["os"].split("-")[0], row["python"], row["qt"])
        for row in jobs["test"]["strategy"]["matrix"]["include"]
    ]
    assert len(set(rows)) == len(rows)
    systems = {"ubuntu", "windows", "macos"}
    assert {(os, python) for os, python, _ in rows} == {(os, python) for os in systems for python in PYTHONS}
    missing = {(os, qt) for os in systems for qt in BINDINGS} - {(os, qt) for os, _, qt in rows}
    assert missing == {("macos", "pyqt5")}
    # PyQt5 is tested with two Pythons only, since macOS does not have it; PySide6 needs 3.12
    assert {(python, qt) for _, python, qt in rows} | {("3.13", "pyqt5"), ("3.11", "pyside6")} == {
        (python, qt) for python in PYTHONS for qt in BINDINGS
    }


def test_pythons_and_bindings_are_those_of_the_package():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    stated = re.findall(r"Python :: (3\.\d+)'", str(project["classifiers"]))
    assert stated == PYTHONS
    assert set(BINDINGS) <= set(project["optional-dependencies"])


def test_tests_install_the_versions_that_are_known_to_work(jobs):
    installs = [command for job in jobs.values() for command in commands(job) if "pip install" in command]
    assert len(installs) == 4
    assert all("-c constraints.txt" in command for command in installs)


def test_the_system_packages_on_github_are_read_from_the_setup_script(jobs):
    (command,) = [command for command in commands(jobs["test"]) if "apt-get install" in command]
    assert "'/^SYSTEM_PACKAGES=(/,/^)/p' .ci/setup" in command
    listed = re.search(
        r"^SYSTEM_PACKAGES=\((.*?)^\)", (CHECKOUT / ".ci" / "setup").read_text("utf-8"), re.S | re.M
    )[1]
    assert "xvfb" in listed.split()
    assert not [
        line for line in listed.splitlines() if re.search(r"[()]|\w.*#", line)
    ]  # or the command drops it


def test_jobs_have_what_github_demands(jobs):
    for job in jobs.values():
        assert {"runs-on", "steps"} <= job.keys()
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)


@pytest.mark.parametrize(
    "path", [p for p in GITHUB.glob("ISSUE_TEMPLATE/*.yml") if p.stem != "config"], ids=lambda p: p.stem
)
def test_forms_for_issues_have_what_github_demands(path):
    form = read(path)
    assert {"name", "description", "body"} <= form.keys()
    names = [field["id"] for field in form["body"]]
    assert len(set(names)) == len(names)
    for field in form["body"]:
        assert field["type"] in ("textarea", "input", "dropdown", "checkboxes", "markdown")
        assert field["attributes"]["label"]


def test_a_bug_report_asks_for_version_files_and_log():
    body = {
        field["id"]: field["attributes"]
        for field in read(GITHUB / "ISSUE_TEMPLATE" / "bug_report.yml")["body"]
    }
    assert {"version", "files", "log"} <= body.keys()
    assert "emseg info" in body["version"]["description"]
