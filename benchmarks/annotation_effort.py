"""How many clicks and strokes a stack costs: by hand, trained once and corrected, and in the full loop.

    python benchmarks/annotation_effort.py IMAGE LABELS RESULTS [--only NAME ...] [--plot PNG]

A scripted annotator (annotator.py states his rules) works through slices 12:24 with a starter network
trained on 0:12, and through 0:12 with one trained on 12:24. The starters are trained first, into
RESULTS; each row is kept there as JSON and not done twice, so the hours can be spent in parts.

by hand                 one stroke for every membrane between two junctions.
train once              two slices (a quarter and three quarters of the way) are painted by hand, and a
                        network is trained on them from nothing for three minutes. He
                        corrects its proposals slice by slice, in their order, with the same repair
                        tools, and finds what is wrong by eye.
full loop               the starter's proposals; `next_slice_to_label` chooses a slice; he goes through
                        its places, that with the largest expected gain first; the slice is confirmed;
                        live learning goes on for 200 steps with all confirmed slices; all others are
                        proposed and searched for places anew.
random order            the same, but the places of each slice come in random order.
no learning             the full loop without live learning: what the starter alone is worth.

On every slice that the full loop comes to, the random order is tried as well, ten times, on the same
proposal and with the same places ("same proposals, random order").
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from annotation_loop import Clock, Loop, Order, Proposer, correct, random_order, ranked_order
from annotator import strokes_by_hand
from effort_figures import comparisons, per_slice, plot, totals
from slice_faults import Page

from emseg_napari import train
from emseg_napari.io.stacks import read_image, read_labels
from emseg_napari.models.run import Run, is_run, open_run

HALVES = {"12:24": ((12, 24), (0, 12)), "0:12": ((0, 12), (12, 24))}  # worked on, starter trained on
STARTER_MINUTES, ONCE_MINUTES = 4, 3
TRIES = 10


class Bench:
    """Does the rows of one half of the stack and keeps them."""

    def __init__(self, image: np.ndarray, truth: np.ndarray, results: Path, half: str) -> None:
        (first, end), self._starter_slices = HALVES[half]
        self._all = image, truth
        self._image, self._truth = image[first:end], truth[first:end]
        self._results, self._half = results, half
        self.rows: dict[str, Callable[[], dict[str, Any]]] = {
            "by hand": self._by_hand,
            "train once": self._train_once,
            "full loop": partial(self._loop, "full", ranked_order, True, TRIES),
            "random order": partial(self._loop, "random", random_order(0), True),
            "no learning": partial(self._loop, "still", ranked_order, False),
        }

    def do(self, name: str) -> None:
        path = self._file(name)
        if path.is_file():
            return
        print(f"{self._half}, {name}", flush=True)
        row = self.rows[name]()
        for record in row["slices"]:
            record["z"] += HALVES[self._half][0][0]
        path.write_text(json.dumps(row, indent=1))

    def done(self) -> dict[str, dict[str, Any]]:
        """Return the rows that are there."""
        return {n: json.loads(self._file(n).read_text()) for n in self.rows if self._file(n).is_file()}

    def _file(self, name: str) -> Path:
        return self._results / f"{name}-{self._half}.json".replace(" ", "-").replace(":", "-")

    def _starter(self) -> Run:
        first, end = self._starter_slices
        folder = self._results / f"starter-{first}-{end}"
        if not is_run(folder) or not open_run(folder).record.finished:
            shutil.rmtree(folder, ignore_errors=True)  # of a training that was interrupted
            train(*self._all, folder, start="nothing", slices=(first, end), minutes=STARTER_MINUTES, seed=0)
        return open_run(folder)

    def _by_hand(self) -> dict[str, Any]:
        counts = [strokes_by_hand(truth) for truth in self._truth]
        return {"slices": [{"z": z, "strokes": n, "actions": n} for z, n in enumerate(counts)], "seconds": {}}

    def _train_once(self) -> dict[str, Any]:
        count = len(self._truth)
        painted = [count // 4, 3 * count // 4]
        labels, clock = np.zeros_like(self._truth), Clock()
        labels[painted] = self._truth[painted]
        folder = self._results / f"once-{self._half.replace(':', '-')}"
        shutil.rmtree(folder, ignore_errors=True)
        with clock("learning"):
            run = train(self._image, labels, folder, start="nothing", minutes=ONCE_MINUTES, seed=0)
        proposer, done = Proposer(self._image, run, clock), []
        for z in range(count):
            if z in painted:
                strokes = strokes_by_hand(self._truth[z])
                done.append({"z": z, "strokes": strokes, "actions": strokes, "painted": True})
                continue
            probability, _ = proposer.propose(z, labels)
            page = Page(self._image[z], probability, labels[z])
            done.append(correct(z, self._truth[z], page, [])[1])
        return {"slices": done, "seconds": clock.seconds}

    def _loop(self, name: str, order: Callable[[int], Order], learns: bool, tries: int = 0) -> dict[str, Any]:
        folder = self._results / f"{name}-{self._half.replace(':', '-')}"
        loop = Loop(self._image, self._truth, self._starter(), folder)
        slices = loop.work(order, learns, tries)
        return {"slices": slices, "seconds": loop.clock.seconds}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--only", nargs="*", help="names of rows")
    parser.add_argument("--plot", type=Path, help="a PNG file to draw actions per slice into")
    chosen = parser.parse_args()
    chosen.results.mkdir(parents=True, exist_ok=True)
    image, truth = read_image(chosen.image), read_labels(chosen.labels)
    benches = {half: Bench(image, truth, chosen.results, half) for half in HALVES}
    names = list(next(iter(benches.values())).rows)
    for name in chosen.only or names:
        for bench in benches.values():
            bench.do(name)
    done = {half: bench.done() for half, bench in benches.items()}
    print("\n".join([*totals(done), "", *comparisons(done), "", *per_slice(done)]))
    if chosen.plot:
        plot(done, chosen.plot)


if __name__ == "__main__":
    main()
