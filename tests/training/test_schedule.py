from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emseg_napari.settings import TrainingSettings
from emseg_napari.training import schedule as module
from emseg_napari.training.schedule import Replay, Schedule


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it: ``clock[0] += 60``."""
    now = [1000.0]

    def sleep(seconds):
        now[0] += seconds

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now


FINISH = module._ENDING_SECONDS


def steps(count: int, seconds: float = 0.0) -> np.ndarray:
    """What a training that came so far has written down."""
    return np.column_stack([np.full(count, 1e-3), np.linspace(0, seconds, count)])


def in_epochs(**changes) -> TrainingSettings:
    return TrainingSettings.recipe(**({"epochs": 4, "steps_per_epoch": 5} | changes))


def test_training_in_epochs_counts_steps_whatever_the_clock_says(clock):
    schedule = Schedule(in_epochs())
    clock[0] += 10_000
    assert schedule.fraction == 0
    schedule.step = 10
    assert schedule.fraction == 0.5
    schedule.step = 99
    assert schedule.fraction == 1


def test_training_in_minutes_follows_the_clock_whatever_the_step(clock):
    schedule = Schedule(TrainingSettings.recipe(minutes=2))
    schedule.step = 10_000
    assert schedule.fraction == 0
    clock[0] += 30
    assert schedule.fraction == pytest.approx(30 / (120 - FINISH))
    assert schedule.seconds_left == 90 - FINISH
    clock[0] += 500
    assert schedule.fraction == 1
    assert schedule.seconds_left == 0


def test_resumed_training_has_only_the_rest_of_its_minutes(clock):
    schedule = Schedule(TrainingSettings.recipe(minutes=2), spent=steps(50, seconds=90))
    assert schedule.step == 50
    assert schedule.seconds == 90
    assert schedule.seconds_left == 30 - FINISH


def test_epoch_in_steps_ends_at_every_multiple(clock):
    schedule = Schedule(in_epochs())
    ends = []
    for step in range(1, 21):
        schedule.step = step
        if schedule.epoch_is_over:
            ends.append(step)
    assert ends == [5, 10, 15, 20]


@pytest.mark.parametrize(
    ("minutes", "seconds"), [(1, 8), (4, (240 - FINISH) / 20), (100, 60)], ids=lambda value: str(value)
)
def test_epoch_by_the_clock_is_a_twentieth_of_the_time_within_limits(clock, minutes, seconds):
    schedule = Schedule(TrainingSettings.recipe(minutes=minutes))
    clock[0] += seconds - 0.01
    assert not schedule.epoch_is_over
    clock[0] += 0.02
    assert schedule.epoch_is_over
    schedule.start_epoch()
    assert not schedule.epoch_is_over


def test_last_epoch_by_the_clock_ends_with_the_time(clock):
    schedule = Schedule(TrainingSettings.recipe(minutes=1))
    clock[0] += 59
    schedule.start_epoch()
    clock[0] += 1.5
    assert schedule.epoch_is_over


def test_nobody_knows_the_seconds_left_before_the_first_step(clock):
    schedule = Schedule(in_epochs())
    assert schedule.seconds_left is None
    clock[0] += 10
    schedule.step = 5
    assert schedule.seconds_left == pytest.approx(30)


def rates(settings: TrainingSettings, steps: int) -> np.ndarray:
    schedule = Schedule(settings)
    found = []
    for schedule.step in range(steps + 1):
        found.append(schedule.learning_rate)
    return np.array(found)


def test_learning_rate_rises_to_its_peak_and_falls_to_one_percent():
    found = rates(in_epochs(learning_rate=0.1, warm_up=0.2), 20)
    assert found[0] == pytest.approx(0.001)
    assert found.argmax() == 4
    assert found[4] == pytest.approx(0.1)
    assert (np.diff(found[:5]) > 0).all()
    assert (np.diff(found[4:]) < 0).all()
    assert found[20] == pytest.approx(0.001)


def test_reference_keeps_its_learning_rate():
    settings = TrainingSettings.recipe("reference", epochs=4, steps_per_epoch=5)
    assert rates(settings, 20) == pytest.approx(np.full(21, 1e-4))


@given(warm_up=st.floats(0, 0.99), anneal=st.booleans(), step=st.integers(0, 40))
def test_learning_rate_is_never_above_its_peak_nor_zero(warm_up, anneal, step):
    settings = in_epochs(learning_rate=0.01, warm_up=warm_up, anneal=anneal)
    rate = Schedule(settings, steps(step)).learning_rate
    assert 0.0001 * (1 - 1e-9) <= rate <= 0.01


def test_what_went_by_before_the_training_counts_as_its_time(clock):
    schedule = Schedule(TrainingSettings.recipe(minutes=1), late_seconds=10)
    assert schedule.seconds_left == 50 - FINISH


def test_what_follows_the_last_step_gets_as_long_as_was_measured(clock):
    schedule = Schedule(TrainingSettings.recipe(minutes=1), late_seconds=10)
    schedule.reserve(20)
    assert schedule.seconds_left == 60 - 10 - 20
    clock[0] += 15
    assert schedule.fraction == 0.5


def test_two_fifths_of_a_short_time_are_for_training_whatever_else_takes_long(clock):
    assert Schedule(TrainingSettings.recipe(minutes=0.2), late_seconds=30).seconds_left == pytest.approx(4.8)


def test_standing_still_takes_no_training_time(clock):
    schedule = Schedule(TrainingSettings.recipe(minutes=1))
    schedule.pause(1000)
    assert schedule.seconds == 0
    assert schedule.fraction == 0


def test_preview_is_due_every_few_seconds(clock):
    schedule = Schedule(TrainingSettings.recipe(minutes=60))
    assert not schedule.preview_is_due()
    clock[0] += 9
    assert schedule.preview_is_due()
    assert not schedule.preview_is_due()


def test_replay_repeats_rates_and_epochs_step_by_step(clock):
    rates_then = np.array([0.1, 0.4, 0.3, 0.2])
    replay = Replay(TrainingSettings.recipe(minutes=5), rates_then, {2, 4})
    seen, ends = [], []
    while replay.fraction < 1:
        seen.append(replay.learning_rate)
        replay.step += 1
        clock[0] += 100  # whatever the clock says
        ends += [replay.step] if replay.epoch_is_over else []
    assert seen == pytest.approx(rates_then)
    assert ends == [2, 4]


def test_replay_of_a_run_without_a_whole_epoch_ends_with_its_last_step():
    replay = Replay(TrainingSettings.recipe(minutes=1), np.full(3, 1e-3), [])
    over = []
    for step in (1, 2, 3):
        replay.step = step
        over.append(replay.epoch_is_over)
    assert over == [False, False, True]
