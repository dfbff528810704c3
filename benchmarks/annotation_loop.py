"""The loop of proposal, queue, repair and live learning, worked by the scripted annotator."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from annotator import Annotator
from slice_faults import Page

from emseg_napari.annotation.label_state import fill, trusted
from emseg_napari.annotation.suggest import Place, estimated_error, next_slice_to_label, places_of_slice
from emseg_napari.core.jobs import Failed, Finished, Progress
from emseg_napari.core.labels import from_probability
from emseg_napari.engine.client import Engine
from emseg_napari.inference import load_predictor
from emseg_napari.models.run import Run
from emseg_napari.segmentation.close_gaps import close_gaps
from emseg_napari.settings import LiveSettings, PredictionSettings

LIVE_STEPS = 200
Order = Callable[[list[Place]], list[Place]]


class Clock:
    """Seconds of the machine, by what it did."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[what] = self.seconds.get(what, 0.0) + time.monotonic() - began


class Proposer:
    """What a run's network says of slices."""

    def __init__(self, image: np.ndarray, run: Run, clock: Clock) -> None:
        self._image, self._record, self._clock = image, run.record, clock
        self._predictor = load_predictor(run, PredictionSettings())

    def propose(self, z: int, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fill a slice of labels; return probability and its spread, both float32 (y, x)."""
        with self._clock("predicting"):
            probability, spread = self._predictor.probability_and_spread(self._image[z])
            assert spread is not None
            threshold = self._record.threshold
            closed = close_gaps(probability, threshold, self._record.merge_threshold)
            fill(labels[z], from_probability(closed, threshold))
        return probability, spread


class Loop:
    """The whole loop over a stack, image and truth (z, y, x)."""

    def __init__(self, image: np.ndarray, truth: np.ndarray, start: Run, folder: Path) -> None:
        self._image, self._truth, self._run, self._folder = image, truth, start, folder
        self._labels = np.zeros_like(truth)
        self._confirmed: list[int] = []
        self.clock = Clock()

    def work(self, order: Callable[[int], Order], learns: bool, tries: int = 0) -> list[dict[str, Any]]:
        """Confirm every slice; return what was done on each, in the order in which they came."""
        done = []
        with Engine() as engine:
            while len(self._confirmed) < len(self._image):
                if not done or learns:
                    self._propose()
                places = self._places()
                errors = {z: estimated_error(found) for z, found in places.items()}
                z = next_slice_to_label(errors, self._confirmed)
                shuffled = [self._correct(z, places[z], random_order(s)(z))[1] for s in range(tries)]
                self._labels[z], record = self._correct(z, places[z], order(z))
                done.append(record | {"estimated_error": errors[z], "random": shuffled})
                print(f"  slice {z}: {record}", flush=True)
                self._confirmed.append(z)
                if learns and len(done) < len(self._image):
                    with self.clock("learning"):
                        self._run = self._learn(engine)
        return done

    def _left(self) -> list[int]:
        return sorted(set(range(len(self._image))).difference(self._confirmed))

    def _propose(self) -> None:
        proposer = Proposer(self._image, self._run, self.clock)
        self._seen = {z: proposer.propose(z, self._labels) for z in self._left()}

    def _places(self) -> dict[int, list[Place]]:
        with self.clock("ranking"):
            return {z: self._places_of(z) for z in self._left()}

    def _places_of(self, z: int) -> list[Place]:
        around = [self._labels[n] if 0 <= n < len(self._labels) else None for n in (z - 1, z + 1)]
        return places_of_slice(z, self._labels[z], *self._seen[z], around)

    def _correct(self, z: int, places: list[Place], order: Order) -> tuple[np.ndarray, dict[str, Any]]:
        page = Page(self._image[z], self._seen[z][0], self._labels[z].copy())
        return correct(z, self._truth[z], page, order(places))

    def _learn(self, engine: Engine) -> Run:
        """Teach the slice that was confirmed last to a network that knows the others."""
        newest = self._confirmed[-1]
        known = trusted(self._labels, self._confirmed)
        taught, known[newest] = known[newest].copy(), 0
        settings = LiveSettings(start=str(self._run.folder), idle_seconds=600, on_battery=True)
        folder = self._folder / f"live-{len(self._confirmed)}"
        shutil.rmtree(folder, ignore_errors=True)
        events = engine.run("live", image=self._image, labels=known, settings=settings, folder=folder)
        for number, event in enumerate(events):
            if number == 0:
                engine.update_labels(newest, taught)
            if isinstance(event, Failed):
                raise RuntimeError(f"{event.text}\n{event.details}")
            if isinstance(event, Progress) and _steps(event) >= LIVE_STEPS:
                engine.steer(enough=True)
            if isinstance(event, Finished):
                return event.result
        raise RuntimeError("the engine gave no answer")


def _steps(event: Progress) -> int:
    return int(event.text.split()[-1]) if event.text.startswith("learning, step") else 0


def correct(z: int, truth: np.ndarray, page: Page, places: list[Place]) -> tuple[np.ndarray, dict[str, Any]]:
    """Let the annotator correct a slice; return its labels and what he did."""
    annotator = Annotator(truth, page)
    before = annotator.v_rand
    annotator.follow(places)
    annotator.search()
    annotator.tally.keys += 1  # that confirms the slice
    record = {"z": z, "proposal": before, "v_rand": annotator.v_rand, "places": len(places)}
    return annotator.page.labels, record | annotator.tally.as_json()


def ranked_order(_: int) -> Order:
    return lambda places: places


def random_order(seed: int) -> Callable[[int], Order]:
    """Return which random order a slice gets."""

    def order(z: int, places: list[Place]) -> list[Place]:
        return [places[i] for i in np.random.default_rng([seed, z]).permutation(len(places))]

    return lambda z: partial(order, z)
