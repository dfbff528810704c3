import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from emseg_napari.core.jobs import (
    Cancelled,
    EpochEnded,
    JobContext,
    JobControl,
    Message,
    PreviewReady,
    Progress,
    SliceLeftOut,
    UserError,
)
from emseg_napari.core.labels import from_probability
from emseg_napari.core.mailbox import Mailbox
from emseg_napari.engine.protocol import LabelUpdate
from emseg_napari.inference import predict
from emseg_napari.io.fingerprint import fingerprint
from emseg_napari.io.volume import BrokenChunk, Volume
from emseg_napari.models import unet
from emseg_napari.models.earlier_run import opened_start
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import LiveSettings, PredictionSettings, TrainingSettings
from emseg_napari.training.learner import Learner
from emseg_napari.training.live import idle, preview
from emseg_napari.training.live import trainer as live_module
from emseg_napari.training.live.idle import ON_BATTERY, PAUSED, WAITING
from emseg_napari.training.live.trainer import train_live
from emseg_napari.training.losses import anchored_loss
from emseg_napari.training.trainer import train_network
from emseg_napari.training.validation import Scorer
from helpers.slow import slow_case
from helpers.timing import PATIENCE_S, settled, wait_until, within

pytestmark = pytest.mark.keras

SECONDS = 2 * PATIENCE_S  # until a test gives up


def small_network(network: str, mixed_precision: bool = False) -> keras.Model:
    """Stand-in for the networks that is quick to compile."""
    image = layers.Input((None, None, 1))
    x = layers.Conv2D(8, 5, padding="same", activation="relu")(image)
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(unet, "build", small_network)
    monkeypatch.setattr(preview, "REFRESH_SECONDS", 0.2)


@pytest.fixture(scope="module")
def start(tiny_stack, tmp_path_factory) -> Run:
    """A run that saw slice 0 for a moment."""
    image, labels = tiny_stack[0], tiny_stack[1].copy()
    labels[1:] = 0
    settings = TrainingSettings.recipe(
        epochs=1, steps_per_epoch=2, patch_px=32, batch_size=2, learning_rate=1e-4
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet, "build", small_network)
        return train_network(image, labels, settings, folder=tmp_path_factory.mktemp("runs") / "start")


class Session:
    """A live job in a thread, and the window at its other side."""

    def __init__(self, image: np.ndarray, labels: np.ndarray, folder: Path, **settings) -> None:
        self.events, self.control, self.inbox = [], JobControl(z=1), Mailbox()
        self.stop, self.run, self.error, self.folder = threading.Event(), None, None, folder
        arguments = image, labels, LiveSettings(**settings)
        self.thread = threading.Thread(target=self._live, args=(arguments,), daemon=True)
        self.thread.start()

    def _live(self, arguments: tuple) -> None:
        try:
            self.run = train_live(
                *arguments,
                context=JobContext(
                    report=self.events.append,
                    should_stop=self.stop.is_set,
                    control=lambda: self.control,
                    inbox=self.inbox,
                ),
                folder=self.folder,
            )
        except Exception as error:
            self.error = error

    def update_labels(self, z: int, labels: np.ndarray) -> None:
        self.inbox.post(z, LabelUpdate(z, labels))

    def until(self, kind: type, fits: Callable = lambda event: True, after: int = 0):
        """Wait for an event, and return it."""
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.error is None:
            for event in self.events[after:]:
                if isinstance(event, kind) and fits(event):
                    return event
            time.sleep(0.01)
        raise AssertionError(f"no such event; error {self.error!r}")

    def until_told(self, words: str, after: int = 0) -> None:
        self.until(Progress, lambda event: event.text.startswith(words), after)

    def end(self) -> Run:
        self.control = JobControl(enough=True)
        self.thread.join(SECONDS)
        assert self.error is None, self.error
        assert self.run is not None
        return self.run

    def steps(self) -> int:
        told = [e.text for e in self.events if isinstance(e, Progress) and e.text.startswith("learning")]
        return int(told[-1].split()[-1]) if told else 0


@pytest.fixture
def begin(start, tiny_stack, tmp_path) -> Iterator[Callable[..., Session]]:
    """Begin a live job on the tiny stack without labels; it ends with the test."""
    sessions = []

    def make(labels: np.ndarray | None = None, **settings) -> Session:
        image = tiny_stack[0]
        labels = np.zeros(image.shape, np.uint8) if labels is None else labels
        common = {"start": str(start.folder), "learning_rate": 3e-3, "on_battery": True}
        sessions.append(Session(image, labels, tmp_path / f"live-{len(sessions)}", **(common | settings)))
        return sessions[-1]

    yield make
    for session in sessions:
        session.stop.set()
        session.thread.join(SECONDS)
        assert not session.thread.is_alive()


def accuracy(preview: PreviewReady, labels: np.ndarray) -> float:
    return float(np.mean(from_probability(preview.probability, 0.5) == labels[preview.z]))


# Learning and showing


def test_a_taught_slice_changes_its_proposal_and_that_of_others_for_the_better(begin, tiny_stack):
    labels = tiny_stack[1]
    session = begin()
    before = accuracy(session.until(PreviewReady), labels)
    session.update_labels(1, labels[1])
    session.until(PreviewReady, lambda e: e.epoch == 1 and accuracy(e, labels) > max(0.9, before + 0.1))
    session.control = JobControl(z=3)
    assert accuracy(session.until(PreviewReady, lambda e: e.z == 3), labels) > 0.9


def test_labels_that_are_there_already_are_learned(begin, tiny_stack):
    session = begin(tiny_stack[1])
    session.until(PreviewReady, lambda e: accuracy(e, tiny_stack[1]) > 0.9)


def test_before_anything_is_taught_the_start_s_opinion_shows_and_nothing_is_learned(
    begin, start, tiny_stack, tmp_path
):
    session = begin()
    session.until_told(WAITING)
    preview = session.until(PreviewReady)
    settings = PredictionSettings(orientations=1)
    expected = predict(tiny_stack[0][1:2], start, settings)
    assert preview.epoch == 0
    np.testing.assert_allclose(preview.probability, expected[0], atol=1e-3)
    time.sleep(0.5)
    assert session.steps() == 0
    run = session.end()
    assert (run.record.trained_slices, run.history) == ([], [])
    again = predict(tiny_stack[0][1:2], run, settings)
    np.testing.assert_allclose(again, expected, atol=1e-5)


def test_another_slice_in_view_shows_at_once_also_at_rest(begin):
    session = begin()
    session.until(PreviewReady)
    for z in (3, 0, 1):
        began, after = time.monotonic(), len(session.events)
        session.control = JobControl(z=z)
        session.until(PreviewReady, lambda e, z=z: e.z == z, after)
        assert time.monotonic() - began < within(1)


@pytest.mark.parametrize("z", [None, slow_case(-1), slow_case(99)])
def test_nothing_shows_of_a_slice_that_is_not_there(begin, tiny_stack, z):
    session = begin()
    session.until(PreviewReady)
    after = len(session.events)
    session.control = JobControl(z=z)
    session.update_labels(1, tiny_stack[1][1])
    session.until_told("learning", after)
    time.sleep(0.5)
    late = [e for e in session.events[after + 1 :] if isinstance(e, PreviewReady)]
    assert not late


def test_the_proposal_is_refreshed_again_and_again_while_it_learns(begin, tiny_stack):
    session = begin(tiny_stack[1])
    for _ in range(3):
        session.until(PreviewReady, after=len(session.events))


def test_what_is_erased_teaches_no_more(begin, tiny_stack):
    session = begin()
    session.update_labels(1, tiny_stack[1][1])
    session.until_told("learning")
    told = len(session.events)
    session.update_labels(1, 0 * tiny_stack[1][1])
    session.until_told(WAITING, told)


# Holding


def gradient(target: np.ndarray, probability: np.ndarray, anchor_weight: float) -> np.ndarray:
    import tensorflow as tf

    given = tf.Variable(probability)
    with tf.GradientTape() as tape:
        loss = anchored_loss(TrainingSettings(anchor_weight=anchor_weight))(tf.constant(target), given)
    return tape.gradient(loss, given).numpy()[..., 0]


def test_what_nobody_labelled_pulls_back_to_the_start_and_nowhere_else():
    random = np.random.default_rng(0)
    target = random.uniform(0.1, 0.9, (1, 8, 8, 3)).astype(np.float32)
    target[..., :2] = 0
    target[0, :4, :, 1] = 1  # labelled interior
    start = target[..., 2:].copy()
    assert np.abs(gradient(target, start, 30.0)[0, 4:]).max() < 1e-5
    higher, lower = np.clip(start + 0.05, 0, 1), np.clip(start - 0.05, 0, 1)
    assert (gradient(target, higher, 30.0)[0, 4:] > 0).all()
    assert (gradient(target, lower, 30.0)[0, 4:] < 0).all()
    assert not gradient(target, higher, 0.0)[0, 4:].any()


def test_the_start_s_opinion_of_labelled_pixels_counts_for_nothing():
    target = np.random.default_rng(1).random((1, 8, 8, 3)).astype(np.float32)
    target[..., :2] = 1
    other, probability = target.copy(), np.full((1, 8, 8, 1), 0.3, np.float32)
    other[..., 2] = 1 - other[..., 2]
    np.testing.assert_array_equal(gradient(target, probability, 30.0), gradient(other, probability, 30.0))


def test_a_stroke_of_one_class_alone_does_not_carry_the_network_off(begin, tiny_stack):
    labels = tiny_stack[1]
    session = begin(labels)
    good = accuracy(session.until(PreviewReady, lambda e: accuracy(e, labels) > 0.95), labels)
    start = session.end()
    session = begin(start=str(start.folder))
    stroke = np.zeros_like(labels[1])
    stroke[20:23, 5:35] = 1  # across boundary and interior alike
    session.update_labels(1, stroke)
    session.until_told("learning")
    time.sleep(2)
    wait_until(lambda: session.steps() > 20)
    session.control = JobControl(z=3)
    last = session.until(PreviewReady, lambda e: e.epoch == 1 and e.z == 3)
    assert accuracy(last, labels) > good - 0.1


def test_what_is_shown_lies_between_the_start_and_what_was_learned(begin, start, tiny_stack, monkeypatch):
    shares = []
    real = Learner.averaged
    monkeypatch.setattr(
        Learner, "averaged", lambda self, share=1.0: (shares.append(share), real(self, share))[1]
    )
    begin(tiny_stack[1], start=str(start.folder), blend=0.25).end()
    assert set(shares) == {0.25}


# Resting


def test_it_rests_when_nothing_was_taught_for_a_while_and_wakes_up(begin, tiny_stack):
    session = begin(tiny_stack[1], idle_seconds=0.5)
    session.until_told("learning")
    session.until_told(WAITING)
    told = settled(lambda: len(session.events))  # after a last look at what was learned
    steps = session.steps()
    session.update_labels(2, tiny_stack[1][2])
    session.until_told("learning", told)
    session.until(PreviewReady, lambda e: e.epoch == 1)
    assert session.steps() > steps


def test_a_pause_stands_still_until_it_is_over(begin, tiny_stack):
    session = begin(tiny_stack[1])
    session.until_told("learning")
    session.control = JobControl(z=1, paused=True)
    session.until_told(PAUSED)
    told = len(session.events)
    time.sleep(0.5)
    assert len(session.events) == told
    session.control = JobControl(z=1)
    session.until_told("learning", told)


def test_what_is_taught_in_a_long_pause_is_learned_after_it(begin, tiny_stack):
    session = begin(idle_seconds=0.3)
    session.until_told(WAITING)
    session.control = JobControl(z=1, paused=True)
    session.until_told(PAUSED)
    told = len(session.events)
    session.update_labels(1, tiny_stack[1][1])
    time.sleep(0.6)
    assert len(session.events) == told
    session.control = JobControl(z=1)
    session.until_told("learning", told)


def test_it_rests_on_battery_and_says_so(begin, tiny_stack, monkeypatch):
    monkeypatch.setattr(idle, "_POWER_SECONDS", 0.05)
    monkeypatch.setattr(idle, "on_battery", lambda: True)
    session = begin(tiny_stack[1], on_battery=False)
    session.until_told(ON_BATTERY)
    monkeypatch.setattr(idle, "on_battery", lambda: False)
    session.until_told("learning")


def test_who_wants_it_learns_on_battery_too(begin, tiny_stack, monkeypatch):
    monkeypatch.setattr(idle, "on_battery", lambda: True)
    begin(tiny_stack[1], on_battery=True).until_told("learning")


@pytest.mark.parametrize(
    ("battery", "answer"),
    [
        (None, False),
        (SimpleNamespace(power_plugged=True), False),
        (SimpleNamespace(power_plugged=None), False),
        (SimpleNamespace(power_plugged=False), True),
    ],
)
def test_battery_is_asked_of_the_system(monkeypatch, battery, answer):
    monkeypatch.setattr(idle.psutil, "sensors_battery", lambda: battery, raising=False)
    assert idle.on_battery() is answer


def test_a_system_that_knows_of_no_batteries_has_none(monkeypatch):
    monkeypatch.delattr(idle.psutil, "sensors_battery", raising=False)
    assert not idle.on_battery()


# What is kept


def test_enough_keeps_a_run_that_opens_and_predicts(begin, start, tiny_stack):
    image, labels = tiny_stack
    session = begin()
    session.update_labels(2, labels[2])
    session.until(PreviewReady, lambda e: e.epoch == 1 and accuracy(e, labels) > 0.9)
    run = open_run(session.end().folder)
    record = run.record
    assert record.finished
    assert (record.trained_slices, record.held_out_slices, record.held_out_tile) == ([2], [], None)
    assert (record.start, record.start_slices) == ("start", [0])
    assert set(record.fingerprints) == {fingerprint(image[z]) for z in (0, 2)}
    assert record.normalisation == start.record.normalisation
    assert (record.kept_accuracy, record.kept_v_rand) == (None, None)  # nothing was held out
    assert record.label_counts == {
        "unlabelled": 0,
        "boundary": np.count_nonzero(labels[2] == 1),
        "interior": np.count_nonzero(labels[2] == 2),
    }
    assert [row.held_out_accuracy for row in run.history] == [None]
    assert run.history[0].step == len(run.read_steps())
    assert session.until(EpochEnded) == run.history[0]
    found = from_probability(predict(image, run), record.threshold)
    assert np.mean(found == labels) > 0.9
    assert opened_start(TrainingSettings(start=str(run.folder))).record == record


def test_it_says_that_there_is_no_score(begin):
    assert "no score of its own" in begin().until(Message).text


def test_few_corrections_leave_the_threshold_of_the_start(begin, start, tiny_stack):
    labels = np.zeros_like(tiny_stack[1])
    labels[1, 10:14, 10:20] = tiny_stack[1][1, 10:14, 10:20]
    session = begin(labels)
    session.until_told("learning")
    record = session.end().record
    assert (record.threshold, record.merge_threshold) == (
        start.record.threshold,
        start.record.merge_threshold,
    )


@pytest.mark.parametrize(("slices", "chosen"), [slow_case(1, False), (3, False), (4, True)])
def test_a_handful_of_slices_leaves_the_closing_of_gaps_as_it_was(
    begin, start, tiny_stack, monkeypatch, slices, chosen
):
    """A single gap between large cells would decide it: of two slices the level jumps."""
    monkeypatch.setattr(Scorer, "choose", lambda *_: (0.45, 0.3))
    labels = tiny_stack[1].copy()
    labels[slices:] = 0
    session = begin(labels)
    session.until_told("learning")
    record = session.end().record
    assert (record.threshold, record.merge_threshold) == (
        0.45,
        0.3 if chosen else start.record.merge_threshold,
    )


def test_stop_ends_it_within_a_second_and_leaves_the_last_checkpoint(begin, tiny_stack):
    session = begin(tiny_stack[1])
    session.until_told("learning")
    session.stop.set()
    session.thread.join(within(1))
    assert isinstance(session.error, Cancelled)
    kept = open_run(session.folder)
    assert not kept.record.finished
    assert opened_start(TrainingSettings(start=str(session.folder))).record == kept.record


def test_it_saves_now_and_then_while_it_learns_and_once_at_rest(begin, tiny_stack, monkeypatch):
    monkeypatch.setattr(live_module, "_SAVE_SECONDS", 0.3)
    saved = []
    real = Run.save_steps
    monkeypatch.setattr(Run, "save_steps", lambda run, steps: (saved.append(len(steps)), real(run, steps)))
    session = begin(tiny_stack[1], idle_seconds=2)
    session.until_told("learning")
    session.until_told(WAITING)
    wait_until(lambda: len(saved) >= 3)
    settled(lambda: len(saved), 0.7)
    assert saved == sorted(set(saved))


# The user's mistakes


def test_at_another_scale_it_shows_and_keeps_that_scale_as_the_runs_own(begin, start, tiny_stack):
    image, labels = tiny_stack
    session = begin(scale=2)
    shown = session.until(PreviewReady).probability
    settings = PredictionSettings(scale=2, orientations=1)
    np.testing.assert_allclose(shown, predict(image[1:2], start, settings)[0], atol=1e-3)
    session.update_labels(2, labels[2])
    session.until(PreviewReady, lambda e: e.epoch == 1)
    run = open_run(session.end().folder)
    assert (run.record.scale, run.settings.scale) == ((2, 2), 2)
    assert (start.record.scale, start.settings.scale) == ((1, 1), 1)


def test_a_scale_at_which_slices_are_too_small_is_refused(start, tiny_stack, tmp_path):
    settings = LiveSettings(start=str(start.folder), scale=0.5)
    with pytest.raises(UserError, match="smaller than a patch"):
        train_live(*tiny_stack, settings, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_with_a_run_is_not_overwritten(start, tiny_stack):
    with pytest.raises(UserError, match="holds a run already"):
        train_live(*tiny_stack, LiveSettings(start=str(start.folder)), folder=start.folder)


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda i, n: (i[:, 1:], n), "differ in size"),
        (lambda i, n: (i, n + 2), "which the convention 'napari'"),
    ],
)
def test_what_cannot_be_learned_gets_a_sentence_and_leaves_no_folder(
    start, tiny_stack, tmp_path, mistake, sentence
):
    with pytest.raises(UserError, match=sentence):
        train_live(*mistake(*tiny_stack), LiveSettings(start=str(start.folder)), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_start_that_is_no_network_gets_a_sentence(start, tiny_stack, tmp_path):
    Run(tmp_path, TrainingSettings.recipe("ridge"), start.record).save()
    with pytest.raises(UserError, match="fitted in one pass"):
        train_live(*tiny_stack, LiveSettings(start=str(tmp_path)), folder=tmp_path / "run")


def test_proposals_are_never_taught(begin, tiny_stack):
    session = begin()
    session.until_told(WAITING)
    session.update_labels(1, tiny_stack[1][1] + 2)
    session.thread.join(SECONDS)
    assert isinstance(session.error, UserError)


class OneBroken:
    """Pixels of a volume whose slice 1 is damaged."""

    chunks = (1, 64, 64)

    def __init__(self, values: np.ndarray) -> None:
        self._values, self.shape, self.dtype = values, values.shape, values.dtype

    def read(self, window):
        if window[0].start <= 1 < window[0].stop:
            raise BrokenChunk("chunk (1, 0, 0) is damaged.", (1, 0, 0))
        return self._values[window]


def test_a_stroke_on_a_slice_that_cannot_be_read_is_left_out_and_said_and_learning_goes_on(
    start, tiny_stack, tmp_path
):
    image, labels = tiny_stack
    settings = {"start": str(start.folder), "on_battery": True}
    broken = Volume("V", "v.zarr", OneBroken(image))
    session = Session(broken, np.zeros_like(image), tmp_path / "run", **settings)  # slice 1 is in view
    session.update_labels(1, labels[1])
    told = session.until(SliceLeftOut)
    assert (told.z, told.text) == (1, "Slice 1 is left out: chunk (1, 0, 0) is damaged.")
    session.update_labels(2, labels[2])
    session.until_told("learning")
    session.control = JobControl(z=2)
    session.until(PreviewReady, lambda event: event.z == 2)
    assert session.end().record.trained_slices == [2]


def test_a_slice_that_says_nothing_is_passed_over_with_a_sentence(start, tiny_stack, tmp_path):
    image = tiny_stack[0].copy()
    image[1] = 7
    settings = {"start": str(start.folder), "on_battery": True}
    session = Session(image, np.zeros_like(image), tmp_path / "run", **settings)
    session.update_labels(1, tiny_stack[1][1])
    session.until(Message, lambda e: "same value" in e.text)
    assert session.end().record.trained_slices == []
