"""Draws the packages and their imports in docs/architecture.md.

Run it in the checkout: ``python docs/make_package_picture.py``.
"""

import tomllib
from pathlib import Path

import grimp

CHECKOUT = Path(__file__).parents[1]
PAGE = CHECKOUT / "docs" / "architecture.md"
PACKAGE = "emseg_napari"
BEGIN, END = "<!-- packages: begin -->\n```text\n", "```\n<!-- packages: end -->\n"


def layers() -> list[list[str]]:
    """The packages of each layer, the highest first, as pyproject.toml states them."""
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    stated = next(one["layers"] for one in contracts if one.get("containers") == [PACKAGE])
    rows = [[name.strip("() ") for name in row.split("|")] for row in stated]
    return [[name for name in row if name != "__main__"] for row in rows if row != ["__main__"]]


def arrows() -> set[tuple[str, str]]:
    """Which package imports which other one, in any module, in functions and for types only included."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    pairs = (
        (_package(module), _package(imported))
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    )
    return {pair for pair in pairs if pair[0] != pair[1] and not {"", "__main__"}.intersection(pair)}


def _package(module: str) -> str:
    return module.removeprefix(PACKAGE).lstrip(".").split(".")[0]


def picture() -> str:
    """One line a package: its name and what it imports; a rule between two layers."""
    rows, found = layers(), arrows()
    order = [name for row in rows for name in row]
    width = max(map(len, order))
    blocks = [
        "".join(_line(name, [other for other in order if (name, other) in found], width) for name in row)
        for row in rows
    ]
    return ("-" * (width + 4) + "\n").join(blocks)


def _line(name: str, imported: list[str], width: int) -> str:
    return f"{name:<{width}} -> {', '.join(imported) or '(nothing)'}\n"


def drawn_into(page: str) -> str:
    """The page with the picture as it is now."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + picture() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(drawn_into(PAGE.read_text("utf-8")), "utf-8")
