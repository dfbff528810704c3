import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from keras import layers

from emseg_napari.models.onnx_export import onnx_model
from emseg_napari.models.unet import build

pytestmark = pytest.mark.keras

SHAPES = [(1, 16, 16, 1), (1, 208, 336, 1), (3, 48, 64, 1)]


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


def with_biases(model: keras.Model) -> keras.Model:
    """A network in which a bias that got lost is seen."""
    random = np.random.default_rng(2)
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(random.normal(0, 0.1, layer.bias.shape))
    return model


@pytest.fixture(scope="module", params=["compact", "like reference"])
def network(request) -> keras.Model:
    keras.utils.set_random_seed(3)
    return with_biases(build("compact") if request.param == "compact" else like_reference())


def answer(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: image})[0]


def test_exported_network_answers_as_keras_for_any_size(network):
    model = onnx_model(network)
    for shape in SHAPES:
        image = np.random.default_rng(4).normal(size=shape).astype(np.float32)
        expected = network.predict_on_batch(image)
        assert np.ptp(expected) > 0.01
        np.testing.assert_allclose(answer(model, image), expected, atol=1e-6)


def test_published_network_is_exported_layer_for_layer():
    keras.utils.set_random_seed(3)
    network = with_biases(build("reference"))
    image = np.random.default_rng(4).normal(size=(1, 16, 32, 1)).astype(np.float32)
    expected = network.predict_on_batch(image)
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(answer(onnx_model(network), image), expected, atol=1e-6)


def test_exported_network_is_valid_and_copies_nothing_to_change_its_size(network):
    model = onnx_model(network)
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.op_type for node in model.graph.node}
    assert kinds.isdisjoint({"ConvTranspose", "Pad", "Gather", "Cast"})


def test_sums_and_activations_are_part_of_the_convolutions(network, tmp_path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns that the optimised file fits this kind of processor only
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    model = onnx_model(network).SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    if not any(node.domain == "com.microsoft.nchwc" for node in nodes):
        pytest.skip("ONNX Runtime computes in no layout of its own on this processor")
    assert {node.op_type for node in nodes}.isdisjoint({"Add", "Relu"})


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(1, 3, padding="same", dilation_rate=2),
        layers.Conv2D(1, 3),
        layers.Conv2DTranspose(1, 4, strides=2, padding="same"),
        layers.MaxPooling2D(3, strides=2),
    ],
    ids=["dilated", "without padding", "overlapping", "overlapping pools"],
)
def test_layer_that_would_be_written_wrongly_is_refused(layer):
    image = layers.Input((None, None, 1))
    with pytest.raises(ValueError, match=f"{layer.name} cannot be exported"):
        onnx_model(keras.Model(image, layer(image)))
