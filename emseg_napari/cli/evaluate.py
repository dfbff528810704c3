"""``emseg evaluate``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from emseg_napari.cli.guard import Stopped, guarded, stop_on_interrupt
from emseg_napari.cli.inputs import STACK, ConventionOption, JsonOption, LabelsArgument, read_known
from emseg_napari.cli.options import given_values, with_options_of
from emseg_napari.cli.reporting import reporting, show_result
from emseg_napari.cli.scoretables import Source, show_scores
from emseg_napari.jobs import Cancelled, Message, UserError
from emseg_napari.settings import EvaluationSettings, validated

if TYPE_CHECKING:
    from emseg_napari.cli.matching import Match
    from emseg_napari.scoring.evaluation import Evaluation
    from emseg_napari.scoring.predictions import Prediction


@guarded
@with_options_of(EvaluationSettings)
def evaluate(
    prediction: Annotated[
        Path,
        typer.Argument(metavar="PREDICTION", help=f"Prediction of all slices or of the range: {STACK}."),
    ],
    labels: LabelsArgument,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Run folder that PREDICTION came from: tells its threshold and which slices it was "
            "trained on. The one that the file names when not given.",
        ),
    ] = None,
    kind: Annotated[
        Literal["labels", "probability"] | None,
        typer.Option(
            "--as",
            help="What PREDICTION holds. labels: 0 boundary and 255 interior; probability: of the "
            "boundary, float 0 to 1 or uint8 0 to 255. When not given, the file tells.",
        ),
    ] = None,
    interior: Annotated[
        bool, typer.Option("--interior", help="PREDICTION holds the probability of the interior.")
    ] = False,
    convention: ConventionOption = None,
    as_json: JsonOption = False,
    **options: Any,
) -> None:
    """Score a prediction against labels with the measures of the ISBI 2012 challenge."""
    if interior and kind == "labels":
        raise UserError("--as labels and --interior exclude each other; give one of them.")
    settings = validated(EvaluationSettings, **given_values(EvaluationSettings, options))
    from emseg_napari.cli import matching  # these load scipy, which no other command needs
    from emseg_napari.scoring.predictions import read_prediction

    started = time.monotonic()
    found, known = read_prediction(prediction, kind, interior), read_known(labels, convention)
    match = matching.matched(found, known, settings.slices, labels.name)
    maker = matching.maker_of(found, run)
    own = matching.threshold_of(found, maker, run is not None)
    source: Source = "given" if settings.threshold is not None else "run" if own is not None else "default"
    if source == "run":
        settings = settings.model_copy(update={"threshold": own})
    notes = matching.notes_about(found, known, match, maker)
    evaluation = _evaluate(found, known, settings, match, matching.seen_by(maker, found, match), notes)
    held_out = match.here(maker.record.held_out_slices) if maker else []
    if not as_json:
        show_scores(evaluation, source, held_out)
        return
    sources = {
        "prediction": str(prediction),
        "kind": found.kind,
        "labels": str(labels),
        "run": str(maker.folder) if maker else None,
        "threshold_from": source,
        "held_out_slices": held_out,
    }
    show_result("", evaluation.as_dict() | sources | {"seconds": round(time.monotonic() - started, 2)}, True)


def _evaluate(
    prediction: Prediction,
    known: np.ndarray,
    settings: EvaluationSettings,
    match: Match,
    trained: list[int],
    notes: list[str],
) -> Evaluation:
    from emseg_napari.scoring import evaluation

    compared = prediction.interior(match.first - match.begin, match.end - match.begin)
    truth = known[match.first : match.end]
    try:
        with stop_on_interrupt() as should_stop, reporting(sys.stderr, by_slices=True) as report:
            for note in notes:
                report(Message(note))
            return evaluation.evaluate(
                compared,
                truth,
                settings,
                report,
                should_stop,
                trained_slices=trained,
                first_slice=match.first,
            )
    except (Cancelled, KeyboardInterrupt):
        raise Stopped("Stopped; nothing was scored.") from None
