"""bioimage.io packages that this program did not write: a small ONNX network, made by hand."""

import io
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import yaml
from onnx import TensorProto, helper, numpy_helper

NAMES = ("foreground", "boundary")


def two_channels(probability: bool = True, pooled: bool = True, sides: Any = None, opset: int = 13) -> bytes:
    """A network (batch, 1, y, x) -> (batch, 2, y, x): convolutions, and half the size between."""
    random = np.random.default_rng(0)
    weights = {
        "first": random.normal(0, 0.4, (4, 1, 3, 3)),
        "second": random.normal(0, 0.4, (4, 4, 3, 3)),
        "last": random.normal(0, 0.6, (2, 4, 1, 1)),
        "scales": np.array([1, 1, 2, 2]),
    }
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
    ]
    if pooled:
        nodes += [
            helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Conv", ["c", "second"], ["d"], pads=[1] * 4),
            helper.make_node("Resize", ["d", "", "scales"], ["e"], mode="nearest"),
            helper.make_node("Add", ["b", "e"], ["f"]),
        ]
    nodes.append(helper.make_node("Conv", ["f" if pooled else "b", "last"], ["logits"]))
    if probability:
        nodes.append(helper.make_node("Sigmoid", ["logits"], ["y"]))
    height, width = sides or ("h", "w")
    graph = helper.make_graph(
        nodes,
        "hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, height, width])],
        [
            helper.make_tensor_value_info(
                "y" if probability else "logits", TensorProto.FLOAT, ["n", 2, height, width]
            )
        ],
        [numpy_helper.from_array(np.asarray(v, np.float32), name) for name, v in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model.SerializeToString()


def outputs_of(network: bytes, seen: np.ndarray) -> np.ndarray:
    """What it gives for an image (y, x) as it sees it: (channels, y, x)."""
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": seen[None, None].astype(np.float32)})[0][0]


def normalised(image: np.ndarray, step: dict[str, Any]) -> np.ndarray:
    """An image after a step of bioimage.io, as its specification defines it."""
    image, given = image.astype(np.float64), step.get("kwargs", {})
    if step["id"] == "zero_mean_unit_variance":
        return (image - image.mean()) / (image.std() + 1e-6)
    if step["id"] == "scale_range":
        low, high = np.percentile(image, [given["min_percentile"], given["max_percentile"]])
        return (image - low) / (high - low + 1e-6)
    if step["id"] == "scale_linear":
        return image * given["gain"] + given["offset"]
    if step["id"] == "clip":
        return np.clip(image, given["min"], given["max"])
    return image


def package(
    target: Path,
    network: bytes,
    image: np.ndarray,
    steps: list[dict[str, Any]],
    names: tuple[str, ...] = NAMES,
    after: list[dict[str, Any]] | None = None,
    expected: np.ndarray | None = None,
    **changes: Any,
) -> Path:
    """Write a package whose test image is `image` (y, x); `changes` replace parts of its description."""
    seen = image
    for step in steps:
        seen = normalised(seen, step)
    output = outputs_of(network, seen) if expected is None else expected
    files = {"net.onnx": network, "in.npy": npy(image[None, None]), "out.npy": npy(output[None])}

    def file(name: str) -> dict[str, Any]:
        return {"source": name, "sha256": sha256(files[name]).hexdigest()}

    sides = [
        {"type": "space", "id": n, "size": {"min": 32, "step": 2}, "unit": "nanometer", "scale": 4.0}
        for n in "yx"
    ]
    made = [
        {
            "type": "space",
            "id": n,
            "size": {"tensor_id": "raw", "axis_id": n},
            "halo": 8,
            "unit": "nanometer",
            "scale": 4.0,
        }
        for n in "yx"
    ]
    description = {
        "format_version": "0.5.3",
        "type": "model",
        "name": "Hand-made membranes",
        "version": "1.2",
        "authors": [{"name": "A. Maker"}],
        "cite": [{"text": "Maker 2020", "doi": "10.1000/1"}],
        "license": "MIT",
        "inputs": [
            {
                "id": "raw",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": ["raw"]}, *sides],
                "preprocessing": [{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}, *steps],
                "test_tensor": file("in.npy"),
            }
        ],
        "outputs": [
            {
                "id": "prediction",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": list(names)}, *made],
                "postprocessing": after or [],
                "test_tensor": file("out.npy"),
            }
        ],
        "weights": {"onnx": {**file("net.onnx"), "opset_version": 13}},
    } | changes
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in {"rdf.yaml": yaml.safe_dump(description).encode(), **files}.items():
            archive.writestr(name, content)
    return target


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values.astype(np.float32))
    return file.getvalue()
