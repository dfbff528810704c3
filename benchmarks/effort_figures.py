"""Tables and plot of `annotation_effort.py`: half -> row -> {"slices": [...], "seconds": {...}}."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Done = dict[str, dict[str, dict[str, Any]]]
COUNTED = ("actions", "clicks", "strokes", "by_eye", "in_vain", "keys")
SPENT = ("learning", "predicting", "ranking")
COLOURS = {
    "by hand": "black",
    "train once": "tab:orange",
    "full loop": "tab:blue",
    "random order": "tab:red",
    "no learning": "tab:green",
}
TRIED = "same proposals, random order"


def totals(done: Done) -> Iterator[str]:
    """Yield a table of what each row cost."""
    names = [*COUNTED, *(f"s {what}" for what in SPENT), "lowest V_rand"]
    yield "| slices | row | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    yield "|---|---" + "|---" * len(names) + "|"
    for half, rows in done.items():
        for name, row in rows.items():
            cells = [str(_total(row["slices"], what)) for what in COUNTED]
            cells += [f"{row['seconds'].get(what, 0):.0f}" for what in SPENT]
            cells += [f"{min(one.get('v_rand', 1.0) for one in row['slices']):.3f}"]
            yield f"| {half} | {name} | " + " | ".join(cells) + " |"
            if tries := _tries(row["slices"]):
                found = [sorted(_total(one, what) for one in tries) for what in COUNTED]
                cells = [f"{np.median(one):g} ({one[0]}-{one[-1]})" for one in found]
                yield f"| {half} | {TRIED}, {len(tries)} times (range) | {' | '.join(cells)} | | | | |"


def comparisons(done: Done) -> Iterator[str]:
    """Yield how the actions of the full loop compare; `train once`, to its favour, without its searches."""
    for half, rows in done.items():
        if "full loop" not in rows:
            continue
        own = _total(rows["full loop"]["slices"], "actions")
        for other in ("by hand", "train once", "random order", "no learning"):
            if other in rows:
                theirs = _total(rows[other]["slices"], "actions")
                theirs -= _total(rows[other]["slices"], "by_eye") if other == "train once" else 0
                yield f"{half}: full loop / {other} = {own} / {theirs} = {own / theirs:.3f} of the actions"


def per_slice(done: Done) -> Iterator[str]:
    """Yield a table of the actions on each slice, in the order in which slices were worked on."""
    count = max(len(row["slices"]) for rows in done.values() for row in rows.values())
    yield "| slices | row | " + " | ".join(str(n) for n in range(1, count + 1)) + " |"
    yield "|---|---" + "|---" * count + "|"
    for half, rows in done.items():
        for name, row in rows.items():
            yield f"| {half} | {name} | " + " | ".join(str(n) for n in _actions(row)) + " |"


def plot(done: Done, path: Path) -> None:
    """Draw the actions on each slice in the order in which slices were worked on."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    for axes, (half, rows) in zip(figure.subplots(1, len(done), sharey=True), done.items(), strict=True):
        for name, row in rows.items():
            count = np.arange(1, len(row["slices"]) + 1)
            axes.plot(count, _actions(row), marker=".", label=name, color=COLOURS[name])
        axes.set_yscale("symlog", linthresh=10)
        axes.set(title=f"slices {half}", xlabel="slices in the order of work", ylabel="actions")
    handles = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
    figure.savefig(path, dpi=100)


def _actions(row: dict[str, Any]) -> list[int]:
    return [one["actions"] for one in row["slices"]]


def _total(slices: list[dict[str, Any]], what: str) -> int:
    return sum(one.get(what, 0) for one in slices)


def _tries(slices: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return what the random order cost on the same proposals: a list of slices for each try."""
    return [list(one) for one in zip(*(one.get("random", []) for one in slices), strict=True)]
