import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from emseg_napari.core.jobs import UserError
from emseg_napari.exchange.answers import Answers
from emseg_napari.exchange.importing import Unanswered, import_network
from emseg_napari.inference import predict
from emseg_napari.io.samples import phantom
from emseg_napari.models.run import open_run
from emseg_napari.settings import PredictionSettings, TrainingSettings
from emseg_napari.training.trainer import train_network
from helpers.packages import normalised

pytestmark = pytest.mark.keras

PLAIN = PredictionSettings(close_gaps=False)
STANDARD = {"id": "zero_mean_unit_variance"}
TWO = Answers(normalisation="standard", channel=1, channel_is="interior")


def another_network(side: int | None = 64) -> keras.Model:
    """A small network of many kinds of layers, with two channels."""
    keras.utils.set_random_seed(1)
    image = layers.Input((side, side, 1))
    x = layers.Conv2D(6, 3, padding="same", activation="elu")(image)
    first = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D(2)(first)
    x = layers.LeakyReLU()(layers.SeparableConv2D(8, 3, padding="same")(x))
    x = layers.Dropout(0.3)(layers.Conv2D(6, 3, dilation_rate=2, padding="same")(x))
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="silu")(x)
    x = layers.Concatenate()([layers.Add()([first, x]), first])
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.AveragePooling2D(2)(x))
    return keras.Model(image, layers.Softmax()(layers.Conv2D(2, 1)(x)))


@pytest.fixture
def saved(tmp_path):
    """The file of a network."""

    def save(model: keras.Model, name: str = "net.keras"):
        model.save(tmp_path / name)
        return tmp_path / name

    return save


def test_a_network_of_another_architecture_predicts_as_in_keras(tmp_path, saved):
    run = import_network(saved(another_network()), tmp_path / "run", TWO)
    image = phantom()[0][0][:96, :128]
    seen = normalised(image, STANDARD)[None, ..., None].astype(np.float32)
    free = another_network(side=None)
    expected = 1 - free.predict(seen, verbose=0)[0, ..., 1]
    np.testing.assert_allclose(predict(image, run, PLAIN)[0], expected, atol=1e-5)


def test_a_sequential_network_and_one_within_another_are_read(tmp_path, saved):
    one = keras.Sequential(
        [layers.Input((32, 32, 1)), layers.Conv2D(1, 3, padding="same", activation="sigmoid")]
    )
    image = layers.Input((32, 32, 1))
    other = keras.Model(image, one(layers.Conv2D(1, 3, padding="same")(image)))
    for number, model in enumerate((one, other)):
        answers = Answers(normalisation="none", channel_is="boundary")
        run = import_network(saved(model, f"{number}.keras"), tmp_path / str(number), answers)
        picture = np.random.default_rng(0).random((32, 32)).astype(np.float32)
        expected = model.predict(picture[None, ..., None], verbose=0)[0, ..., 0]
        np.testing.assert_allclose(predict(picture, run, PLAIN)[0], expected, atol=1e-5)


def test_a_training_starts_from_a_network_of_another_architecture_and_predicts(tmp_path, saved):
    import_network(saved(another_network()), tmp_path / "start", TWO)
    image, labels = phantom()
    settings = TrainingSettings.recipe(
        "imported", start=str(tmp_path / "start"), epochs=1, steps_per_epoch=4, patch_px=64, batch_size=2
    )
    run = train_network(image[:5], labels[:5], settings, folder=tmp_path / "tuned")
    assert run.record.imported.file == "net.keras"
    assert run.record.normalisation.method == "standard"
    found = predict(image[7:8], open_run(run.folder), PLAIN)
    assert not np.array_equal(found, predict(image[7:8], open_run(tmp_path / "start"), PLAIN))
    again = TrainingSettings.recipe(**(settings.model_dump() | {"start": str(run.folder)}))
    assert train_network(image[:5], labels[:5], again, folder=tmp_path / "again").record.finished


def test_without_a_run_to_start_from_there_is_no_imported_network(tmp_path):
    image, labels = phantom()
    settings = TrainingSettings.recipe("imported", epochs=1, steps_per_epoch=1)
    with pytest.raises(UserError, match="can only be trained from the run that it was imported as"):
        train_network(image[:5], labels[:5], settings, folder=tmp_path / "run")


def test_patches_that_do_not_fit_the_network_are_a_sentence(tmp_path, saved):
    run = import_network(saved(another_network()), tmp_path / "start", TWO)
    run.update(imported=run.record.imported.model_copy(update={"grid_px": 128}))
    image, labels = phantom()
    settings = TrainingSettings.recipe("imported", start=str(run.folder), patch_px=64)
    with pytest.raises(UserError, match="multiples of 128 pixels, and patches have 64"):
        train_network(image[:5], labels[:5], settings, folder=tmp_path / "run")


def test_a_network_that_gives_no_probability_is_asked_about(tmp_path, saved):
    image = layers.Input((None, None, 1))
    file = saved(keras.Model(image, layers.Conv2D(1, 3, padding="same")(layers.Rescaling(50.0)(image))))
    with pytest.raises(Unanswered, match="what makes probabilities of its output") as raised:
        import_network(file, tmp_path / "run", Answers(normalisation="standard", channel_is="boundary"))
    assert raised.value.unanswered == ("activation",)


def linear(middle: float, gain: float) -> keras.Model:
    """A network that gives grey values, scaled."""
    image = layers.Input((None, None, 1))
    model = keras.Model(image, layers.Conv2D(1, 1)(image))
    model.set_weights([np.full((1, 1, 1, 1), gain), np.array([middle])])
    return model


def test_whether_a_network_gives_probabilities_is_seen_on_a_whole_image(tmp_path, saved):
    file = saved(linear(0.5, 0.2))  # of the standardised phantom's first pixels within 0 and 1
    with pytest.raises(Unanswered, match="what makes probabilities of its output"):
        import_network(file, tmp_path / "run", Answers(normalisation="standard", channel_is="boundary"))


@pytest.mark.parametrize("meaning", ["boundary", "interior"])
def test_predictions_stay_within_0_and_1(tmp_path, saved, meaning):
    answers = Answers(normalisation="fixed:127:127", channel_is=meaning)
    run = import_network(saved(linear(0.5, 0.4)), tmp_path / "run", answers)
    found = predict(np.array([[-5000.0, 5000.0] * 8] * 16, np.float32), run, PLAIN)
    assert (found.min(), found.max()) == (0, 1)


@pytest.mark.parametrize("module", ["keras.layers", "keras.src.layers.core.lambda_layer", "os"])
def test_layers_that_could_run_code_are_refused_before_anything_is_built(tmp_path, saved, module):
    file, ran = saved(another_network()), tmp_path / "ran"
    with zipfile.ZipFile(file) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    config = json.loads(parts["config.json"])
    layer = config["config"]["layers"][1]
    code = f"open({str(ran)!r}, 'w')"
    layer |= {"module": module, "class_name": "Lambda", "config": {"name": layer["name"], "function": code}}
    with zipfile.ZipFile(file, "w") as new:
        for name, content in (parts | {"config.json": json.dumps(config)}).items():
            new.writestr(name, content)
    with pytest.raises(UserError, match=r"holds 'Lambda' .*could run code"):
        import_network(file, tmp_path / "run", TWO)
    assert not ran.exists()
    assert not (tmp_path / "run").exists()


def test_a_layer_that_is_not_written_as_onnx_is_named(tmp_path, saved):
    image = layers.Input((None, None, 1))
    file = saved(keras.Model(image, layers.Conv2D(1, 1)(layers.Activation("gelu")(image))))
    with pytest.raises(
        UserError, match=r"has the activation gelu, which emseg-napari does not write as ONNX"
    ):
        import_network(file, tmp_path / "run", Answers(normalisation="none", channel_is="boundary"))


def test_a_damaged_keras_file_is_a_sentence(tmp_path):
    (tmp_path / "net.keras").write_bytes(b"something")
    with pytest.raises(UserError, match="damaged or no network that Keras 3 saved"):
        import_network(tmp_path / "net.keras", tmp_path / "run", TWO)
