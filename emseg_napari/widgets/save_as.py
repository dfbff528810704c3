"""Step Save as: cells, labels, a probability or an image in the format of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from napari.layers import Labels, Layer
from qtpy.QtWidgets import QFormLayout, QLabel

from emseg_napari.core.jobs import Finished, Message, UserError
from emseg_napari.io.convert import FORMATS, RESUMED, Format, check_output
from emseg_napari.io.sparse_stack import stacked
from emseg_napari.io.volume import volume_of
from emseg_napari.widgets.base.dialogs import ask_new_file, ask_new_folder, is_sure
from emseg_napari.widgets.base.job_step import JobStep
from emseg_napari.widgets.base.layer_picker import LayerPicker
from emseg_napari.widgets.base.output_target import refuse_many
from emseg_napari.widgets.base.preferences import recall, recall_folder, remember, remember_folder
from emseg_napari.widgets.base.step import choice_of
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.labels_layer import is_managed, trusted_of
from emseg_napari.widgets.layers.layer_info import info_of
from emseg_napari.widgets.layers.layer_pixels import placed_volume
from emseg_napari.widgets.layers.layer_records import record_of_layer

_SUFFIXES = {"tiff": ".tif", "ome-zarr": ".zarr", "ome-zarr-0.4": ".zarr"}
_LABELS = {"kind": "labels", "convention": "napari", "values": "0 unlabelled, 1 boundary, 2 interior"}


class SaveAsStep(JobStep):
    """Writes a layer for another program, in the background."""

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        # of the job that runs
        self._output, self._notes = Path(), [""]
        self._written_as: Format = "tiff"
        self.rows.addWidget(QLabel("<b>For other programs</b>"))
        self.source = _source_picker(self.workspace)
        self.source.picked.connect(self.update_buttons)
        meanings = "\n".join(f"{name}: {text}" for name, text in FORMATS.items())
        self.format = choice_of(tuple(FORMATS), meanings)
        self.format.setCurrentText(str(recall("save_as").get("format", "ome-zarr-0.4")))
        rows = QFormLayout()
        rows.addRow("Layer", self.source)
        rows.addRow("Format", self.format)
        self.rows.addLayout(rows)
        self.save = self.button("Save as...", "Write the layer in the chosen format.", self._ask)
        self.rows.addWidget(self.save)
        self.add_job_line("Saving", "Stop; an OME-Zarr can be resumed, of other formats nothing is written.")
        self.workspace.changed.connect(self.update_buttons)
        self.update_buttons()

    def update_buttons(self) -> None:
        """Enable what can be done now, and say what stands in the way of the rest."""
        self.enable_start(self.save, "save it for another program")

    def obstacles(self) -> list[tuple[bool, str]]:
        """Return what may stand in the way of saving."""
        return [
            (self.job.running, "a layer is being saved"),
            (self.source.layer is None, "choose a layer first"),
        ]

    def _ask(self) -> None:
        """Ask for the name of the file or folder."""
        to = self._to()
        name = Path(self.source.layer.name).stem + _SUFFIXES.get(to, f"-{to}")
        start = recall_folder("conversions", Path.home()) / name
        if to == "tiff":
            path = ask_new_file(self, "Save as TIFF", start, "TIFF (*.tif)")
        else:
            path = ask_new_folder(self, f"Save as {to}", start)
        if path is not None and self._may_replace(path, to):
            self.write(path)

    def _may_replace(self, path: Path, to: Format) -> bool:
        """Ask before an earlier folder is lost; of a file the dialog has asked, an OME-Zarr is resumed."""
        check_output(path, to)
        if to == "tiff" or to in RESUMED or not path.exists():
            return True
        return is_sure(self, f"{path.name} in {path.parent} is replaced.", "Replace")

    def write(self, path: Path) -> None:
        """Write the chosen layer in the background."""
        layer, to = self.source.layer, self._to()
        if layer is None:
            raise UserError("Choose a layer first.")
        remember("save_as", {"format": to})
        self._output, self._written_as, self._notes = path, to, []
        self.say(f"Saving {layer.name}...")
        self.job.start("convert", "Saving", lambda: self._given(layer) | {"output": path, "to": to})

    def _given(self, layer: Layer) -> dict[str, Any]:
        """Return what of a layer is written; it takes a while.

        Of labels that are painted, proposals that nobody confirmed are left out.
        """
        volume = placed_volume(layer)
        if not is_managed(layer):
            return {"volume": volume, "record": record_of_layer(layer), "labels": isinstance(layer, Labels)}
        refuse_many(layer.name, volume.shape, "save from here", "save its session, or fewer slices")
        painted, labels = self.known_labels(layer)
        trusted = trusted_of(painted, labels, False)
        values = stacked(trusted, range(len(trusted)))
        copy = volume_of(values, layer.name, volume.voxel, volume.origin)
        return {"volume": copy, "record": _LABELS, "labels": True}

    def _to(self) -> Format:
        return cast(Format, self.format.currentText())

    # -- events of the engine -----------------------------------------------------------

    def on_message(self, event: Message) -> None:
        """Keep a sentence for the end."""
        self._notes.append(event.text)

    def on_finished(self, event: Finished) -> None:
        """Say where it is."""
        self.bar.setFormat("done")
        remember_folder("conversions", self._output.parent)
        self.say(" ".join([f"Saved {self._output}.", *self._notes]))

    def cancelled_sentence(self) -> str:
        """Return what is left after Cancel."""
        if self._written_as in RESUMED:
            return f"Cancelled; finished parts stay in {self._output}: save it there again to resume."
        return "Cancelled; nothing was written."


def _source_picker(workspace: Workspace) -> LayerPicker:
    def candidates() -> list[Layer]:
        layers = workspace.candidates("labels") + workspace.images
        return sorted(layers, key=lambda layer: not info_of(layer).is_cells)

    def is_likely(layer: Layer) -> bool:
        return isinstance(layer, Labels)

    picker = LayerPicker(workspace, candidates, is_likely, "choose a layer")
    picker.setToolTip(
        "Cells, labels, a probability or an image. Of labels that you paint, proposals that you have not "
        "confirmed are left out."
    )
    return picker
