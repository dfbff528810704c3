"""Step Train while it trains, what it starts from, and the starter network in step Predict."""

import time
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from emseg_napari.core.jobs import EpochEnded, Finished, Message, PreviewReady, Progress, UserError
from emseg_napari.models import run as run_module
from emseg_napari.models.run import Run, RunRecord, open_run
from emseg_napari.settings import TrainingSettings
from emseg_napari.widgets.base.closing import main_window_of
from emseg_napari.widgets.base.preferences import remember
from emseg_napari.widgets.layers.labels_layer import add_labels
from emseg_napari.widgets.train.step import TrainStep
from emseg_napari.widgets.train.train_form import TrainForm
from helpers.timing import within
from helpers.tiny_runs import tiny_network_run
from helpers.window import noting, settle, striped, wait_for

ROW = EpochEnded(1, 30, 12.0, 0.5, 0.91, 0.9, 1e-3, 0.875)


@pytest.fixture(autouse=True)
def no_starter(tmp_path, monkeypatch):
    """Whether or not this checkout has a starter network, the tests have none, or their own."""
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "none")


@pytest.fixture
def with_starter(no_starter, tiny_run, tmp_path, monkeypatch):
    """A small run in the place of the starter network, also for the engine, which looks where it is."""
    (tmp_path / "starter").symlink_to(tiny_run.folder, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path / "starter")


def load(dock, slices=6):
    """Give the dock a small stack of which some slices have labels."""
    image, labels = striped()
    labels[slices:] = 0
    layer = dock.workspace.viewer.add_image(image, name="cells")
    add_labels(dock.workspace.viewer, labels, "truth", layer)
    return dock


@pytest.fixture
def loaded(dock):
    return load(dock)


@pytest.fixture
def pretended(loaded, monkeypatch):
    """A training that runs without an engine: the tests send its events."""
    step, control = loaded.train, []
    begun = noting([])

    def start(*asked):
        step.job._worker = object()
        begun(*asked)

    monkeypatch.setattr(step.job, "start", start)
    monkeypatch.setattr(step.job, "steer", lambda **changes: control.append(changes))
    step.train.click()
    control.clear()
    step.control = control
    yield step
    step.job._worker = None


def finished(step, history=(ROW,), **record):
    """Let the pretended training end with such a run."""
    about = {"image_shape": (6, 64, 64), "image_dtype": "uint8", "label_counts": {}}
    known = RunRecord(**(about | {"trained_slices": [0, 1, 2, 3, 4], "held_out_slices": [5]} | record))
    step.handle_event(Finished(Run(Path("runs/mine"), TrainingSettings(), known, list(history))))
    return f"{step.status.text()} {step.about.text()}"


def test_labels_that_are_only_proposed_do_not_train_and_what_to_do_is_said(loaded, qtbot):
    loaded.workspace.labels.data[:] += 2  # as a network proposes them
    loaded.train.train.click()
    wait_for(qtbot, lambda: "'truth' has only proposals, which do not train" in loaded.train.status.text())
    assert loaded.train.include_proposals.text() in loaded.train.status.text()


# -- while it trains ----------------------------------------------------------------------


def test_pause_and_continue_tell_the_engine_and_the_window(pretended):
    pretended.controls.pause.click()
    assert pretended.control == [{"paused": True}]
    assert pretended.controls.pause.text() == "Continue"
    pretended.handle_event(Progress(0.3, None, "paused at step 30"))
    assert pretended.bar.format() == "paused at step 30"
    pretended.controls.pause.click()
    assert pretended.control[1:] == [{"paused": False}]
    assert pretended.controls.pause.text() == "Pause"


def test_good_enough_ends_a_paused_training_too_and_is_asked_once(pretended):
    pretended.controls.pause.click()
    pretended.controls.good_enough.click()
    assert pretended.control[1:] == [{"paused": False, "enough": True}]
    assert not pretended.controls.good_enough.isEnabled()
    assert not pretended.controls.pause.isEnabled()
    assert pretended.cancel.isEnabled()


def test_a_training_cancelled_before_it_began_claims_no_checkpoint_of_the_one_before(
    loaded, monkeypatch, tiny_run
):
    step = loaded.train
    monkeypatch.setattr(loaded.workspace, "new_run_folder", lambda kind: tiny_run.folder)
    monkeypatch.setattr(step.job, "start", noting([]))
    step.train.click()
    assert step.cancelled_sentence() == "Cancelled; Resume continues from the last checkpoint."
    monkeypatch.setattr(step.job, "start", lambda *asked: None)  # its data are still being looked through
    step.train.click()
    assert step.cancelled_sentence() == "Cancelled; nothing was written."


@pytest.mark.slow
def test_nothing_can_be_paused_where_nothing_runs(loaded):
    for button in (loaded.train.controls.pause, loaded.train.controls.good_enough, loaded.train.cancel):
        assert not button.isEnabled()
        assert "nothing is running" in button.toolTip()


def test_messages_of_one_second_all_stay(pretended):
    for text in ("Judged on 1 slice.", "Computing on a processor."):
        pretended.handle_event(Message(text))
    pretended.handle_event(Progress(0.1, 5.0, "step 1"))
    assert pretended.about.text() == "Judged on 1 slice.\nComputing on a processor."
    assert "keep painting" in pretended.status.text()


def test_an_epoch_adds_v_rand_to_curves_and_figures(pretended):
    pretended.handle_event(ROW)
    pretended.handle_event(EpochEnded(2, 60, 24.0, 0.4, 0.92, 0.91, 1e-3, None))
    assert "on held-out slice 5 91.0 %" in pretended.figures.text()
    assert "V_rand, held out, before gaps are closed" in pretended.plot._key.text()  # unlike the final one
    curve = pretended.plot._curves["held_out_v_rand"]
    np.testing.assert_allclose(curve.getData(), [[12.0], [87.5]])


def test_the_end_says_what_was_kept_and_its_score(pretended):
    two = (ROW, EpochEnded(2, 60, 24.0, 0.4, 0.92, 0.89, 1e-3, 0.86))
    said = finished(pretended, two, kept_epoch=1, kept_accuracy=0.925, kept_v_rand=0.9712)
    assert "averaged weights of epoch 1 of 2" in said
    assert "held-out slice 5: 92.5 % pixel accuracy, V_rand 0.971 (with gaps closed)" in said
    assert "had been trained" not in said


def test_a_score_in_a_corner_is_called_so(pretended):
    record = {"held_out_slices": [], "held_out_tile": (0, 32, 0, 32), "kept_accuracy": 0.9}
    assert "on the held-out corner: 90.0 %" in finished(pretended, **record)


BESIDE = {"start": "starter", "viewed_slice": 4}


def test_a_run_that_is_better_than_its_start_is_chosen_and_the_next_button_is_named(pretended):
    said = finished(pretended, **BESIDE, kept_accuracy=0.917, start_accuracy=0.902)
    assert said.startswith(
        "Trained: mine. Better than 'starter' on what was held out (which also chose it): accuracy 91.7 % "
        "against 90.2 %. Now press 'Propose this slice'."
    )
    assert pretended.workspace.run == Path("runs/mine")


FLOOD = {"boundary_share": 0.8, "start_boundary_share": 0.2, "kept_accuracy": 0.95, "start_accuracy": 0.9}


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"kept_accuracy": 0.89, "start_accuracy": 0.902}, "Worse than 'starter' on what was held out"),
        (FLOOD, "It floods slices with boundary: of slice 4 it proposes 80 % as boundary, 'starter' 20 %"),
    ],
)
def test_a_run_that_is_worse_than_its_start_is_not_chosen_and_it_is_said(
    with_starter, pretended, record, why, qtbot
):
    with qtbot.waitSignal(pretended.said) as sentence:
        said = finished(pretended, **BESIDE, **record)
    assert why in said
    assert "Look at your labels, or choose the new run in 'Network' all the same." in said
    assert sentence.args[1]  # it is shown as something that is wrong
    assert pretended.workspace.run is None


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"kept_accuracy": 0.91704, "start_accuracy": 0.917}, "no different from 'starter' on what was held"),
        (FLOOD | {"kept_share": 0.0}, "nothing of what was learned is kept. To use it all the same"),
    ],
)
def test_a_run_that_is_no_different_from_its_start_is_not_chosen_and_nothing_is_wrong(
    with_starter, pretended, record, why
):
    finished(pretended, **BESIDE, **record)
    said = pretended.status.text()
    assert said.startswith(f"Trained, not chosen: {why}")
    assert "Look at your labels" not in said
    assert not pretended.is_wrong
    assert pretended.workspace.run is None


NOTHING_TO_GAIN = {"kept_accuracy": 0.988, "start_accuracy": 1.0, "kept_v_rand": 0.993, "start_v_rand": 1.0}


def test_where_the_start_agrees_with_the_held_out_labels_nothing_is_wrong_and_what_to_do_is_said(
    with_starter, pretended
):
    said = finished(pretended, **BESIDE, **NOTHING_TO_GAIN)
    assert pretended.status.text() == (
        "Trained, not chosen: 'starter' matches nearly all held-out labels. Confirm a corrected slice, "
        "or choose the new run in 'Network'."
    )
    assert "so nothing is left to gain there" in said  # on the page
    assert not pretended.is_wrong
    assert pretended.workspace.run is None


@pytest.mark.parametrize("scores", [NOTHING_TO_GAIN, {"kept_accuracy": 0.89, "start_accuracy": 0.902}])
def test_why_a_run_is_not_chosen_needs_three_lines_of_a_narrow_dock(with_starter, pretended, scores, dock):
    finished(pretended, **BESIDE | {"start": "train-volume-live-20261201-095204"}, **scores)
    line = dock.status
    assert line.heightForWidth(364) < 4 * line.fontMetrics().lineSpacing()


def test_curve_and_figures_name_the_run_that_they_are_of(pretended):
    name = pretended.folder.name
    assert name.startswith("cells-")
    pretended.workspace.choose("image", pretended.viewer.add_image(np.zeros((6, 64, 64)), name="another"))
    assert f"<b>{name}</b>" in pretended.run_name.text()


def test_the_network_that_the_user_chose_stays_where_the_training_made_none_better(pretended, tiny_run):
    pretended.workspace.choose_run(tiny_run.folder)
    finished(pretended, **BESIDE, kept_accuracy=0.8, start_accuracy=0.9)
    assert pretended.workspace.run == tiny_run.folder


def test_where_nothing_was_held_out_the_boundary_of_the_slice_in_view_is_compared(pretended):
    shares = {"boundary_share": 0.24, "start_boundary_share": 0.21}
    said = finished(pretended, **BESIDE, **shares, held_out_slices=[])
    assert "could not be scored beside 'starter': nothing was held out. Of slice 4 it proposes 24 %" in said
    assert pretended.workspace.run == Path("runs/mine")


@pytest.mark.parametrize(("seen", "flatters"), [([0, 1], False), ([4, 5], True)])
def test_slices_that_the_start_had_seen_are_said(pretended, seen, flatters):
    said = finished(pretended, kept_accuracy=0.9, start="starter", start_slices=seen)
    assert "'starter', from which it started, had been trained on slices" in said
    assert ("too high" in said) is flatters


def test_a_movie_has_one_frame_an_epoch_however_many_previews(pretended):
    pretended.keep_movie.setChecked(True)
    for epoch, value in ((1, 0.1), (1, 0.2), (2, 0.3)):
        pretended.handle_event(PreviewReady(epoch, 0, np.full((64, 64), value, np.float32)))
    assert [round(float(frame[0, 0]), 1) for frame in pretended.preview.frames] == [0.2, 0.3]


def test_the_preview_lies_on_its_slice_and_comes_again_when_it_was_removed(pretended):
    layers, name = pretended.viewer.layers, "training preview (boundary probability)"
    layers["cells"].scale = (5, 1, 1)
    for z, value in ((1, 0.25), (4, 0.5)):
        pretended.handle_event(PreviewReady(1, z, np.full((64, 64), value, np.float32)))
        assert (layers[name].translate[0], layers[name].data.max()) == (5 * z, value)
    layers.remove(name)
    pretended.handle_event(PreviewReady(1, 2, np.full((64, 64), 0.75, np.float32)))
    assert (layers[name].translate[0], layers[name].data.max()) == (10, 0.75)


def test_no_proposal_comes_while_the_dock_is_put_away(pretended, dock):
    pretended.keep_movie.setChecked(True)
    frame, name = dock.parentWidget(), "training preview (boundary probability)"

    def preview(epoch):
        pretended.handle_event(PreviewReady(epoch, 0, np.zeros((64, 64), np.float32)))

    preview(1)
    live = pretended.viewer.layers[name]
    dock.put_away(main_window_of(dock))
    preview(2)
    assert not live.visible
    assert len(pretended.preview.frames) == 2
    frame.setWidget(dock)
    preview(3)
    assert live.visible


@pytest.mark.slow
def test_a_real_training_pauses_continues_and_ends_when_good_enough(loaded, qtbot):
    step = loaded.train
    step.form.set_values({"patch_px": 32, "steps_per_epoch": 5})
    step.unit.setCurrentText("epochs")
    step.amount.setText("5000")
    step.train.click()
    wait_for(qtbot, lambda: len(step.plot.rows) > 0, 120)
    step.controls.pause.click()
    wait_for(qtbot, lambda: step.bar.format().startswith("paused"))
    epochs = len(step.plot.rows)
    qtbot.wait(700)
    assert len(step.plot.rows) == epochs
    step.controls.pause.click()
    wait_for(qtbot, lambda: len(step.plot.rows) > epochs)
    step.controls.good_enough.click()
    wait_for(qtbot, lambda: not step.job.running)
    run = open_run(loaded.workspace.run)
    assert run.record.finished
    assert run.network_file.is_file()
    assert f"of epoch {run.record.kept_epoch} of {len(run.history)}" in step.about.text()
    assert "Computing on" in step.about.text()
    assert "validation on" in step.about.text()


# -- what it starts from ------------------------------------------------------------------


def test_without_a_starter_network_a_training_starts_from_nothing(dock):
    load(dock, slices=1)
    assert dock.train.settings().start is None
    assert dock.train.start_from.findText("starter") == -1


@pytest.mark.parametrize("slices", [1, 6])
def test_the_starter_is_the_default_however_many_slices_have_labels(with_starter, dock, slices):
    load(dock, slices)
    assert dock.train.settings().start == "starter"


def choose(step, text):
    """Choose as a hand would: the list tells only of that."""
    index = step.start_from.findText(text, Qt.MatchFlag.MatchStartsWith)
    assert index >= 0
    step.start_from.setCurrentIndex(index)
    step.start_from.activated.emit(index)


def test_the_users_choice_stays(with_starter, dock):
    load(dock, slices=1)
    choose(dock.train, "nothing")
    assert dock.train.settings().start is None
    dock.workspace.choose("labels", None)
    assert dock.train.settings().start is None
    dock.workspace.viewer.layers.clear()
    load(dock, slices=6)
    assert dock.train.settings().start is None
    choose(dock.train, "starter")
    assert dock.train.settings().start == "starter"


def test_the_recipe_follows_what_a_training_starts_from_and_what_was_changed_stays(with_starter, dock):
    load(dock, slices=1)
    assert dock.train.settings() == TrainingSettings.recipe(start="starter")
    dock.train.amount.setText("0.5")
    dock.train.form.widgets["noise"].value = "0.5"
    choose(dock.train, "nothing")
    assert dock.train.settings() == TrainingSettings.recipe(minutes=0.5, noise=0.5)
    choose(dock.train, "starter")
    assert dock.train.settings() == TrainingSettings.recipe(minutes=0.5, noise=0.5, start="starter")
    for network in ("ridge", "reference", "compact"):
        dock.train.form.widgets["network"].value = network
    assert dock.train.settings() == TrainingSettings.recipe(start="starter")


@pytest.mark.parametrize("start", [None, "starter"])
def test_remembered_settings_become_those_of_the_start_of_now(with_starter, dock, qtbot, start):
    remember("train", TrainingSettings.recipe(minutes=1.0, seed=4, start=start).model_dump(mode="json"))
    form = TrainForm(dock.train)
    qtbot.addWidget(form)
    form.restore()
    assert form.settings() == TrainingSettings.recipe(minutes=1.0, seed=4, start="starter")
    remember("train", TrainingSettings.recipe("ridge").model_dump(mode="json"))
    form.restore()
    assert form.settings() == TrainingSettings.recipe("ridge")


def test_what_an_earlier_build_remembered_is_no_recipe_for_a_start(with_starter, dock, qtbot):
    former = TrainingSettings.recipe(minutes=1.0).model_dump(mode="json") | {"start": "starter"}
    del former["anchor_weight"]
    remember("train", former)
    form = TrainForm(dock.train)
    qtbot.addWidget(form)
    form.restore()
    assert form.settings() == TrainingSettings.recipe(minutes=1.0, start="starter")


def test_slices_that_were_chosen_for_another_stack_are_not_remembered(dock, qtbot):
    chosen = {"minutes": 1.0, "slices": (0, 5), "validate_slices": (5, 6), "hold_out": False}
    remember("train", TrainingSettings.recipe(**chosen).model_dump(mode="json"))
    form = TrainForm(dock.train)
    qtbot.addWidget(form)
    form.restore()
    assert form.settings() == TrainingSettings.recipe(minutes=1.0)


@pytest.mark.parametrize(("network", "is_open"), [("trees", True), ("compact", False)])
def test_a_remembered_method_that_is_not_the_usual_one_is_seen(dock, qtbot, network, is_open):
    remember("train", TrainingSettings.recipe(network).model_dump(mode="json"))
    step = TrainStep(dock.workspace.viewer, dock.workspace)
    qtbot.addWidget(step)
    assert step.more.is_open is is_open
    assert not step.form.widgets["network"].native.isHidden()


def test_a_start_of_another_network_is_barred_with_the_reason_and_comes_back(with_starter, dock):
    load(dock, slices=1)
    choice = dock.train.start_from
    dock.train.form.widgets["network"].value = "reference"
    entry = choice.model().item(choice.findText("starter"))
    assert not entry.isEnabled()
    assert "'compact' network and cannot start a 'reference' one" in entry.data(Qt.ItemDataRole.ToolTipRole)
    assert dock.train.settings().start is None
    dock.train.form.widgets["network"].value = "compact"
    assert dock.train.settings().start == "starter"


def test_a_run_of_another_folder_is_chosen_by_its_folder(loaded, tiny_run, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tiny_run.folder))
    choose(loaded.train, "Another run folder...")
    assert loaded.train.start_from.currentText().startswith(f"{tiny_run.folder.name} \u00b7 ")
    assert loaded.train.settings().start == str(tiny_run.folder)


def test_what_is_no_run_is_a_sentence_and_the_choice_of_before_stays(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    choose(loaded.train, "Another run folder...")
    assert "is not a run folder" in loaded.train.status.text()
    assert loaded.train.start_from.currentText() == "nothing"


def test_a_damaged_starter_does_not_hinder_the_window(tmp_path, monkeypatch, dock, qtbot):
    (tmp_path / "run.json").write_text("{")
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tmp_path)
    step = type(dock.train)(dock.workspace.viewer, dock.workspace)
    qtbot.addWidget(step)
    assert step.settings().start == "starter"


@pytest.mark.slow
def test_a_training_from_the_starter_says_so_in_its_run(with_starter, dock, qtbot):
    load(dock, slices=2)
    dock.train.form.set_values({"patch_px": 32, "steps_per_epoch": 2})
    dock.train.unit.setCurrentText("epochs")
    dock.train.amount.setText("1")
    dock.train.train.click()
    wait_for(qtbot, lambda: not dock.train.job.running, 180)
    run = open_run(dock.workspace.run)
    assert (run.settings.start, run.record.start) == ("starter", "starter")


# -- the starter network predicts -----------------------------------------------------------


def test_the_starter_proposes_at_once(with_starter, dock, qtbot):
    image, _ = striped((2, 48, 48))
    dock.workspace.viewer.add_image(image, name="cells")
    assert dock.predict.run_picker.currentText() == "starter"
    assert dock.workspace.run is None  # nobody has chosen one: evaluations do not ascribe it anything
    dock.predict.whole_stack.click()
    wait_for(qtbot, lambda: not dock.predict.job.running)
    assert dock.workspace.labels.data.all()


def test_without_a_starter_a_run_has_to_be_chosen(loaded):
    assert loaded.predict.run_picker.currentText() == "none yet"
    said = "To propose labels, train a network, or choose a run under Network."
    assert loaded.predict.hint_line.text() == said


# -- an interrupted run ---------------------------------------------------------------------


@pytest.fixture
def interrupted(loaded, qtbot):
    """A run in the runs folder that was cancelled, as the lists have read it."""
    run = tiny_network_run(loaded.workspace.runs_folder / "broken")
    run.update(finished=False)
    run.network_file.unlink()
    run.last_checkpoint.touch()
    loaded.train.start_from.networks.refresh()
    wait_for(qtbot, lambda: loaded.train.start_from.networks.find(run.folder) is not None)
    return run


def test_an_interrupted_run_that_is_chosen_offers_resume_instead_of_train(loaded, interrupted, monkeypatch):
    step, started = loaded.train, []
    assert step.resume.isHidden()
    choose(step, "broken")
    assert not step.resume.isHidden()
    assert "press Resume, or choose another start" in step.train.toolTip()
    assert not step.train.isEnabled()
    monkeypatch.setattr(step, "start", started.append)
    step.resume.click()
    assert started == [interrupted.folder]
    choose(step, "nothing")
    assert step.resume.isHidden()
    assert step.train.isEnabled()


def test_a_training_that_was_cancelled_can_be_resumed_at_once(loaded, interrupted):
    step = loaded.train
    step.folder = interrupted.folder
    step.job.ended.emit()
    assert not step.resume.isHidden()
    assert step.train.isEnabled()


# -- what is seen -----------------------------------------------------------------------------


def test_the_page_asks_for_minutes_and_start_and_folds_all_else(loaded):
    step = loaded.train
    loaded.show_step(step)
    assert all(widget.isVisible() for widget in (step.amount, step.start_from, step.train))
    folded = (step.form, step.show_samples, step.keep_movie, step.outputs)
    assert not any(widget.isVisible() for widget in (*folded, step.plot))
    step.more.set_open(True)
    assert all(widget.isVisible() for widget in folded)
    step.handle_event(ROW)
    assert step.plot.isVisible()


def test_the_line_of_the_job_has_the_buttons_and_is_seen_while_it_runs(loaded):
    (line,) = loaded.train.job_lines
    assert line.isHidden()
    assert all(line.isAncestorOf(button) for button in loaded.train.controls.buttons)
    loaded.train.job.started.emit()
    assert not line.isHidden()
    loaded.train.job.ended.emit()
    assert line.isHidden()


# -- augmented samples ----------------------------------------------------------------------


def test_augmented_samples_are_nine_patches_of_the_users_labels_within_a_second(loaded, qtbot):
    step = loaded.train
    step.form.set_values({"patch_px": 32, "mirror": "none", "contrast": 0.0})
    began = time.monotonic()
    step.show_samples.click()
    settle(step)
    assert time.monotonic() - began < within(1)
    samples = step._samples
    assert samples.isVisible()
    assert samples._image.shape == samples._labels.shape == (9, 32, 32)
    dark = samples._image < 0.5 * (samples._image.min() + samples._image.max())
    assert np.mean(dark == (samples._labels == 1)) > 0.95  # labels lie where the walls are
    before = samples._image
    samples.others.click()
    assert not np.array_equal(samples._image, before)
    with_labels = samples.grid.pixmap().toImage()
    samples.with_labels.click()
    assert samples.grid.pixmap().toImage() != with_labels
    samples.close()


def test_samples_follow_the_settings(loaded):
    spread = {}
    for noise in (0.0, 2.0):
        loaded.train.form.set_values({"patch_px": 32, "noise": noise})
        loaded.train.show_samples.click()
        settle(loaded.train)
        spread[noise] = loaded.train._samples._image.std()
    loaded.train._samples.close()
    assert spread[2.0] > 1.5 * spread[0.0]


def test_samples_without_labels_are_a_sentence(loaded):
    loaded.workspace.labels.data[:] = 0
    loaded.train.show_samples.click()
    settle(loaded.train)
    assert "has no labels" in loaded.train.status.text()
    assert loaded.train._samples is None


@pytest.mark.slow
def test_baselines_cut_no_patches(loaded):
    loaded.train.form.widgets["network"].value = "ridge"
    assert not loaded.train.show_samples.isEnabled()


def test_the_engine_is_prepared_as_soon_as_a_user_who_can_train_looks_at_the_step(dock, monkeypatch):
    asked = []
    monkeypatch.setattr(
        dock.train.job, "warm_up", lambda job: asked.append(dock.workspace.labels is not None)
    )
    dock.show_step(dock.train)
    assert not asked  # there is nothing to train on
    load(dock)
    assert asked
    asked.clear()
    dock.show_step(dock.correct)
    dock.workspace.changed.emit()
    assert not asked
    dock.show_step(dock.train)
    assert asked == [True]


def test_a_training_takes_the_scale_that_was_chosen_for_predictions(loaded):
    loaded.workspace.choose_scale(2.0)
    assert loaded.train.settings().scale == 2
    loaded.train.form.set_values({"network": "trees"})
    loaded.train.form.set_values({"network": "compact"})
    assert loaded.train.settings().scale == 2
    loaded.workspace.choose_scale(None)
    assert loaded.train.settings().scale == 1
    loaded.train.form.set_values({"scale": 1.5})
    for scale in (2.0, None, 3.0):
        loaded.workspace.choose_scale(scale)
        assert loaded.train.settings().scale == 1.5


@pytest.mark.parametrize(("own", "left"), [(1.0, None), (2.0, 2.0)])
def test_a_new_run_predicts_at_the_scale_at_which_it_learned(pretended, tiny_run, own, left):
    run = open_run(tiny_run.folder)
    run.record = run.record.model_copy(update={"scale": (own, own)})
    pretended.workspace.choose_scale(2.0)
    pretended.job.event.emit(Finished(run))
    assert pretended.workspace.scale == left


@pytest.mark.parametrize(("unit", "amount"), [("minutes", "0"), ("minutes", "nan"), ("epochs", "-1")])
def test_a_length_that_is_none_is_refused_by_the_name_of_its_field(pretended, unit, amount):
    pretended.unit.setCurrentText(unit)
    pretended.amount.setText(amount)
    with pytest.raises(UserError, match=f"^Train for: give more than 0 {unit}"):
        pretended.settings()
