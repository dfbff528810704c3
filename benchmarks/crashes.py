"""What is left of a painting session in napari whose process is killed?

    python benchmarks/crashes.py [--kills 200] [--seed 0]

Each time it opens a real window with the plugin's dock, in which a script paints, fills, proposes, undoes,
confirms and turns pages (`painting_process.py`), kills that process at a random moment, and looks at what
the next start would offer. Two thirds are killed within a write: after the slice was encoded, in the middle
of its file, after the flush, after the renaming, after the flush of the folder; the rest at any moment,
from outside. A quarter saves the work under a name meanwhile. To hold: no stroke older than two seconds is
lost, and no file is unreadable.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from crash_plan import SHAPE, Plan, environment, fingerprint, plan_of
from painting_process import paint

from emseg_napari.annotation.session.recovery import recoverable
from emseg_napari.annotation.session.store import MissingImage, Session, load_session
from emseg_napari.core.jobs import UserError
from emseg_napari.io import stacks

PROMISED_S = 2.0

# A server that has imported napari forks each window's process, where that is safe: it saves two seconds.
_PROCESSES: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
if sys.platform == "linux":
    _PROCESSES.set_forkserver_preload(["napari", "emseg_napari.widgets.dock"])


@dataclass
class Death:
    """What a process told until it was killed. Times are those of `time.monotonic`, in seconds.

    Attributes
    ----------
    states : list
        Time and fingerprint of all that its labels were, the empty ones first.
    kept : set of Path
        Where its session may lie.
    when : float
        The time of its death; 0 if it ended by itself.
    """

    plan: Plan
    kept: set[Path]
    states: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    named: bool = False
    errors: list[str] = field(default_factory=list)
    offered_while_alive: bool = False
    when: float = 0.0

    def hear(self, kind: str, what: Any, state: tuple[str, ...] = ()) -> None:
        """Take in what it tells."""
        if kind == "state":
            self.states.append((what, state))
        elif kind == "kept":
            self.named = what == self.plan.name
            self.kept.add(what)
        elif kind == "killed":
            self.when = what
        elif what:  # no trouble any more is none
            self.errors.append(what)

    @property
    def age_s(self) -> float:
        """The time from the first stroke to the death; 0 if it ended by itself."""
        return self.when - self.states[0][0] if self.when else 0.0

    @property
    def changes(self) -> int:
        """How often its labels changed."""
        return sum(before != after for (_, before), (_, after) in itertools.pairwise(self.states))

    def lost_s(self, found: tuple[str, ...]) -> float:
        """Return the age of the oldest stroke that is not in what was found; inf if that never was."""
        return max(self._lost_s([state[i] for _, state in self.states], part) for i, part in enumerate(found))

    def _lost_s(self, was: list[str], found: str) -> float:
        if found not in was:
            return float("inf")
        behind = was[::-1].index(found)
        return self.when - self.states[-behind][0] if behind else 0.0


def live_and_die(plan: Plan, folder: Path) -> Death:
    """Start a window, and return what it told until its death."""
    death = Death(plan, {plan.name} if plan.name else set())
    told, out = _PROCESSES.Pipe(duplex=False)
    child = _PROCESSES.Process(target=paint, args=(plan, folder, out), daemon=True)
    child.start()
    out.close()
    killer = threading.Timer(plan.moment_s, _kill, (child, death))
    with suppress(EOFError, OSError):  # the last message may be half of one
        while True:
            death.hear(*told.recv())
            if not plan.stage and death.states and killer.ident is None:
                killer.start()
    killer.cancel()
    child.join()
    if not death.when:
        death.errors.append(f"ended by itself with {child.exitcode}")
    return death


def _kill(child: BaseProcess, death: Death) -> None:
    death.offered_while_alive = any(one.folder in death.kept for one in recoverable())
    if child.is_alive():
        death.when = time.monotonic()
        child.kill()


@dataclass
class Finding:
    """What a killed process left.

    Attributes
    ----------
    lost_s : float
        Age of the oldest stroke that is in no session; inf if labels are there that never were.
    unreadable : list of str
        Sentences.
    """

    death: Death
    lost_s: float
    unreadable: list[str]
    offered: list[Path]
    offered_as_named: bool


def findings(folder: Path, seeds: Iterable[int], at_once: int = 2) -> list[Finding]:
    """Kill a process for each seed, and return what each left; `environment` must be set.

    Parameters
    ----------
    folder : Path
        For all files.
    at_once : int
        Processes that paint side by side.
    """
    stacks.write_stack(folder / "cells.tif", np.zeros(SHAPE, np.uint8))
    with ThreadPoolExecutor(at_once) as pool:
        plans = [plan_of(seed, folder) for seed in seeds]
        deaths = list(pool.map(live_and_die, plans, itertools.repeat(folder)))
    left = {one.folder: one.named for one in recoverable()}
    return [_finding(death, left, folder / "cells.tif") for death in deaths]


def _finding(death: Death, left: dict[Path, bool], image: Path) -> Finding:
    offered = [folder for folder in left if folder in death.kept]
    lost, unreadable = [], []
    for folder in offered:
        try:
            session = _read(folder, image, death)
        except UserError as error:
            unreadable.append(str(error))
        else:
            unreadable += session.warnings
            lost.append(death.lost_s(fingerprint(session.labels, session.confirmed)))
    if not offered and death.states:
        lost.append(death.lost_s(death.states[0][1]))
    as_named = any(left[folder] for folder in offered)
    return Finding(death, min(lost, default=float("inf")), unreadable, offered, as_named)


def _read(folder: Path, image: Path, death: Death) -> Session:
    """Read a session; an image that has no file is copied after the first strokes."""
    try:
        return load_session(folder)
    except MissingImage:
        if death.age_s > PROMISED_S:
            raise
        return load_session(folder, image)


def table(found: list[Finding]) -> str:
    lost = [one.lost_s for one in found]
    rows = {
        "processes killed": len(found),
        "during a write": sum(bool(one.death.plan.stage) for one in found),
        "more than two seconds after the first stroke": sum(one.death.age_s > PROMISED_S for one in found),
        "work that had been given a name": sum(one.death.named for one in found),
        "strokes and other changes": sum(one.death.changes for one in found),
        "sessions that lost more than two seconds": sum(seconds > PROMISED_S for seconds in lost),
        "sessions with an unreadable file": sum(bool(one.unreadable) for one in found),
        "oldest lost stroke, s, median of the sessions": f"{statistics.median(lost):.2f}",
        "oldest lost stroke, s, of all": f"{max(lost):.2f}",
    }
    return "\n".join(f"| {name} | {value} |" for name, value in rows.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the first process; the others follow")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ.update(environment(Path(name)))
        found = findings(Path(name).resolve(), range(chosen.seed, chosen.seed + chosen.kills))
    print(table(found))
    for one in found:
        if one.lost_s > PROMISED_S or one.unreadable or one.death.errors or not one.death.when:
            print(one.death.plan, one.lost_s, *one.unreadable, *one.death.errors)
