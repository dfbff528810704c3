"""Sentence on how well the chosen image fits the chosen run, shown before anything is predicted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from emseg_napari.core.jobs import Cancelled, UserError
from emseg_napari.settings import PredictionSettings, validated
from emseg_napari.widgets.base.settings_form import SettingsForm
from emseg_napari.widgets.base.step import StepWidget, WrappingLabel
from emseg_napari.widgets.base.threads import in_daemon
from emseg_napari.widgets.layers.layer_pixels import volume_of_layer

if TYPE_CHECKING:
    from emseg_napari.inference.fit import Fit

# The settings of the prediction with which another image, or another size of it, is looked at.
_FIELDS = ("scale", "missing_is_empty")


class FitHint(QWidget):
    """Says that an image looks unlike what a run has seen, and offers a scale that fits better.

    Parameters
    ----------
    step : StepWidget
        Knows the workspace; nothing is computed while it is hidden.
    run : callable
        Returns the folder of the run that predicts, or None.
    form : SettingsForm
        Of `PredictionSettings`; its scale takes the one that is offered.
    """

    def __init__(self, step: StepWidget, run: Callable[[], Path | None], form: SettingsForm) -> None:
        super().__init__()
        self._step, self._run, self._form = step, run, form
        self._known: tuple[Any, ...] | None = None
        self._fit: Fit | None = None
        self.sentence = WrappingLabel()
        self.use = step.button("", "Put this scale into the settings.", self._use)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sentence)
        layout.addWidget(self.use)
        self._show(None)
        step.workspace.changed.connect(self.refresh)
        for name in _FIELDS:
            form.widgets[name].changed.connect(lambda _: self.refresh())

    def refresh(self) -> None:
        """Look at the image again if it, the run or a setting that counts is another one."""
        if not self._step.isVisible():
            return
        try:
            asked = self._asked()
        except UserError:  # a colour image, a run that was removed, half a number: Predict says so
            asked = None
        if asked == self._known:
            return
        self._known = asked
        self._show(None)
        if asked is not None:
            pixels = volume_of_layer(self._step.workspace.image)
            look = partial(self._look, asked, pixels)
            self._step.in_background(None, look, self._show_if_asked(asked), in_daemon)

    def _asked(self) -> tuple[Any, ...] | None:
        """Return what is looked at, and how; None if there is no image or no run."""
        layer, run = self._step.workspace.image, self._run()
        if layer is None or run is None:
            return None
        volume_of_layer(layer)  # a colour image is refused
        values = self._form.values()
        settings = validated(PredictionSettings, **{name: values[name] for name in _FIELDS})
        return id(layer), id(layer.data), run, settings

    def _look(self, asked: tuple[Any, ...], pixels: Any) -> Fit | None:
        from emseg_napari.inference.fit import fit_to_run  # loads ONNX Runtime, which takes a while

        try:
            return fit_to_run(pixels, asked[2], asked[3], lambda: self._known != asked)
        except (Cancelled, UserError):
            return None

    def _show_if_asked(self, asked: tuple[Any, ...]) -> Callable[[Fit | None], None]:
        def show(fit: Fit | None) -> None:
            if asked != self._known:
                return
            if fit is None:  # such as a run whose network is not there yet: it is looked at again
                self._known = None
            self._show(fit)

        return show

    def _show(self, fit: Fit | None) -> None:
        self._fit = fit
        self.setVisible(fit is not None and not fit.fits)
        self.sentence.setText(fit.sentence if fit else "")
        self.use.setVisible(fit is not None and fit.scale is not None)
        if fit is not None and fit.scale is not None:
            self.use.setText(f"Use scale {fit.scale:g}")

    def _use(self) -> None:
        if self._fit is not None:
            self._form.set_values({"scale": self._fit.scale})
