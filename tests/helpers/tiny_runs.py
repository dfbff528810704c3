"""Finished runs with a network that needs no training: for tests of what is done with a network."""

import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emseg_napari.models.run import Run, RunRecord
from emseg_napari.settings import TrainingSettings


def tiny_network_run(
    folder: Path, network: str = "compact", scale: tuple[float, float] = (1.0, 1.0), **settings: object
) -> Run:
    """A run whose network finds dark pixels in a neighbourhood of 5 x 7."""
    record = RunRecord(
        scale=scale,
        image_shape=(1, 64, 64),
        image_dtype="uint8",
        trained_slices=[0],
        held_out_slices=[],
        label_counts={},
        threshold=0.6,
        finished=True,
    )
    run = Run(folder, TrainingSettings.recipe(network, **settings), record)
    folder.mkdir(parents=True, exist_ok=True)
    run.save()
    run.network_file.write_bytes(_convolution())
    return run


def whole_weights(run: Run) -> Run:
    """Give a run a checkpoint that is a whole archive, which is all that is looked at without Keras."""
    with zipfile.ZipFile(run.best_checkpoint, "w") as archive:
        archive.writestr("model.weights.h5", "numbers")
    return run


def _convolution() -> bytes:
    kernel = -np.random.default_rng(1).uniform(0, 0.5, (1, 1, 5, 7)).astype(np.float32)
    bias = np.array([-1.5], np.float32)
    nodes = [
        helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel", "bias"], ["convolved"], pads=[2, 3, 2, 3]),
        helper.make_node("Sigmoid", ["convolved"], ["likely"]),
        helper.make_node("Transpose", ["likely"], ["boundary"], perm=[0, 2, 3, 1]),
    ]
    shape = [None, None, None, 1]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("boundary", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
