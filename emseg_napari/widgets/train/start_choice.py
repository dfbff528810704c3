"""What a training starts from: nothing, the starter network, or a run of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox

from emseg_napari.annotation.label_state import is_own
from emseg_napari.annotation.session.scratch import slices_in_use
from emseg_napari.core.jobs import UserError
from emseg_napari.models.run import open_run, starter_folder
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import BASELINES
from emseg_napari.training.splits import SLICES_FOR_HOLD_OUT
from emseg_napari.widgets.base.job_step import JobStep
from emseg_napari.widgets.base.threads import outcome_of
from emseg_napari.widgets.layers.labels_layer import confirmed_in, is_managed
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer

# From so many labelled slices on, a training of its own is the default.
ENOUGH_SLICES = SLICES_FOR_HOLD_OUT
# Of labels larger than memory so much is counted, whenever the mouse enters the step.
_MOST_BYTES = 2**28
_ABOUT = (
    "The weights that the training begins with: random ones, those of the starter network that comes with "
    "emseg-napari (better while few slices have labels), or those of a run of yours. The starter network "
    "and what starts from it are for research and non-commercial use."
)


def has_few_labels(layer: Labels | None) -> bool:
    """Say whether fewer than four slices hold the user's own labels; takes a while if most are proposed."""
    if layer is None:
        return True
    if not isinstance(layer.data, np.ndarray):  # counting would read all of it
        return False
    labels = cast(np.ndarray, volume_of_layer(layer))
    used = slices_in_use(labels)
    found = 0
    for z in used if len(used) == len(labels) else used[: _MOST_BYTES // labels[0].nbytes]:
        found += _has_own(layer, z, labels[z])
        if found == ENOUGH_SLICES:
            return False
    return True


def _has_own(layer: Labels, z: int, plane: np.ndarray) -> bool:
    if not is_managed(layer) or z in confirmed_in(layer):
        return bool(plane.any())
    return bool(is_own(plane).any())


class StartChoice(QComboBox):
    """Chooses a start that the network can have.

    Until the user chooses, it is the starter network while labels are few, else nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._network = "compact"
        self._few_labels = True
        self._own: Path | None = None
        self._wish: tuple[str | None] | None = None  # in a tuple, since "nothing" is a choice too
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.setToolTip(_ABOUT)
        self._refresh()

    @property
    def start(self) -> str | None:
        """What is chosen, as `TrainingSettings.start` has it."""
        if self._network in BASELINES:
            return None
        wish = self._wish[0] if self._wish else self._proposal()
        return None if wish is None or self._misfit(wish) else wish

    def fit_network(self, network: str) -> None:
        """Offer what can start a network."""
        if network != self._network:
            self._network = network
            self._refresh()

    def fit_labels(self, few_labels: bool) -> None:
        """Propose what suits so many labels."""
        if few_labels != self._few_labels:
            self._few_labels = few_labels
            self._refresh()

    def choose(self, index: int, ask: Callable[[], Path | None]) -> None:
        """Accept the user's choice; `ask` asks for a run folder.

        Raises
        ------
        UserError
            If that run cannot start this network; the earlier choice stays.
        """
        try:
            start = self.itemData(index)
            if index == self.count() - 1:
                folder = ask()
                if folder is None:
                    return
                start = str(folder)
                self._check(start)
                self._own = folder
            self._wish = (start,)
        finally:
            self._refresh()

    def _proposal(self) -> str | None:
        return STARTER if self._few_labels and starter_folder() else None

    def _check(self, start: str) -> None:
        reason = self._misfit(start)
        if reason:
            raise UserError(f"{reason}; choose another run, or another network.")
        if not open_run(start).best_checkpoint.is_file():
            raise UserError(f"{start} has no weights yet; resume that training first, or choose another run.")

    def _misfit(self, start: str) -> str | None:
        """Say why a run cannot start the network, None if it can."""
        try:
            found = open_run(start).settings.network
        except UserError as error:
            return str(error).rstrip(".")
        if found == self._network:
            return None
        return f"{Path(start).name} is a '{found}' network and cannot start a '{self._network}' one"

    def _refresh(self) -> None:
        chosen = self.start
        self.clear()
        self.addItem("nothing", None)
        if starter_folder():
            self._offer("starter network", STARTER)
        if self._own is not None:
            self._offer(self._own.name, str(self._own))
        self.addItem("a run of mine...", None)
        self.setCurrentIndex(0 if chosen is None else self.findData(chosen))

    def _offer(self, title: str, start: str) -> None:
        self.addItem(title, start)
        reason = self._misfit(start)
        model = self.model()
        assert isinstance(model, QStandardItemModel)
        model.item(self.count() - 1).setEnabled(reason is None)
        self.setItemData(self.count() - 1, reason or _ABOUT, Qt.ItemDataRole.ToolTipRole)

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the page: it would ask for a folder."""
        event.ignore()


class LabelCount:
    """Counts labels in the background, since the start that is proposed depends on it.

    Parameters
    ----------
    step : JobStep
        Knows the labels layer; while it trains, the start is chosen and nothing is counted.
    choice : StartChoice
        Proposes what suits so many labels.
    """

    def __init__(self, step: JobStep, choice: StartChoice) -> None:
        self._step, self._choice = step, choice
        self._counting = self._again = False

    def start(self) -> None:
        """Count now, or again after the count that is under way."""
        if self._step.job.running:
            return
        if self._counting:
            self._again = True
            return
        layer = self._step.workspace.labels

        def show(outcome: tuple[bool, Exception | None]) -> None:
            self._counting = False
            if self._again or layer != self._step.workspace.labels:
                self.start()
            elif outcome[1] is None:  # else a later check of the layer reports what is wrong with it
                self._choice.fit_labels(outcome[0])

        self._counting, self._again = True, False
        self._step.in_background(None, lambda: outcome_of(lambda: has_few_labels(layer)), show)
