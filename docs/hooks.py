"""What the site has beside the pages of this folder: pages from elsewhere, and parts made from the code.

A page holds a line such as ``<!-- insert: settings -->`` where such a part goes. Pages are written as GitHub
shows them; what Python-Markdown reads otherwise is translated here.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = Path(__file__).parent
CHECKOUT = DOCS.parent
ELSEWHERE = "https://github.com/emseg/emseg-napari/blob/main/"
# Files outside of this folder, and the pages that they become.
OUTSIDE = {
    "benchmarks/README.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
_INSERT = re.compile(r"^<!-- insert: ([\w-]+)(?: ([\w-]+))? -->$", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()(?![\w+]+:|#)([^)\s#]+)(?=[)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of this folder, and their pictures."""
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, content=(CHECKOUT / path).read_text("utf-8")))
    for picture in (CHECKOUT / "benchmarks").glob("*.png"):
        files.append(File.generated(config, f"benchmarks/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the text of a page as Python-Markdown needs it."""
    name = page.file.src_uri
    origin = {page: path for path, page in OUTSIDE.items()}.get(name, f"docs/{name}")
    linked = _LINK.sub(lambda link: site_link(link[1], origin, name), markdown)
    return _INSERT.sub(lambda line: PARTS[line[1]](*filter(None, [line[2]])), with_plain_lists(linked))


def site_link(link: str, origin: str, page: str) -> str:
    """Return where a link of a file in the repository leads in the site.

    Parameters
    ----------
    link : str
        Relative to the file, without an anchor.
    origin : str
        Path of the file in the repository.
    page : str
        Path of its page in the site.
    """
    target = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    inside = OUTSIDE.get(target, target.removeprefix("docs/"))
    is_copied = target.startswith("docs/") and not target.endswith((".py", ".ipynb"))
    if not (target in OUTSIDE or is_copied or target.endswith(".png")):
        return ELSEWHERE + target
    return posixpath.relpath(inside, posixpath.dirname(page) or ".")


def with_plain_lists(markdown: str) -> str:
    """Return text whose lists begin after an empty line and nest by four spaces: GitHub needs neither."""
    lines, fenced, before = [], False, ""
    for line in markdown.splitlines():
        marks_fence = line.lstrip().startswith("```")
        if not fenced and not marks_fence:
            if re.match(r"(- |\d{1,2}\. )", line) and re.match(r"(?!- |\d{1,2}\. )\S", before):
                lines.append("")
            line = re.sub(r"^ {2,3}(?=\S)", "    ", line)
        fenced ^= marks_fence
        lines.append(line)
        before = line
    return "\n".join(lines)


def settings_tables() -> str:
    """Return a table for each class of settings: names, defaults, limits and descriptions of its fields."""
    from typer.main import get_command

    from emseg_napari import settings
    from emseg_napari.cli import app, options

    commands = get_command(app).commands  # type: ignore[attr-defined]
    groups = [
        ("Train", settings.TrainingSettings, "train"),
        ("Propose", settings.PredictionSettings, "predict"),
        ("Live", settings.LiveSettings, None),
        ("Check", settings.ReviewSettings, None),
        ("Evaluations by command and in Python", settings.EvaluationSettings, "evaluate"),
        ("Cells", settings.CellSettings, "segment"),
        ("Export", settings.ExportSettings, None),
    ]
    parts = []
    for title, group, command in groups:
        flags = {one.name: one.opts[0] for one in commands[command].params} if command else {}
        parts.append(_table(title, group, command, flags, options))
    return "\n\n".join(parts)


def _table(title: str, group: Any, command: str | None, flags: dict[str, str], options: ModuleType) -> str:
    by = f", `emseg {command}`" if command else ""
    rows = [
        [
            field.title,
            f"{_name(name)}<br>{_name(flags[name])}" if name in flags else _name(name),
            options.default_of(group, name),
            options.limits_of(field),
            field.description,
        ]
        for name, field in group.model_fields.items()
    ]
    head = [
        "in the window",
        "in Python<br>option" if flags else "in Python",
        "default",
        "limits",
        "what it is",
    ]
    return f"## {title}\n\n`{group.__name__}`{by}\n\n{table([head, *rows])}"


def _name(text: str) -> str:
    return f'<code class="whole">{text}</code>'


def table(rows: Iterable[list[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body])


def example(name: str) -> str:
    """Return an example script and what it prints."""
    folder = DOCS / "examples"
    script, output = (folder / f"{name}{suffix}" for suffix in (".py", ".txt"))
    return (
        f"```python\n{script.read_text('utf-8')}```\n\nIt prints\n\n```text\n{output.read_text('utf-8')}```"
    )


def notebook(name: str) -> str:
    """Return the cells of a notebook with their outputs, without its title."""
    cells = json.loads((DOCS / "notebooks" / f"{name}.ipynb").read_text("utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _cell(cell)).split("\n", 1)[1]


def _cell(cell: dict[str, Any]) -> list[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    return [f"```python\n{source}\n```", *map(_output, cell["outputs"])]


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return f'<img alt="output" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    return f"```text\n{''.join(output.get('text', data.get('text/plain', ''))).rstrip()}\n```"


PARTS: dict[str, Callable[..., str]] = {"settings": settings_tables, "example": example, "notebook": notebook}
