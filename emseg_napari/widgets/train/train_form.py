"""Form of the training settings: the network, its recipe, how long, and what it starts from."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import NetworkName, TrainingSettings, applies
from emseg_napari.widgets.base.number_box import NumberBox
from emseg_napari.widgets.base.preferences import recall
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.train.start_choice import StartChoice


class TrainForm(QWidget):
    """Edits `TrainingSettings`; each network comes with its own recipe.

    Signals
    -------
    changed
        Another network is chosen.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.form = SettingsForm(TrainingSettings, leave_out=("minutes", "epochs", "start"))
        self.form.widgets["network"].changed.connect(self.show_recipe)
        self.start_from = StartChoice()
        self.length = QWidget()
        rows = QFormLayout(self.length)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addRow("Train for", self._length_line())
        rows.addRow("Start from", self.start_from)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.length)
        layout.addWidget(self.form)

    def _length_line(self) -> QHBoxLayout:
        self.amount = NumberBox(decimals=2, minimum=0.01, maximum=100_000)
        self.unit = QComboBox()
        self.unit.addItems(["minutes", "epochs"])
        self.unit.currentTextChanged.connect(self._fit_amount)
        for widget in (self.amount, self.unit):
            widget.setToolTip(
                "How long to train: minutes by the clock, or epochs of 'Steps per epoch' steps."
            )
        line = QHBoxLayout()
        line.addWidget(self.amount)
        line.addWidget(self.unit)
        return line

    def _fit_amount(self, unit: str) -> None:
        """Take whole epochs only, and parts of minutes."""
        self.amount.setDecimals(0 if unit == "epochs" else 2)
        self.amount.setMinimum(1 if unit == "epochs" else 0.01)

    @property
    def network(self) -> NetworkName:
        """The chosen network."""
        return self.form.widgets["network"].value

    def settings(self) -> TrainingSettings:
        """Return what the form says."""
        length = "minutes" if self.unit.currentText() == "minutes" else "epochs"
        amount = self.amount.value() if length == "minutes" else int(self.amount.value())
        values: dict[str, Any] = self.form.values() | {length: amount, "start": self.start_from.start}
        network = values["network"]
        return TrainingSettings.recipe(**{k: v for k, v in values.items() if applies(k, network)})

    def restore(self) -> None:
        """Show what was trained last, here or in an earlier window."""
        fields = set(TrainingSettings.model_fields) - {"start"}  # which depends on the labels of that time
        remembered = {name: value for name, value in recall("train").items() if name in fields}
        try:
            self._show(TrainingSettings.recipe(**remembered))
        except (UserError, TypeError):  # another version remembered them
            self.show_recipe("compact")

    def show_recipe(self, network: NetworkName) -> None:
        """Fill the form with a network's own recipe."""
        self._show(TrainingSettings.recipe(network))
        self.changed.emit()

    def _show(self, settings: TrainingSettings) -> None:
        values = settings.model_dump()
        with_epochs = settings.epochs is not None
        self.unit.setCurrentText("epochs" if with_epochs else "minutes")
        self.amount.setValue(float(settings.epochs or settings.minutes or self.amount.value()))
        blocked = self.form.widgets["network"].changed.blocked()
        with blocked:
            self.form.set_values(values)
        # A baseline is fitted in one step: settings that it does not use are hidden.
        self.form.show_only([name for name in values if applies(name, settings.network)])
        self.length.setVisible(applies("minutes", settings.network))
