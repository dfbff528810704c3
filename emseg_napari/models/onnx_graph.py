"""Layers of a network, read from the ONNX file that Keras exported.

The file holds many more nodes, which move axes and compute sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Nodes that only move the single channel of image and result, and nodes that only correct the size of a
# transposed convolution, which is not needed here.
_AXES = {"Reshape", "Squeeze", "Unsqueeze", "Identity"}
_SIZES = {"Slice", "Pad"}
_ACTIVATIONS = {"Relu", "Sigmoid"}


class UnknownGraph(Exception):
    """Error: a network has other layers than plain, pooling, transposed and concatenating ones."""


@dataclass(frozen=True)
class Layer:
    """Layer of a network.

    Attributes
    ----------
    kind : str
        "Conv", "ConvTranspose", "MaxPool" or "Concat".
    inputs : tuple of str
        Names of the layers before, or of the image.
    stride : int
        Of a convolution, which has as many pixels as the input divided by it, and more at the far end; or by
        how much pooling shrinks and a transposed convolution enlarges.
    weights : numpy.ndarray or None
        float32 (out, in, y, x) of a convolution, (in, out, y, x) of a transposed one.
    bias : numpy.ndarray or float
        float32 (out,).
    activation : str
        "Relu", "Sigmoid" or none.
    """

    kind: str
    inputs: tuple[str, ...]
    stride: int = 1
    weights: np.ndarray | None = None
    bias: np.ndarray | float = 0.0
    activation: str = ""


@dataclass(frozen=True)
class Graph:
    """Network: the names of input and output, and its layers by name, in order."""

    image: str
    output: str
    layers: dict[str, Layer]


def read_graph(path: Path) -> Graph:
    """Read the layers of a network that Keras exported.

    Raises
    ------
    UnknownGraph
        If it has layers of other kinds.
    """
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers: dict[str, Layer] = {}
    seen = {graph.input[0].name: graph.input[0].name}  # values that are images -> the layer that made them
    try:
        for node in graph.node:
            if node.op_type == "Cast" and node.input[0] in constants:  # the starter's weights are float16
                constants[node.output[0]] = constants[node.input[0]].astype(np.float32)
            elif node.op_type != "Shape" and any(name in seen for name in node.input):
                seen[node.output[0]] = _follow(node, seen, layers, constants)
        last = seen[graph.output[0].name]
    except KeyError as error:
        raise UnknownGraph(str(error)) from None
    # A layer's value before its activation is not kept: a node that needs it makes the graph unknown.
    wanted = {name for layer in layers.values() for name in layer.inputs}
    if last != list(layers)[-1] or not wanted <= {*layers, graph.input[0].name}:
        raise UnknownGraph(last)
    return Graph(graph.input[0].name, graph.output[0].name, layers)


def _follow(
    node: onnx.NodeProto, seen: dict[str, str], layers: dict[str, Layer], constants: dict[str, np.ndarray]
) -> str:
    """Return the name of the layer that made a node's value: the one before, changed or not, or a new one."""
    before = seen[node.input[0]]
    if node.op_type in _AXES or (node.op_type in _SIZES and layers[before].kind == "ConvTranspose"):
        return before
    name = node.output[0]
    if node.op_type == "Concat":
        layers[name] = Layer("Concat", tuple(seen[part] for part in node.input))
    elif node.op_type in _ACTIVATIONS or node.op_type == "Add":
        layers[name] = _changed(layers.pop(before), node, constants)
    else:
        layers[name] = _layer(node, before, [constants[name] for name in node.input[1:]])
    return name


def _changed(layer: Layer, node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> Layer:
    if layer.activation or layer.kind not in ("Conv", "ConvTranspose"):
        raise UnknownGraph(node.op_type)
    if node.op_type == "Add":
        return replace(layer, bias=layer.bias + constants[node.input[1]].ravel())
    return replace(layer, activation=node.op_type)


def _layer(node: onnx.NodeProto, before: str, constants: list[np.ndarray]) -> Layer:
    has = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    kernel, strides = list(has["kernel_shape"]), list(has.get("strides", [1, 1]))
    same = has.get("auto_pad", b"") == b"SAME_UPPER" or kernel == [1, 1]
    fits = {"Conv": same, "ConvTranspose": kernel == strides, "MaxPool": kernel == strides}
    plain = not any(has.get("pads", [])) and {*has.get("dilations", []), has.get("group", 1)} == {1}
    if not (fits.get(node.op_type) and plain and len({*strides}) == len({*kernel}) == 1):
        raise UnknownGraph(node.op_type)
    weights, bias = (*constants, None, None)[:2]
    return Layer(node.op_type, (before,), strides[0], weights, 0.0 if bias is None else bias)
