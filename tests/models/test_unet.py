import keras
import numpy as np
import pytest

from emseg_napari.models.unet import build

pytestmark = pytest.mark.keras

PUBLISHED_PARAMETERS = 26_070_593


@pytest.fixture(scope="module")
def reference() -> keras.Model:
    return build("reference")


@pytest.fixture(scope="module")
def compact() -> keras.Model:
    return build("compact")


def described(layer: keras.Layer) -> str:
    """Say a layer in the words in which the publication lists it."""
    match layer:
        case keras.layers.Conv2DTranspose():
            return f"up {layer.kernel_size[0]} {layer.filters} {layer.activation.__name__}"
        case keras.layers.Conv2D():
            return f"conv {layer.kernel_size[0]} {layer.filters} {layer.activation.__name__}"
        case keras.layers.Dropout():
            return f"dropout {layer.rate}"
        case keras.layers.MaxPooling2D():
            return f"pool {layer.pool_size[0]}"
    return type(layer).__name__.lower()


def pair(kernel_px: int, filters: int, count: int = 2) -> list[str]:
    return [f"conv {kernel_px} {filters} relu"] * count


def test_reference_has_the_published_number_of_parameters(reference):
    reference.compute_output_shape((None, 256, 256, 1))
    assert reference.count_params() == PUBLISHED_PARAMETERS
    assert sum(int(np.prod(v.shape)) for v in reference.trainable_variables) == PUBLISHED_PARAMETERS


def test_reference_has_the_published_layers_in_their_order(reference):
    down = [line for f in (64, 128, 256) for line in [*pair(3, f), "pool 2"]]
    bottom = [*pair(3, 512), "dropout 0.5", "pool 2", *pair(3, 1024), "dropout 0.5"]
    up = []
    for raised, filters, count in [(512, 512, 2), (256, 256, 2), (256, 128, 2), (128, 64, 3)]:
        up += [f"up 2 {raised} relu", "concatenate", *pair(2, filters, count)]
    found = [described(layer) for layer in reference.layers]
    assert found == ["inputlayer", *down, *bottom, *up, "conv 1 1 linear", "activation"]


def test_reference_s_skips_carry_the_encoder_s_last_features(reference):
    joined = [layer for layer in reference.layers if isinstance(layer, keras.layers.Concatenate)]
    skips = [described(layer.input[0]._keras_history.operation) for layer in joined]
    assert skips == ["dropout 0.5", "conv 3 256 relu", "conv 3 128 relu", "conv 3 64 relu"]
    assert [layer.input[0].shape[-1] for layer in joined] == [512, 256, 128, 64]


def test_compact_is_about_fifty_times_smaller(compact):
    assert 0.4e6 < compact.count_params() < 0.6e6


@pytest.mark.parametrize("network", ["compact", "reference"])
def test_convolutions_start_as_he_did(network, request):
    for layer in request.getfixturevalue(network).layers[1:-2]:
        if not isinstance(layer, keras.layers.Conv2D) or layer.activation.__name__ != "relu":
            continue
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        fan_in = kernel[..., 0].size
        if not isinstance(layer, keras.layers.Conv2DTranspose) and kernel.size > 2000:
            assert kernel.std() == pytest.approx(np.sqrt(2 / fan_in), rel=0.1), layer.name
        assert not keras.ops.any(layer.bias)


@pytest.mark.parametrize("shape", [(16, 16), (32, 48), (80, 16)])
@pytest.mark.parametrize("mixed_precision", [False, True])
def test_compact_maps_an_image_to_probabilities_of_its_size(shape, mixed_precision):
    model = build("compact", mixed_precision)
    image = np.random.default_rng(0).normal(size=(2, *shape, 1)).astype(np.float32)
    probability = model.predict_on_batch(image)
    assert (probability.shape, probability.dtype) == (image.shape, np.float32)
    assert 0 < probability.min() < probability.max() < 1


def test_reference_maps_an_image_to_probabilities_of_its_size(reference):
    probability = reference.predict_on_batch(np.ones((1, 32, 64, 1), np.float32))
    assert (probability.shape, probability.dtype) == ((1, 32, 64, 1), np.float32)


def test_mixed_precision_computes_in_bfloat16_with_float32_weights():
    model = build("compact", mixed_precision=True)
    assert {layer.compute_dtype for layer in model.layers[1:-1]} == {"bfloat16"}
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    assert model.output.dtype == "float32"


def test_compact_sees_context_all_around():
    # One changed pixel must reach its surroundings on every side alike, else membranes drift.
    model = build("compact")
    image = np.random.default_rng(0).normal(size=(1, 96, 96, 1)).astype(np.float32)
    changed = image.copy()
    changed[0, 48, 48] += 5
    reach = np.argwhere(
        np.abs(model.predict_on_batch(image) - model.predict_on_batch(changed))[0, ..., 0] > 0
    )
    assert (reach.min(0) < 40).all()
    assert (reach.max(0) > 56).all()
