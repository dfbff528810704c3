"""The pages of the documentation, and what is written in them as code."""

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from helpers.paths import CHECKOUT

DOCS = CHECKOUT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
_FENCED = re.compile(r"^( *)```(\w+)\n([\s\S]*?)^\1```", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: "python", "sh" and "text" are languages."""

    language: str
    text: str


def name_of(page: Path) -> str:
    """What a test of a page is called."""
    return page.relative_to(DOCS).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in these languages, in their order."""
    found = [Block(one[2], textwrap.dedent(one[3])) for one in _FENCED.finditer(page.read_text("utf-8"))]
    return [block for block in found if block.language in languages]
