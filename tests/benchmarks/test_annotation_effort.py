"""The rules by which the scripted annotator of the benchmark works and counts."""

import sys

import numpy as np
import pytest

from emseg_napari.annotation.suggest import Place
from emseg_napari.core.labels import BOUNDARY, INTERIOR, PROPOSED_BOUNDARY, PROPOSED_INTERIOR
from helpers.paths import BENCHMARKS

sys.path.append(str(BENCHMARKS))

from annotation_loop import random_order
from annotator import GOOD, Annotator, strokes_by_hand
from effort_figures import comparisons, per_slice, totals
from slice_faults import Page, faults, smears

SIZE = 80
WALL = slice(39, 42)


@pytest.fixture
def truth() -> np.ndarray:
    """Four cells, parted by a cross."""
    labels = np.full((SIZE, SIZE), INTERIOR, np.uint8)
    labels[WALL] = labels[:, WALL] = BOUNDARY
    return labels


def annotator(truth: np.ndarray, proposal: np.ndarray) -> Annotator:
    proposed = np.where(proposal == BOUNDARY, PROPOSED_BOUNDARY, PROPOSED_INTERIOR).astype(np.uint8)
    image = np.where(truth == BOUNDARY, 60, 200).astype(np.uint8)
    probability = np.where(truth == BOUNDARY, 0.4, 0.05).astype(np.float32)
    return Annotator(truth, Page(image, probability, proposed))


def place(y: int, x: int, kind: str = "gap") -> Place:
    return Place(0, y, x, kind, 0.1, 16.0, 0.5, (np.array([y]), np.array([x])))


@pytest.fixture
def open_wall(truth) -> Annotator:
    """The upper two cells are one, through a gap around (20, 40)."""
    proposal = truth.copy()
    proposal[15:26, WALL] = INTERIOR
    return annotator(truth, proposal)


@pytest.fixture
def false_wall(truth) -> Annotator:
    """The lower left cell is cut at row 60."""
    proposal = truth.copy()
    proposal[59:62, : WALL.start] = BOUNDARY
    return annotator(truth, proposal)


def test_a_membrane_between_two_junctions_is_one_stroke_by_hand(truth):
    assert strokes_by_hand(truth) == 4


def test_a_missing_membrane_costs_two_clicks(open_wall):
    assert not open_wall.satisfied
    open_wall.follow([place(20, 40)])
    assert open_wall.satisfied
    tally = open_wall.tally
    assert (tally.clicks, tally.strokes, tally.by_eye, tally.keys) == (2, 0, 0, 1)
    assert dict(tally.tools) == {"merge: close gap": 1}


def test_a_false_membrane_costs_one_click(false_wall):
    false_wall.follow([place(60, 20, "membrane")])
    assert false_wall.satisfied
    assert (false_wall.tally.actions, false_wall.tally.keys) == (1, 1)
    assert dict(false_wall.tally.tools) == {"split: drop membrane": 1}


def test_a_place_where_nothing_is_wrong_costs_a_key(open_wall):
    open_wall.follow([place(60, 40, "membrane"), place(20, 40), place(40, 60, "membrane")])
    assert (open_wall.tally.keys, open_wall.tally.actions) == (2, 2)  # the third is not looked at any more


def test_what_the_queue_misses_is_found_by_eye_for_one_more_action(open_wall):
    open_wall.follow([place(60, 40, "membrane")])
    open_wall.search()
    assert open_wall.satisfied
    assert (open_wall.tally.by_eye, open_wall.tally.actions) == (1, 3)


def test_a_slice_that_is_good_enough_is_left_alone(truth):
    proposal = truth.copy()
    proposal[18:25, 18:25] = BOUNDARY
    proposal[20:23, 20:23] = INTERIOR
    good = annotator(truth, proposal)
    assert GOOD <= good.v_rand < 1
    good.follow([place(18, 21)])
    good.search()
    assert (good.tally.actions, good.tally.keys) == (0, 0)


def test_a_repair_that_does_not_help_is_counted_and_taken_back(open_wall, monkeypatch):
    before = open_wall.page.labels.copy()
    monkeypatch.setattr(open_wall, "_helps", lambda after, fault: False)
    open_wall.mend(open_wall.faults[0])
    np.testing.assert_array_equal(open_wall.page.labels, before)
    assert (open_wall.tally.clicks, open_wall.tally.strokes, open_wall.tally.in_vain) == (2, 2, 4)
    assert open_wall.tally.given_up == 1
    assert open_wall.faults == []


def test_two_gaps_of_one_wall_are_closed_one_by_one(truth):
    proposal = truth.copy()
    proposal[8:14, WALL] = proposal[24:30, WALL] = INTERIOR
    one = annotator(truth, proposal)
    one.follow([place(10, 40), place(27, 40)])
    assert one.satisfied
    assert one.tally.clicks == 4


def test_a_membrane_too_thick_is_a_smear_and_no_split(truth):
    proposal = truth.copy()
    proposal[:, WALL.stop : WALL.stop + 30] = BOUNDARY
    assert faults(truth, proposal) == []
    found = smears(truth, proposal)
    assert {fault.kind for fault in found} == {"smear"}
    thick = annotator(truth, proposal)
    before = thick.v_rand
    thick.search()
    assert thick.v_rand > before
    assert thick.tally.tools["smear: brush"] > 0


def test_a_random_order_has_the_same_places_and_is_fixed_by_its_seed():
    places = [place(y, 3) for y in range(30)]
    mixed = random_order(1)(7)(places)
    assert mixed != places
    assert sorted(mixed, key=lambda p: p.y) == places
    assert mixed == random_order(1)(7)(places)
    assert mixed != random_order(2)(7)(places)


def test_the_tables_add_up_slices_and_count_no_search_against_training_once():
    def row(**counts: int) -> dict:
        slices = [{"z": z, "actions": sum(counts.values()), **counts, "v_rand": 0.99} for z in (0, 1)]
        return {"slices": slices, "seconds": {"learning": 2.4}}

    done = {"0:2": {"train once": row(strokes=100, by_eye=9), "full loop": row(clicks=4, by_eye=1)}}
    assert any("| 0:2 | full loop | 10 | 8 | 0 | 2 |" in line for line in totals(done))
    assert list(comparisons(done)) == ["0:2: full loop / train once = 10 / 200 = 0.050 of the actions"]
    assert list(per_slice(done))[-1] == "| 0:2 | full loop | 5 | 5 |"
