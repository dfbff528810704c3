"""Merge tree of a cell's pieces, weakest boundary first."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Join:
    """Two groups of pieces become one.

    Attributes
    ----------
    one, other : int
        The pieces between which the boundary is weakest.
    borders : tuple of int
        All borders between the two groups.
    """

    one: int
    other: int
    borders: tuple[int, ...]


class Joining:
    """Joins pieces that are connected, weakest boundary first, with means kept up to date.

    Mean boundary agglomeration (Nunez-Iglesias et al. 2013, doi:10.1371/journal.pone.0071715), but the
    groups that touch only through boundary wait for those that are open to each other.

    Parameters
    ----------
    ends : numpy.ndarray
        int (borders, 2): the pieces on both sides.
    totals, steps, opens : numpy.ndarray
        (borders,): sum of the boundary probability, number of steps, number of open steps.
    """

    def __init__(self, ends: np.ndarray, totals: np.ndarray, steps: np.ndarray, opens: np.ndarray) -> None:
        self._ends = ends.tolist()
        self._measures = list(zip(totals.tolist(), steps.tolist(), opens.tolist(), strict=True))
        self._touching: dict[int, dict[int, tuple[int, ...]]] = {}
        for border, (one, other) in enumerate(self._ends):
            for here, there in ((one, other), (other, one)):
                self._touching.setdefault(here, {})[there] = (border,)
        self._waiting = [self._entry(one, other) for one, other in self._ends]

    def joins(self) -> list[Join]:
        """Return the joins that make each connected group of pieces one."""
        heapq.heapify(self._waiting)
        found = []
        while self._waiting:
            _, one, other, borders = heapq.heappop(self._waiting)
            if self._touching.get(one, {}).get(other) == borders:  # else joined or grown since
                found.append(self._join_of(borders))
                self._merge(one, other)
        return found

    def _join_of(self, borders: tuple[int, ...]) -> Join:
        weakest = min(borders, key=lambda border: (self._height((border,)), border))
        one, other = self._ends[weakest]
        return Join(one, other, borders)

    def _merge(self, one: int, other: int) -> None:
        kept, gone = sorted((one, other), key=lambda group: (-len(self._touching[group]), group))
        for third, borders in self._touching.pop(gone).items():
            del self._touching[third][gone]
            if third == kept:
                continue
            joint = self._touching[kept].get(third, ()) + borders
            self._touching[kept][third] = self._touching[third][kept] = joint
            heapq.heappush(self._waiting, self._entry(kept, third))

    def _entry(self, one: int, other: int) -> tuple[float, int, int, tuple[int, ...]]:
        borders = self._touching[one][other]
        return self._height(borders), one, other, borders

    def _height(self, borders: tuple[int, ...]) -> float:
        total, steps, opens = np.sum([self._measures[border] for border in borders], axis=0)
        return float(total / steps + (opens == 0))


def parted_areas(joins: list[Join], areas: np.ndarray) -> np.ndarray:
    """Return what is left on both sides when one join of a cell is undone, and all others stay.

    Parameters
    ----------
    joins : list of Join
        Of any number of cells.
    areas : numpy.ndarray
        float (pieces,): pixels of each piece.

    Returns
    -------
    numpy.ndarray
        float (joins, 2): pixels on the side of `one` and of `other`.
    """
    beside: dict[int, list[tuple[int, int]]] = {}
    for number, join in enumerate(joins):
        beside.setdefault(join.one, []).append((join.other, number))
        beside.setdefault(join.other, []).append((join.one, number))
    result, seen = np.zeros((len(joins), 2)), set[int]()
    for root in beside:
        if root not in seen:
            _weigh_tree(_walked(root, beside, seen), joins, areas, result)
    return result


def _walked(
    root: int, beside: dict[int, list[tuple[int, int]]], seen: set[int]
) -> list[tuple[int, int, int]]:
    """Return each piece of a tree with the piece it was reached from, which comes before it, and the join."""
    order, ahead = [], [(root, -1, -1)]
    while ahead:
        step = ahead.pop()
        order.append(step)
        seen.add(step[0])
        ahead += [(piece, step[0], join) for piece, join in beside[step[0]] if join != step[2]]
    return order


def _weigh_tree(
    order: list[tuple[int, int, int]], joins: list[Join], areas: np.ndarray, result: np.ndarray
) -> None:
    below = {piece: float(areas[piece]) for piece, _, _ in order}
    whole = sum(below.values())
    for piece, before, number in reversed(order[1:]):
        below[before] += below[piece]
        side = 0 if joins[number].one == piece else 1
        result[number, side], result[number, 1 - side] = below[piece], whole - below[piece]
