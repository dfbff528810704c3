"""docs/architecture.md and the other pages say what the code is: packages, files and names."""

import ast
import re
import runpy
from functools import cache
from pathlib import Path

import pytest

from helpers.paths import CHECKOUT

PACKAGE = CHECKOUT / "emseg_napari"
PAGES = sorted([*CHECKOUT.glob("docs/**/*.md"), CHECKOUT / "CONTRIBUTING.md", CHECKOUT / "README.md"])
BY_NAME = [page for page in PAGES if page.name in ("architecture.md", "CONTRIBUTING.md")]


def in_backticks(page: Path) -> set[str]:
    """What a page writes as code in its sentences and tables."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([^`\n]+)`", text))


@cache
def names() -> set[str]:
    """Every name in the package, such as ``io.open.open_volume`` and ``models.run.Run.update``."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        found.add(module)
        found.update(f"{module}.{name}" for name in defined_in(ast.parse(path.read_text("utf-8"))))
    return found


def defined_in(body: ast.Module | ast.ClassDef) -> set[str]:
    """The names that a module or class binds, those of its classes behind a dot."""
    found = set()
    for node in body.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}.{name}" for name in defined_in(node))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(
                name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            )
    return found


def is_path(text: str) -> bool:
    """Say whether it is written as a path here: a Python file, or below a folder that exists."""
    first = text.split("/")[0]
    known = "/" in text and first and ((CHECKOUT / first).is_dir() or (PACKAGE / first).is_dir())
    return bool(re.fullmatch(r"[\w./-]+", text)) and (text.endswith(".py") or bool(known))


def is_dotted(text: str) -> bool:
    """Say whether it is written as a name in a package or module of this one."""
    parts = text.removesuffix("()").removeprefix("emseg_napari.").split(".")
    here = (PACKAGE / parts[0]).is_dir() or (PACKAGE / f"{parts[0]}.py").is_file()
    is_file = parts[-1] in ("py", "json")
    return here and len(parts) > 1 and not is_file and all(part.isidentifier() for part in parts)


def is_class_or_function(text: str) -> bool:
    """Say whether it is written as a class, ``RunRecord``, or as a function, ``open_run()``."""
    return bool(re.fullmatch(r"[A-Z]\w*[a-z]\w*(\.\w+)?|\w+\(\)", text))


def test_the_picture_of_the_packages_is_that_of_the_code():
    drawn_into = runpy.run_path(str(CHECKOUT / "docs" / "make_package_picture.py"))["drawn_into"]
    page = (CHECKOUT / "docs" / "architecture.md").read_text("utf-8")
    assert page == drawn_into(page), "imports have changed; run: python docs/make_package_picture.py"


def test_the_picture_shows_every_package_and_the_lines_of_imports():
    script = runpy.run_path(str(CHECKOUT / "docs" / "make_package_picture.py"))
    lines = dict(line.split(" -> ") for line in script["picture"]().splitlines() if " -> " in line)
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name.strip() for name in lines} == folders | {"api"}
    # read from the source, as a second witness
    imports = {
        name
        for path in (PACKAGE / "engine").rglob("*.py")
        for name in re.findall(r"^\s*from emseg_napari\.(\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert set(
        next(text for name, text in lines.items() if name.strip() == "engine").split(", ")
    ) == imports - {"engine"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page):
    paths = filter(is_path, in_backticks(page))
    assert [path for path in paths if not any((root / path).exists() for root in (CHECKOUT, PACKAGE))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_dotted_names_of_a_page_exist(page):
    dotted = filter(is_dotted, in_backticks(page))
    assert [n for n in dotted if n.removesuffix("()").removeprefix("emseg_napari.") not in names()] == []


@pytest.mark.parametrize("page", BY_NAME, ids=lambda page: page.name)
def test_the_classes_and_functions_of_a_page_exist(page):
    ends = {".".join(name.split(".")[-n:]) for name in names() for n in (1, 2)}
    found = filter(is_class_or_function, in_backticks(page))
    assert [name for name in found if name.removesuffix("()") not in ends] == []


@pytest.mark.parametrize("text", ["training/fit.py", "models/nothing", "docs/none.md"])
def test_a_path_that_is_not_there_would_be_found(text):
    assert is_path(text)
    assert not (PACKAGE / text).exists()


def test_names_are_distinguished_from_other_words():
    assert is_dotted("io.open.open_volume")
    assert is_dotted("emseg_napari.io.open")
    assert not is_dotted("run.json")
    assert not is_dotted("emseg info")
    assert {"io.open.open_volume", "models.run.Run.update", "core.blockwise.run_blocks"} <= names()
    assert "io.open.open_nothing" not in names()
    assert is_class_or_function("RunRecord")
    assert not is_class_or_function("RUN")
