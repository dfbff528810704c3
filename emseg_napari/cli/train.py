"""Command ``emseg train``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from emseg_napari.cli.completion import runs
from emseg_napari.cli.guard import Stopped, guarded
from emseg_napari.cli.inputs import (
    ConventionOption,
    ImageArgument,
    JsonOption,
    LabelsArgument,
    data_sources,
    open_pair,
    parsed_path,
    parsed_run,
)
from emseg_napari.cli.options import flag_of, given_values, with_options_of
from emseg_napari.cli.reporting import accuracies, job_context, quiet_libraries, show_result
from emseg_napari.core.files import writable_folder
from emseg_napari.core.jobs import Cancelled, Progress, UserError
from emseg_napari.io.address import Location
from emseg_napari.io.open import display_name
from emseg_napari.io.sparse_stack import SparseStack, Stack
from emseg_napari.models.earlier_run import opened_replay, opened_start, with_default_start
from emseg_napari.models.run import Run, is_run
from emseg_napari.models.run_folder import check_new_run, refuse_other_settings, resumable_run
from emseg_napari.settings import BASELINES, TrainingSettings
from emseg_napari.training.dataset import check_data
from emseg_napari.training.run_record import comparison_sentence, share_sentence
from emseg_napari.training.splits import DataNames
from emseg_napari.training.train import run_training

FLAGS = {"validate_slices": "--validate", "start": "--from"}


@guarded
@with_options_of(TrainingSettings, FLAGS)
def train(
    image: ImageArgument,
    labels: LabelsArgument,
    output: Annotated[
        Path,
        typer.Option(
            parser=parsed_path,
            metavar="RUN",
            help="Run folder to write: new or empty, or with --resume that of the run.",
        ),
    ],
    convention: ConventionOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint in RUN.")] = False,
    replay: Annotated[
        Path | None,
        typer.Option(
            parser=parsed_run,
            autocompletion=runs,
            metavar="RUN",
            help="Repeat this run step by step: its settings and its learning rates.",
        ),
    ] = None,
    as_json: JsonOption = False,
    **options: Any,
) -> None:
    """Train a network on labelled slices and write a run folder."""
    given = given_values(TrainingSettings, options)
    resumed = _resumed(output, given) if resume else None
    settings = resumed.settings if resumed else _new(output, given, replay)
    stack, known = open_pair(image, labels, convention, fills=settings.missing_is_empty)
    # Before TensorFlow is loaded, which takes seconds.
    check_data(stack, known, settings, _names(image, labels), resumed)
    try:
        with _folder(output):
            run = _train(stack, known, settings, {"folder": output, "resume": resume, "replay": replay})
    except (Cancelled, KeyboardInterrupt):
        raise Stopped(_how_to_resume([image, labels], output, convention, replay)) from None
    run.update(sources=data_sources(image, labels, convention))
    show_result(_sentence(run), _figures(run), as_json)


def _new(output: Path, given: dict[str, Any], replay: Path | None) -> TrainingSettings:
    """Return the settings of a new run, after checking that its folder is free."""
    settings = _replayed(replay, given) if replay else _chosen(given)
    check_new_run(output)
    return settings


def _chosen(given: dict[str, Any]) -> TrainingSettings:
    if "minutes" in given and "epochs" in given:
        raise UserError("--minutes and --epochs exclude each other; give one of them.")
    settings = TrainingSettings.recipe(**with_default_start(given))
    if "steps_per_epoch" in given and settings.epochs is None:
        raise UserError("--steps-per-epoch counts only with --epochs; give both, or --minutes alone.")
    opened_start(settings)
    return settings


def _replayed(replay: Path, given: dict[str, Any]) -> TrainingSettings:
    """Return the settings of a run to repeat, after checking that it has steps."""
    run = opened_replay(replay)
    refuse_other_settings(run, given, _flag)
    return run.settings


def _resumed(output: Path, given: dict[str, Any]) -> Run:
    """Return the run that is resumed, with the settings that it began with."""
    run = resumable_run(output)
    refuse_other_settings(run, given, _flag)
    return run


def _flag(name: str) -> str:
    return flag_of(name, FLAGS)


def _names(image: Location, labels: Location) -> DataNames:
    ranges = [f"{_flag(name)} of {display_name(image)}" for name in ("slices", "validate_slices")]
    return DataNames(display_name(image), display_name(labels), *ranges)


@contextmanager
def _folder(output: Path) -> Iterator[None]:
    """Make the run folder early, in case it cannot be made; remove it at the end if it is empty."""
    is_new = not output.exists()
    try:
        writable_folder(output)
        yield
    finally:
        if is_new and output.is_dir() and not any(output.iterdir()):
            output.rmdir()


def _train(stack: Stack, known: SparseStack, settings: TrainingSettings, arguments: dict[str, Any]) -> Run:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_libraries() as stream, job_context(stream) as context:
        if settings.network not in BASELINES:
            context.report(Progress(0.0, None, "starting TensorFlow"))
        return run_training(stack, known, settings, context, **arguments)


def _how_to_resume(stacks: list[Location], output: Path, convention: str | None, replay: Path | None) -> str:
    if not is_run(output):
        return "Stopped; nothing was written."
    words = ["emseg", "train", *map(str, stacks), "--output", str(output), "--resume"]
    words += ["--replay", str(replay)] if replay else []
    words += ["--convention", convention] if convention else []
    return f"Stopped; the last checkpoint is kept, so resume with --resume: {shlex.join(words)}"


def _figures(run: Run) -> dict[str, Any]:
    last = run.history[-1]
    return {
        "run": str(run.folder),
        "epochs": last.epoch,
        "steps": last.step,
        "seconds": round(last.seconds, 2),
        "loss": last.loss,
        "accuracy": last.accuracy,
        "held_out_accuracy": last.held_out_accuracy,
        "kept_epoch": run.record.kept_epoch,
        "kept_share": run.record.kept_share,
        "kept_accuracy": run.record.kept_accuracy,
        "kept_v_rand": run.record.kept_v_rand,
        "start_accuracy": run.record.start_accuracy,
        "start_v_rand": run.record.start_v_rand,
        "threshold": run.record.threshold,
        "trained_slices": run.record.trained_slices,
        "held_out_slices": run.record.held_out_slices,
        "start": run.record.start,
        "start_slices": run.record.start_slices,
    }


def _sentence(run: Run) -> str:
    last, record = run.history[-1], run.record
    v_rand = "" if record.kept_v_rand is None else f", V_rand {record.kept_v_rand:.4f}"
    kept = (
        ""
        if record.kept_accuracy is None
        else f"; kept: accuracy {record.kept_accuracy:.2%}{v_rand} held out"
    )
    done = f"{run.folder}: {last.step} steps in {last.seconds:.0f} s, {accuracies(last)}"
    about = filter(None, [share_sentence(record), comparison_sentence(record)])
    return "\n".join([f"{done}{kept}; threshold {record.threshold:.2f}", *about])
