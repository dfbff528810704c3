"""What a training starts from: nothing, the starter network, or a run of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox

from emseg_napari.core.jobs import UserError
from emseg_napari.models.earlier_run import default_start, fitting_start, starter_name
from emseg_napari.models.run import open_run
from emseg_napari.settings import BASELINES, NetworkName, TrainingSettings

_ABOUT = (
    "The starter network comes with emseg-napari: the training begins with what it knows, so a few labels "
    "and a minute are enough. A run of yours is trained further. 'nothing' means random weights, which need "
    "many labels and minutes."
)


class StartChoice(QComboBox):
    """Chooses a start that the network can have.

    Until the user chooses, it is the default of the network (`models.earlier_run.default_start`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._network: NetworkName = "compact"
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
        if self._wish is None:
            return default_start(self._network)
        wish = self._wish[0]
        return None if wish is None or self._is_another_network(wish) else wish

    def fit_network(self, network: NetworkName) -> None:
        """Offer what can start a network."""
        if network != self._network:
            self._network = network
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
                self._open(start)
                self._own = folder
            self._wish = (start,)
        finally:
            self._refresh()

    def _open(self, start: str) -> None:
        """Raise `UserError` if a run cannot start the network."""
        fitting_start(TrainingSettings(network=self._network, start=start))

    def _is_another_network(self, start: str) -> bool:
        """Say whether a run is known to be another network; one that is gone is refused when it is used."""
        try:
            return open_run(start).settings.network != self._network
        except UserError:
            return False

    def _misfit(self, start: str) -> str | None:
        """Say why a run cannot start the network, None if it can."""
        try:
            self._open(start)
        except UserError as error:
            return str(error)
        return None

    def _refresh(self) -> None:
        chosen = self.start
        self.clear()
        self.addItem("nothing", None)
        if starter := starter_name():
            self._offer("starter network", starter)
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
