from pathlib import Path

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

from emseg_napari.inference.backends import load_backend
from emseg_napari.models.checkpoints import export_onnx
from emseg_napari.models.onnx_rewrite import optimised_graph
from emseg_napari.models.run import Run, open_run
from emseg_napari.models.starter import STARTER
from emseg_napari.models.unet import build
from emseg_napari.settings import TrainingSettings

pytestmark = pytest.mark.keras

SHAPES = [(1, 16, 16, 1), (1, 208, 336, 1), (3, 48, 64, 1)]


def with_biases(model: keras.Model) -> keras.Model:
    """A network in which a bias that got lost is seen."""
    random = np.random.default_rng(2)
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(random.normal(0, 0.1, layer.bias.shape))
    return model


def as_keras_exports(model: keras.Model, path: Path) -> Path:
    model.predict_on_batch(np.zeros((1, 32, 32, 1)))
    model.export(path, format="onnx", verbose=False)
    return path


def like_reference() -> keras.Model:
    """Kernels of two pixels, three convolutions after the concatenation and a last one of one pixel."""
    image = x = layers.Input((None, None, 1))
    skips = []
    for filters in (8, 16):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = layers.Dropout(0.5)(layers.MaxPooling2D(2)(x))
    for filters in (16, 8):
        x = layers.Conv2DTranspose(filters, 2, strides=2, activation="relu")(x)
        x = layers.Concatenate()([skips.pop(), x])
        for _ in range(3):
            x = layers.Conv2D(filters, 2, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Activation("sigmoid")(layers.Conv2D(1, 1)(x)))


def dilated(x):
    return layers.Conv2D(1, 3, padding="same", dilation_rate=2)(x)


def squared(x):
    x = layers.Conv2D(1, 3, padding="same")(x)
    return x * x


def used_before_its_activation(x):
    before = layers.Conv2D(4, 3, padding="same")(x)
    return layers.Conv2D(1, 1)(layers.Concatenate()([before, layers.Activation("relu")(before)]))


def overlapping(x):
    return layers.Conv2DTranspose(1, 4, strides=2, padding="same")(layers.MaxPooling2D(2)(x))


def session(model: bytes | Path) -> onnxruntime.InferenceSession:
    what = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(what, providers=["CPUExecutionProvider"])


def answer(network: onnxruntime.InferenceSession, image: np.ndarray) -> np.ndarray:
    return network.run(None, {network.get_inputs()[0].name: image})[0]


@pytest.fixture(scope="module")
def compact(tmp_path_factory) -> Path:
    keras.utils.set_random_seed(3)
    return as_keras_exports(
        with_biases(build("compact")), tmp_path_factory.mktemp("compact") / "network.onnx"
    )


@pytest.fixture(scope="module", params=["compact", "like reference", "starter"])
def exported(request, tmp_path_factory, compact) -> Path:
    if request.param == "starter":
        return open_run(STARTER).network_file
    if request.param == "compact":
        return compact
    keras.utils.set_random_seed(3)
    folder = tmp_path_factory.mktemp("reference")
    return as_keras_exports(with_biases(like_reference()), folder / "network.onnx")


def test_rewritten_network_answers_as_the_exported_one(exported):
    before, after = session(exported), session(optimised_graph(exported))
    for shape in SHAPES:
        image = np.random.default_rng(4).normal(size=shape).astype(np.float32)
        expected = answer(before, image)
        assert np.ptp(expected) > 0.01
        np.testing.assert_allclose(answer(after, image), expected, atol=1e-5)


def test_rewritten_network_copies_nothing_to_change_its_size(exported):
    kinds = {node.op_type for node in onnx.load_from_string(optimised_graph(exported)).graph.node}
    assert kinds.isdisjoint({"ConvTranspose", "Pad", "Gather", "Cast"})


def test_sums_and_activations_are_part_of_the_convolutions(compact, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns that the optimised file fits this kind of processor only
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(optimised_graph(compact), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    if not any(node.domain == "com.microsoft.nchwc" for node in nodes):
        pytest.skip("ONNX Runtime computes in no layout of its own on this processor")
    assert {node.op_type for node in nodes}.isdisjoint({"Add", "Relu"})


@pytest.mark.parametrize("layer", [dilated, squared, used_before_its_activation, overlapping])
def test_network_of_other_layers_is_used_as_it_is(layer, tmp_path):
    image = layers.Input((None, None, 1))
    model = keras.Model(image, layer(image))
    assert optimised_graph(as_keras_exports(model, tmp_path / "exported.onnx")) is None
    export_onnx(model, tmp_path / "network.onnx")
    pixels = np.random.default_rng(5).normal(size=(1, 32, 48, 1)).astype(np.float32)
    found = answer(session(tmp_path / "network.onnx"), pixels)
    np.testing.assert_allclose(found, model.predict_on_batch(pixels), atol=1e-5)


def run_with(network: bytes, folder: Path) -> Run:
    folder.mkdir()
    run = Run(folder, TrainingSettings(), open_run(STARTER).record)
    run.save()
    run.network_file.write_bytes(network)
    return run


def test_run_of_before_is_rewritten_as_it_is_loaded(compact, tmp_path):
    old = load_backend(run_with(compact.read_bytes(), tmp_path / "old"), 1)
    new = load_backend(run_with(optimised_graph(compact), tmp_path / "new"), 1)
    image = np.random.default_rng(6).normal(size=(1, 64, 96, 1)).astype(np.float32)
    np.testing.assert_array_equal(old.network(image), new.network(image))
    assert (old.network(image) != answer(session(compact), image)).any()


def test_new_run_needs_no_rewriting(compact, tmp_path, monkeypatch):
    export_onnx(build("compact"), tmp_path / "network.onnx")
    run = run_with((tmp_path / "network.onnx").read_bytes(), tmp_path / "run")
    monkeypatch.setattr(
        "emseg_napari.models.onnx_rewrite.optimised_graph", lambda path: pytest.fail("rewritten again")
    )
    assert load_backend(run, 1).network(np.zeros((1, 32, 32, 1), np.float32)).shape == (1, 32, 32, 1)
