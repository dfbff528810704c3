"""One fact about an installation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One fact about an installation, and what to do about it.

    Attributes
    ----------
    name : str
        What was looked at, such as "OpenGL".
    value : str
        What was found, in a few words.
    state : str
        "ok"; "note": works, but not as well as it could; "problem": something will fail.
    sentence : str
        What that means; empty if all is well.
    action : str
        What to do; empty if there is nothing to do.
    """

    name: str
    value: str
    state: State = "ok"
    sentence: str = ""
    action: str = ""

    @property
    def advice(self) -> str:
        """Sentence and action as one text."""
        return f"{self.sentence} {self.action}".strip()


def problem(name: str, value: str, sentence: str, action: str = "") -> Finding:
    """Return a finding because of which something will fail."""
    return Finding(name, value, "problem", sentence, action)


def note(name: str, value: str, sentence: str, action: str = "") -> Finding:
    """Return a finding of what works, but not as well as it could."""
    return Finding(name, value, "note", sentence, action)
