"""Errors in the words of the command line: the option is added to each setting that a sentence names."""

from __future__ import annotations

from emseg_napari.core.jobs import BlockFailed, UserError
from emseg_napari.settings.titles import title_of

# Words for what an option sets that is not a setting, and the option.
_OPTIONS = {
    "kind": ("what is written", "--as"),
    "input_kind": ("labels, or a probability", "--as labels, --as probability, --interior"),
}


def sentence_of(problem: UserError | BlockFailed) -> str:
    """Return the sentence of an error or of a block that failed, with the options that it asks for."""
    text = problem.text if isinstance(problem, BlockFailed) else str(problem)
    for name in problem.settings:
        words, option = _OPTIONS.get(name) or (title_of(name), "--" + name.replace("_", "-"))
        text = text.replace(words, f"{words} ({option})", 1)
    return text
