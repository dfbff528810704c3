"""How exports and trainings are made again from their records."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from emseg_napari.cli.inputs import open_pair
from emseg_napari.cli.reporting import job_context, quiet_libraries
from emseg_napari.cli.reproduction import Places, Recipe, place_of
from emseg_napari.core.jobs import UserError
from emseg_napari.core.machine import processor_name
from emseg_napari.io.axes import slices_text
from emseg_napari.io.compare import Comparison, PartDifference, compare_exports
from emseg_napari.io.export import SOURCES, export_training_labels
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.made_with import MADE_WITH, changes_since, made_with
from emseg_napari.io.open import display_name
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.io.stack_or_volume import place_of_file
from emseg_napari.models.earlier_run import opened_replay
from emseg_napari.models.run import Run, open_run, versions
from emseg_napari.settings import BASELINES, ExportSettings, PredictionSettings, validated
from emseg_napari.training.dataset import check_data
from emseg_napari.training.splits import DataNames
from emseg_napari.training.train import run_training


def export_recipe(path: Path, record: Mapping[str, Any], places: Places) -> Recipe:
    """Return how an export is made again.

    Raises
    ------
    UserError
        If its image or labels are gone.
    """
    sources = record.get(SOURCES, {})
    image = place_of("image", sources.get("image"), places.image, path)
    labels = place_of("labels", sources.get("labels"), places.labels, path)
    settings = validated(
        ExportSettings, file_format=record["file_format"], allow_unlabelled=True, missing_is_empty=True
    )

    def make(target: Path) -> None:
        stack, known = open_pair(image, labels, sources.get("convention"), fills=True)
        export_training_labels(stack, known, record["slices"], settings, target, *place_of_file(image))

    then = {"version": str(record["software"]).partition(" ")[2]}
    changes = changes_since(then, made_with())
    return Recipe("export", make, lambda target: compare_exports(path, target, record), changes)


def training_recipe(path: Path, places: Places) -> Recipe:
    """Return how a training is repeated: a network step by step, a baseline from its seed.

    Raises
    ------
    UserError
        If it learned live, is not finished, or its data are gone or others now.
    """
    run = open_run(path)
    if not run.record.finished or not run.predictor_file.is_file():
        raise UserError(
            f"{path} is not finished, so there is nothing to compare; resume it first (--resume)."
        )
    with _replayable(run, places.run) as replay:
        if replay is not None:
            opened_replay(replay.folder)
    sources = run.record.sources
    image = place_of("image", sources.get("image"), places.image, path)
    labels = place_of("labels", sources.get("labels"), places.labels, path)
    convention: Any = sources.get("convention")
    stack, known = open_pair(image, labels, convention, fills=run.settings.missing_is_empty)
    _check_labels(run, check_data(stack, known, run.settings, _names(image, labels), run).labels, labels)

    def make(target: Path) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with (
            _replayable(run, places.run) as replay,
            quiet_libraries() as stream,
            job_context(stream) as context,
        ):
            arguments = {"replay": replay.folder} if replay else {}
            run_training(stack, known, run.settings, context, folder=target, **arguments)

    now = versions() | ({"processor": processor_name()} if run.record.processor else {})
    then = {MADE_WITH: run.record.versions | {"processor": run.record.processor}}
    changes = changes_since(then, now)
    return Recipe("training", make, lambda target: _compare(run, open_run(target), stack), changes)


@contextmanager
def _replayable(run: Run, start: Path | None) -> Iterator[Run | None]:
    """Give what is replayed: the run, or a copy of its records with its start where it lies now.

    None for a baseline, which is fitted anew.
    """
    if run.settings.network in BASELINES:
        yield None
    elif start is None or run.settings.start is None:
        yield run
    else:
        with tempfile.TemporaryDirectory(prefix="emseg-") as folder:
            settings = run.settings.model_copy(update={"start": str(start)})
            copy = Run(Path(folder) / run.folder.name, settings, run.record, run.history)
            copy.folder.mkdir()
            copy.save()
            copy.save_steps([(float(rate), float(seconds)) for rate, seconds in run.read_steps()])
            yield copy


def _names(image: Any, labels: Any) -> DataNames:
    return DataNames(display_name(image), display_name(labels), "the slices", "the held-out slices")


def _check_labels(run: Run, labels: SparseStack, path: Any) -> None:
    began = run.record.label_fingerprints
    changed = [z for z in sorted(began) if fingerprint(labels[z]) != began[z]]
    if changed:
        raise UserError(
            f"The labels of {slices_text(changed)} in {path} are not those that {run.folder} was trained on; "
            "say with --labels where the former ones lie."
        )


def _compare(then: Run, now: Run, image: Stack) -> Comparison:
    """Compare what two runs predict with, and their thresholds."""
    found = []
    if then.predictor_file.read_bytes() != now.predictor_file.read_bytes():
        found += _weights_apart(then, now)
        if found:
            found.append(_predictions_apart(then, now, image))
    for name in ("threshold", "merge_threshold"):
        before, after = getattr(then.record, name), getattr(now.record, name)
        if before != after:
            found.append(PartDifference(name.replace("_", " "), 1, abs(before - after)))
    return Comparison("network and thresholds", found)


def _weights_apart(then: Run, now: Run) -> list[PartDifference]:
    """Return how far numbers of two networks are apart; empty if only their names differ."""
    numbers = [_numbers(run) for run in (then, now)]
    shapes = [[one.shape for one in each] for each in numbers]
    if not numbers[0] or shapes[0] != shapes[1]:
        return [PartDifference("network", 1, None)]
    pairs = list(zip(*numbers, strict=True))
    count = sum(int(np.count_nonzero(a != b)) for a, b in pairs)
    largest = max(float(np.abs(a.astype(float) - b.astype(float)).max(initial=0)) for a, b in pairs)
    return [PartDifference("weights", count, largest)] if count else []


def _numbers(run: Run) -> list[np.ndarray]:
    if run.predictor_file.suffix != ".onnx":
        return []
    import onnx
    from onnx import numpy_helper

    return [numpy_helper.to_array(one) for one in onnx.load(run.predictor_file).graph.initializer]


def _predictions_apart(then: Run, now: Run, image: Stack) -> PartDifference:
    from emseg_napari.inference import load_predictor

    z = then.record.trained_slices[0]
    a, b = (
        load_predictor(run, PredictionSettings()).probability(np.asarray(image[z])) for run in (then, now)
    )
    apart = np.abs(a - b)
    return PartDifference(f"probability in slice {z}", int(np.count_nonzero(apart)), float(apart.max()))
