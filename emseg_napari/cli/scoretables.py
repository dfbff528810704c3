"""Tables of ``emseg evaluate``: the means at the threshold in use and at the best one, and every slice."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from emseg_napari.cli.streams import echo
from emseg_napari.io.axes import slice_spans

if TYPE_CHECKING:
    from emseg_napari.evaluation.pairing import Source
    from emseg_napari.evaluation.scores import Evaluation, SliceEvaluation
    from emseg_napari.evaluation.training_overlap import Overlap

Row = Sequence[str]
_SOURCES: dict[Source, str] = {
    "given": "given",
    "run": "the prediction's own threshold",
    "default": "no threshold is known",
}


def show_scores(evaluation: Evaluation, source: Source | None, overlap: Overlap) -> None:
    """Write tables to a terminal, plain lines elsewhere.

    Parameters
    ----------
    evaluation : Evaluation
    source : str or None
        Where its threshold comes from; None for labels, which have none.
    overlap : Overlap
        What the run has seen of the scored slices.
    """
    slices = [one.z for one in evaluation.per_slice]
    words = "slice" if len(slices) == 1 else "slices"
    head, means = _means_of_labels(evaluation) if source is None else _means(evaluation)
    _show(f"Mean over {len(slices)} {words} ({slice_spans(slices)})", head, means)
    _show(
        "Each slice" if source is None else f"Each slice {_at_both(evaluation)}; {_SOURCES[source]}",
        ("slice", "V_rand", "V_info", "accuracy", "boundary F1", ""),
        [_slice(one, overlap.seen_of(one)) for one in evaluation.per_slice],
    )


def _means(evaluation: Evaluation) -> tuple[Row, list[Row]]:
    """Return the head and the rows of a probability's table: at the best threshold and the one in use."""
    at = evaluation.at_threshold
    best = (evaluation.v_rand, evaluation.v_rand_threshold), (evaluation.v_info, evaluation.v_info_threshold)
    rand, information = ((_share(value), f"at {threshold:.1f}") for value, threshold in best)
    return ("", "best", "", _at(evaluation), "split", "merge"), [
        ("V_rand", *rand, _share(at.v_rand), _share(at.v_rand_split), _share(at.v_rand_merge)),
        ("V_info", *information, _share(at.v_info), _share(at.v_info_split), _share(at.v_info_merge)),
        ("pixel error", _share(evaluation.pixel_error), "", "", "", ""),
        ("accuracy", "", "", _share(at.accuracy), "", ""),
        ("boundary F1", "", "", _share(at.boundary_f1), "", ""),
        ("boundary IoU", "", "", _share(at.boundary_iou), "", ""),
    ]


def _means_of_labels(evaluation: Evaluation) -> tuple[Row, list[Row]]:
    """Return the head and the rows of a table without thresholds."""
    at = evaluation.at_threshold
    return ("", "score", "split", "merge"), [
        ("V_rand", *map(_share, (at.v_rand, at.v_rand_split, at.v_rand_merge))),
        ("V_info", *map(_share, (at.v_info, at.v_info_split, at.v_info_merge))),
        ("pixel error", _share(evaluation.pixel_error), "", ""),
        ("accuracy", _share(at.accuracy), "", ""),
        ("boundary F1", _share(at.boundary_f1), "", ""),
        ("boundary IoU", _share(at.boundary_iou), "", ""),
    ]


def _at(evaluation: Evaluation) -> str:
    return f"at {evaluation.threshold:g}"


def _at_both(evaluation: Evaluation) -> str:
    """Return the threshold of the interior, as the challenge counts it, and of the boundary, as runs do."""
    return f"{_at(evaluation)} of the interior ({1 - evaluation.threshold:g} of the boundary)"


def _slice(one: SliceEvaluation, seen: str) -> Row:
    scores = (one.scores.v_rand, one.scores.v_info, one.scores.accuracy, one.scores.boundary_f1)
    return (str(one.z), *map(_share, scores), seen)


def _share(value: float) -> str:
    return f"{value:.4f}"


def _show(title: str, head: Row, rows: Sequence[Row]) -> None:
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        echo("\n".join((title, *_lines([head, *rows]), "")))
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column, name in enumerate(head):
        table.add_column(name, justify="left" if column in (0, len(head) - 1) else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _lines(rows: Sequence[Row]) -> list[str]:
    """Align columns with spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows)
    return ["  ".join(row).rstrip() for row in padded]
