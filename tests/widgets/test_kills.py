"""What is left of a painting session in napari whose process is killed, mostly within a write."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.paths import BENCHMARKS

sys.path.append(str(BENCHMARKS))

import crash_plan
import crashes
from crash_plan import environment, plan_of
from crashes import Death, findings

from helpers.timing import within

pytestmark = pytest.mark.timeout(900)
FEW = 0, 1, 2, 3, 4, 7  # every stage of a write, with and without a name
MORE = 5, 6, *range(8, 20)
PROMISED_S = within(crashes.PROMISED_S)


def plan_with_time_to_name(seed, folder):
    """The plan of a seed; work that gets a name lives longer, or a busy machine would never come to it."""
    plan = plan_of(seed, folder)
    return plan if plan.name is None else replace(plan, moment_s=plan.moment_s + 5)


@pytest.fixture(scope="module", params=[FEW, pytest.param(MORE, marks=pytest.mark.slow)], ids=["few", "more"])
def kills(request):
    return request.param


@pytest.fixture(scope="module")
def found(kills, tmp_path_factory):
    """What each of them left."""
    folder = tmp_path_factory.mktemp("killed").resolve()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        patch.setattr(crashes, "PROMISED_S", PROMISED_S)
        patch.setattr(crashes, "plan_of", plan_with_time_to_name)
        return findings(folder, kills)


def test_all_of_them_painted_and_were_killed(found, kills):
    assert [one.death.errors for one in found] == [[]] * len(kills)
    for one in found:
        assert one.death.when > one.death.states[0][0], one.death.plan
    assert sum(one.death.changes for one in found) > 5 * len(kills)


def test_no_stroke_older_than_two_seconds_is_lost(found):
    for one in found:
        assert one.lost_s <= PROMISED_S, one.death.plan


def test_every_file_is_readable(found, kills):
    assert [one.unreadable for one in found] == [[]] * len(kills)


def test_the_next_start_offers_them(found):
    for one in found:
        assert one.offered or one.death.age_s < PROMISED_S, one.death.plan


def test_at_least_half_of_them_were_killed_during_a_write(found, kills):
    assert sum(bool(one.death.plan.stage) for one in found) >= len(kills) / 2


def test_the_few_are_killed_at_every_stage_of_a_write():
    stages = {plan_of(seed, Path()).stage for seed in FEW}
    assert stages == {"", *crash_plan.STAGES}


def test_a_living_session_is_offered_to_nobody(found):
    assert not any(one.death.offered_while_alive for one in found)


def test_a_named_session_is_offered_after_its_death(found):
    named = [one for one in found if one.death.named]
    assert named
    assert all(one.offered_as_named for one in named)


# -- the judge ------------------------------------------------------------------------------


@pytest.fixture
def death():
    """Of a process that painted 1 and later 2 into slice 0, and confirmed slice 1 between."""
    death = Death(plan_of(0, Path()), set(), when=10.0)
    for seconds, state in (1.0, "0 5 none"), (4.0, "1 5 none"), (6.0, "1 5 1"), (9.0, "2 5 1"):
        death.hear("state", seconds, tuple(state.split()))
    return death


@pytest.mark.parametrize(
    ("left", "lost_s"),
    [("2 5 1", 0), ("1 5 1", 1), ("2 5 none", 4), ("0 5 1", 6), ("0 0 1", float("inf"))],
)
def test_the_oldest_stroke_that_is_not_there_is_found(death, left, lost_s):
    assert death.lost_s(tuple(left.split())) == lost_s
