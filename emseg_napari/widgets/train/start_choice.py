"""What a training starts from: nothing, a network that comes with the package, or a run of the user's."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal

from emseg_napari.core.jobs import UserError
from emseg_napari.models.earlier_run import check_start, default_start, starter_name
from emseg_napari.models.run import is_starter, open_run
from emseg_napari.models.run_list import ListedRun, listed_run
from emseg_napari.settings import BASELINES, NetworkName
from emseg_napari.widgets.base.network_list import Entry, RunChoice
from emseg_napari.widgets.base.step import StepWidget
from emseg_napari.widgets.base.text import listed_details, listed_title

_ABOUT = (
    "The starter comes with emseg-napari: the training begins with what it knows, so a few labels and a "
    "minute are enough. A run of yours is trained further; one that was interrupted can be resumed."
)
_NOTHING = "Random weights, which need many labels and minutes."


class StartChoice(RunChoice):
    """Chooses a start that the network can have, or an interrupted run that is to be resumed.

    Until the user chooses, it is the default of the network (`models.earlier_run.default_start`).

    Signals
    -------
    chosen
        The user has chosen.
    """

    chosen = Signal()

    def __init__(self, step: StepWidget) -> None:
        super().__init__(step)
        self._network: NetworkName = "compact"
        self._wish: tuple[str | None] | None = None  # in a tuple, since "nothing" is a choice too
        self.fill()

    @property
    def start(self) -> str | None:
        """What is chosen, as `TrainingSettings.start` has it."""
        if self._network in BASELINES:
            return None
        if self._wish is None:
            return default_start(self._network)
        wish = self._wish[0]
        return None if wish is None or self._is_another_network(wish) else wish

    @property
    def interrupted(self) -> Path | None:
        """The run that is chosen to be resumed."""
        wish = self._wish[0] if self._wish else None
        found = self.networks.find(Path(wish)) if wish else None
        return found.folder if found and found.resumable else None

    def fit_network(self, network: NetworkName) -> None:
        """Offer what can start a network."""
        if network != self._network:
            self._network = network
            self.fill()

    def entries(self) -> list[Entry]:
        """Return nothing, the networks of the package, and the runs."""
        shipped = [self._shipped(one) for one in self.networks.shipped]
        return [Entry("nothing", None, _NOTHING), *shipped, *map(self._own, self.networks.runs)]

    def value(self) -> str | None:
        """Return the run that is resumed, or the start."""
        return str(self.interrupted) if self.interrupted else self.start

    def accept(self, value: str | None) -> None:
        """Start from there."""
        self._wish = (value,)
        self.chosen.emit()

    def accept_folder(self, folder: Path) -> None:
        """Start from a run that is perhaps not in the list, or resume it."""
        obstacle = self._obstacle(listed_run(folder), str(folder))
        if obstacle:
            raise UserError(obstacle)
        self.networks.add(folder)
        self.accept(str(folder))

    def _shipped(self, listed: ListedRun) -> Entry:
        name = (starter_name() if is_starter(listed.folder) else None) or str(listed.folder)
        details = f"{listed_details(listed)}\n{_ABOUT}"
        return Entry(listed_title(listed), name, details, self._obstacle(listed, name))

    def _own(self, listed: ListedRun) -> Entry:
        name = str(listed.folder)
        return Entry(listed_title(listed), name, listed_details(listed), self._obstacle(listed, name))

    def _obstacle(self, listed: ListedRun, name: str) -> str | None:
        """Return why a run can neither start the network nor be resumed."""
        if listed.run is None or listed.is_in_use:
            return listed.problem
        try:
            if not listed.resumable:
                check_start(listed.run, self._network, name)
        except UserError as error:
            return str(error)
        return None

    def _is_another_network(self, start: str) -> bool:
        """Say whether a run is known to be another network; one that is gone is refused when it is used."""
        try:
            return open_run(start).settings.network != self._network
        except UserError:
            return False
