import subprocess
import sys

import numpy as np
import pytest

from emseg_napari.models.unet import build
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.devices import Devices, _words
from emseg_napari.training.learner import compile_network

pytestmark = pytest.mark.keras

# A process of its own: TensorFlow divides the processor only before its first use.
TWO_DEVICES = """
import numpy as np
import tensorflow as tf

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)

import keras
from emseg_napari.training.devices import Devices
from emseg_napari.settings import TrainingSettings
from emseg_napari.training.learner import compile_network

random = np.random.default_rng(0)
image = random.random((4, 16, 16, 1)).astype(np.float32)
target = np.stack([random.random((4, 16, 16)) > 0.5, np.ones((4, 16, 16))], -1).astype(np.float32)


def trained(devices):
    keras.utils.set_random_seed(0)
    with devices.scope():
        x = keras.layers.Input((None, None, 1))
        model = keras.Model(x, keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x))
        compile_network(model, TrainingSettings.recipe(dice_weight=0.0))
    devices.warm_up(model, image, target)
    losses = [devices.train_on_batch(model, image, target) for _ in range(4)]
    return losses, np.concatenate([weight.ravel() for weight in model.get_weights()])


one, two = trained(Devices()), trained(Devices(["CPU:0", "CPU:1"]))
np.testing.assert_allclose(one[0], two[0], rtol=1e-3)
np.testing.assert_allclose(one[1], two[1], atol=1e-4)
"""


@pytest.mark.slow
def test_two_devices_sharing_a_batch_do_the_step_of_one():
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_devices_are_said_in_words(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setattr("emseg_napari.training.devices.processors", lambda: 8)
    assert _words([]).startswith("Computing on the processor: 1 of 8 cores")
    assert _words([{"device_name": "Model X"}]) == "Computing on 1 GPU (Model X)."
    assert _words([{"device_name": "Model X"}] * 2) == "Computing on 2 GPUs (Model X)."


def test_a_single_device_takes_the_whole_batch():
    devices = Devices()
    model = build("compact")
    compile_network(model, TrainingSettings.recipe())
    image = np.zeros((1, 32, 32, 1), np.float32)
    devices.warm_up(model, image, np.ones((1, 32, 32, 2), np.float32))
    assert devices.count == 1
    assert devices.train_on_batch(model, image, np.ones((1, 32, 32, 2), np.float32)) > 0
