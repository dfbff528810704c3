"""Form of the settings of predictions.

Its scale is that of the workspace, since other steps predict at it, too.
"""

from __future__ import annotations

from contextlib import suppress

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.workspace import Workspace


class PredictionForm(SettingsForm):
    """Edits `PredictionSettings` but for the slices.

    Parameters
    ----------
    workspace : Workspace
    """

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(PredictionSettings, leave_out=("slices",))
        self._workspace = workspace
        scale = self.widgets["scale"]
        scale.changed.connect(lambda _: None if scale.native.hasFocus() else self._choose_scale())
        scale.native.editingFinished.connect(self._choose_scale)
        workspace.changed.connect(self._show_scale)
        self._show_scale()

    def _scale(self) -> float | None:
        return validated(PredictionSettings, scale=self.value("scale")).scale

    def _choose_scale(self) -> None:
        """Choose the scale that was typed, unless it is none."""
        with suppress(UserError):
            self._workspace.choose_scale(self._scale())

    def _show_scale(self) -> None:
        """Show the chosen scale, such as that of a session; a number that is being typed stays."""
        with suppress(UserError):
            if self._scale() != self._workspace.scale:
                self.set_values({"scale": self._workspace.scale})
