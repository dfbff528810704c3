"""Training of the baselines: a ridge filter whose settings are fitted, and boosted trees.

Neither needs Keras. They keep the long-job contract and write a run like any other, with one row of
history; a run that is broken off leaves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np

from emseg_napari.core.files import adding_files, writable_folder, write_json
from emseg_napari.core.jobs import EpochEnded, JobContext, Message, PreviewReady, Progress, UserError
from emseg_napari.core.labels import BOUNDARY, INTERIOR, distinct
from emseg_napari.inference import SlicePredictor, Window, load_predictor
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.models.run import Run, is_run
from emseg_napari.settings import PredictionSettings, TrainingSettings
from emseg_napari.training.baselines.ridge import Example, fit_ridge
from emseg_napari.training.dataset import prepare
from emseg_napari.training.run_record import split_description
from emseg_napari.training.splits import most_labelled, spread_over
from emseg_napari.training.validation import CachedPredictor, Validator

_FILTER_SLICES = 4
_FILTER_SIDE_PX = 1024
# Part of the work that is fitting; the rest is judging.
_FITTED = 0.9


def train_baseline(
    image: Stack,
    labels: np.ndarray | SparseStack,
    settings: TrainingSettings,
    context: JobContext | None = None,
    *,
    folder: Path | str,
    **_: Any,
) -> Run:
    """Fit a baseline to a labelled stack.

    Parameters
    ----------
    image, labels, folder
        As for `emseg_napari.training.trainer.train_network`.
    settings : TrainingSettings
        With network "ridge" or "trees".
    context : JobContext, optional
        Its `control` names the slice to preview at the end. A fit of seconds neither pauses nor ends early.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    UserError
        If images, labels, settings or the folder cannot be used.
    Cancelled
        If the context says so; nothing is written then.
    """
    context = context or JobContext()
    if is_run(Path(folder)):
        raise UserError(f"{folder} holds a run already; choose another folder.")
    dataset = prepare(image, labels, settings)
    context.report(Message(split_description(dataset.record)))
    context.report(Progress(0.0, None, f"fitting {settings.network}"))
    with _new_run(Path(folder)) as unfinished:
        run = Run(unfinished, settings, dataset.record)
        fitting = _Fitting(dataset.image, dataset.labels, run, context)
        steps = _FITS[settings.network](fitting)
        fitting.finish(steps)
    return Run(Path(folder), settings, run.record, run.history)


@contextmanager
def _new_run(folder: Path) -> Iterator[Path]:
    """Give a folder whose files move to `folder` at the end; if there is none, `folder` stays as it was."""
    is_new = not folder.exists()
    try:
        with adding_files(writable_folder(folder)) as unfinished:
            yield unfinished
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


class _Fitting:
    """One fit: its data, and whom to tell."""

    def __init__(self, image: Stack, labels: SparseStack, run: Run, context: JobContext) -> None:
        self.image, self.run, self._context = image, run, context
        self.should_stop, self._report = context.should_stop, context.report
        self._started = time.monotonic()
        self._validator = Validator(image, labels, run.record, run.settings.boundary_weight, self.should_stop)
        self.labels = self._validator.teaching

    def told(self, fraction: float) -> None:
        """Report progress, `fraction` of the fit itself."""
        spent = time.monotonic() - self._started
        left = spent / fraction * (1 - fraction) if fraction > 0 else None
        self._report(Progress(_FITTED * fraction, left, f"fitting {self.run.settings.network}"))

    def normalised(self, z: int) -> np.ndarray:
        """Return a slice as float32 (y, x) in the run's units."""
        return self.run.record.normalisation.apply(self.image[z])

    def finish(self, steps: int) -> None:
        """Judge what was fitted, write the record and report it."""
        seconds, z = time.monotonic() - self._context.began, self._context.control().z
        self._report(Progress(_FITTED, None, "judging"))
        run = self.run
        predictor = cast(SlicePredictor, CachedPredictor(load_predictor(run, PredictionSettings())))
        validator = self._validator
        trained, held_out = validator.trained(predictor), validator.held_out(predictor)
        accuracy = trained.accuracy or 0.0
        run.history = [
            EpochEnded(1, steps, seconds, trained.cost, accuracy, held_out.accuracy, 0.0, held_out.v_rand)
        ]
        run.record = run.record.model_copy(
            update=validator.verdict(predictor) | {"kept_epoch": 1, "finished": True}
        )
        run.save()
        self._report(run.history[0])
        if z is not None and 0 <= z < len(self.image):
            self._report(PreviewReady(1, z, predictor.probability(self.image[z], self.should_stop)))
        self._report(Progress(1.0, None, "done"))


def _fit_ridge(fitting: _Fitting) -> int:
    """Write the fitted filter and return how many settings were tried."""
    examples = [
        Example(fitting.normalised(z)[part], fitting.labels[z][part]) for z, part in _examples(fitting)
    ]
    found, tried = fit_ridge(examples, told=fitting.told, should_stop=fitting.should_stop)
    write_json(fitting.run.ridge_file, found.model_dump(mode="json"))
    return tried


def _examples(fitting: _Fitting) -> list[tuple[int, Window]]:
    """Choose parts of some slices, spread over those that have both classes."""
    labels, trained = fitting.labels, fitting.run.record.trained_slices
    parts = [(z, most_labelled(labels[[z]], _FILTER_SIDE_PX)) for z in trained]
    both = [(z, part) for z, part in parts if {BOUNDARY, INTERIOR} <= set(distinct(labels[z][part]))]
    if both:
        return spread_over(both, _FILTER_SLICES)
    found = []
    for kind in (BOUNDARY, INTERIOR):  # scribbles of one class here, of the other one there
        most = sorted(trained, key=lambda z, kind=kind: -np.count_nonzero(labels[z] == kind))  # type: ignore[misc]
        found += [
            (z, most_labelled(labels[[z]] == kind, _FILTER_SIDE_PX)) for z in most[: _FILTER_SLICES // 2]
        ]
    return found


def _fit_trees(fitting: _Fitting) -> int:
    """Write the fitted trees and return their number."""
    from emseg_napari.training.baselines import (
        trees,  # scikit-learn takes seconds, which the ridge filter does not need
    )

    trained, seed = fitting.run.record.trained_slices, fitting.run.settings.seed
    features, is_boundary = trees.sample_pixels(
        lambda k: fitting.normalised(trained[k]),
        fitting.labels[trained],
        np.random.default_rng(seed),
        lambda part: fitting.told(part / 2),
        fitting.should_stop,
    )
    model = trees.fit_trees(
        features, is_boundary, seed, lambda part: fitting.told((1 + part) / 2), fitting.should_stop
    )
    trees.export_trees(model, fitting.run.network_file)
    return trees.TREES


_FITS: dict[str, Callable[[_Fitting], int]] = {"ridge": _fit_ridge, "trees": _fit_trees}
