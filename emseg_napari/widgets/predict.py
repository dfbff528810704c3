"""The bar that proposes labels: a trained network predicts, and the user's own labels stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtCore import Signal

from emseg_napari.core.jobs import (
    BlockDone,
    Event,
    Finished,
    Message,
    QuickLookReady,
    SlicePredicted,
    UserError,
)
from emseg_napari.io.stacks import check_image
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.widgets.base.closing import is_put_away
from emseg_napari.widgets.base.fit_hint import FitHint
from emseg_napari.widgets.base.fold import Fold
from emseg_napari.widgets.base.job_step import JobStep
from emseg_napari.widgets.base.labels_step import LabelsStep
from emseg_napari.widgets.base.network_list import NetworkChoice
from emseg_napari.widgets.base.output_target import FILE, refuse_many
from emseg_napari.widgets.base.prediction_options import OWN_LAYER, PredictionOptions
from emseg_napari.widgets.base.proposal_text import outcome
from emseg_napari.widgets.base.step import enable, in_row, primary
from emseg_napari.widgets.base.threads import with_field_locations
from emseg_napari.widgets.base.workspace import Workspace
from emseg_napari.widgets.layers.destruction import connect_while
from emseg_napari.widgets.layers.labels_layer import is_managed, proposals_of
from emseg_napari.widgets.layers.layer_pixels import fits, placed_volume, volume_of_layer
from emseg_napari.widgets.layers.placement import shown_slice, slice_in_view, view_events
from emseg_napari.widgets.layers.proposal_layers import PredictionSource, ProposalLayers, check_fits
from emseg_napari.widgets.layers.quick_look_layer import QuickLookLayer
from emseg_napari.widgets.layers.selection import has_tool_in_hand, selection_kept, show_if_hidden
from emseg_napari.widgets.layers.streaming_layer import StreamingLayer, stored_slice

if TYPE_CHECKING:
    from emseg_napari.inference.volume import VolumePrediction

_SLICE = "Propose labels of the slice in view by the network, where you have not painted."
_STACK = "Propose labels of all slices, the one in view first; on disk if that is chosen under Options."
_INSTEAD = f"press 'Propose this slice', or choose {FILE} in 'Write to' under Options"


class PredictStep(JobStep, LabelsStep):
    """Predicts slices of an image layer with a run's network.

    Signals
    -------
    proposed : napari.layers.Labels, int
        A slice was proposed; others of the same prediction may follow.
    """

    proposed = Signal(object, int)

    def __init__(self, napari_viewer: Any, workspace: Workspace | None = None) -> None:
        super().__init__(napari_viewer, workspace)
        self._image: Any = None
        self._proposals: ProposalLayers | None = None
        self._streaming: StreamingLayer | None = None
        self._quick_look = QuickLookLayer(self.viewer)
        self._build()
        self.workspace.changed.connect(self.update_buttons)
        self.closing.connect(self._quick_look.hide)
        for event in view_events(self.viewer):
            connect_while(self, event, self.drop_for_now)
        self.update_buttons()

    def _build(self) -> None:
        self.this_slice = primary(self.button("Propose this slice", _SLICE, self.propose_slice))
        self.whole_stack = self.button("Propose the whole stack", _STACK, self.propose_stack)
        self.add_job_line("Proposing", "Stop; finished slices stay.")
        self.run_picker = NetworkChoice(self)
        self.set_run = self.run_picker.set_run
        options = PredictionOptions(self.workspace)
        self.target, self.volume, self.form = options.target, options.volume, options.form
        self.with_probability, self._remember = options.with_probability, options.remember
        self.fit = FitHint(self, lambda: self.run_picker.run, self.form)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.addLayout(in_row(self.this_slice, self.whole_stack))
        self.rows.addWidget(self.fit)
        self.options = Fold("Options", options)
        self.rows.addWidget(self.options)

    def showEvent(self, event: Any) -> None:
        """Look at the image, and prepare the engine while the user does, too."""
        super().showEvent(event)
        self.fit.refresh()
        self.job.warm_up("predict")

    def update_buttons(self) -> None:
        """Enable what can be done now, and say what stands in the way of the rest."""
        obstacle = self.enable_start(self.whole_stack, "propose labels")
        enable(self.this_slice, obstacle)
        if self.workspace.image is not None:
            self.volume.suggest(self.workspace.image.name)

    def obstacles(self) -> list[tuple[bool, str]]:
        """Return what may stand in the way of a prediction."""
        return [
            (self.job.running, "labels are being proposed"),
            (self.workspace.image is None, "open an image first"),
            (self.run_picker.run is None, "train a network, or choose a run under Network"),
        ]

    def propose_slice(self) -> None:
        """Propose labels of the slice in view; from the prediction on disk, if it is there."""
        z = shown_slice(self.viewer, self._chosen_image())
        self._start_layers(open_run(self._chosen_run()), (z, z + 1))

    def propose_stack(self) -> None:
        """Propose labels of all slices, slice by slice, or write their probability to disk block by block."""
        run, image = open_run(self._chosen_run()), self._chosen_image()
        if self.target.currentText() == FILE:
            self._start_volume(run)
        else:
            self._start_layers(run, (0, len(volume_of_layer(image))))

    def _chosen_image(self) -> Image:
        if self.workspace.image is None:
            raise UserError("Open an image first.")
        return self.workspace.image

    def _chosen_run(self) -> Any:
        if self.run_picker.run is None:
            raise UserError("Train a network, or choose a run under Network.")
        return self.run_picker.run

    def _begin(self) -> None:
        """Forget the last prediction, and remember the options of this one."""
        if self.job.running:  # such as one that waited until foreign labels were taken over
            raise UserError("Labels are being proposed already; wait, or press Cancel.")
        self._image, self._streaming, self._proposals = self.workspace.image, None, None
        self._quick_look.place_over(self._image)
        self._remember()

    def _start_volume(self, run: Run) -> None:
        """Predict the whole stack to an output on disk, the slice in view first."""
        self._begin()
        path, scheduler = self.volume.chosen()
        work = {
            "volume": placed_volume(self._image),
            "run": run.folder,
            "output": path,
            "settings": validated(PredictionSettings, **self.form.values()),
            "scheduler": scheduler,
            "near": slice_in_view(self.viewer, self._image),
        }
        self._streaming = StreamingLayer(self.viewer, self._image, path, run.folder)
        self.say(f"Predicting to {path}...")
        self.job.start("predict_volume", "Predicting", lambda: work)

    def _start_layers(self, run: Run, slices: tuple[int, int]) -> None:
        """Predict slices in memory; they are shown one by one, the one in view first."""
        layer, target = self._chosen_image(), self._target()
        image, name = volume_of_layer(layer), layer.name
        refuse_many(name, (slices[1] - slices[0], *image.shape[1:]), "propose at once", _INSTEAD)
        settings = validated(PredictionSettings, **self.form.values(), slices=slices)
        if target is not None:
            check_fits(target, name, image.shape)
            if not has_tool_in_hand(self.viewer.layers.selection.active):  # which would be lost
                show_if_hidden(self.viewer, target)
        self._begin()
        self._proposals = self._layers_for(run, settings, target, image.shape)
        is_one = slices[1] - slices[0] == 1
        if is_one and self._take_stored(run, settings, slices[0]):
            return
        near = slice_in_view(self.viewer, layer) or 0

        def prepare() -> dict[str, Any]:
            if isinstance(image, np.ndarray):  # the engine looks at what it reads
                check_image(image, name, range(*slices))
            return {"image": image, "run": run.folder, "settings": settings, "near": near}

        self.say(f"Proposing labels of {f'slice {slices[0]}' if is_one else 'all slices'}...")
        self.job.start("predict", "Proposing", prepare)

    def _target(self) -> Labels | None:
        """Return the labels layer to fill; None for a new one.

        Raises
        ------
        ForeignLayerError
            If the plugin does not manage it yet.
        """
        wants_own = self.target.currentText() == OWN_LAYER
        return None if wants_own or self.workspace.labels is None else self.managed_layer()

    def _layers_for(
        self, run: Run, settings: PredictionSettings, target: Labels | None, shape: tuple[int, ...]
    ) -> ProposalLayers:
        threshold = settings.threshold_for(run.record.threshold)
        choices = settings.choices(run.record.scale, run.record.threshold, run.settings.network)
        source = PredictionSource(self._image, shape, run.folder, threshold, choices)
        own_layer = self.target.currentText() == OWN_LAYER

        def chosen() -> Labels | None:
            layer = self.workspace.labels
            return layer if is_managed(layer) and fits(layer, shape) else None

        keeps = self.with_probability.isChecked()
        return ProposalLayers(self.viewer, source, target, keeps, own_layer, chosen)

    def _take_stored(self, run: Run, settings: PredictionSettings, z: int) -> bool:
        """Propose a slice from the prediction on disk, if it is there."""
        layer = proposals_of(self.viewer, self._image, Image)
        stored = stored_slice(layer, run, settings, z)
        if stored is None:
            return False
        layer.visible = False  # labels show now what it shows
        assert self._proposals is not None
        self._proposals.show(stored)
        self._proposed()
        self.on_ended()
        return True

    # -- events of the engine -----------------------------------------------------------

    def handlers(self) -> dict[type[Event], Callable[[Any], None]]:
        """Return what shows which event; slices and blocks come one by one."""
        return super().handlers() | {
            SlicePredicted: self._show_slice,
            QuickLookReady: self._show_look,
            BlockDone: self._show_block,
        }

    def on_message(self, event: Message) -> None:
        """Show a sentence of the prediction."""
        self.say(event.text)

    def on_finished(self, event: Finished) -> None:
        """Show where the prediction is, and what comes next."""
        if self._streaming is None:
            self._proposed()
        else:
            self._written(self._streaming, event.result)

    def cancelled_sentence(self) -> str:
        """Return what is left of a cancelled prediction."""
        if self._streaming is None:
            return "Cancelled; finished slices stay."
        return "Cancelled; finished blocks stay on disk. Press 'Propose the whole stack' to resume."

    def _show_look(self, event: QuickLookReady) -> None:
        if not is_put_away(self):
            self._quick_look.show(event)

    def _show_slice(self, event: SlicePredicted) -> None:
        assert self._proposals is not None
        self._quick_look.hide()
        self._proposals.show(event)
        if self._proposals.target in self.viewer.layers:
            self.proposed.emit(self._proposals.target, event.z)

    def _show_block(self, event: BlockDone) -> None:
        assert self._streaming is not None
        with selection_kept(self.viewer):
            self._streaming.show(event)
        self._quick_look.clear(event.block)

    def on_ended(self) -> None:
        """Hide the first look, close the history entry of this prediction, and forget its layers."""
        self._quick_look.end()
        if self._proposals is not None:
            self._proposals.end()
        self._image = self._streaming = self._proposals = None  # else what is removed would stay in memory
        self.update_buttons()

    def _proposed(self) -> None:
        assert self._proposals is not None
        self.bar.setFormat("done")
        target = self._proposals.target
        if target not in self.viewer.layers:
            raise UserError(f"'{target.name}' was removed in the meantime; propose again.")
        sentence = outcome(self._proposals, target == self.workspace.labels)
        # That nothing was changed in a slice is said while that is in view.
        (self.say if self._proposals.pixels else self.say_for_now)(sentence)

    def _written(self, streaming: StreamingLayer, result: VolumePrediction) -> None:
        self.bar.setFormat("done")
        with selection_kept(self.viewer):
            layer = streaming.complete()
        if result.failures:
            first = result.failures[0]
            raise UserError(
                f"{len(result.failures)} blocks could not be predicted, the first {first.index}: "
                f"{with_field_locations(first)} All others are in {streaming.path}; press 'Propose the whole "
                f"stack' to try these again. {result.warning}".rstrip()
            )
        self.say(
            f"'{layer.name}' is in {streaming.path}. To correct a slice, press 'Propose this slice': its "
            "labels are taken from there."
        )
