import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from keras import ops

from emseg_napari.core import files
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
from emseg_napari.core.locks import OutputLock
from emseg_napari.models import unet
from emseg_napari.models.checkpoints import load_checkpoint
from emseg_napari.models.run import Run, open_run
from emseg_napari.settings import TrainingSettings
from emseg_napari.training import learner, trainer
from emseg_napari.training.devices import Devices
from emseg_napari.training.run_record import comparison_sentence, share_sentence
from emseg_napari.training.trainer import _Training, train_network
from emseg_napari.training.validation import Scorer, ValidationScore, Validator
from helpers.slow import slow_case
from helpers.small_network import small_network

pytestmark = pytest.mark.keras

SHAPE = (5, 48, 40)


def membranes(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Dark lines on a bright ground with noise: image uint8 and labels, both (z, y, x)."""
    random = np.random.default_rng(seed)
    lines = (np.indices(shape)[1] + np.indices(shape)[2] + 3 * np.indices(shape)[0]) % 12 < 3
    image = np.where(lines, 60, 180) + random.integers(0, 30, shape)
    return image.astype(np.uint8), np.where(lines, 1, 2).astype(np.uint8)


def tiny(**changes) -> TrainingSettings:
    small = {"epochs": 2, "steps_per_epoch": 3, "patch_px": 32, "batch_size": 2}
    return TrainingSettings.recipe(**(small | changes))


class Story:
    """Everything that a training told, and a stop after so many questions."""

    def __init__(self, stop_after: float = float("inf")) -> None:
        self.events, self.left = [], stop_after

    def __call__(self, event) -> None:
        self.events.append(event)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture
def quick(monkeypatch):
    """Train a small network and leave out the export, which takes seconds."""
    monkeypatch.setattr(unet, "build", small_network)
    monkeypatch.setattr(learner, "export_onnx", lambda model, path, *_: path.write_bytes(b"network"))
    monkeypatch.setattr(trainer._Training, "_score_kept", lambda self: None)


def last_weights(run: Run) -> list[np.ndarray]:
    model = unet.build(run.settings.network)
    load_checkpoint(model, run.last_checkpoint)
    return model.get_weights()


def assert_same_weights(one: Run, other: Run) -> None:
    for mine, theirs in zip(last_weights(one), last_weights(other), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


# One real training


@pytest.fixture(scope="module")
def told() -> Story:
    return Story()


@pytest.fixture(scope="module")
def run(told, tmp_path_factory) -> Run:
    """A compact network, trained for three epochs while slice 1 is looked at."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train_network(
        *membranes(),
        tiny(epochs=3),
        context=JobContext(report=told, control=lambda: JobControl(z=1)),
        folder=folder,
    )


def test_training_leaves_a_whole_run_folder(run):
    assert set(os.listdir(run.folder)) == {
        "settings.json",
        "run.json",
        "history.json",
        "steps.npy",
        "last.keras",
        "best.keras",
        "network.onnx",
    }
    again = open_run(run.folder)
    assert (again.settings, again.record, again.history) == (run.settings, run.record, run.history)


def test_record_says_what_was_trained_on(run):
    record = run.record
    assert record.finished
    assert (record.image_shape, record.image_dtype) == (SHAPE, "uint8")
    assert (record.trained_slices, record.held_out_slices) == ([0, 1, 2, 3], [4])
    labels = membranes()[1][:4]
    assert record.label_counts == {
        "unlabelled": 0,
        "boundary": np.count_nonzero(labels == 1),
        "interior": np.count_nonzero(labels == 2),
    }
    assert 0.05 <= record.threshold <= 0.95


def test_every_epoch_is_told_with_its_numbers(run, told):
    epochs = told.of(EpochEnded)
    assert epochs == run.history
    assert [(e.epoch, e.step) for e in epochs] == [(1, 3), (2, 6), (3, 9)]
    assert [e.seconds for e in epochs] == sorted(e.seconds for e in epochs)
    for epoch in epochs:
        assert 0 < epoch.loss < 10
        assert 0 <= epoch.accuracy <= 1
        assert 0 <= epoch.held_out_accuracy <= 1


def test_every_epoch_has_a_preview_of_the_slice_in_view(run, told):
    previews = told.of(PreviewReady)
    # on a slow machine also between the epochs
    assert sorted({(p.epoch, p.z) for p in previews}) == [(1, 1), (2, 1), (3, 1)]
    for preview in previews:
        assert (preview.probability.shape, preview.probability.dtype) == (SHAPE[1:], np.float32)
        assert 0 <= preview.probability.min() <= preview.probability.max() <= 1


def test_progress_goes_from_nothing_to_all(run, told):
    fractions = [event.fraction for event in told.of(Progress)]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)


def test_of_the_end_each_part_is_reported_and_no_time_that_nobody_knows(run, told):
    ending = [event for event in told.of(Progress) if event.fraction == 1 and "keeping" in event.text]
    parts = ["", ": exporting it", ": choosing its thresholds"]
    assert [event.text for event in ending] == [f"keeping the best network{part}" for part in parts]
    assert {event.seconds_left for event in ending} == {None}


def test_exported_network_is_the_kept_one(run):
    model = unet.build("compact")
    load_checkpoint(model, run.best_checkpoint)
    session = onnxruntime.InferenceSession(run.network_file, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(3).normal(size=(1, 48, 80, 1)).astype(np.float32)
    exported = session.run(None, {session.get_inputs()[0].name: image})[0]
    np.testing.assert_allclose(exported, model.predict_on_batch(image), atol=1e-5)


def assert_repeated_after_an_interruption(run: Run, folder: Path) -> None:
    """Check that a training in three epochs, interrupted in the middle and resumed, gives that run again."""
    stopping = JobContext(should_stop=Story(5).should_stop)
    with pytest.raises(Cancelled):
        train_network(*membranes(), tiny(epochs=3), stopping, folder=folder)
    resumed = train_network(*membranes(), folder=folder, resume=True)
    assert resumed.settings == run.settings
    assert_same_weights(run, resumed)
    assert [row.step for row in resumed.history] == [3, 6, 9]
    for mine, theirs in zip(run.history, resumed.history, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, abs=1e-4)
        assert mine.accuracy == pytest.approx(theirs.accuracy, abs=1e-3)
        assert mine.held_out_accuracy == pytest.approx(theirs.held_out_accuracy, abs=1e-3)


@pytest.mark.slow
def test_compact_repeats_exactly_with_its_seed_even_when_broken_off(run, tmp_path, monkeypatch):
    monkeypatch.setattr(learner, "export_onnx", lambda model, path, *_: path.write_bytes(b""))
    monkeypatch.setattr(trainer._Training, "_score_kept", lambda self: None)
    assert_repeated_after_an_interruption(run, tmp_path)


# What can be shown on a small network


@pytest.mark.usefixtures("quick")
def test_training_in_epochs_repeats_exactly_with_its_seed_even_when_broken_off(tmp_path):
    run = train_network(*membranes(), tiny(epochs=3), folder=tmp_path / "unbroken")
    assert_repeated_after_an_interruption(run, tmp_path / "broken")


@pytest.mark.usefixtures("quick")
def test_dropout_goes_on_where_it_stood(tmp_path):
    settings = tiny(epochs=3, averaging=0.0)
    unbroken = train_network(*membranes(), settings, folder=tmp_path / "unbroken")
    with pytest.raises(Cancelled):
        train_network(
            *membranes(),
            settings,
            context=JobContext(should_stop=Story(8).should_stop),
            folder=tmp_path / "broken",
        )
    resumed = train_network(*membranes(), folder=tmp_path / "broken", resume=True)
    assert_same_weights(unbroken, resumed)


@pytest.mark.usefixtures("quick")
def test_another_seed_trains_another_network(tmp_path):
    first = train_network(*membranes(), tiny(seed=0), folder=tmp_path / "0")
    second = train_network(*membranes(), tiny(seed=1), folder=tmp_path / "1")
    assert not np.allclose(last_weights(first)[0], last_weights(second)[0])


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("questions", [0, slow_case(2), 5, slow_case(9)])
def test_cancel_at_any_time_leaves_a_run_that_can_go_on(tmp_path, questions):
    with pytest.raises(Cancelled):
        train_network(
            *membranes(),
            tiny(),
            context=JobContext(should_stop=Story(questions).should_stop),
            folder=tmp_path,
        )
    assert not open_run(tmp_path).record.finished
    load_checkpoint(small_network("compact"), tmp_path / "last.keras")
    resumed = train_network(*membranes(), folder=tmp_path, resume=True)
    assert [(row.epoch, row.step) for row in resumed.history] == [(1, 3), (2, 6)]
    assert resumed.record.finished


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("moment", [slow_case("best.keras"), "last.keras"])
def test_training_that_dies_at_an_epoch_s_end_does_that_end_again(tmp_path, monkeypatch, moment):
    """Whatever file was the last to be written, no epoch is lost from the history."""
    unbroken = train_network(*membranes(), tiny(), folder=tmp_path / "unbroken")
    real, left = os.replace, [2 if moment != "best.keras" else 1]

    def dying(source, target):
        if Path(target).name == moment:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        return real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", dying)
        with pytest.raises(KeyboardInterrupt):
            train_network(*membranes(), tiny(), folder=tmp_path / "broken")
    resumed = train_network(*membranes(), folder=tmp_path / "broken", resume=True)
    assert [(row.epoch, row.step) for row in resumed.history] == [(1, 3), (2, 6)]
    assert_same_weights(unbroken, resumed)


@pytest.mark.usefixtures("quick")
def test_a_finished_run_is_not_resumed_and_nothing_of_it_changes(tmp_path):
    train_network(*membranes(), tiny(), folder=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"is finished, so it stays as it is; .*--from"):
        train_network(*membranes(), folder=tmp_path, resume=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("questions", [0, slow_case(1), 4])
def test_a_resumed_run_that_is_cancelled_has_lost_nothing(tmp_path, questions):
    first = train_network(*membranes(), tiny(), folder=tmp_path / "start")
    settings = tiny(epochs=3, start=str(first.folder))
    with pytest.raises(Cancelled):
        train_network(
            *membranes(),
            settings,
            context=JobContext(should_stop=Story(9).should_stop),
            folder=tmp_path / "run",
        )
    before = open_run(tmp_path / "run")
    assert before.record.kept_epoch is not None
    assert before.record.start == "start"
    best, steps = before.best_checkpoint.read_bytes(), before.read_steps()
    with pytest.raises(Cancelled):
        train_network(
            *membranes(),
            context=JobContext(should_stop=Story(questions).should_stop),
            folder=tmp_path / "run",
            resume=True,
        )
    after = open_run(tmp_path / "run")
    assert after.record == before.record
    assert after.history == before.history
    assert np.array_equal(after.read_steps()[: len(steps)], steps)
    assert after.best_checkpoint.read_bytes() == best or after.record.kept_epoch != before.record.kept_epoch


@pytest.mark.usefixtures("quick")
def test_a_run_that_is_being_trained_is_not_trained_by_a_second_process(tmp_path):
    lock = OutputLock(tmp_path / "run")
    for words in {"resume": False}, {"resume": True}:
        with pytest.raises(UserError, match="run is being written by another emseg"):
            train_network(*membranes(), tiny(), folder=tmp_path / "run", **words)
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_a_checkpoint_that_another_program_has_open_is_saved_the_next_time(tmp_path, monkeypatch):
    real, refused, messages = os.replace, [], []

    def replace(source, target):
        if Path(target).name == "last.keras" and len(refused) < 2:
            refused.append(target)
            error = PermissionError(errno.EACCES, "being used by another process")
            error.winerror = 32
            raise error
        real(source, target)

    monkeypatch.setattr(files, "_RETRIES_S", ())
    monkeypatch.setattr(os, "replace", replace)
    run = train_network(*membranes(), tiny(), context=JobContext(messages.append), folder=tmp_path)
    assert run.record.finished
    assert run.last_checkpoint.is_file()
    told = [one.text for one in messages if isinstance(one, Message) and "last.keras is open" in one.text]
    assert len(told) == 2


@pytest.mark.usefixtures("quick")
def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    first = train_network(*membranes(), tiny(), folder=tmp_path)
    kept = first.best_checkpoint.read_bytes()
    with pytest.raises(UserError, match="holds a run already"):
        train_network(*membranes(), tiny(), folder=tmp_path)
    assert first.best_checkpoint.read_bytes() == kept


@pytest.mark.usefixtures("quick")
def test_training_by_the_clock_ends_with_an_epoch_however_short(tmp_path):
    run = train_network(*membranes(), TrainingSettings.recipe(minutes=1e-4, patch_px=32), folder=tmp_path)
    assert len(run.history) == 1
    assert run.history[0].step >= 1


@pytest.mark.usefixtures("quick")
def test_diverged_training_says_so(tmp_path, monkeypatch):
    def hopeless(target, probability):
        return ops.sum(probability) * float("nan")

    monkeypatch.setattr(learner, "_COMPILED", {})
    monkeypatch.setattr(learner, "masked_loss", lambda *_: hopeless)
    with pytest.raises(UserError, match=r"diverged at step 1 .*lower the learning rate"):
        train_network(*membranes(), tiny(), folder=tmp_path)


@pytest.mark.usefixtures("quick")
def test_best_weights_are_kept_by_the_held_out_slices(tmp_path, monkeypatch):
    costs = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(Validator, "held_out", lambda *_: ValidationScore(accuracy=0.5, cost=next(costs)))
    kept = []
    real = learner.save_checkpoint
    monkeypatch.setattr(learner, "save_checkpoint", lambda m, p: (kept.append(p.name), real(m, p)))
    run = train_network(*membranes(), tiny(epochs=3), folder=tmp_path)
    assert run.record.kept_epoch == 2
    assert kept == ["last.keras"] + 2 * ["best.keras", "last.keras"] + ["last.keras"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("z", [None, -1, 99])
def test_no_preview_of_a_slice_that_is_not_there(tmp_path, z):
    story = Story()
    train_network(
        *membranes(),
        tiny(epochs=1),
        context=JobContext(report=story, control=lambda: JobControl(z=z)),
        folder=tmp_path,
    )
    assert not story.of(PreviewReady)


@pytest.mark.usefixtures("quick")
def test_labels_far_from_the_corner_of_a_large_slice_are_judged(tmp_path):
    image, labels = membranes((4, 1100, 60))
    labels[:, :1040] = 0
    run = train_network(image, labels, tiny(epochs=1), folder=tmp_path)
    assert 0 <= run.history[0].accuracy <= 1
    assert 0 <= run.history[0].held_out_accuracy <= 1


@pytest.mark.usefixtures("quick")
def test_single_slice_and_sparse_labels_can_train(tmp_path):
    image, labels = membranes()
    labels[0, 5:] = 0
    story = Story()
    run = train_network(
        image[0], labels[0], tiny(epochs=1), context=JobContext(report=story), folder=tmp_path
    )
    assert run.history[0].held_out_accuracy is None
    assert "none is held out" in story.of(Message)[0].text
    assert run.record.threshold == 0.5


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("dtype", ["bool", "int64", "float32"])
def test_labels_of_other_types_are_understood(tmp_path, dtype):
    image, labels = membranes()
    if dtype == "bool":
        with pytest.raises(UserError, match="no interior"):
            train_network(image, labels == 1, tiny(), folder=tmp_path)
    else:
        train_network(image, labels.astype(dtype), tiny(epochs=1), folder=tmp_path)


# The user's mistakes


def break_labels(image, labels):
    labels[0, 0, 0] = 255
    return image, labels


def break_image(image, labels):
    image = image.astype(np.float32)
    image[4, 0, 0] = np.nan
    return image, labels


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda i, n: (i[:, 1:], n), "differ in size"),
        (lambda i, n: (i, 0 * n), "no labels in the chosen slices"),
        (lambda i, n: (i, np.minimum(n, 1)), "no interior pixels"),
        (lambda i, n: (i, 2 * (n > 1)), "no boundary pixels"),
        (lambda i, n: (0 * i, n), "same value"),
        (lambda i, n: (i + 1j, n), "complex"),
        (break_labels, "255"),
        (break_image, "not finite numbers"),
    ],
)
def test_what_cannot_be_trained_on_gets_a_sentence_and_leaves_no_folder(tmp_path, mistake, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        train_network(*mistake(*membranes()), tiny(), folder=tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_resuming_where_no_run_is_gets_a_sentence_and_leaves_no_folder(tmp_path):
    with pytest.raises(UserError, match="run holds no run to resume"):
        train_network(*membranes(), folder=tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


# What is held out


@pytest.mark.usefixtures("quick")
def test_a_corner_is_held_out_where_no_slice_can_be(tmp_path):
    image, labels = membranes((1, 128, 160))
    story = Story()
    run = train_network(image, labels, tiny(epochs=1), context=JobContext(report=story), folder=tmp_path)
    top, bottom, left, right = run.record.held_out_tile
    assert (bottom - top, right - left) == (45, 57)
    assert f"y {top}-{bottom - 1}, x {left}-{right - 1}" in story.of(Message)[0].text
    assert 0 <= run.history[0].held_out_accuracy <= 1
    assert 0 <= run.history[0].held_out_v_rand <= 1


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("depth", [1, 5])
def test_nothing_is_held_out_from_whom_does_not_want_it(tmp_path, depth):
    image, labels = membranes((depth, 128, 160))
    run = train_network(image, labels, tiny(epochs=1, hold_out=False), folder=tmp_path)
    assert run.record.trained_slices == list(range(depth))
    assert (run.record.held_out_slices, run.record.held_out_tile) == ([], None)
    assert run.history[0].held_out_accuracy is None


@pytest.mark.usefixtures("quick")
def test_enough_ends_with_the_best_network_kept(tmp_path):
    story = Story()
    run = train_network(
        *membranes(),
        tiny(epochs=50),
        context=JobContext(report=story, control=lambda: JobControl(enough=len(story.events) > 9)),
        folder=tmp_path,
    )
    assert run.record.finished
    assert run.network_file.is_file()
    assert 0 < run.history[-1].step < 150
    assert len(run.read_steps()) == run.history[-1].step


@pytest.mark.usefixtures("quick")
def test_a_pause_stands_still_and_keeps_a_checkpoint(tmp_path, monkeypatch):
    asked = []

    def control() -> JobControl:
        asked.append(1)
        return JobControl(paused=5 < len(asked) < 20)

    saved = []
    real = learner.save_checkpoint
    monkeypatch.setattr(learner, "save_checkpoint", lambda m, p: (saved.append(len(asked)), real(m, p)))
    story = Story()
    run = train_network(
        *membranes(), tiny(), context=JobContext(report=story, control=control), folder=tmp_path
    )
    assert any("paused at step" in event.text for event in story.of(Progress))
    assert any(5 < count < 20 for count in saved)
    assert run.history[-1].step == 6


@pytest.mark.usefixtures("quick")
def test_a_run_by_the_clock_is_repeated_by_a_replay(tmp_path):
    image, labels = membranes()
    by_the_clock = TrainingSettings.recipe(minutes=0.02, patch_px=32, batch_size=2)
    first = train_network(image, labels, by_the_clock, folder=tmp_path / "first")
    again = train_network(image, labels, folder=tmp_path / "again", replay=tmp_path / "first")
    np.testing.assert_array_equal(first.read_steps()[:, 0], again.read_steps()[:, 0])
    assert [row.step for row in first.history] == [row.step for row in again.history]
    assert_same_weights(first, again)


@pytest.mark.usefixtures("quick")
def test_a_training_can_start_from_another_run_and_says_what_that_had_seen(tmp_path):
    image, labels = membranes()
    first = train_network(image, labels, tiny(slices=(0, 1)), folder=tmp_path / "first")
    still = {"epochs": 1, "steps_per_epoch": 1, "learning_rate": 1e-9, "averaging": 0.0}
    labels[0] = 0
    second = train_network(image, labels, tiny(start=str(first.folder), **still), folder=tmp_path / "second")
    kept = unet.build("compact")
    load_checkpoint(kept, first.best_checkpoint)
    for mine, theirs in zip(last_weights(second), kept.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    assert (second.record.start, second.record.start_slices) == ("first", [0])
    assert second.record.seen_slices == [0, 1, 2, 3]
    other = train_network(
        image[1:], labels[1:], tiny(start=str(first.folder), **still), folder=tmp_path / "other"
    )
    assert other.record.start_slices == []  # another stack, as far as that run knew


@pytest.fixture
def started(quick, tmp_path) -> TrainingSettings:
    """Settings of a training that starts from another run and learns fast."""
    first = train_network(*membranes(seed=1), tiny(), folder=tmp_path / "first")
    return tiny(start=str(first.folder), learning_rate=0.01, averaging=0.0, epochs=1)


def weights_in(path: Path) -> list[np.ndarray]:
    model = unet.build("compact")
    load_checkpoint(model, path)
    return model.get_weights()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.75])
def test_of_what_a_start_learned_so_much_is_kept_as_suits_the_held_out_labels(
    started, tmp_path, monkeypatch, share
):
    between = 0.75 if share > 0.5 else 0.25
    costs = iter([abs(one - share) for one in (0.0, 0.5, 1.0, between)])
    monkeypatch.setattr(Validator, "cost_beside_start", lambda *_: next(costs))
    run = train_network(*membranes(), started, folder=tmp_path / "run")
    start, learned = weights_in(Path(started.start) / "best.keras"), last_weights(run)
    for before, after, kept in zip(start, learned, weights_in(run.best_checkpoint), strict=True):
        np.testing.assert_allclose(kept, before + share * (after - before), atol=1e-6)
        assert (before != after).any()
    assert run.record.kept_share == share


def test_where_nothing_is_held_out_half_of_what_was_learned_is_kept(started, tmp_path):
    settings = started.model_copy(update={"hold_out": False})
    run = train_network(*membranes(), settings, folder=tmp_path / "run")
    assert run.record.kept_share == 0.5
    assert "50% of what changed since 'first' is kept, since no held-out labels could" in share_sentence(
        run.record
    )


def test_held_out_labels_that_the_start_had_seen_choose_no_share(started, tmp_path, monkeypatch):
    costs = iter([1.0, 0.0])
    monkeypatch.setattr(
        Validator, "held_out", lambda *_: ValidationScore(accuracy=0.5, cost=next(costs, 2.0))
    )
    settings = started.model_copy(update={"validate_slices": (0, 1)})
    run = train_network(*membranes(seed=1), settings, folder=tmp_path / "seen")
    assert run.record.kept_share == 0.5
    assert "could not choose, since 'first' had been trained on their slices" in share_sentence(run.record)


@pytest.fixture
def second(tmp_path, monkeypatch):
    """Train a second small network that starts from the first and learns next to nothing."""
    monkeypatch.setattr(unet, "build", small_network)
    first = train_network(*membranes(seed=1), tiny(), folder=tmp_path / "first")
    first.update(threshold=0.5, merge_threshold=0.7)
    still = {"epochs": 1, "steps_per_epoch": 1, "learning_rate": 1e-9, "averaging": 0.0}

    def train(context=None, folder=tmp_path / "second", data=None, **changes):
        settings = tiny(start=str(first.folder), **still | changes)
        return train_network(*(data or membranes()), settings, context, folder=folder)

    return train


def test_a_run_is_scored_beside_its_start_as_it_is(second, monkeypatch):
    monkeypatch.setattr(Scorer, "choose", lambda *_: (0.5, 0.7))  # as those of the first
    record = second(JobContext(control=lambda: JobControl(z=3))).record
    assert record.start_accuracy == pytest.approx(record.kept_accuracy, abs=0.01)
    assert record.viewed_slice == 3
    assert record.start_boundary_share == pytest.approx(record.boundary_share, abs=0.02)
    learned = record.model_copy(update={"kept_share": 1.0})
    assert comparison_sentence(learned).startswith("No different from 'first' on what was held out")


def test_where_nothing_is_held_out_only_the_boundary_of_the_middle_slice_is_compared(second):
    record = second(hold_out=False).record
    assert (record.start_accuracy, record.viewed_slice) == (None, 2)
    assert None not in (record.boundary_share, record.start_boundary_share)
    assert comparison_sentence(record).startswith("It could not be scored beside 'first': nothing")


def test_a_resumed_run_is_scored_beside_its_start_even_if_that_is_gone(second, tmp_path):
    with pytest.raises(Cancelled):
        second(JobContext(should_stop=Story(4).should_stop), epochs=3)
    shutil.rmtree(tmp_path / "first")
    resumed = train_network(*membranes(), folder=tmp_path / "second", resume=True)
    assert resumed.record.start_accuracy is not None


def test_a_start_has_its_own_thresholds_also_after_a_cancel_while_it_was_scored(
    second, tmp_path, monkeypatch
):
    monkeypatch.setattr(Scorer, "choose", lambda *_: (0.95, 0.3))
    monkeypatch.setattr(_Training, "_best_share", lambda _: 1.0)  # with 0 the start's own would stay
    whole = second(folder=tmp_path / "whole").record

    def cancelled(*_: object) -> None:
        raise Cancelled

    with monkeypatch.context() as broken:
        broken.setattr(Validator, "score_start", cancelled)
        with pytest.raises(Cancelled):
            second()
    resumed = train_network(*membranes(), folder=tmp_path / "second", resume=True).record
    assert (resumed.threshold, resumed.merge_threshold) == (0.95, 0.3)
    for name in ("start_accuracy", "start_boundary_share"):
        assert getattr(resumed, name) == pytest.approx(getattr(whole, name), abs=1e-6)


def test_a_start_is_scored_at_its_own_scale(second, monkeypatch):
    scales = []
    monkeypatch.setattr(Validator, "score_start", lambda _, start: scales.append(start.scale) or {})
    record = second(scale=2.0).record
    assert (scales, record.scale, record.start_scale) == ([1.0], (2.0, 2.0), (1.0, 1.0))


def test_a_slice_that_is_only_looked_at_in_the_end_is_not_called_left_out(second):
    image, labels = membranes()
    image, labels[2] = image.astype(np.float32), 0
    image[2] = np.nan
    story = Story()
    record = second(JobContext(report=story), data=(image, labels), hold_out=False).record
    assert (record.viewed_slice, record.boundary_share, story.of(SliceLeftOut)) == (2, None, [])


def test_a_run_that_starts_from_nothing_is_compared_with_nothing(run):
    assert (run.record.start_accuracy, run.record.viewed_slice) == (None, None)


def test_a_start_is_kept_with_the_run_until_it_is_finished(started, tmp_path, monkeypatch):
    shutil.copytree(started.start, tmp_path / "gone")
    settings = started.model_copy(update={"start": str(tmp_path / "gone"), "epochs": 3})
    whole = train_network(*membranes(), settings, folder=tmp_path / "whole")
    assert not whole.start_checkpoint.exists()
    with pytest.raises(Cancelled):
        train_network(
            *membranes(), settings, JobContext(should_stop=Story(4).should_stop), folder=tmp_path / "run"
        )
    assert open_run(tmp_path / "run").record.kept_share is None
    shutil.rmtree(tmp_path / "gone")
    shutil.copytree(tmp_path / "run", tmp_path / "without")
    open_run(tmp_path / "without").start_checkpoint.unlink()
    with pytest.raises(UserError, match=r"start\.keras is missing"):
        train_network(*membranes(), folder=tmp_path / "without", resume=True)
    resumed = train_network(*membranes(), folder=tmp_path / "run", resume=True)
    assert resumed.record.kept_share == whole.record.kept_share
    for one, other in zip(
        weights_in(resumed.best_checkpoint), weights_in(whole.best_checkpoint), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_strokes_alone_do_not_carry_a_start_off(started, tmp_path):
    image, labels = membranes()
    stroke = np.zeros_like(labels)
    stroke[0, 4:8, 4:30] = labels[0, 4:8, 4:30]
    settings = started.model_copy(update={"hold_out": False, "epochs": 2, "steps_per_epoch": 10})
    free = settings.model_copy(update={"anchor_weight": 0.0})
    start = weights_in(Path(started.start) / "best.keras")
    moved = [
        sum(np.abs(a - b).sum() for a, b in zip(start, last_weights(run), strict=True))
        for run in (
            train_network(image, stroke, settings, folder=tmp_path / "anchored"),
            train_network(image, stroke, free, folder=tmp_path / "free"),
        )
    ]
    assert moved[0] < moved[1]


def test_a_training_that_broke_off_while_it_ended_blends_only_once(started, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer._Training, "_best_share", lambda self: 0.5)
    update = Run.update

    def interrupted(*_: object, **changes: object) -> None:
        if not changes or "kept_share" in changes:
            raise KeyboardInterrupt
        update(*_, **changes)

    for owner, name in (Run, "update"), (trainer, "replace"):
        with monkeypatch.context() as broken:
            broken.setattr(owner, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                train_network(*membranes(), started, folder=tmp_path / "run", resume=name != "update")
    run = train_network(*membranes(), folder=tmp_path / "run", resume=True)
    assert run.record.kept_share == 0.5
    assert not run.blended_checkpoint.exists()
    start, learned = weights_in(Path(started.start) / "best.keras"), last_weights(run)
    for before, after, kept in zip(start, learned, weights_in(run.best_checkpoint), strict=True):
        np.testing.assert_allclose(kept, (before + after) / 2, atol=1e-6)


def test_of_a_finished_run_whose_network_is_gone_only_the_end_is_done_again(started, tmp_path):
    enough = JobContext(control=lambda: JobControl(enough=True))
    settings = started.model_copy(update={"epochs": 3})
    run = train_network(*membranes(), settings, enough, folder=tmp_path / "run")
    kept = run.best_checkpoint.read_bytes()
    run.network_file.unlink()
    again = train_network(*membranes(), folder=run.folder, resume=True)
    assert again.network_file.is_file()
    assert [row.step for row in again.history] == [1]
    assert (again.record, again.best_checkpoint.read_bytes()) == (run.record, kept)


def test_blending_asks_for_a_start_and_not_for_an_anchor(started):
    free = started.model_copy(update={"anchor_weight": 0.0})
    start = Path(started.start) / "best.keras"
    network = learner.Learner(free, Devices(), 32, start)
    assert not network.is_anchored
    network.model.set_weights([weights + 1 for weights in network.model.get_weights()])
    with network.blended(0.5):
        for blended, before in zip(network.model.get_weights(), weights_in(start), strict=True):
            np.testing.assert_allclose(blended, before + 0.5, atol=1e-6)


def test_a_run_that_names_no_anchor_is_repeated_without_one(started, tmp_path):
    free = started.model_copy(update={"anchor_weight": 0.0})
    run = train_network(*membranes(), free, folder=tmp_path / "run")
    assert run.record.kept_share is None
    file = run.folder / "settings.json"
    named = json.loads(file.read_text())
    del named["anchor_weight"]
    file.write_text(json.dumps(named))
    again = train_network(*membranes(), folder=tmp_path / "again", replay=run.folder)
    for one, other in zip(weights_in(again.best_checkpoint), weights_in(run.best_checkpoint), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("quick")
def test_another_network_and_damaged_weights_are_no_start(tmp_path):
    first = train_network(*membranes(), tiny(), folder=tmp_path / "first")
    with pytest.raises(UserError, match="'compact' network and cannot start a 'reference' one"):
        train_network(
            *membranes(),
            tiny(network="reference", start=str(first.folder)),
            folder=tmp_path / "second",
        )
    first.best_checkpoint.write_bytes(first.best_checkpoint.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"best\.keras is damaged"):
        train_network(*membranes(), tiny(start=str(first.folder)), folder=tmp_path / "second")
    assert not (tmp_path / "second").exists()


def test_unlabelled_slices_change_nothing_in_the_training(tmp_path, quick):
    image, labels = membranes()
    labels[2] = 0
    other = image.copy()
    other[2] = 255 - other[2]
    first = train_network(image, labels, tiny(epochs=1), folder=tmp_path / "0")
    second = train_network(other, labels, tiny(epochs=1), folder=tmp_path / "1")
    assert_same_weights(first, second)


def test_settings_file_of_a_run_can_be_read_by_people(run):
    assert json.loads((run.folder / "settings.json").read_text())["epochs"] == 3


@pytest.mark.usefixtures("quick")
def test_a_step_that_an_earlier_training_compiled_learns_as_one_compiled_anew(tmp_path, monkeypatch):
    first = train_network(*membranes(), tiny(seed=3), folder=tmp_path / "0")
    train_network(*membranes(), tiny(seed=4), folder=tmp_path / "1")
    compiled = learner._COMPILED.copy()
    assert compiled
    again = train_network(*membranes(), tiny(seed=3), folder=tmp_path / "2")
    assert [*learner._COMPILED.values()] == [*compiled.values()]  # taken over, and left to the next
    assert_same_weights(first, again)
    other = train_network(*membranes(), tiny(seed=3, weight_decay=1.0), folder=tmp_path / "3")
    with pytest.raises(AssertionError):
        assert_same_weights(first, other)


@pytest.mark.usefixtures("quick")
def test_a_cancelled_training_leaves_its_compiled_step_to_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(learner, "_COMPILED", {})
    told = Story(stop_after=3)
    context = JobContext(report=told, should_stop=told.should_stop)
    with pytest.raises(Cancelled):
        train_network(*membranes(), tiny(), context, folder=tmp_path / "0")
    assert learner._COMPILED
