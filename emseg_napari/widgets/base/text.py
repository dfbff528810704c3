"""Sentences about a training: its epochs, its outcome, its duration."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from emseg_napari.core.jobs import EpochEnded
from emseg_napari.core.text import counted
from emseg_napari.io.axes import slices_text
from emseg_napari.models.run import Run, RunRecord
from emseg_napari.models.run_list import ListedRun
from emseg_napari.training.run_record import (
    compared_with_start,
    comparison_clause,
    comparison_sentence,
    is_worse_than_start,
    share_sentence,
)

_TIME_IN_NAME = re.compile(r"-\d{8}-\d{6}$")  # as `Workspace.new_run_folder` adds it
_LETTERS = 26  # of a name, so that the score stays in view
_SHIPPED = "It comes with emseg-napari: a first proposal without any training."


def figures(row: EpochEnded, where: str) -> str:
    """Return the scores of an epoch; `where` names what is held out."""
    scores = _scores(row.held_out_accuracy, row.held_out_v_rand, "before gaps are closed")
    return (
        f"Epoch {row.epoch} (step {row.step}): pixel accuracy on trained slices {100 * row.accuracy:.1f} %, "
        + (f"on {where} {scores}" if scores else "nothing is held out")
        + f"; loss {row.loss:.3f}"
    )


def chosen(run: Run) -> str:
    """Return which run is chosen, and how good it was."""
    accuracy = run.record.kept_accuracy
    score = "" if accuracy is None else f", accuracy {100 * accuracy:.1f} % on what was held out"
    return f"{run.folder.name}: {run.settings.network}{score}.{_flattery(run.record)}"


def listed_title(listed: ListedRun) -> str:
    """Return a run's short name, score, date and number of labelled slices, for a list of networks.

    Name and score come first, and a long name is shortened: the end is cut in a narrow list.
    """
    name = short_name(listed.folder.name)
    if listed.is_shipped:
        return name
    when = [time.strftime("%d %b %H:%M", time.localtime(listed.changed_at))] if listed.changed_at else []
    score, *slices = _state(listed)
    return " \u00b7 ".join([name, score, *when, *slices])


def slice_count(count: int) -> str:
    """Return a number of slices in words: "1 slice", "2 slices"."""
    return counted(count, "slice")


def shortened(name: str, letters: int) -> str:
    """Return a name of at most so many letters, both ends of a longer one."""
    end = letters // 3
    return name if len(name) <= letters else f"{name[: letters - end - 1]}\u2026{name[-end:]}"


def short_name(run: str) -> str:
    """Return a run's name without the time in it, and not too long."""
    return shortened(_TIME_IN_NAME.sub("", run), _LETTERS)


def listed_details(listed: ListedRun) -> str:
    """Return what else a user may want to know of a run before choosing it, in lines."""
    run = listed.run
    if run is None:
        return f"{listed.folder}\n{listed.problem}"
    record = run.record
    lines = [
        _SHIPPED if listed.is_shipped else str(listed.folder),
        f"{run.settings.network}, started from {record.start or 'nothing'}, scale {record.scale[0]:g}",
        f"trained on {slices_text(record.trained_slices)}",
        f"{_score(record)}{_flattery(record)}" if record.finished else "",
        comparison_sentence(record) or share_sentence(record),
    ]
    return "\n".join(filter(None, lines))


def _state(listed: ListedRun) -> list[str]:
    """Return the score of a run, or how long an interrupted one was trained, and its labelled slices."""
    if listed.run is None:
        return ["cannot be read"]
    history, record = listed.run.history, listed.run.record
    score = "no score" if record.kept_accuracy is None else f"{100 * record.kept_accuracy:.1f} %"
    if _flattery(record):
        score += " (too high)"
    if not record.finished:
        trained = [duration(history[-1].seconds)] if history else []
        score = ", ".join(["interrupted" if listed.resumable else "not finished", *trained])
    count = len({*record.trained_slices, *record.held_out_slices})
    return [score, slice_count(count)]


def verdict(run: Run) -> str:
    """Return whether a network is better than the one that it started from, or without a start its score."""
    about = comparison_sentence(run.record) or share_sentence(run.record) or _score(run.record)
    return f"Trained: {run.folder.name}. {about}"


def why_not_chosen(run: Run) -> str:
    """Return in short why a new network is not chosen, and what to do; the page has the figures."""
    why = comparison_clause(run.record, short_name(run.record.start or ""))
    choose = "choose the new run in 'Network'"
    todo = {
        "worse": f"Look at your labels, or {choose} all the same.",
        "nothing to gain": f"Confirm a corrected slice, or {choose}.",
    }
    compared = "worse" if is_worse_than_start(run.record) else compared_with_start(run.record)
    return f"Trained, not chosen: {why}. {todo.get(str(compared), f'To use it all the same, {choose}.')}"


def outcome(run: Run) -> str:
    """Return which weights a training kept, how good they are, and whether the start was better."""
    record = run.record
    sentences = [_kept(run), share_sentence(record), _score(record), comparison_sentence(record)]
    seen = run.record.start_slices
    if seen:
        sentences.append(
            f"'{run.record.start}', from which it started, had been trained on {slices_text(seen)} "
            f"of this image.{_flattery(run.record)}"
        )
    return " ".join(filter(None, sentences))


def validation_name(held_out: Sequence[int]) -> str:
    """Name what a network is judged on; where no slice is held out, it can only be a corner."""
    return f"held-out {slices_text(held_out)}" if held_out else "the held-out corner"


def duration(seconds: float) -> str:
    """Return a time as 2 min 05 s, a long one as 3 h 20 min or 4 d 3 h."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _kept(run: Run) -> str:
    if len(run.history) < 2:
        return ""
    which = "averaged weights" if run.settings.averaging > 0 else "weights"
    return f"Kept: the {which} of epoch {run.record.kept_epoch} of {len(run.history)}."


def _score(record: RunRecord) -> str:
    scores = _scores(record.kept_accuracy, record.kept_v_rand, "with gaps closed")
    if not scores:
        return "No score: nothing was held out."
    return (
        f"Score on {validation_name(record.held_out_slices)}: {scores.replace('%', '% pixel accuracy', 1)}."
    )


def _flattery(record: RunRecord) -> str:
    if record.kept_accuracy is None or set(record.validation_slices).isdisjoint(record.start_slices):
        return ""
    return " The score counts slices that the start was trained on, so it is too high."


def _scores(accuracy: float | None, v_rand: float | None, gaps: str) -> str:
    if accuracy is None:
        return ""
    return f"{100 * accuracy:.1f} %" + ("" if v_rand is None else f", V_rand {v_rand:.3f} ({gaps})")
