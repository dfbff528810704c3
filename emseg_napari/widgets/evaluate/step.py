"""Page Check: the scores of a prediction, first of all on slices that are new to it, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFormLayout, QSizePolicy
from superqt import QElidingLabel

from emseg_napari.core.jobs import Finished, Message, UserError
from emseg_napari.evaluation.predictions import interior_threshold
from emseg_napari.evaluation.report import write_csv
from emseg_napari.evaluation.report_html import write_report
from emseg_napari.evaluation.review import Review
from emseg_napari.io.axes import slices_text
from emseg_napari.settings import ErrorSettings, EvaluationSettings, ReviewSettings, validated
from emseg_napari.widgets.base.dialogs import ask_new_file
from emseg_napari.widgets.base.job_step import JobStep
from emseg_napari.widgets.base.layer_picker import PredictionPicker, TruthPicker
from emseg_napari.widgets.base.preferences import recall, recall_folder, remember, remember_folder
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import enable, in_row, primary
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.evaluate.comparison import LayerComparison, compare, names_runs, run_folders
from emseg_napari.widgets.evaluate.report import report_of
from emseg_napari.widgets.evaluate.results import Results
from emseg_napari.widgets.evaluate.rounds_table import Work, round_of, with_round, work_done
from emseg_napari.widgets.layers.layer_records import record_of_layer


@dataclass(frozen=True)
class _Asked:
    """An evaluation that runs in the engine, and the work that the user has done until then."""

    comparison: LayerComparison
    error_settings: ErrorSettings
    work: Work


@dataclass(frozen=True)
class _Done:
    """An evaluation that ended, for the files that are written of it."""

    comparison: LayerComparison
    review: Review
    error_settings: ErrorSettings
    notes: list[str]


class EvaluateStep(JobStep):
    """Scores a prediction against true labels in the background."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._asked: _Asked | None = None
        self._messages: list[str] = []
        self._described: Any = None
        self._record: Mapping[str, Any] | None = {}  # None while it is read
        self._done: _Done | None = None
        self._build()
        self.workspace.changed.connect(self.update_buttons)
        self.workspace.layers_changed.connect(self.update_buttons)
        self.update_buttons()

    # -- what it looks like -------------------------------------------------------------

    def _build(self) -> None:
        self.rows.addLayout(self._choices())
        self.evaluate = primary(
            self.button("Evaluate", "Score the prediction and find its errors.", self.start)
        )
        self.add_job_line("Evaluating", "Stop; nothing is changed.")
        self.save_csv = self.button("Save CSV...", "The scores of all slices and their means.", self._ask_csv)
        self.save_report = self.button(
            "Save report...", "One page with pictures, for any browser and for paper.", self._ask_report
        )
        self.results = Results(self.viewer, self.workspace)
        self.results.errors.described.connect(self.say)
        for widget in (self.evaluate, self._form(), self.results):
            self.rows.addWidget(widget)
        self.rows.addLayout(in_row(self.save_csv, self.save_report))

    def _choices(self) -> QFormLayout:
        """Make the choosers of prediction and truth."""
        self.prediction = PredictionPicker(self.workspace)
        self.truth = TruthPicker(self.workspace, self.prediction)
        self.run_name = QElidingLabel()  # one line: what lies below must not move under the mouse
        self.run_name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        rows = QFormLayout()
        rows.addRow("Prediction", self.prediction)
        rows.addRow("Truth", self.truth)
        rows.addRow("Run", self.run_name)
        for pick in (self.prediction, self.truth):
            pick.picked.connect(self.update_buttons)
        return rows

    def _form(self) -> SettingsForm:
        """Make the form, with what was asked of errors last."""
        self.form = SettingsForm(ReviewSettings)
        with suppress(UserError, TypeError):  # another version remembered them
            self.form.set_values(validated(ErrorSettings, **recall("evaluate")).model_dump())
        self.form.widgets["slices"].native.setPlaceholderText("FIRST:END (all with labels)")
        self.form.widgets["boundary_threshold"].native.setPlaceholderText("the run's own")
        return self.form

    def update_buttons(self) -> None:
        """Enable what can be done now, and say what stands in the way of the rest."""
        layer = self.prediction.layer
        if layer != self._described:
            self._described, self._record = layer, {}
            if layer is not None and not names_runs(layer):  # its file is read once, which may take a while
                self._record = None
                self.in_background(
                    None, lambda: record_of_layer(layer), lambda found: self._know(layer, found)
                )
        self._show_runs()
        self.enable_start(self.evaluate, "evaluate")
        for button in (self.save_csv, self.save_report):
            enable(button, None if self._done else "evaluate first")

    def _know(self, layer: Any, record: Mapping[str, Any]) -> None:
        if layer == self._described:  # else another one was chosen meanwhile
            self._record = record
            self._show_runs()

    def _show_runs(self) -> None:
        layer, record = self.prediction.layer, self._record
        is_known = record is not None or (layer is not None and names_runs(layer))
        runs = run_folders(layer, record or {}, self.workspace) if layer is not None and is_known else []
        names = ", ".join(run.name for run in runs)
        unknown = "unknown" if record is not None else "reading its file..."
        text = "" if layer is None else names or unknown
        self.run_name.setText(text)
        self.run_name.setToolTip(text)

    def obstacles(self) -> list[tuple[bool, str]]:
        """Return what may stand in the way of an evaluation."""
        missing = (
            "choose a prediction first ('Propose this slice' makes one, with 'Keep the boundary probability' "
            "under Options)"
        )
        return [
            (self.job.running, "an evaluation is running"),
            (self.prediction.layer is None, missing),
            (self.truth.layer is None, "choose the true labels first"),
        ]

    # -- evaluating ---------------------------------------------------------------------

    def start(self) -> None:
        """Evaluate in the background."""
        chosen = validated(ReviewSettings, **self.form.values())
        settings, error_settings = _evaluation_settings(chosen), ErrorSettings(smallest_px=chosen.smallest_px)
        if self.prediction.layer is None or self.truth.layer is None:
            raise UserError("Choose a prediction and the true labels first.")
        prediction, truth = self.prediction.layer, self.truth.layer
        asked: _Asked | None = None

        def prepare() -> dict[str, Any]:
            nonlocal asked
            comparison = compare(prediction, truth, self.workspace, self.ask_convention, settings)
            asked = _Asked(comparison, error_settings, work_done(comparison, self.workspace))
            return comparison.pair.job | {"error_settings": error_settings}

        self.say("Checking both layers...")
        self.job.start("review", "Evaluating", prepare, lambda: self._show_start(asked))
        self.update_buttons()

    def _show_start(self, asked: _Asked | None) -> None:
        assert asked is not None  # it was prepared
        remember("evaluate", asked.error_settings.model_dump(mode="json"))
        self._asked, self._messages = asked, []
        self.say("Evaluating...")

    def on_message(self, event: Message) -> None:
        """Keep a sentence for the end."""
        self._messages.append(event.text)

    def cancelled_sentence(self) -> str:
        """Return what is left of a cancelled evaluation."""
        return "Cancelled."

    def on_finished(self, event: Finished) -> None:
        """Show the scores and the errors."""
        review: Review = event.result
        assert self._asked is not None  # `start` set it
        comparison = self._asked.comparison
        self.bar.setFormat("done")
        if comparison.truth_layer not in self.viewer.layers:
            raise UserError(f"'{comparison.truth_name}' was removed in the meantime; evaluate again.")
        notes = self._messages + comparison.notes
        self._done = _Done(comparison, review, self._asked.error_settings, notes)
        latest = round_of(comparison, review.evaluation, self._asked.work)
        self.workspace.set_rounds(with_round(self.workspace.rounds, latest))
        self.results.show_review(comparison, review)
        scored = [one.z for one in review.evaluation.per_slice]
        self.say(" ".join([f"Scored {slices_text(scored)}.", *notes]))

    # -- files --------------------------------------------------------------------------

    def _ask_csv(self) -> None:
        path = self._ask_path("Save the scores", "scores.csv", "CSV (*.csv)")
        if path:
            self.write_csv(path)

    def _ask_report(self) -> None:
        path = self._ask_path("Save the report", "evaluation.html", "Web page (*.html)")
        if path:
            self.write_report(path)

    def _ask_path(self, title: str, name: str, kind: str) -> Path | None:
        return ask_new_file(self, title, recall_folder("reports", Path.home()) / name, kind)

    def write_csv(self, path: Path) -> None:
        """Write the scores of the last evaluation in the background."""
        done = self._last()
        self._write(path, lambda: write_csv(path, done.review, done.comparison.pair.overlap))

    def write_report(self, path: Path) -> None:
        """Write the last evaluation as one page in the background."""
        done = self._last()

        def write() -> None:
            write_report(path, report_of(done.comparison, done.review, done.error_settings, done.notes))

        self._write(path, write)

    def _last(self) -> _Done:
        if self._done is None:
            raise UserError("There is nothing to write yet; evaluate first.")
        return self._done

    def _write(self, path: Path, write: Callable[[], None]) -> None:
        def written(_: Any) -> None:
            remember_folder("reports", path.parent)
            self.say(f"Wrote {path}.")

        self.in_background(f"Writing {path.name}...", write, written)


def _evaluation_settings(chosen: ReviewSettings) -> EvaluationSettings:
    """Return what is scored, by the threshold of the interior."""
    at = chosen.boundary_threshold
    return EvaluationSettings(slices=chosen.slices, threshold=None if at is None else interior_threshold(at))
