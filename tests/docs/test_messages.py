"""docs/messages.md: what it quotes is what the program says."""

import ast
import re
from functools import cache

import pytest

from helpers.pages import DOCS
from helpers.paths import CHECKOUT

QUOTED = re.findall(r"^\| `([^`\n]+)` \|", (DOCS / "messages.md").read_text("utf-8"), re.MULTILINE)
VARIES = "\0"


@cache
def said() -> str:
    """Every text of the program, with a sign for what varies, a line each."""
    lines = []
    for path in (CHECKOUT / "emseg_napari").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        for node in (one for one in nodes if isinstance(one, ast.JoinedStr | ast.Constant)):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            texts = [part.value if isinstance(part, ast.Constant) else VARIES for part in parts]
            lines.append("".join(map(str, texts)).replace("\n", " "))
    return "\n".join(lines)


def is_said(message: str) -> bool:
    """Say whether the program has a text of these words, with something else for each "..."."""
    words = re.escape(message).replace(r"\.\.\.", rf"(?:\.\.\.|[^\n]*{VARIES}[^\n]*)")
    return re.search(words, said()) is not None


@pytest.mark.parametrize("message", QUOTED)
def test_the_program_says_what_the_page_quotes(message):
    assert is_said(message)


def test_each_message_is_explained_once():
    assert len(QUOTED) > 50
    assert len(set(QUOTED)) == len(QUOTED)


def test_another_sentence_would_be_found():
    assert not is_said("... is not what the program says; do something else.")
