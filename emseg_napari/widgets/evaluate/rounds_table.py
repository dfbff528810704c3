"""The history of evaluations: did the last corrections help?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from qtpy.QtWidgets import QHeaderView

from emseg_napari.annotation.label_state import is_own
from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.annotation.session.store import Round
from emseg_napari.evaluation.evaluation import Evaluation
from emseg_napari.evaluation.training_overlap import ABOUT, HELD_OUT, TRAINED, UNKNOWN
from emseg_napari.io.axes import slices_text
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.volume import BrokenChunk
from emseg_napari.widgets.base.table import Cell, ScoreTable
from emseg_napari.widgets.base.text import shortened
from emseg_napari.widgets.base.theme_colours import GREEN, GREY, VERMILLION, ThemeColour
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.evaluate.comparison import LayerComparison
from emseg_napari.widgets.layers.labels_layer import confirmed_in, is_managed, stack_of
from emseg_napari.widgets.layers.layer_pixels import fits

BETTER, WORSE = GREEN, VERMILLION
_LETTERS = 11  # of the first column, so that the figures stay in view
_DIFFERENCE = "below it the difference to the last round that scored the same slices."
_COLUMNS = {
    "Round": "When, with which run, on which slices of which labels. Grey: not all of them are new to the "
    "run, so the figures may be too high.",
    "Labels": "Slices of the chosen labels that held labels of your own; with a tick, those that you had "
    "confirmed.",
    "V_rand": f"At the threshold in use; {_DIFFERENCE}",
    "V_info": f"At the threshold in use; {_DIFFERENCE}",
    "Acc. %": f"Pixel accuracy: per cent of the labelled pixels; {_DIFFERENCE}",
}


@dataclass(frozen=True)
class Work:
    """How many slices held labels of a person's, how many were confirmed, and the mark of the image."""

    corrected: int
    confirmed: int
    image: str


def work_done(comparison: LayerComparison, workspace: Workspace) -> Work:
    """Count over the chosen labels, on which the user works; takes a while, and may be called in any thread.

    Other labels, such as those of a sample that are taken for true, are nobody's work here.
    """
    layer = workspace.labels
    if not is_managed(layer) or not fits(layer, tuple(comparison.truth_layer.data.shape)):
        return Work(0, 0, _mark_of(comparison))
    stack = stack_of(layer)
    painted = sum(bool(is_own(stack[z]).any()) for z in slices_in_use(stack))
    return Work(painted, len(confirmed_in(layer)), _mark_of(comparison))


def _mark_of(comparison: LayerComparison) -> str:
    image = comparison.image
    try:
        return "" if image is None else fingerprint(image[len(image) // 2])
    except BrokenChunk:
        return ""


def round_of(comparison: LayerComparison, evaluation: Evaluation, work: Work) -> Round:
    """Return the row of the history for an evaluation that has just ended."""
    mean, overlap = evaluation.at_threshold, comparison.pair.overlap
    seen = overlap.by_kind(evaluation.counted)
    return Round(
        when=datetime.now().isoformat(timespec="seconds"),
        run=overlap.run_names,
        corrected=work.corrected,
        confirmed=work.confirmed,
        slices=evaluation.averaged,
        v_rand=mean.v_rand,
        v_info=mean.v_info,
        accuracy=mean.accuracy,
        truth=comparison.truth_name,
        image=work.image,
        image_name=comparison.image_name,
        trained=seen[TRAINED],
        held_out=seen[HELD_OUT],
        unknown=seen[UNKNOWN],
    )


def with_round(rounds: Sequence[Round], latest: Round) -> list[Round]:
    """Return the history with one more row; the same again, a moment later, replaces the last one."""
    again = bool(rounds) and replace(rounds[-1], when=latest.when) == latest
    return [*(rounds[:-1] if again else rounds), latest]


class RoundsTable(ScoreTable):
    """One row for each evaluation, the latest first."""

    def __init__(self) -> None:
        super().__init__(_COLUMNS)
        # Names are cut, not figures: the table never scrolls sideways.
        self.horizontalHeader().setStretchLastSection(False)
        self.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def show_rounds(self, rounds: Sequence[Round]) -> None:
        """Show a history, which is ordered oldest first."""
        several = len({one.image for one in rounds}) > 1
        rows = [(i, _cells(one, _before(rounds, i), i, several)) for i, one in enumerate(rounds)]
        self.fill(rows[::-1])


def _before(rounds: Sequence[Round], i: int) -> Round | None:
    """Return the last round before the i-th on the same slices of the same image and labels, seen or not."""
    return next((one for one in reversed(rounds[:i]) if _scored(one) == _scored(rounds[i])), None)


def _scored(one: Round) -> tuple[object, ...]:
    return one.image, one.truth, one.slices, one.trained, one.held_out, one.unknown


def _cells(one: Round, before: Round | None, i: int, several_images: bool) -> list[Cell]:
    when = datetime.fromisoformat(one.when).strftime("%d %b %H:%M")
    run, slices = one.run or "no run", slices_text(one.slices)
    short = slices if len(slices) <= _LETTERS else f"{len(one.slices)} slices"
    seen = {TRAINED: one.trained, HELD_OUT: one.held_out, UNKNOWN: one.unknown}
    kinds = [kind for kind in seen if seen[kind]]
    colour = GREY if kinds else None
    image = shortened(one.image_name or "image ?", _LETTERS) if several_images else ""
    lines = [when, image, shortened(run, _LETTERS), short, *kinds]
    about = "\n".join([one.when, one.image_name, run, slices, one.truth, *(ABOUT[kind] for kind in kinds)])
    name = Cell("\n".join(filter(None, lines)), i, about, colour)
    labels = Cell(f"{one.corrected} painted\n{one.confirmed} \u2713", one.confirmed, _COLUMNS["Labels"])
    return [
        name,
        labels,
        _figure(one.v_rand, before.v_rand if before else None, 4, colour),
        _figure(one.v_info, before.v_info if before else None, 4, colour),
        _figure(100 * one.accuracy, 100 * before.accuracy if before else None, 2, colour),
    ]


def _figure(value: float, before: float | None, digits: int, colour: ThemeColour | None) -> Cell:
    """Return a figure and its difference, in a colour of its own if the round proves nothing."""
    text = f"{value:.{digits}f}"
    if before is None:
        return Cell(text, value, "The first round on these slices.", colour)
    difference = round(value - before, digits)
    change = BETTER if difference > 0 else WORSE if difference < 0 else None
    return Cell(f"{text}\n{difference:+.{digits}f}", value, colour=colour or change)
