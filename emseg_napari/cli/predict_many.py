"""``emseg predict`` of several images into a folder: one after the other, with the network loaded once.

An image that fails does not end the others. What is there already is left as it is, so that the same command
resumes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import typer

from emseg_napari.cli.guard import FAULT, Stopped, reason_of
from emseg_napari.cli.predict_task import Predicted, PredictTask
from emseg_napari.cli.reporting import blocks, quiet_libraries, quietly, show_result
from emseg_napari.cli.sentences import sentence_of
from emseg_napari.cli.streams import echo
from emseg_napari.core.jobs import Event, JobContext, Progress
from emseg_napari.core.text import counted
from emseg_napari.io.open import display_name, open_volume

Predict = Callable[[PredictTask], Predicted]
Status = Literal["done", "skipped", "failed"]
_STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class _Outcome:
    """What became of an image; `text` says why it failed."""

    task: PredictTask
    status: Status
    text: str = ""

    @property
    def figures(self) -> dict[str, str]:
        reason = {"reason": self.text} if self.text else {}
        return {
            "image": str(self.task.image),
            "output": str(self.task.output),
            "status": self.status,
        } | reason


def predict_many(tasks: Sequence[PredictTask], predict: Predict, folder: Path, as_json: bool) -> None:
    """Predict images one after the other, and print what became of each.

    Raises
    ------
    typer.Exit
        If one failed.
    Stopped
        With Ctrl+C.
    """
    with quiet_libraries():
        from emseg_napari.inference import load_predictor  # loads ONNX Runtime
        from emseg_napari.inference.sessions import kept_loaded

    started, outcomes = time.monotonic(), list[_Outcome]()
    clock = _Clock([_voxels(task) for task in tasks])
    try:
        with kept_loaded():
            quietly(load_predictor, tasks[0].run, tasks[0].settings)  # fails early if it is damaged
            for number, task in enumerate(tasks):
                outcomes.append(_outcome(task, predict, clock, number))
    except (Stopped, KeyboardInterrupt):
        _show(outcomes, folder, time.monotonic() - started, as_json)
        at = f"file {min(len(outcomes) + 1, len(tasks))} of {len(tasks)}"
        raise Stopped(f"Stopped at {at}: run the same command again to resume.") from None
    _show(outcomes, folder, time.monotonic() - started, as_json)
    if any(one.status == "failed" for one in outcomes):
        raise typer.Exit(FAULT)


def _outcome(task: PredictTask, predict: Predict, clock: _Clock, number: int) -> _Outcome:
    name = f"file {number + 1} of {len(clock.voxels)}, {display_name(task.image)}"
    try:
        found = predict(replace(task, shown=lambda context: clock.shown(context, number, name), resumes=True))
    except Stopped:
        raise
    except Exception as error:  # whatever it is, the others may be fine
        outcome = _Outcome(task, "failed", reason_of(error)[0])
    else:
        outcome = _of(task, found)
    said = outcome.text or found.warning or ("was done before" if outcome.status == "skipped" else "done")
    echo(f"{name}: {said}", err=True)
    clock.end(number, outcome.status == "done")
    return outcome


def _of(task: PredictTask, found: Predicted) -> _Outcome:
    if found.failures:
        first = sentence_of(found.failures[0])
        return _Outcome(task, "failed", f"{blocks(len(found.failures))} failed, the others are done: {first}")
    return _Outcome(task, "done" if found.is_new else "skipped")


def _voxels(task: PredictTask) -> int:
    """Return how many voxels are predicted of an image; 0 if it cannot be read, which is said in its turn."""
    try:
        volume = quietly(open_volume, task.image, fills=True)
    except Exception:
        return 0
    first, end = task.settings.slices or (0, len(volume))
    return volume.size // len(volume) * max(0, min(end, len(volume)) - first)


class _Clock:
    """Estimate of the time left for all images, by their sizes.

    Parameters
    ----------
    voxels : sequence of int
        Of each image.
    """

    def __init__(self, voxels: Sequence[int]) -> None:
        self.voxels = voxels
        self._seconds, self._predicted, self._began = 0.0, 0, time.monotonic()

    def shown(self, context: JobContext, number: int, name: str) -> JobContext:
        """Return a context that reports progress with the name of the image and the time left for all."""
        self._began = time.monotonic()

        def report(event: Event) -> None:
            if isinstance(event, Progress):
                left = event.seconds_left
                if left is not None:
                    left = self._left(number, event.fraction)
                event = replace(event, seconds_left=left, text=f"{name}: {event.text}")
            context.report(event)

        return context.reporting_to(report)

    def end(self, number: int, is_new: bool) -> None:
        """Note that an image is over; the time of one that was there or failed tells nothing."""
        if is_new:
            self._seconds += time.monotonic() - self._began
            self._predicted += self.voxels[number]

    def _left(self, number: int, fraction: float) -> float | None:
        done = self._predicted + fraction * self.voxels[number]
        left = sum(self.voxels[number:]) - fraction * self.voxels[number]
        return (self._seconds + time.monotonic() - self._began) / done * left if done else None


def _show(outcomes: Sequence[_Outcome], folder: Path, seconds: float, as_json: bool) -> None:
    counts: dict[str, int] = {status: sum(one.status == status for one in outcomes) for status in _STATUSES}
    figures: dict[str, Any] = {"output_folder": str(folder), **counts, "seconds": round(seconds, 2)}
    figures["files"] = [one.figures for one in outcomes]
    width = max((len(display_name(one.task.image)) for one in outcomes), default=0)
    lines = [
        f"{one.status:<8}{display_name(one.task.image):<{width}}  {one.text or one.task.output}"
        for one in outcomes
    ]
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines.append(f"{counted(len(outcomes), 'image')}: {total}; {seconds:.1f} s")
    show_result("\n".join(lines), figures, as_json)
