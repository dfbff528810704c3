"""``emseg evaluate``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from emseg_napari.cli.completion import runs
from emseg_napari.cli.guard import Stopped, guarded
from emseg_napari.cli.inputs import (
    STACK,
    ConventionOption,
    JsonOption,
    LabelsArgument,
    MissingIsEmptyOption,
    checked_kind,
    interior_option,
    kind_option,
    parsed_location,
    parsed_run,
    read_known,
    say_notes,
)
from emseg_napari.cli.options import given_values, with_options_of
from emseg_napari.cli.reporting import job_context, quietly, show_result
from emseg_napari.cli.scoretables import show_scores
from emseg_napari.core.jobs import Cancelled, Message
from emseg_napari.core.labels import Convention
from emseg_napari.io.address import Location, location_of
from emseg_napari.io.open import display_name
from emseg_napari.io.records import Kind, record_of_path
from emseg_napari.io.stack_or_volume import is_one_or_copy, open_prediction, source_of
from emseg_napari.settings import EvaluationSettings, validated

if TYPE_CHECKING:
    from emseg_napari.evaluation.evaluation import Evaluation
    from emseg_napari.evaluation.pairing import Pairing
    from emseg_napari.evaluation.predictions import Prediction

PredictionArgument = Annotated[
    Any,
    typer.Argument(
        parser=parsed_location,
        metavar="PREDICTION",
        help=f"Prediction of all slices or of the range: {STACK}.",
    ),
]
RunOption = Annotated[
    Path | None,
    typer.Option(
        parser=parsed_run,
        autocompletion=runs,
        metavar="RUN",
        help="Run folder that PREDICTION came from: tells its threshold and which slices it was "
        "trained on. The one that the file names when not given.",
    ),
]


@guarded
@with_options_of(EvaluationSettings)
def evaluate(
    prediction: PredictionArgument,
    labels: LabelsArgument,
    run: RunOption = None,
    kind: Annotated[Literal["labels", "probability"] | None, kind_option("PREDICTION")] = None,
    interior: Annotated[bool, interior_option("PREDICTION")] = False,
    convention: ConventionOption = None,
    missing_is_empty: MissingIsEmptyOption = False,
    as_json: JsonOption = False,
    **options: Any,
) -> None:
    """Score a prediction with the measures of ISBI 2012."""
    started, holds = time.monotonic(), checked_kind(kind, interior)
    settings = validated(EvaluationSettings, **given_values(EvaluationSettings, options))
    found = _read(prediction, labels, holds, missing_is_empty)
    pair = _paired(found, labels, convention, settings, run)
    evaluation = _evaluate(pair)
    if not as_json:
        show_scores(evaluation, pair.threshold_from, pair.overlap)
        return
    sources = {"prediction": str(prediction), "kind": found.kind, "labels": str(labels)}
    seconds = round(time.monotonic() - started, 2)
    show_result("", evaluation.as_dict() | sources | _origin(pair) | {"seconds": seconds}, True)


def _read(path: Location, labels: Location, kind: Kind | None, fills: bool) -> Prediction:
    """Read the prediction; refuse what the labels are read from, too."""
    # These load scipy, which no other command needs.
    from emseg_napari.evaluation.independence import refuse_same
    from emseg_napari.evaluation.predictions import prediction_in

    volume, record = quietly(open_prediction, path, kind, fills=fills)
    if is_one_or_copy(location_of(volume.source), source_of(labels, is_labels=True)):
        refuse_same(display_name(path), display_name(labels))
    found = prediction_in(volume, path, kind, record)
    say_notes(path, volume)
    return found


def _paired(
    found: Prediction,
    labels: Location,
    convention: Convention | None,
    settings: EvaluationSettings,
    run: Path | None,
) -> Pairing:
    from emseg_napari.evaluation.independence import doubts_of_record
    from emseg_napari.evaluation.pairing import paired
    from emseg_napari.evaluation.slice_alignment import Names

    names = Names(display_name(labels), "--slices", "--threshold", "add --run RUN", "add --interior")
    pair = paired(found, read_known(labels, convention), settings, run, names)
    return pair.with_doubts(doubts_of_record(record_of_path(labels), pair.is_equal))


def _origin(pair: Pairing) -> dict[str, Any]:
    return {
        "run": str(pair.overlap.run.folder) if pair.overlap.run else None,
        "threshold_from": pair.threshold_from,
        "held_out_slices": pair.overlap.held_out,
        "unknown_slices": pair.overlap.unknown,
        "slices_known_by_number": pair.overlap.assumed,
    }


def _evaluate(pair: Pairing) -> Evaluation:
    from emseg_napari.evaluation import evaluation

    try:
        with job_context(sys.stderr, by_slices=True) as context:
            for note in (pair.taken_for, *pair.notes):
                context.report(Message(note))
            return evaluation.evaluate(**pair.job, context=context)
    except (Cancelled, KeyboardInterrupt):
        raise Stopped("Stopped; nothing was scored.") from None
