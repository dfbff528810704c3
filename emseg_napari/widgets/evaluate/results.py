"""Results of an evaluation: figures, slices, errors, thresholds, rounds."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QTabWidget, QVBoxLayout, QWidget

from emseg_napari.core.text import counted
from emseg_napari.evaluation.evaluation import Evaluation, SliceEvaluation
from emseg_napari.evaluation.honesty import about_mean
from emseg_napari.evaluation.predictions import boundary_threshold
from emseg_napari.evaluation.report import error_counts
from emseg_napari.evaluation.report_html import MEANING
from emseg_napari.evaluation.review import Review
from emseg_napari.evaluation.training_overlap import ABOUT, Overlap
from emseg_napari.widgets.base.fold import Fold
from emseg_napari.widgets.base.keys import bind
from emseg_napari.widgets.base.plots import ThresholdPlot
from emseg_napari.widgets.base.step import WrappingLabel
from emseg_napari.widgets.base.table import Cell, ScoreTable
from emseg_napari.widgets.base.theme_colours import GREY
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.evaluate.comparison import LayerComparison
from emseg_napari.widgets.evaluate.error_list import NEXT_KEY, PREVIOUS_KEY, ErrorList
from emseg_napari.widgets.evaluate.rounds_table import RoundsTable
from emseg_napari.widgets.layers.placement import show_slice

_TABS_PX = 260
_COLUMNS = {
    "Slice": "Click to go there. Grey: the run was trained on it, so its score proves nothing.",
    "V_rand": "Rand score after border thinning, 1 is perfect; split and merge parts are in the tooltips.",
    "V_info": "The same of information; the split and merge parts are in the tooltips.",
    "Acc. %": "Per cent of the labelled pixels that are right.",
    "F1": "F1 score of the boundary pixels.",
    "Errors": "Merges + splits: 4+9 are 4 places where two cells were joined, and 9 where a cell was cut.",
    "": "What to know of the slice.",
}


class Headline(QWidget):
    """The mean figures: at the run's own threshold, and beside them at the best, which flatter.

    Attributes
    ----------
    warning : QLabel
        What the means are worth if the run has seen scored slices.
    figures : dict
        Row and column to label.
    """

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        self.warning = WrappingLabel()
        grid.addWidget(self.warning, 0, 0, 1, 3)
        self.figures: dict[tuple[int, int], QLabel] = {}
        for row in range(6):
            for column in range(3):
                label = WrappingLabel()
                label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                if column:
                    label.setAlignment(Qt.AlignmentFlag.AlignRight)
                grid.addWidget(label, row + 1, column)
                self.figures[row, column] = label
                grid.setColumnStretch(column, 1)
        self.setToolTip(MEANING)

    def show_evaluation(self, evaluation: Evaluation, has_threshold: bool, warning: str) -> None:
        """Show means, and what they are worth; labels have no threshold, so no best one."""
        own = evaluation.at_threshold
        best_rand = f"{evaluation.v_rand:.4f} at {boundary_threshold(evaluation.v_rand_threshold):.1f}"
        best_info = f"{evaluation.v_info:.4f} at {boundary_threshold(evaluation.v_info_threshold):.1f}"
        at = f"at threshold {boundary_threshold(evaluation.threshold):.2f}"
        head = at if has_threshold else "labels as they are"
        self.warning.setText(f"<b>{warning}</b>")
        self.warning.setVisible(bool(warning))
        rows = [
            (f"Mean over {_slices(len(evaluation.averaged))}", head, "best (too optimistic)"),
            ("V_rand", f"<b>{own.v_rand:.4f}</b>", best_rand),
            ("V_info", f"<b>{own.v_info:.4f}</b>", best_info),
            ("Pixel accuracy", f"<b>{100 * own.accuracy:.2f} %</b>", ""),
            ("Boundary F1", f"<b>{own.boundary_f1:.4f}</b>", ""),
            ("Pixel error", "", f"{evaluation.pixel_error:.4f}"),
        ]
        for i, texts in enumerate(rows):
            for j, text in enumerate(texts):
                self.figures[i, j].setText(text if has_threshold or j < 2 or i == 5 else "")


class Results(QWidget):
    """All of it, hidden until there is something to show."""

    def __init__(self, viewer: Any, workspace: Workspace) -> None:
        super().__init__()
        self._viewer, self._workspace = viewer, workspace
        self._truth_layer: Any = None
        self.subject, self.headline = WrappingLabel(), Headline()
        self._build_tabs()
        self._scores = QWidget()
        above = QVBoxLayout(self._scores)
        above.setContentsMargins(0, 0, 0, 0)
        above.addWidget(self.subject)
        above.addWidget(self.headline)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        meaning = WrappingLabel()
        meaning.setText(MEANING)
        for part in (self._scores, self.tabs, Fold("What the numbers mean", meaning)):
            layout.addWidget(part)
        workspace.changed.connect(self._show_rounds)
        self._scores.hide()
        self._show_rounds()

    def _build_tabs(self) -> None:
        self.slices, self.errors = ScoreTable(_COLUMNS), ErrorList(self._viewer, page=self)
        steps = {key: partial(self.errors.table.step, by) for key, by in ((NEXT_KEY, 1), (PREVIOUS_KEY, -1))}
        bind(self._viewer, self, steps)  # on this page, whichever of its tabs is open
        self.slices.chosen.connect(self._go_to_slice)
        self.thresholds, self.rounds = ThresholdPlot(), RoundsTable()
        self.tabs = QTabWidget()
        self.tabs.addTab(self.slices, "Slices")
        self.tabs.addTab(self.errors, "Errors")
        self.tabs.addTab(self.thresholds, "Thresholds")
        self.tabs.addTab(self.rounds, "Rounds")
        self.tabs.setFixedHeight(_TABS_PX)

    def show_review(self, comparison: LayerComparison, review: Review) -> None:
        """Show what an evaluation found."""
        evaluation, self._truth_layer = review.evaluation, comparison.truth_layer
        self.subject.setText(f"<b>{comparison.prediction_name}</b> against <b>{comparison.truth_name}</b>")
        overlap, counts = comparison.pair.overlap, error_counts(review)
        warning = about_mean(evaluation, overlap)
        self.headline.show_evaluation(evaluation, comparison.has_threshold, warning)
        self.slices.fill([(one.z, _cells(one, counts[one.z], overlap)) for one in evaluation.per_slice])
        self.thresholds.show_evaluation(evaluation)
        trained = evaluation.trained_slices
        self.errors.show_errors(review.errors, comparison.truth_layer, comparison.stack_shape, trained)
        self._scores.show()
        self._show_rounds()

    def showEvent(self, event: QShowEvent) -> None:
        """Mark the errors on the image."""
        super().showEvent(event)
        self.errors.show_marks()

    def hideEvent(self, event: QHideEvent) -> None:
        """Mark nothing while another page is open."""
        super().hideEvent(event)
        if not event.spontaneous():  # else the window is minimised
            self.errors.hide_marks()

    def _show_rounds(self) -> None:
        rounds = self._workspace.rounds
        self.rounds.show_rounds(rounds)
        self.setVisible(bool(rounds))

    def _go_to_slice(self, z: int) -> None:
        if self._truth_layer in self._viewer.layers:
            show_slice(self._viewer, self._truth_layer, z)


def _cells(one: SliceEvaluation, errors: Any, overlap: Overlap) -> list[Cell]:
    s, colour, kind = one.scores, GREY if one.trained else None, overlap.kind_of(one)
    why = ABOUT.get(kind, "")
    return [
        Cell(str(one.z), one.z, why, colour),
        Cell(f"{s.v_rand:.4f}", s.v_rand, _parts(s.v_rand_split, s.v_rand_merge), colour),
        Cell(f"{s.v_info:.4f}", s.v_info, _parts(s.v_info_split, s.v_info_merge), colour),
        Cell(f"{100 * s.accuracy:.2f}", s.accuracy, "", colour),
        Cell(f"{s.boundary_f1:.3f}", s.boundary_f1, "", colour),
        Cell(f"{errors['merge']}+{errors['split']}", errors.total(), _counted(errors), colour),
        Cell(overlap.seen_of(one), [*ABOUT, kind].index(kind), why, colour),
    ]


def _counted(errors: Any) -> str:
    merges, splits = (counted(errors[kind], kind) for kind in ("merge", "split"))
    return f"{merges} (two cells joined) + {splits} (a cell cut)"


def _parts(split: float, merge: float) -> str:
    return f"split {split:.4f} (1: no cell cut), merge {merge:.4f} (1: no cells joined)"


def _slices(count: int) -> str:
    return f"{count} slice{'' if count == 1 else 's'}"
