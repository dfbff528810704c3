import json
import os
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
import onnxruntime
import pytest

from emseg_napari.core.jobs import UserError
from emseg_napari.models.checkpoints import export_onnx, load_checkpoint, save_checkpoint
from emseg_napari.models.onnx_export import onnx_model
from emseg_napari.models.unet import build
from helpers.small_network import small_network

pytestmark = pytest.mark.keras

IMAGE = np.random.default_rng(0).normal(size=(1, 64, 48, 1)).astype(np.float32)


def trained(network="compact", seed: int = 0, **options) -> keras.Model:
    """A compiled network after two steps on noise."""
    keras.utils.set_random_seed(seed)
    model = build(network, **options)
    # Eagerly: to compile two steps would take longer than to do them.
    model.compile(keras.optimizers.AdamW(1e-3, use_ema=True), "mse", run_eagerly=True)
    for _ in range(2):
        model.train_on_batch(IMAGE, IMAGE)
    return model


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return trained()


@pytest.fixture
def checkpoint(model, tmp_path) -> Path:
    save_checkpoint(model, tmp_path / "last.keras")
    return tmp_path / "last.keras"


def fresh() -> keras.Model:
    return build("compact")


def rewrite(path: Path, change) -> None:
    """Change the parts of a ``.keras`` file: ``change`` gets and mends {name: bytes}."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_weights_survive(model, checkpoint):
    again = fresh()
    load_checkpoint(again, checkpoint)
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_optimizer_goes_on_where_it_stood(model, checkpoint):
    again = build("compact")
    again.compile(keras.optimizers.AdamW(1e-3, use_ema=True), "mse")
    again.optimizer.build(again.trainable_variables)
    load_checkpoint(again, checkpoint)
    assert int(again.optimizer.iterations) == 2
    for one, other in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_in_the_middle_of_saving_leaves_the_old_file(checkpoint, monkeypatch, failure):
    before = checkpoint.read_bytes()
    model = fresh()

    def broken(path):
        Path(path).write_bytes(b"half a file")
        raise failure

    monkeypatch.setattr(model, "save", broken)
    with pytest.raises((UserError, OSError, KeyboardInterrupt)):
        save_checkpoint(model, checkpoint)
    assert checkpoint.read_bytes() == before
    assert os.listdir(checkpoint.parent) == [checkpoint.name]


def test_full_disk_gets_a_sentence(checkpoint, monkeypatch):
    model = fresh()

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(UserError, match=r"last\.keras cannot be written: the disk is full"):
        save_checkpoint(model, checkpoint)


def test_missing_checkpoint_gets_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"last\.keras is missing"):
        load_checkpoint(fresh(), tmp_path / "last.keras")


@pytest.mark.parametrize(
    "content", [b"", b"no archive", b"PK\x03\x04" + b"\0" * 100], ids=["empty", "text", "header alone"]
)
def test_file_that_is_no_archive_gets_a_sentence(checkpoint, content):
    checkpoint.write_bytes(content)
    with pytest.raises(UserError, match=r"last\.keras is damaged"):
        load_checkpoint(fresh(), checkpoint)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_off_checkpoint_gets_a_sentence(checkpoint, share):
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"last\.keras is damaged"):
        load_checkpoint(fresh(), checkpoint)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_checkpoint_with_wrong_bytes_gets_a_sentence(checkpoint, share):
    content = bytearray(checkpoint.read_bytes())
    at = int(share * len(content))
    content[at : at + 4000] = bytes(b ^ 0xFF for b in content[at : at + 4000])
    checkpoint.write_bytes(content)
    with pytest.raises(UserError, match=r"last\.keras is damaged"):
        load_checkpoint(fresh(), checkpoint)


@pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
def test_checkpoint_without_one_of_its_parts_gets_a_sentence(checkpoint, part):
    rewrite(checkpoint, lambda parts: parts.pop(part))
    with pytest.raises(UserError, match=r"last\.keras is damaged"):
        load_checkpoint(fresh(), checkpoint)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_checkpoint_with_a_broken_configuration_gets_a_sentence(checkpoint, content):
    rewrite(checkpoint, lambda parts: parts.update({"config.json": content}))
    with pytest.raises(UserError, match=r"last\.keras is damaged"):
        load_checkpoint(fresh(), checkpoint)


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_weights_of_another_network_get_a_sentence(checkpoint):
    with pytest.raises(UserError, match=r"last\.keras is damaged or holds another network"):
        load_checkpoint(build("reference"), checkpoint)


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
def test_checkpoint_in_which_one_layer_has_no_weights_gets_a_sentence(checkpoint, tmp_path):
    def forget(parts):
        (tmp_path / "weights.h5").write_bytes(parts["model.weights.h5"])
        with h5py.File(tmp_path / "weights.h5", "r+") as file:
            del file["layers/conv2d_5"]
        parts["model.weights.h5"] = (tmp_path / "weights.h5").read_bytes()

    rewrite(checkpoint, forget)
    with pytest.raises(UserError, match=r"last\.keras is damaged or holds another network"):
        load_checkpoint(fresh(), checkpoint)


def test_lambda_layer_is_refused_and_its_code_does_not_run(tmp_path):
    trap = tmp_path / "trap"
    image = keras.layers.Input((None, None, 1))
    code = eval(f"lambda x: (open({str(trap)!r}, 'w').close(), x)[1]")
    evil = keras.Model(image, keras.layers.Lambda(code, output_shape=(None, None, 1))(image))
    trap.unlink(missing_ok=True)  # building it ran it
    evil.save(tmp_path / "evil.keras")
    trap.unlink(missing_ok=True)
    with pytest.raises(UserError, match="holds Lambda, a custom object that could run code"):
        load_checkpoint(fresh(), tmp_path / "evil.keras")
    assert not trap.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("my_layers", "Sneaky"), ("builtins", "function"), ("keras_evil", "Conv2D")],
)
def test_foreign_layer_deep_in_the_configuration_is_refused(checkpoint, module, name):
    def smuggle(parts):
        config = json.loads(parts["config.json"])
        inner = config["config"]["layers"][3]["config"]
        inner["kernel_initializer"] = {"module": module, "class_name": name, "config": {}}
        parts["config.json"] = json.dumps(config).encode()

    rewrite(checkpoint, smuggle)
    with pytest.raises(UserError, match=f"holds {name}, a custom object"):
        load_checkpoint(fresh(), checkpoint)


def test_registered_custom_layer_is_refused(tmp_path):
    @keras.saving.register_keras_serializable("somebody")
    class Sneaky(keras.layers.Layer):
        def call(self, x):
            return x

    image = keras.layers.Input((None, None, 1))
    keras.Model(image, Sneaky()(image)).save(tmp_path / "custom.keras")
    with pytest.raises(UserError, match="holds Sneaky, a custom object"):
        load_checkpoint(fresh(), tmp_path / "custom.keras")


def onnx_output(path: Path, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(float)"
    return session.run(None, {session.get_inputs()[0].name: image})[0]


def test_onnx_network_answers_as_keras_does(model, tmp_path):
    export_onnx(model, tmp_path / "network.onnx")
    for shape in [(1, 64, 48, 1), (2, 16, 112, 1)]:
        image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        np.testing.assert_allclose(
            onnx_output(tmp_path / "network.onnx", image), model.predict_on_batch(image), atol=1e-5
        )


def test_export_that_predicts_otherwise_is_refused_and_leaves_the_old_network(tmp_path, monkeypatch):
    (tmp_path / "network.onnx").write_bytes(b"the old one")
    other = onnx_model(small_network("compact"))
    monkeypatch.setattr("emseg_napari.models.checkpoints.onnx_model", lambda model: other)
    with pytest.raises(UserError, match=r"network\.onnx could not be written.*otherwise than Keras"):
        export_onnx(small_network("compact"), tmp_path / "network.onnx")
    assert (tmp_path / "network.onnx").read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["network.onnx"]


def test_network_trained_in_bfloat16_is_exported_in_float32(tmp_path):
    mixed = trained(mixed_precision=True)
    save_checkpoint(mixed, tmp_path / "best.keras")
    network = fresh()
    load_checkpoint(network, tmp_path / "best.keras")
    export_onnx(network, tmp_path / "network.onnx")
    graph = onnx.load(tmp_path / "network.onnx").graph
    half = {onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT16}
    assert half.isdisjoint(tensor.data_type for tensor in graph.initializer)
    assert half.isdisjoint(a.i for node in graph.node if node.op_type == "Cast" for a in node.attribute)
    result = onnx_output(tmp_path / "network.onnx", IMAGE)
    np.testing.assert_allclose(result, network.predict_on_batch(IMAGE), atol=1e-5)
    np.testing.assert_allclose(result, mixed.predict_on_batch(IMAGE), atol=0.05)


def test_failed_export_leaves_the_old_network(model, tmp_path, monkeypatch):
    (tmp_path / "network.onnx").write_bytes(b"the old one")
    monkeypatch.setattr("emseg_napari.models.checkpoints.onnx_model", lambda model: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_onnx(model, tmp_path / "network.onnx")
    assert (tmp_path / "network.onnx").read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == ["network.onnx"]
