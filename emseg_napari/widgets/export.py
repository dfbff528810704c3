"""Export of corrected labels as training labels that any program can train on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QLabel

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import UNLABELLED
from emseg_napari.io.axes import slices_text
from emseg_napari.io.export import chosen_slices, export_training_labels
from emseg_napari.io.sparse_stack import SparseStack, exchanged
from emseg_napari.io.stacks import check_pair
from emseg_napari.settings import ExportSettings, validated
from emseg_napari.widgets.base.dialogs import ask_new_folder, is_sure
from emseg_napari.widgets.base.preferences import recall, recall_folder, remember, remember_folder
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import StepWidget, enable
from emseg_napari.widgets.base.text import slice_count
from emseg_napari.widgets.base.threads import outcome_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import confirmed_in, is_managed, trusted_of
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.placement import placement_of, voxel_of_layer


class ExportStep(StepWidget):
    """Exports slices of image and labels in the ISBI convention."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._name = "training-labels"  # of the last export
        self._is_asking = False
        self.form = SettingsForm(ExportSettings)
        self.export = self.button(
            "Export...", "Write images and labels (0 = boundary, 255 = interior) to a folder.", self._ask
        )
        for widget in (QLabel("<b>Training labels</b>"), self.form, self.export):
            self.rows.addWidget(widget)
        with suppress(UserError, TypeError):  # another version remembered them
            self.form.set_values(validated(ExportSettings, **recall("export")).model_dump())
        self.workspace.changed.connect(self._update)
        self._update()

    def _update(self) -> None:
        missing = self.workspace.image is None or self.workspace.labels is None
        obstacle = "open an image and its labels first" if missing else None
        enable(self.export, "the export is being prepared" if self._is_asking else obstacle)
        self.hint(obstacle, "export")

    def _ask(self) -> None:
        """Ask for the folder, once it is known that there is something to export."""
        select = self._selecting()
        self._set_asking(True)  # else a second press would open a second dialog inside of the first
        self.in_background("Checking the labels...", lambda: outcome_of(select), self._checked)

    def _checked(self, outcome: tuple[Any, Exception | None]) -> None:
        _, error = outcome
        try:
            if error is not None:
                raise error
            self._ask_folder()
        finally:
            self._set_asking(False)

    def _set_asking(self, is_asking: bool) -> None:
        self._is_asking = is_asking
        self._update()

    def _ask_folder(self) -> None:
        self.unsay()
        start = recall_folder("exports", Path.home()) / self._name
        folder = ask_new_folder(self, "Export to a folder", start)
        if folder is not None and self._may_replace(folder):
            self.export_to(folder)

    def _may_replace(self, folder: Path) -> bool:
        """Ask before an earlier export is lost; of a file the dialog has asked."""
        if not folder.is_dir() or not any(folder.iterdir()):
            return True
        return is_sure(self, f"{folder.name} in {folder.parent} is replaced.", "Replace")

    def export_to(self, folder: Path) -> None:
        """Export in the background to `folder`."""
        settings, select = validated(ExportSettings, **self.form.values()), self._selecting()
        image, voxel = volume_of_layer(self.workspace.image), voxel_of_layer(self.workspace.image)
        origin = placement_of(self.workspace.image).translate

        def export() -> tuple[int, str]:
            trusted, chosen, doubt = select()
            export_training_labels(image, trusted, chosen, settings, folder, voxel, origin)
            return len(chosen), doubt

        self.in_background("Exporting...", export, lambda done: self._finished(folder, settings, *done))

    def _selecting(self) -> Callable[[], tuple[SparseStack, list[int], str]]:
        """Return what reads the labels that count, the slices to export and a doubt; it takes a while."""
        settings = validated(ExportSettings, **self.form.values())
        image_layer, labels_layer = self.workspace.image, self.workspace.labels
        image = volume_of_layer(image_layer)

        def select() -> tuple[SparseStack, list[int], str]:
            layer, labels = self.known_labels(labels_layer)
            check_pair(image, labels, image_layer.name, layer.name)
            confirmed = set(confirmed_in(layer)) if is_managed(layer) else set()
            trusted = trusted_of(layer, labels, settings.include_proposals)
            chosen = chosen_slices(trusted, confirmed, settings)
            if not settings.allow_unlabelled:
                _refuse_proposals(labels, trusted, chosen)
                _refuse_unlabelled(trusted, chosen)
            return trusted, chosen, exchanged(trusted, layer.name) or ""

        return select

    def _finished(self, folder: Path, settings: ExportSettings, count: int, doubt: str) -> None:
        remember("export", settings.model_dump(mode="json"))
        remember_folder("exports", folder.parent)
        self._name = folder.name
        self.say(f"Exported {slice_count(count)} to {folder}. {doubt}".strip())


def _refuse_proposals(labels: SparseStack, trusted: SparseStack, chosen: list[int]) -> None:
    """Raise `UserError` if pixels of the chosen slices have no other labels than unconfirmed proposals."""
    proposed = [z for z in chosen if ((labels[z] != UNLABELLED) & (trusted[z] == UNLABELLED)).any()]
    if proposed:
        raise UserError(
            f"There are unconfirmed proposals in {slices_text(proposed)}, so nothing is exported; confirm "
            "them, choose confirmed slices, or tick 'With unconfirmed proposals'."
        )


def _refuse_unlabelled(trusted: SparseStack, chosen: list[int]) -> None:
    """Raise `UserError` if chosen slices have unlabelled pixels; unlike the export, it names the tick box."""
    holes = [z for z in chosen if (trusted[z] == UNLABELLED).any()]
    if holes:
        raise UserError(
            f"There are unlabelled pixels in {slices_text(holes)}, so nothing is exported; "
            "label them, choose other slices, or tick 'With unlabelled pixels'."
        )
