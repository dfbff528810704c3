"""Form of the training settings: the network, its recipe, how long, and what it starts from."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLineEdit, QWidget

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import NetworkName, TrainingSettings, applies
from emseg_napari.widgets.base.number_text import number, whole_number
from emseg_napari.widgets.base.preferences import recall
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.train.start_choice import StartChoice

# They are of the stack that was trained on: on another one they would leave slices out unseen.
_OF_A_STACK = {"slices", "validate_slices", "hold_out"}


class TrainForm(QWidget):
    """Edits `TrainingSettings`; each network comes with its own recipe.

    It shows how long to train and what to start from; the step shows all else, which is `form`, elsewhere.

    Parameters
    ----------
    step : StepWidget
        Knows the workspace and says the sentences.

    Signals
    -------
    changed
        Another network is chosen.
    """

    changed = Signal()

    def __init__(self, step: StepWidget) -> None:
        super().__init__()
        self.form = SettingsForm(TrainingSettings, leave_out=("minutes", "epochs", "start"))
        self.form.widgets["network"].changed.connect(self.show_recipe)
        self.start_from = StartChoice(step)
        self._has_start = False  # whether the recipe that is shown is one for that
        self.start_from.chosen.connect(self._fit_recipe)
        self._workspace, self._scale = step.workspace, 1.0  # the last that was taken from the workspace
        self._workspace.changed.connect(self._follow_scale)
        rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("Train for", self._length_line())
        rows.addRow("Start from", self.start_from)

    def _length_line(self) -> QHBoxLayout:
        self.amount = QLineEdit()
        self.unit = QComboBox()
        self.unit.addItems(["minutes", "epochs"])
        for widget in (self.amount, self.unit):
            widget.setToolTip(
                "How long to train: minutes by the clock, or epochs of 'Steps per epoch' steps."
            )
        line = QHBoxLayout()
        line.addWidget(self.amount)
        line.addWidget(self.unit)
        return line

    @property
    def network(self) -> NetworkName:
        """The chosen network."""
        return self.form.widgets["network"].value

    def settings(self) -> TrainingSettings:
        """Return what the form says."""
        values: dict[str, Any] = self.form.values() | {"start": self.start_from.start}
        network = values["network"]
        if applies("minutes", network):
            unit = self.unit.currentText()
            read = number if unit == "minutes" else whole_number
            values[unit] = read(self.amount.text().strip(), "Train for")
            if not values[unit] > 0:
                raise UserError(f"Train for: give more than 0 {unit}.")
        return TrainingSettings.recipe(**{k: v for k, v in values.items() if applies(k, network)})

    def restore(self) -> None:
        """Show what was trained last, here or in an earlier window."""
        kept = TrainingSettings.model_fields.keys() - _OF_A_STACK
        remembered = {k: v for k, v in recall("train").items() if k in kept}
        try:
            settings = TrainingSettings.recipe(**remembered)
        except (UserError, TypeError):  # another version remembered them
            self.show_recipe("compact")
            return
        self.start_from.fit_network(settings.network)
        self._show(settings)
        # The start itself is chosen in each window anew. Earlier builds had one recipe with and without.
        self._has_start = settings.start is not None and "anchor_weight" in remembered
        self._fit_recipe()

    def show_recipe(self, network: NetworkName) -> None:
        """Fill the form with a network's own recipe."""
        self.start_from.fit_network(network)
        self._has_start = self.start_from.start is not None
        self._show(TrainingSettings.recipe(network, start=self.start_from.start))
        self._scale = 1.0  # as every recipe has it
        self._follow_scale()
        self.changed.emit()

    def _follow_scale(self) -> None:
        """Train at the scale that is chosen for predictions, unless the user typed another one here."""
        scale = self._workspace.scale or 1.0
        if scale != self._scale and self._shown_scale() == self._scale:
            self.form.set_values({"scale": scale})
        self._scale = scale

    def _shown_scale(self) -> float | None:
        with suppress(UserError):
            return float(self.form.value("scale") or 1.0)
        return None

    def _fit_recipe(self) -> None:
        """Show the recipe that suits what is chosen to start from."""
        has_start = self.start_from.start is not None
        if has_start != self._has_start:
            self.form.exchange(self._recipe(self._has_start), self._recipe(has_start))
            self._has_start = has_start

    def _recipe(self, has_start: bool) -> dict[str, Any]:
        start = "starter" if has_start else None  # which one makes no difference
        return TrainingSettings.recipe(self.network, start=start).model_dump()

    def _show(self, settings: TrainingSettings) -> None:
        values = settings.model_dump()
        with_epochs = settings.epochs is not None
        self.unit.setCurrentText("epochs" if with_epochs else "minutes")
        if length := settings.epochs or settings.minutes:  # a baseline is fitted in one step
            self.amount.setText(f"{length:.15g}")
        blocked = self.form.widgets["network"].changed.blocked()
        with blocked:
            self.form.set_values(values)
        # Settings that the network does not use are hidden.
        self.form.show_only([name for name in values if applies(name, settings.network)])
        self.setVisible(applies("minutes", settings.network))
