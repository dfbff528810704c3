"""Rewriting of a U-Net's ONNX graph so that ONNX Runtime computes it fast.

Keras exports through TensorFlow, which adds much to the convolutions: every transposed convolution is
followed by a slice, a padding and the arithmetic of their sizes, and every concatenation copies the largest
values there are. ONNX Runtime's own layout, in blocks of 16 channels, is converted back and forth around
each of them. Here the same products are written without that:

- a transposed convolution whose kernel is as wide as its stride is a 1x1 convolution into as many times more
  channels, which are then rearranged in space;
- a convolution of a concatenation is the sum of the convolutions of its parts;
- values of the same size are declared so (``y/2`` is half the image's height), else ONNX Runtime would not
  add them within the convolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from emseg_napari.models.onnx_graph import Graph, Layer, UnknownGraph, read_graph

_MAKER = "emseg-napari"
_OPSET = 15


def optimised_graph(path: Path) -> bytes | None:
    """Rewrite a network that Keras exported.

    Parameters
    ----------
    path : Path
        An ONNX file that maps float32 (batch, y, x, 1), y and x multiples of its coarsest pixel, to the same
        shape.

    Returns
    -------
    bytes or None
        An ONNX model with the same input and output, equal up to rounding errors; None if it has layers of
        other kinds and must be used as it is.
    """
    try:
        return _Writer(read_graph(path)).model().SerializeToString()
    except UnknownGraph:
        return None


@dataclass(frozen=True)
class _Value:
    """Value of a layer: (batch, channels, y / px, x / px)."""

    name: str
    px: int
    channels: int


class _Writer:
    """Writer of layers as a graph; values are (batch, channels, y, x)."""

    def __init__(self, graph: Graph) -> None:
        self._graph, image = graph, graph.image
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._sizes: list[onnx.ValueInfoProto] = []
        self._kinds: dict[str, Callable[[Layer], _Value]] = {
            "Conv": self._convolution,
            "ConvTranspose": self._transposed,
            "MaxPool": self._pooling,
            "Concat": self._concatenation,
        }
        shape = self._node("Shape", image)
        self._batch = self._node("Slice", shape, self._integers(0), self._integers(1))
        self._size = self._node("Slice", shape, self._integers(1), self._integers(3))
        first = self._node("Squeeze", self._node("Unsqueeze", image, self._integers(1)), self._integers(4))
        self._values = {image: self._sized(first, 1, 1)}

    def model(self) -> onnx.ModelProto:
        """Return the whole model."""
        image, output = self._graph.image, self._graph.output
        end = self._node("Unsqueeze", self._value(list(self._graph.layers)[-1]).name, self._integers(4))
        self._nodes.append(helper.make_node("Squeeze", [end, self._integers(1)], [output]))
        sides = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "y", "x", 1])
            for name in (image, output)
        ]
        graph = helper.make_graph(
            self._nodes, "network", sides[:1], sides[1:], self._constants, value_info=self._sizes
        )
        opset = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name=_MAKER)

    def _value(self, name: str) -> _Value:
        if name not in self._values:
            layer = self._graph.layers[name]
            self._values[name] = self._kinds[layer.kind](layer)
        return self._values[name]

    def _convolution(self, layer: Layer) -> _Value:
        source = self._graph.layers.get(layer.inputs[0])
        names = source.inputs if source and source.kind == "Concat" else layer.inputs
        parts = [self._value(name) for name in names]
        assert layer.weights is not None
        weights = np.split(layer.weights, np.cumsum([part.channels for part in parts])[:-1], axis=1)
        total = self._convolved(parts[0], weights[0], layer)
        for part, its_weights in zip(parts[1:], weights[1:], strict=True):
            more = self._convolved(part, its_weights, replace(layer, bias=0.0))
            total = self._sized(self._node("Add", total.name, more.name), total.px, total.channels)
        return self._activated(total, layer)

    def _convolved(self, value: _Value, weights: np.ndarray, layer: Layer) -> _Value:
        out, kernel_px = weights.shape[0], weights.shape[2]
        bias = np.broadcast_to(np.float32(layer.bias), (out,))
        how: dict[str, Any] = {"auto_pad": "SAME_UPPER"} if kernel_px > 1 else {}
        how |= {"kernel_shape": [kernel_px] * 2, "strides": [layer.stride] * 2}
        name = self._node("Conv", value.name, self._constant(weights), self._constant(bias), **how)
        return self._sized(name, value.px * layer.stride, out)

    def _activated(self, value: _Value, layer: Layer) -> _Value:
        if not layer.activation:
            return value
        return self._sized(self._node(layer.activation, value.name), value.px, value.channels)

    def _transposed(self, layer: Layer) -> _Value:
        value, times = self._value(layer.inputs[0]), layer.stride
        assert layer.weights is not None
        before, after = layer.weights.shape[:2]
        weights = layer.weights.transpose(2, 3, 1, 0).reshape(times * times * after, before, 1, 1)
        bias = np.tile(np.broadcast_to(np.float32(layer.bias), (after,)), times * times)
        one = self._activated(self._convolved(value, weights, replace(layer, stride=1, bias=bias)), layer)
        # Channels lie last while pixels are moved, so that many are moved at once.
        name = self._node("Transpose", one.name, perm=[0, 2, 3, 1])
        name = self._node("Reshape", name, self._integers(0, 0, 0, times, times * after))
        name = self._node("Transpose", name, perm=[0, 1, 3, 2, 4])
        name = self._node("Reshape", name, self._shape(value.px // times, after))
        name = self._node("Transpose", name, perm=[0, 3, 1, 2])
        return self._sized(name, value.px // times, after)

    def _pooling(self, layer: Layer) -> _Value:
        value, sides = self._value(layer.inputs[0]), [layer.stride] * 2
        name = self._node("MaxPool", value.name, kernel_shape=sides, strides=sides)
        return self._sized(name, value.px * layer.stride, value.channels)

    def _concatenation(self, layer: Layer) -> _Value:
        parts = [self._value(name) for name in layer.inputs]
        name = self._node("Concat", *(part.name for part in parts), axis=1)
        return self._sized(name, parts[0].px, sum(part.channels for part in parts))

    def _shape(self, px: int, channels: int) -> str:
        size = self._node("Div", self._size, self._integers(px))
        return self._node("Concat", self._batch, size, self._integers(channels), axis=0)

    def _sized(self, name: str, px: int, channels: int) -> _Value:
        along = [f"{axis}/{px}" if px > 1 else axis for axis in "yx"]
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, *along])
        self._sizes.append(info)
        return _Value(name, px, channels)

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))
