"""What the package imports is what pyproject.toml declares."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from helpers.paths import CHECKOUT

# Declared, but never imported by name: what needs them imports them.
_INDIRECT = {
    "bokeh",  # the dashboard of Dask
    "npe2",  # napari: it reads napari.yaml
}


def imported_modules() -> set[str]:
    trees = (ast.parse(path.read_text("utf-8")) for path in (CHECKOUT / "emseg_napari").rglob("*.py"))
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"emseg_napari"}


def imported_distributions() -> dict[str, set[str]]:
    distributions = packages_distributions()
    return {module: {normal(name) for name in distributions[module]} for module in imported_modules()}


def declared_distributions(*extras: str) -> set[str]:
    """The packages of the base installation, with some extras."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    stated = sum((project["optional-dependencies"][extra] for extra in extras), project["dependencies"])
    return {normal(re.match(r"[\w.-]+", one)[0]) for one in stated}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_declared():
    declared = declared_distributions("cluster")
    missing = {module for module, names in imported_distributions().items() if not names & declared}
    assert not missing


def test_every_declared_dependency_is_used():
    used = set().union(*imported_distributions().values())
    assert declared_distributions("cluster") - used == _INDIRECT


def test_a_module_that_an_extra_brings_is_declared_in_that_extra():
    calls = [
        [argument.value for argument in node.args]
        for path in (CHECKOUT / "emseg_napari").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_extra"
    ]
    assert {extra for _, extra, _ in calls} >= {"stores", "trees"}
    for module, extra, _ in calls:
        names = {normal(name) for name in packages_distributions()[module.partition(".")[0]]}
        assert names & (declared_distributions(extra) - declared_distributions())


def test_every_extra_that_a_text_names_is_declared():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]
    named = {name for path in texts for name in re.findall(r"emseg-napari\[(\w+)\]", path.read_text("utf-8"))}
    assert named >= {"stores", "all"}
    assert not named - project["optional-dependencies"].keys()
