"""Export of corrected labels as training labels that any program can train on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QLabel

from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import UNLABELLED
from emseg_napari.io.axes import slices_text
from emseg_napari.io.export import chosen_slices, export_training_labels
from emseg_napari.io.sparse_stack import SparseStack, exchanged
from emseg_napari.io.stacks import check_pair
from emseg_napari.settings import ExportSettings, validated
from emseg_napari.widgets.base.preferences import recall, recall_folder, remember, remember_folder
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import StepWidget, enable
from emseg_napari.widgets.base.text import slice_count
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import confirmed_in, is_managed, trusted_of
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer
from emseg_napari.widgets.layers.placement import placement_of, voxel_of_layer


class ExportStep(StepWidget):
    """Exports slices of image and labels in the ISBI convention."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
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
        enable(self.export, obstacle)
        self.hint(obstacle, "export")

    def _ask(self) -> None:
        start = recall_folder("exports", Path.home()) / "training-labels"
        path, _ = QFileDialog.getSaveFileName(self, "Export to a new folder", str(start))
        if path:
            self.export_to(Path(path))

    def export_to(self, folder: Path) -> None:
        """Export in the background to `folder`."""
        settings = validated(ExportSettings, **self.form.values())
        image_layer, labels_layer = self.workspace.image, self.workspace.labels
        image, voxel = volume_of_layer(image_layer), voxel_of_layer(image_layer)
        origin = placement_of(image_layer).translate

        def export() -> tuple[int, str]:
            layer, labels = self.known_labels(labels_layer)
            check_pair(image, labels, image_layer.name, layer.name)
            confirmed = set(confirmed_in(layer)) if is_managed(layer) else set()
            trusted = trusted_of(layer, labels, settings.include_proposals)
            chosen = chosen_slices(trusted, confirmed, settings)
            if not settings.allow_unlabelled:
                _refuse_proposals(labels, trusted, chosen)
                _refuse_unlabelled(trusted, chosen)
            export_training_labels(image, trusted, chosen, settings, folder, voxel, origin)
            return len(chosen), exchanged(trusted, layer.name) or ""

        self.in_background("Exporting...", export, lambda done: self._finished(folder, settings, *done))

    def _finished(self, folder: Path, settings: ExportSettings, count: int, doubt: str) -> None:
        remember("export", settings.model_dump(mode="json"))
        remember_folder("exports", folder.parent)
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
