"""What `throughput.py` compares, each in a process of its own."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Work = Callable[[int], Any]  # of a slice of that side: its boundary probability, if there is one
FIRST = "network"


def depth(side: int) -> int:
    """Slices of the volume: what is done once for all of them shall not count much."""
    return max(1, 2 * 2048**2 // side**2)


class Given:
    """What all processes are given: a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder / "run"

    @cache  # noqa: B019
    def slice(self, side: int) -> np.ndarray:
        return np.load(self.folder / f"slice_{side}.npy")

    @cache  # noqa: B019
    def image(self, side: int) -> np.ndarray:
        """The same as the network sees it, float32 (1, y, x, 1)."""
        return np.load(self.folder / f"image_{side}.npy")

    def layers(self) -> dict[str, dict[str, Any]]:
        return pickle.loads((self.folder / "layers.pickle").read_bytes())


def session(model: Any, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    found = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda image: found.run(None, {found.get_inputs()[0].name: image})[0]


def onnx_works(given: Given, threads: int) -> dict[str, Work]:
    model = session(given.run / "network.onnx", threads)
    return {FIRST: lambda side: model(given.image(side))}


def our_works(given: Given, threads: int) -> dict[str, Work]:
    from emseg_napari.inference import load_predictor
    from emseg_napari.inference.volume import VolumeTask, predict_volume
    from emseg_napari.models.run import open_run
    from emseg_napari.segmentation.close_gaps import close_gaps
    from emseg_napari.settings import PredictionSettings
    from emseg_napari.settings.cells import MERGE_THRESHOLD

    run = open_run(given.run)
    settings = PredictionSettings(orientations=1, close_gaps=False, threads=threads)
    predictor = load_predictor(run, settings)

    def slice_(side: int) -> np.ndarray:
        return predictor.probability(given.slice(side))

    open_slice = cache(slice_)

    def gaps(side: int) -> None:
        close_gaps(open_slice(side), 0.5, MERGE_THRESHOLD)

    def volume(side: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            slices = np.broadcast_to(given.slice(side), (depth(side), side, side))
            predict_volume(slices, run, VolumeTask(Path(folder) / "out.zarr", settings))

    return {"slice": slice_, "gaps": gaps, "volume": volume}


def keras_works(given: Given, threads: int) -> dict[str, Work]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    from emseg_napari.models.checkpoints import load_checkpoint
    from emseg_napari.models.run import open_run
    from emseg_napari.models.unet import build

    works = {}
    for precision in ("float32", "bfloat16"):
        model = build(open_run(given.run).settings.network, precision == "bfloat16")
        load_checkpoint(model, given.run / "best.keras")
        works[f"keras {precision}"] = lambda side, model=model: model.predict_on_batch(given.image(side))
    return works


def torch_works(given: Given, threads: int) -> dict[str, Work]:
    import torch
    from pytorch_network import TorchNetwork

    torch.set_num_threads(threads)
    works = {}
    for precision in (torch.float32, torch.bfloat16):
        network = TorchNetwork(torch, given.layers(), precision)
        works[f"torch {str(precision)[6:]}"] = lambda side, network=network: network(given.image(side))
    return works


def peak_works(given: Given, threads: int) -> dict[str, Work]:
    from onnx import TensorProto, helper, numpy_helper

    names = [f"x{i}" for i in range(CONVOLUTIONS + 1)]
    kernel = numpy_helper.from_array(np.full((64, 64, 3, 3), 1e-3, np.float32), "kernel")
    nodes = [
        helper.make_node("Conv", [before, "kernel"], [after], auto_pad="SAME_UPPER")
        for before, after in pairwise(names)
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 64, 256, 256])
        for name in (names[0], names[-1])
    ]
    graph = helper.make_graph(nodes, "peak", ends[:1], ends[1:], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    convolve = session(model.SerializeToString(), threads)
    image, matrix = np.ones((1, 64, 256, 256), np.float32), np.ones((2048, 2048), np.float32)
    return {"peak convolution": lambda _: convolve(image), "peak product": lambda _: matrix @ matrix}


CONVOLUTIONS = 5
PEAKS = {
    "peak convolution": CONVOLUTIONS * 2 * 9 * 64 * 64 * 256 * 256 / 1e9,
    "peak product": 2 * 2048**3 / 1e9,
}

PARTS = {
    "onnx": onnx_works,
    "ours": our_works,
    "keras": keras_works,
    "torch": torch_works,
    "peak": peak_works,
}
