"""The methods without a network, from labels to a run to a prediction."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tifffile
from typer.testing import CliRunner

from emseg_napari.cli import app
from emseg_napari.core.jobs import (
    Cancelled,
    EpochEnded,
    JobContext,
    JobControl,
    Message,
    PreviewReady,
    Progress,
    UserError,
)
from emseg_napari.core.labels import BOUNDARY, INTERIOR, UNLABELLED, from_probability, to_isbi
from emseg_napari.inference import load_predictor, predict
from emseg_napari.models.pixel_features import FeatureRecipe, pixel_features
from emseg_napari.models.run import Run, is_run, open_run
from emseg_napari.settings import BASELINES, PredictionSettings, TrainingSettings
from emseg_napari.training.baselines import trees
from emseg_napari.training.train import run_training

both = pytest.mark.parametrize("network", BASELINES)


@pytest.fixture(scope="session")
def stack() -> tuple[np.ndarray, np.ndarray]:
    """Dark walls around square cells, shifted in every slice: uint8 image and labels (6, 96, 96)."""
    z, y, x = np.indices((6, 96, 96))
    wall = ((x + 3 * z) % 24 < 4) | ((y + 2 * z) % 24 < 4)
    image = np.where(wall, 70, 180) + np.random.default_rng(0).normal(0, 15, wall.shape)
    return image.clip(0, 255).astype(np.uint8), np.where(wall, BOUNDARY, INTERIOR).astype(np.uint8)


def settings(network: str, **changes) -> TrainingSettings:
    return TrainingSettings.recipe(network, **changes)


@pytest.fixture(scope="session")
def told() -> dict[str, list]:
    return {network: [] for network in BASELINES}


@pytest.fixture(scope="session")
def runs(stack, told, tmp_path_factory) -> dict[str, Run]:
    """A run of each, fitted while slice 2 is looked at."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        n: run_training(
            *stack,
            settings(n),
            context=JobContext(report=told[n].append, control=lambda: JobControl(z=2)),
            folder=folder / n,
        )
        for n in BASELINES
    }


# The run


@both
def test_a_fit_leaves_a_whole_run_folder_without_anything_that_could_be_code(runs, network):
    files = {path.name for path in runs[network].folder.iterdir()}
    fitted = {"ridge": "ridge.json", "trees": "network.onnx"}[network]
    assert files == {"settings.json", "run.json", "history.json", fitted}
    again = open_run(runs[network].folder)
    assert again.settings == runs[network].settings
    assert again.record == runs[network].record
    assert again.history == runs[network].history


@both
def test_the_record_says_what_was_trained_on_and_how_it_scored(runs, stack, network):
    record = runs[network].record
    assert record.finished
    assert (record.image_shape, record.image_dtype) == ((6, 96, 96), "uint8")
    assert (record.trained_slices, record.held_out_slices) == ([0, 1, 2, 3, 4], [5])
    assert record.label_counts["boundary"] == np.count_nonzero(stack[1][:5] == BOUNDARY)
    assert len(record.fingerprints) == 5
    assert record.kept_accuracy > 0.9
    assert record.kept_v_rand > 0.9
    assert 0 < record.threshold < 1


@both
def test_the_fit_tells_what_a_training_tells(runs, told, network):
    events = told[network]
    assert isinstance(events[0], Message)
    assert "5 labelled slices" in events[0].text
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)
    (row,) = [event for event in events if isinstance(event, EpochEnded)]
    assert [row] == runs[network].history
    assert row.epoch == 1
    assert row.accuracy > 0.85
    assert row.held_out_accuracy > 0.85
    (preview,) = [event for event in events if isinstance(event, PreviewReady)]
    assert (preview.z, preview.probability.shape) == (2, (96, 96))


@both
def test_the_same_seed_gives_the_same_run(runs, stack, network, tmp_path):
    again = run_training(*stack, settings(network), folder=tmp_path / "again")
    for name in ("ridge.json", "network.onnx"):
        first = runs[network].folder / name
        assert not first.exists() or first.read_bytes() == (again.folder / name).read_bytes()
    assert again.record == runs[network].record


@both
def test_scribbles_on_one_slice_are_enough(stack, network, tmp_path):
    image, labels = stack
    scribbles = np.zeros_like(labels)
    scribbles[1, 30], scribbles[1, :, 26] = labels[1, 30], labels[1, :, 26]
    run = run_training(image, scribbles, settings(network), folder=tmp_path / "run")
    assert run.record.trained_slices == [1]
    found = from_probability(predict(image, run), run.record.threshold)
    assert np.mean(found == labels) > 0.85


@both
def test_classes_scribbled_on_different_slices_are_enough(stack, network, tmp_path):
    image, labels = stack
    scribbles = np.zeros_like(labels)
    scribbles[0] = np.where(labels[0] == BOUNDARY, BOUNDARY, UNLABELLED)
    scribbles[1] = np.where(labels[1] == INTERIOR, INTERIOR, UNLABELLED)
    run = run_training(image, scribbles, settings(network), folder=tmp_path / "run")
    assert np.mean(from_probability(predict(image, run), run.record.threshold) == labels) > 0.85


@both
def test_unlabelled_pixels_teach_nothing(stack, network, tmp_path):
    image, labels = stack[0], stack[1].copy()
    labels[4:] = UNLABELLED
    other = image.copy()
    other[4:] = 255 - other[4:]
    for name, known in (("plain", image), ("other", other)):
        run_training(known, labels, settings(network), folder=tmp_path / name)
    for name in ("ridge.json", "network.onnx"):
        files = [tmp_path / run / name for run in ("plain", "other")]
        assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes()


# What is refused


@both
@pytest.mark.parametrize("questions", [0, 1, 4, 8, 15])
def test_a_stop_leaves_nothing(stack, network, tmp_path, questions):
    left = [questions]

    def should_stop() -> bool:
        left[0] -= 1
        return left[0] < 0

    with pytest.raises(Cancelled):
        run_training(
            *stack, settings(network), context=JobContext(should_stop=should_stop), folder=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    left[0] = questions
    with pytest.raises(Cancelled):
        run_training(
            *stack, settings(network), context=JobContext(should_stop=should_stop), folder=tmp_path / "mine"
        )
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
    assert not list((tmp_path / "mine").iterdir())


@both
def test_a_fit_asks_whether_to_stop_often_enough(stack, network, tmp_path):
    """Nothing between two questions is longer than the part of one slice."""
    asked = []
    run_training(
        *stack,
        settings(network),
        context=JobContext(should_stop=lambda: bool(asked.append(1))),
        folder=tmp_path / "r",
    )
    assert len(asked) > 60


@both
def test_a_run_is_never_overwritten(runs, stack, network):
    with pytest.raises(UserError, match="holds a run already"):
        run_training(*stack, settings(network), folder=runs[network].folder)


@both
def test_there_is_nothing_to_resume_or_to_replay(runs, stack, network, tmp_path):
    with pytest.raises(UserError, match="neither resumed nor"):
        run_training(*stack, folder=runs[network].folder, resume=True)
    with pytest.raises(UserError, match="neither resumed nor"):
        run_training(*stack, folder=tmp_path / "run", replay=runs[network].folder)
    assert not is_run(tmp_path / "run")


@both
def test_numbers_of_deep_learning_are_refused_unless_they_are_the_usual_ones(network):
    with pytest.raises(UserError, match=f"Minutes has no effect on '{network}'"):
        settings(network, minutes=3.0)
    with pytest.raises(UserError, match="Start from has no effect on"):
        settings(network, start="starter")
    usual = settings(network).model_dump()
    assert settings(**usual) == settings(network)
    assert (usual["minutes"], usual["epochs"]) == (None, None)


@both
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda image, labels: (image[:3], labels), "differ"),
        (lambda image, labels: (image, np.zeros_like(labels)), "no labels"),
        (lambda image, labels: (image, np.full_like(labels, BOUNDARY)), "no interior"),
        (lambda image, labels: (np.full(image.shape, np.nan, np.float32), labels), "NaN"),
    ],
)
def test_bad_input_is_the_sentence_that_every_training_says(stack, network, tmp_path, spoil, sentence):
    with pytest.raises(UserError, match=sentence):
        run_training(*spoil(*stack), settings(network), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Prediction


@both
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (1, 300), (130, 33)])
def test_a_slice_of_any_size_is_predicted(runs, network, shape):
    image = np.random.default_rng(0).integers(0, 255, (2, *shape), np.uint8)
    found = predict(image, runs[network])
    assert (found.shape, found.dtype) == (image.shape, np.float32)
    assert 0 <= found.min() <= found.max() <= 1


@both
def test_tiles_have_no_seam(runs, network):
    slice_ = np.random.default_rng(0).integers(0, 255, (300, 200), np.uint8)
    whole, tiled = (
        load_predictor(runs[network], PredictionSettings(tile_px=px)).probability(slice_) for px in (1024, 64)
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


@both
def test_windows_are_those_of_the_whole_slice(runs, stack, network):
    """Of the ridge filter but for pieces that its clean-up follows farther than a window sees."""
    slice_ = np.tile(stack[0][0], (5, 5))[:450, :401]
    predictor = load_predictor(runs[network], PredictionSettings())
    whole = predictor.probability(slice_)
    for window in (np.s_[0:70, 0:90], np.s_[181:250, 133:260], np.s_[400:450, 390:401]):
        found = predictor.window(slice_, window, predictor.levels(slice_))
        differing = abs(found - whole[window]) > 1e-4
        assert np.mean(differing) <= (0.02 if network == "ridge" else 0)


@both
def test_grey_levels_may_have_any_scale(runs, stack, network):
    found = predict(stack[0], runs[network])
    wide = predict(stack[0].astype(np.uint16) * 200, runs[network])
    np.testing.assert_allclose(wide, found, atol=1e-3)


@pytest.mark.parametrize(
    ("network", "name", "content"),
    [
        ("ridge", "ridge.json", b"{}"),
        ("ridge", "ridge.json", b'{"dark": true, "sigma_px": 1e9}'),
        ("ridge", "ridge.json", None),
        ("trees", "network.onnx", b"no network"),
        ("trees", "network.onnx", None),
    ],
)
def test_a_damaged_or_missing_fit_is_a_sentence(runs, stack, tmp_path, network, name, content):
    folder = tmp_path / "run"
    folder.mkdir()
    for path in runs[network].folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=r"train again|resume it"):
        predict(stack[0], folder)


def test_a_network_of_another_kind_is_no_trees(runs, stack, tmp_path):
    run = Run(tmp_path, runs["trees"].settings, runs["trees"].record)
    model = onnx.load(runs["trees"].network_file)
    del model.metadata_props[:]
    onnx.save(model, run.network_file)
    with pytest.raises(UserError, match="holds no trees"):
        predict(stack[0], run)


# The trees themselves


def test_onnx_answers_as_scikit_learn_does(stack, tmp_path):
    image = stack[0][0].astype(np.float32)
    features, is_boundary = trees.sample_pixels(lambda z: image, stack[1][:1], np.random.default_rng(0))
    model = trees.fit_trees(features, is_boundary)
    trees.export_trees(model, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    everywhere = pixel_features(image, FeatureRecipe().sigmas_px).reshape(-1, features.shape[1])
    found = session.run(None, {"features": everywhere})[0][:, 0]
    np.testing.assert_allclose(found, model.predict_proba(everywhere)[:, 1], atol=1e-5)


def test_the_network_of_trees_holds_two_standard_operators(runs):
    model = onnx.load(runs["trees"].network_file)
    assert [node.op_type for node in model.graph.node] == ["TreeEnsembleRegressor", "Sigmoid"]
    assert not model.functions
    onnx.checker.check_model(model)


def test_half_of_the_drawn_pixels_are_boundary_even_of_few(stack):
    image, labels = stack[0][0].astype(np.float32), np.zeros_like(stack[1][:1])
    labels[0, 0, :5], labels[0, 40:60, 40:60] = BOUNDARY, INTERIOR
    features, is_boundary = trees.sample_pixels(lambda z: image, labels, np.random.default_rng(0))
    assert is_boundary.mean() == 0.5
    assert len(np.unique(features[is_boundary], axis=0)) == 5
    assert len(features) == 2 * 400


def test_no_slice_gives_more_than_its_part(stack, monkeypatch):
    monkeypatch.setattr(trees, "PIXELS_PER_CLASS", 800)
    seen = set()

    def image_of(z: int) -> np.ndarray:
        seen.add(z)
        return stack[0][z].astype(np.float32)

    features, _ = trees.sample_pixels(image_of, stack[1], np.random.default_rng(0))
    assert seen == set(range(6))
    assert len(features) == 2 * 600


# Its faces


def test_neither_fit_nor_prediction_of_a_baseline_loads_keras(stack, tmp_path):
    np.savez(tmp_path / "stack.npz", image=stack[0], labels=stack[1])
    program = (
        "import sys, numpy as np\n"
        "import emseg_napari.engine.server\n"
        "from emseg_napari.inference import predict\n"
        "from emseg_napari.settings import TrainingSettings\n"
        "from emseg_napari.training.train import run_training\n"
        f"data = np.load({str(tmp_path / 'stack.npz')!r})\n"
        "for network in ('ridge', 'trees'):\n"
        f"    run = run_training(data['image'], data['labels'], TrainingSettings.recipe(network),\n"
        f"                       folder={str(tmp_path)!r} + '/' + network)\n"
        "    predict(data['image'], run)\n"
        "    print(network, 'sklearn' in sys.modules, {'keras', 'tensorflow', 'napari'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["ridge False set()", "trees True set()"], done.stderr


def test_prediction_with_trees_needs_no_scikit_learn(runs):
    program = (
        "import sys, numpy as np; from emseg_napari.inference import predict\n"
        f"predict(np.eye(20, dtype=np.uint8), {str(runs['trees'].folder)!r})\n"
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


@both
def test_the_engine_fits_baselines_too(engine, stack, network, tmp_path):
    image, labels = stack
    arguments = {"settings": settings(network), "folder": tmp_path / "run"}
    run = list(engine.run("train", image=image, labels=labels, **arguments))[-1].result
    assert run.record.kept_accuracy > 0.9


@pytest.fixture
def files(stack, tmp_path) -> tuple[str, str]:
    tifffile.imwrite(tmp_path / "image.tif", stack[0])
    tifffile.imwrite(tmp_path / "labels.tif", to_isbi(stack[1]))
    return str(tmp_path / "image.tif"), str(tmp_path / "labels.tif")


def emseg(*words: object):
    return CliRunner().invoke(app, [*map(str, words)])


@both
def test_the_command_line_fits_and_predicts(files, stack, network, tmp_path):
    run, output = tmp_path / "run", tmp_path / "found.tif"
    done = emseg("train", *files, "--output", run, "--network", network, "--slices", "0:5", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert (figures["epochs"], figures["trained_slices"]) == (1, [0, 1, 2, 3])
    assert "TensorFlow" not in done.stderr
    done = emseg("predict", run, files[0], "--output", output, "--slices", "5:6")
    assert done.exit_code == 0, done.output
    assert np.mean(tifffile.imread(output) == to_isbi(stack[1][5])) > 0.9


@both
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--minutes", "2"), "Minutes has no effect on"),
        (("--epochs", "2"), "Epochs has no effect on"),
        (("--learning-rate", "0.1"), "Learning rate has no effect on"),
        (("--from", "starter"), "Start from has no effect on"),
    ],
)
def test_options_that_mean_nothing_are_refused(files, network, tmp_path, words, sentence):
    done = emseg("train", *files, "--output", tmp_path / "run", "--network", network, *words)
    assert done.exit_code == 2
    assert f"{sentence} '{network}'" in done.stderr
    assert not (tmp_path / "run").exists()


@both
def test_resume_and_replay_of_a_baseline_are_refused(files, runs, network, tmp_path):
    for words in (
        ("--output", runs[network].folder, "--resume"),
        ("--output", tmp_path / "run", "--replay", runs[network].folder),
    ):
        done = emseg("train", *files, *words)
        assert done.exit_code == 2
        assert "neither resumed nor replayed" in done.stderr


# On real slices


@both
def test_real_slices_are_segmented_as_well_as_was_measured(tissue, network, tmp_path):
    """Measured: accuracy 0.802 and V_rand 0.781 (ridge), 0.864 and 0.898 (trees)."""
    image, labels = (array[:12:2] for array in tissue)
    run = run_training(image[:5], labels[:5], settings(network), folder=Path(tmp_path / "run"))
    accuracy, v_rand = {"ridge": (0.79, 0.75), "trees": (0.85, 0.87)}[network]
    assert run.record.kept_accuracy > accuracy
    assert run.record.kept_v_rand > v_rand
