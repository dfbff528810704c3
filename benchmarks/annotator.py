"""A scripted annotator who knows the truth and counts what he does.

The queue of places and the repair tools never see the truth. His rules, which are fixed:

- One action is one click or one stroke, or one search: an error that no place of the queue showed him
  he finds by eye, which counts as one action too (and is counted by itself: "by eye"). Looking at a
  place of the queue, taking back what did not help, and confirming a slice are keys, counted apart.
- He stops on a slice as soon as its V_rand after thinning reaches 0.98.
- At a place of the queue he looks for errors (`find_errors`, parts of 100 pixels or more) within 5
  pixels of the line that the place shows. Each he repairs; where there is none he presses the key for
  the next place. By eye he searches only when the queue is at its end: the largest error first, and
  when there is none any more, the largest part of a cell that is lost under thick membrane.
- Membrane is missing: he clicks on both ends of the gap (`close_gap`, two clicks). If that does not
  help, he draws along it with `split_cell` (a stroke), and if that does not help either, with a brush
  of 3 pixels (a stroke).
- Membrane is false: he clicks on it (`drop_membrane`), then into the smaller part (`drop_island`),
  then into both parts (`join_cells`, two clicks), then he erases it with a brush of 5 pixels from part
  to part (a stroke), until one helps.
- Membrane is too thick: he erases along it with a brush of 11 pixels (a stroke).
- A repair helps if V_rand of the slice rises by 0.001 or more; or else, since a wall may have two gaps,
  if it does not fall by as much, and V_rand in a window around the error rises by 0.02 or more as
  if all other errors were repaired. One that does not help is taken back; its clicks and strokes count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage
from slice_faults import Fault, Page, Trial, faults, is_inside, smears, trials

from emseg_napari.annotation.repair.skeleton import skeleton_of
from emseg_napari.annotation.suggest import Place
from emseg_napari.core.jobs import UserError
from emseg_napari.core.labels import INTERIOR
from emseg_napari.evaluation.partitions import TrueCells
from emseg_napari.evaluation.thinning import thinned_regions

GOOD = 0.98
_MARGIN_PX = 16
_CLEAR_CHANGE, _CLEAR_CHANGE_HERE = 0.001, 0.02  # of V_rand
_SHORTEST_PX = 5  # of the pieces of a centre line that are strokes
_TOGETHER = np.ones((3, 3), bool)


@dataclass
class Tally:
    """What was done on a slice; `in_vain` are clicks and strokes that did not help."""

    clicks: int = 0
    strokes: int = 0
    by_eye: int = 0
    keys: int = 0
    in_vain: int = 0
    given_up: int = 0
    tools: Counter[str] = field(default_factory=Counter)

    @property
    def actions(self) -> int:
        return self.clicks + self.strokes + self.by_eye

    def as_json(self) -> dict[str, Any]:
        return vars(self) | {"actions": self.actions}


def v_rand(truth: np.ndarray, labels: np.ndarray) -> float:
    """Return V_rand of one slice, both uint8 (y, x), after thinning."""
    return TrueCells(truth == INTERIOR).agreement(thinned_regions(is_inside(labels))).rand.score


def strokes_by_hand(truth: np.ndarray) -> int:
    """Return how many membranes, from junction to junction, a slice has, uint8 (y, x).

    Pieces of centre line shorter than five pixels are no strokes.
    """
    skeleton = skeleton_of(truth)
    junctions = ndimage.binary_dilation(skeleton.picture(skeleton.degree > 2), _TOGETHER)
    pieces = ndimage.label(skeleton.lines & ~junctions, _TOGETHER)[0]
    return int((np.bincount(pieces.ravel())[1:] >= _SHORTEST_PX).sum())


class Annotator:
    """Corrects one slice.

    Parameters
    ----------
    truth : numpy.ndarray
        uint8 (y, x).
    page : Page
        Its labels are replaced with every repair.
    """

    def __init__(self, truth: np.ndarray, page: Page) -> None:
        self._truth, self.page, self.tally = truth, page, Tally()
        self._hopeless: list[Fault] = []
        self.v_rand = v_rand(truth, page.labels)

    @property
    def satisfied(self) -> bool:
        """Whether the slice is good enough."""
        return self.v_rand >= GOOD

    @property
    def faults(self) -> list[Fault]:
        """What is wrong and was not given up, the largest error first."""
        return self._hopeful(self._known)

    @cached_property
    def _known(self) -> list[Fault]:
        return faults(self._truth, self.page.labels)

    def _hopeful(self, found: list[Fault]) -> list[Fault]:
        return [fault for fault in found if not any(map(fault.is_like, self._hopeless))]

    def follow(self, places: Iterable[Place]) -> None:
        """Look at places one after the other, until the slice is good enough."""
        for place in places:
            if self.satisfied:
                return
            self.tally.keys += 1
            while not self.satisfied and (here := [f for f in self.faults if f.touches(place)]):
                self.mend(here[0])

    def search(self) -> None:
        """Find by eye what is wrong, until the slice is good enough or nothing more can be done."""
        while not self.satisfied:
            left = self.faults or self._hopeful(smears(self._truth, self.page.labels))
            if not left:
                return
            self.tally.by_eye += 1
            self.mend(left[0])

    def mend(self, fault: Fault) -> None:
        """Repair an error, or give it up."""
        for trial in trials(fault, self.page, self._truth):
            self.tally.clicks += trial.clicks
            self.tally.strokes += trial.strokes
            if self._does(trial, fault):
                return
            self.tally.in_vain += trial.clicks + trial.strokes
        self.tally.given_up += 1
        self._hopeless.append(fault)

    def _does(self, trial: Trial, fault: Fault) -> bool:
        try:
            after = trial.edit().applied_to(self.page.labels)
        except UserError:  # the tool says why it cannot
            return False
        if not self._helps(after, fault):
            self.tally.keys += 1
            return False
        self.tally.tools[f"{fault.kind}: {trial.tool}"] += 1
        self.page.labels = after
        self.v_rand = v_rand(self._truth, after)
        self.__dict__.pop("_known", None)
        return True

    def _helps(self, after: np.ndarray, fault: Fault) -> bool:
        rise = v_rand(self._truth, after) - self.v_rand
        if abs(rise) >= _CLEAR_CHANGE:
            return rise > 0
        before_here, after_here = (self._score_around(fault, one) for one in (self.page.labels, after))
        return after_here >= before_here + _CLEAR_CHANGE_HERE

    def _score_around(self, fault: Fault, labels: np.ndarray) -> float:
        """Return V_rand in the window of an error, as if all others were repaired."""
        labels = labels.copy()
        for other in self._known:
            if other is not fault:
                labels[other.pixels] = other.right_value
        part = fault.window(_MARGIN_PX)
        return v_rand(self._truth[part], labels[part])
