"""Training of the baselines: a ridge filter and boosted trees.

Neither needs Keras. They are long jobs that write a run as a network's training does, with one row of
history; a fit that is stopped leaves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import numpy as np

from emseg_napari.core.files import writable_folder, write_json
from emseg_napari.core.jobs import EpochEnded, Event, JobContext, Message, PreviewReady, Progress
from emseg_napari.core.label_survey import distinct
from emseg_napari.core.labels import BOUNDARY, INTERIOR
from emseg_napari.core.owned_output import adding_files
from emseg_napari.inference import SlicePredictor, load_predictor
from emseg_napari.io.axes import SliceWindow
from emseg_napari.io.readable_slices import ReadableSlices
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.models.run import Run
from emseg_napari.models.run_folder import owned_run
from emseg_napari.settings import PredictionSettings, TrainingSettings
from emseg_napari.training.baselines import trees
from emseg_napari.training.baselines.ridge import Example, fit_ridge
from emseg_napari.training.dataset import prepare
from emseg_napari.training.run_record import split_description
from emseg_napari.training.splits import most_labelled, spread_over
from emseg_napari.training.validation import CachedPredictor, Validator

_FILTER_SLICES = 4
_FILTER_SIDE_PX = 1024
# Part of the work that is fitting; the rest is validation.
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
        Its `control` names the slice to preview at the end. A fit takes seconds, so there is no pause.

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
    with owned_run(folder):
        dataset = prepare(image, labels, settings)
        for note in (split_description(dataset.record), *dataset.notes):
            context.report(Message(note))
        context.report(Progress(0.0, None, f"fitting {settings.network}"))
        with _new_run(Path(folder)) as unfinished:
            run = Run(unfinished, settings, dataset.record)
            fitting = _Fitting(dataset.image, dataset.labels, run, context)
            steps = _FITS[settings.network](fitting)
            fitting.finish(steps)
    return Run(Path(folder), settings, run.record, run.history)


@contextmanager
def _new_run(folder: Path) -> Iterator[Path]:
    """Yield a folder whose files move to `folder` at the end; after an error `folder` is as it was."""
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
    """One fit: its data, its run and its context."""

    def __init__(self, image: Stack, labels: SparseStack, run: Run, context: JobContext) -> None:
        self.image, self.run, self._context = image, run, context
        self._started = time.monotonic()
        self._validator = Validator(
            image, labels, run.record, run.settings.boundary_weight, context.should_stop
        )
        self.labels = self._validator.training_labels

    def part(self, start: float, end: float) -> JobContext:
        """Return the context of a part of the fit, whose progress counts from `start` to `end`, 0 to 1."""

        def report(event: Event) -> None:
            assert isinstance(event, Progress)  # fits report nothing else
            self._report_progress(start + (end - start) * event.fraction)

        return self._context.reporting_to(report)

    def _report_progress(self, fraction: float) -> None:
        spent = time.monotonic() - self._started
        left = spent / fraction * (1 - fraction) if fraction > 0 else None
        self._context.report(Progress(_FITTED * fraction, left, f"fitting {self.run.settings.network}"))

    def normalised(self, z: int) -> np.ndarray:
        """Return a slice as float32 (y, x) in the run's units."""
        return self.run.record.normalisation.apply(self.image[z])

    def finish(self, steps: int) -> None:
        """Score what was fitted, write the record and report it."""
        seconds, z = time.monotonic() - self._context.began, self._context.control().z
        report, run = self._context.report, self.run
        report(Progress(_FITTED, None, "validating"))
        predictor = cast(SlicePredictor, CachedPredictor(load_predictor(run, PredictionSettings())))
        run.history = [self._row(predictor, steps, seconds)]
        thresholds = self._validator.choose_thresholds(predictor)
        run.record = run.record.model_copy(update=thresholds | {"kept_epoch": 1, "finished": True})
        run.save()
        report(run.history[0])
        slices = ReadableSlices(self.image, report)
        if z is not None and 0 <= z < len(self.image) and (plane := slices.read(z)) is not None:
            report(PreviewReady(1, z, predictor.probability(plane, self._context.should_stop)))
        report(Progress(1.0, None, "done"))

    def _row(self, predictor: SlicePredictor, steps: int, seconds: float) -> EpochEnded:
        trained, held_out = self._validator.trained(predictor), self._validator.held_out(predictor)
        accuracy, v_rand = held_out.accuracy, held_out.v_rand
        return EpochEnded(1, steps, seconds, trained.cost, trained.accuracy or 0.0, accuracy, 0.0, v_rand)


def _fit_ridge(fitting: _Fitting) -> int:
    """Write the fitted filter and return how many settings were tried."""
    examples = [
        Example(fitting.normalised(z)[part], fitting.labels[z][part]) for z, part in _examples(fitting)
    ]
    found, tried = fit_ridge(examples, context=fitting.part(0, 1))
    write_json(fitting.run.ridge_file, found.model_dump(mode="json"))
    return tried


def _examples(fitting: _Fitting) -> list[tuple[int, SliceWindow]]:
    """Return slices and windows to fit to, spread over the slices that have both classes."""
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
    trees.import_sklearn()  # where it is missing, this is said before any work is done
    trained, seed = fitting.run.record.trained_slices, fitting.run.settings.seed
    features, is_boundary = trees.sample_pixels(
        lambda k: fitting.normalised(trained[k]),
        fitting.labels[trained],
        np.random.default_rng(seed),
        fitting.part(0, 0.5),
    )
    model = trees.fit_trees(features, is_boundary, seed, fitting.part(0.5, 1))
    trees.export_trees(model, fitting.run.network_file)
    return trees.TREES


_FITS: dict[str, Callable[[_Fitting], int]] = {"ridge": _fit_ridge, "trees": _fit_trees}
