"""Step 5: write corrected labels as training labels that others, and we, can train on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtWidgets import QFileDialog

from emseg_napari.exports import chosen_slices, export_training_labels
from emseg_napari.jobs import UserError
from emseg_napari.settings import ExportSettings, validated
from emseg_napari.stacks import check_pair
from emseg_napari.widgets.forms import SettingsForm
from emseg_napari.widgets.layers import corrections_of, image_of, is_ours
from emseg_napari.widgets.load import outcome_of
from emseg_napari.widgets.preferences import recall, recall_folder, remember, remember_folder
from emseg_napari.widgets.step import Step, enable
from emseg_napari.widgets.workspace import Workspace


class ExportStep(Step):
    """Exports slices of image and labels in the ISBI convention."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._worker: Any = None
        self.add_choices("image", "labels")
        self.form = SettingsForm(ExportSettings)
        self.export = self.button(
            "Export...", "Write images and labels (0 = boundary, 255 = interior) to a folder.", self._ask
        )
        for widget in (self.form, self.export, self.status):
            self.rows.addWidget(widget)
        with suppress(UserError, TypeError):  # another version remembered them
            self.form.set_values(validated(ExportSettings, **recall("export")).model_dump())
        self.workspace.changed.connect(self._update)
        self._update()

    def _update(self) -> None:
        missing = self.workspace.image is None or self.workspace.labels is None
        enable(self.export, "open an image and its labels first" if missing else None)

    def _ask(self) -> None:
        start = recall_folder("exports", Path.home()) / "training-labels"
        path, _ = QFileDialog.getSaveFileName(self, "Export to a new folder", str(start))
        if path:
            self.export_to(Path(path))

    def export_to(self, folder: Path) -> None:
        """Export in the background to `folder`."""
        settings = validated(ExportSettings, **self.form.values())
        image_layer, image = self.workspace.image, image_of(self.workspace.image)
        labels_layer, labels = self.known_labels()
        check_pair(image, labels, image_layer.name, labels_layer.name)
        confirmed: set[int] = set()
        if is_ours(labels_layer):
            corrections = corrections_of(labels_layer)
            confirmed = set(corrections.confirmed)
            labels = corrections.trusted(labels, include_proposals=settings.include_proposals)
        chosen = chosen_slices(labels, confirmed, settings)
        remember("export", settings.model_dump(mode="json"))
        self.say(f"Exporting {len(chosen)} slices...")
        self._worker = create_worker(
            outcome_of,
            lambda: export_training_labels(image, labels, chosen, settings, folder),
            _start_thread=False,
        )
        self._worker.returned.connect(lambda outcome: self._finished(folder, len(chosen), outcome))
        self._worker.start()

    def _finished(self, folder: Path, count: int, outcome: tuple[Any, Exception | None]) -> None:
        with self.guard():
            if outcome[1] is not None:
                raise outcome[1]
            remember_folder("exports", folder.parent)
            self.say(f"Exported {count} slices to {folder}.")
